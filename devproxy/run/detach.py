"""A process of ours that outlives its terminal, and a group of services in one: `devproxy up --detach`.

Lives here: starting it; waiting for the services of a group to settle.
Not here: how we start ourselves (`interpreter.py`), what runs in it (`group_process.py`, `daemon/main.py`), the proxy's
process (`daemon/control.py`).
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from devproxy.run.group_state import OVER, UNSETTLED, MemberPhase, MemberState, read_groups
from devproxy.run.interpreter import ourselves, own_environment

PATIENCE = 60.0  # seconds for every service to be healthy
_POLL = 0.05  # seconds between two readings of what it says


def spawn(paths: Paths, arguments: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    """`devproxy ARGUMENTS` as a process that outlives the terminal; what it prints replaces what `log` held."""
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
        return subprocess.Popen(
            ourselves(*arguments),
            env=own_environment(),
            cwd=paths.state,  # it must not keep the folder that somebody stands in busy
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            **_detached(),
        )


def _detached() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def launch_group(paths: Paths, names: list[str]) -> dict[str, MemberState]:
    """Run services in the background; what became of each within `PATIENCE`. Raises DevproxyError.

    Some of them may be another group's by now, which was started at the same moment: they count as well.
    """
    log = paths.group_output
    paths.make(log.parent)
    process = spawn(paths, ["up", "--group", *names], log)
    deadline = time.monotonic() + PATIENCE
    seen: dict[str, MemberState] = {}
    own: set[str] = set()
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        now = _states(paths, names, process.pid)
        seen |= now
        own |= {name for group in read_groups(paths) if group.pid == process.pid for name in group.services}
        if (ended and not now) or (len(seen) == len(names) and not _unsettled(seen)):
            break
        time.sleep(_POLL)
    code = process.poll()
    if code is None:
        process.returncode = 0  # it goes on without us: no warning when we forget it
    if not seen:
        said = log.read_text("utf-8", "replace").strip()[-2000:]
        raise DevproxyError("the services were not started", why=said or "their process said nothing")
    if code is not None:  # what it ran is over, though it may not have been seen how
        over: MemberPhase = "failed" if code else "ended"
        seen |= {name: MemberState(over, seen[name].command) for name in _unsettled(seen) if name in own}
    return {name: seen[name] for name in names if name in seen}


def _states(paths: Paths, names: list[str], pid: int) -> dict[str, MemberState]:
    """What the group `pid` says, and the others of what they still run: what had ended there before is no news."""
    return {
        name: member
        for group in read_groups(paths)
        for name, member in group.services.items()
        if name in names and (group.pid == pid or member.state not in OVER)
    }


def _unsettled(states: dict[str, MemberState]) -> list[str]:
    return [name for name, member in states.items() if member.state in UNSETTLED]
