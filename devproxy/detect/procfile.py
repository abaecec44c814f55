"""A Procfile: `name: command`, one line each (Heroku's format, as foreman and overmind read it).

Lives here: which of its processes are servers, workers and migrations.
Not here: running them.
"""

import re
from pathlib import Path

from devproxy.detect.files import text_of
from devproxy.detect.model import Candidate, Seen
from devproxy.detect.scripts import role

FILES = ("Procfile.dev", "Procfile")
# what people call what listens nowhere; Heroku runs `release` once, before the others
_WORKER = re.compile(
    r"(?:.*[-_])?(?:workers?|clock|scheduler|beat|cron|queue|jobs?|watch(?:er)?|consumer)(?:[-_0-9].*)?"
)
_TASK = "release"
_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")


def look(root: Path) -> Seen:
    """The processes of the first Procfile there is. One is a server if it is called `web`, uses `PORT`, or is known to
    serve; a worker or a migration is one by its program, else by its name, and what neither tells is left out."""
    file = next((name for name in FILES if text_of(root / name).strip()), None)
    if file is None:
        return Seen()
    services, remarks = [], []
    for number, line in enumerate(text_of(root / file).splitlines(), 1):
        text = line.strip()
        match = _LINE.fullmatch(text)
        if match is None:
            if text and not text.startswith("#"):
                remarks.append(f"{file}:{number}: left out: this is no `name: command`")
            continue
        name, command = match[1], match[2]
        found = role(command, root)
        if found == "unknown" and name != "web":
            found = "task" if name == _TASK else "worker" if _WORKER.fullmatch(name) else found
        if found == "server" or name == "web":
            services.append(Candidate(name=name, origin=f"{file}: {name}", command=command))
        elif found in ("worker", "task"):
            services.append(Candidate(name=name, kind=found, origin=f"{file}: {name}", command=command))
        else:
            remarks.append(f"{file}:{number}: `{name}` is left out: nothing says that it listens on a port")
    return Seen(services=tuple(services), remarks=tuple(remarks))
