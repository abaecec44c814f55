"""A crew in the background: `devproxy up --detach` starts it and waits for its services to settle.

Not here: the crew's process (`group_process.py`), how a process outlives its terminal (`daemon/control.py`).
"""

import time

from devproxy.daemon.control import spawn
from devproxy.errors import DevproxyError
from devproxy.paths import Paths, ensure_private
from devproxy.run.group_state import OVER, UNSETTLED, Part, State, crews

PATIENCE = 60.0  # seconds for every service to be healthy
_LOOK = 0.05  # seconds between two looks


def launch_crew(paths: Paths, names: list[str]) -> dict[str, Part]:
    """Run services in the background; what became of each within `PATIENCE`. Raises DevproxyError.

    Some of them may be another crew's by now, which was started at the same moment: they count as well.
    """
    log = ensure_private(paths.log) / "up.log"
    process = spawn(paths, ["up", "--crew", *names], log)
    deadline = time.monotonic() + PATIENCE
    seen: dict[str, Part] = {}
    own: set[str] = set()
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        now = _parts(paths, names, process.pid)
        seen |= now
        own |= {name for crew in crews(paths) if crew.pid == process.pid for name in crew.services}
        if (ended and not now) or (len(seen) == len(names) and not _unsettled(seen)):
            break
        time.sleep(_LOOK)
    code = process.poll()
    if code is None:
        process.returncode = 0  # it goes on without us: no warning when we forget it
    if not seen:
        said = log.read_text("utf-8", "replace").strip()[-2000:]
        raise DevproxyError("the services were not started", why=said or "their process said nothing")
    if code is not None:  # what it ran is over, though it may not have been seen how
        over: State = "failed" if code else "ended"
        seen |= {name: Part(over, seen[name].command) for name in _unsettled(seen) if name in own}
    return {name: seen[name] for name in names if name in seen}


def _parts(paths: Paths, names: list[str], pid: int) -> dict[str, Part]:
    """What the crew `pid` says, and the others of what they still run: what had ended there before is no news."""
    return {
        name: part
        for crew in crews(paths)
        for name, part in crew.services.items()
        if name in names and (crew.pid == pid or part.state not in OVER)
    }


def _unsettled(parts: dict[str, Part]) -> list[str]:
    return [name for name, part in parts.items() if part.state in UNSETTLED]
