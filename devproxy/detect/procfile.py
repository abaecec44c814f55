"""A Procfile: `name: command`, one line each (Heroku's format, as foreman and overmind read it).

Lives here: which of its processes are servers.
Not here: running them.
"""

import re
from pathlib import Path

from devproxy.detect.files import text_of
from devproxy.detect.model import Candidate, Seen

FILES = ("Procfile.dev", "Procfile")
_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")


def look(root: Path) -> Seen:
    """The servers of the first Procfile there is. A process is one if it is called `web` or uses `PORT`."""
    file = next((name for name in FILES if text_of(root / name).strip()), None)
    if file is None:
        return Seen()
    services, remarks = [], []
    for line in text_of(root / file).splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        name, command = match[1], match[2]
        if name == "web" or "PORT" in command:
            services.append(Candidate(name=name, origin=f"{file}: {name}", command=command))
        else:
            remarks.append(f"{file}: `{name}` is left out: nothing says that it listens on a port")
    return Seen(services=tuple(services), remarks=tuple(remarks))
