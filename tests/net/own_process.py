"""`loopback.listen` in a process of its own: descriptor 3, another user and another network are the process's.

Lives here: running it and reading what it reports.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import devproxy
from tests.waiting import PROGRAM_DEADLINE

ROOT = Path(devproxy.__file__).parent

_CHILD = """
import fcntl, json, os, socket, sys
from devproxy.errors import DevproxyError
from devproxy.net import endpoints, loopback
def report(http=None, https="off"):
    left = lambda: [name for name in os.environ if name.startswith("LISTEN_")]
    try:
        asked = [endpoints.HTTP._replace(port=http)]
        if https != "off":
            asked.append(endpoints.HTTPS._replace(port=https))
        got, *more = loopback.listen_all(asked)
        said = {"addresses": got.addresses, "port": got.port, "notices": got.notices, "left": left()}
        print(json.dumps({**said, **{one.scheme: one.addresses for one in more}}))
    except DevproxyError as e:
        print(json.dumps({"error": e.what, "why": e.why, "fix": e.fix, "code": int(e.exit_code), "left": left()}))
"""


def child(code: str, *, prefix: tuple[str, ...] = (), env: dict[str, str] | None = None) -> Any:
    """What `report()` printed in a process that runs `code` after `_CHILD`."""
    argv = [*prefix, sys.executable, "-c", _CHILD + code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT.parent), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=PROGRAM_DEADLINE, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
