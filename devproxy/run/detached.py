"""A crew in the background: `devproxy up --detach` starts it and waits for its services to settle.

Not here: the crew's process (`upkeep.py`), how a process outlives its terminal (`background.py`).
"""

import time

from devproxy.background import spawn
from devproxy.errors import DevproxyError
from devproxy.paths import Paths, ensure_private
from devproxy.run.crewfile import UNSETTLED, CrewFile, Part, crews

PATIENCE = 60.0  # seconds for every service to be healthy
_LOOK = 0.05  # seconds between two looks


def launch_crew(paths: Paths, names: list[str]) -> dict[str, Part]:
    """Run services in the background; what became of each within `PATIENCE`. Raises DevproxyError."""
    log = ensure_private(paths.log) / "up.log"
    process = spawn(paths, ["up", "--crew", *names], log)
    deadline = time.monotonic() + PATIENCE
    seen: CrewFile | None = None
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        seen = next((crew for crew in crews(paths) if crew.pid == process.pid), seen)
        if ended or (seen is not None and not any(part.state in UNSETTLED for part in seen.services.values())):
            break
        time.sleep(_LOOK)
    if process.poll() is None:
        process.returncode = 0  # it goes on without us: no warning when we forget it
    if seen is None:
        said = log.read_text("utf-8", "replace").strip()[-2000:]
        raise DevproxyError("the services were not started", why=said or "their process said nothing")
    if process.returncode and process.returncode > 0:
        return {
            name: Part("failed", part.command) if part.state in UNSETTLED else part
            for name, part in seen.services.items()
        }
    return seen.services
