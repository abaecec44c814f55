"""The proxy in the background: starting it so that it outlives the terminal, and ending it.

Lives here: `start` and `stop`, as `devproxy start`, `stop`, `restart` and `run` need them; `spawn`, for a group as
well.
Not here: the proxy (`main.py`), which of two proxies may serve (`lifecycle.claim`).

How: `devproxy serve` in a session of its own (setsid(2)), with its output in `state/log/serve.log`. Starters take
turns (the lock of that file's folder), so that of ten at once one starts a proxy and nine find it. Ready is when
`state/proxy.json` names the new process: it is written once the sockets listen.
"""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from devproxy.daemon.runtime import Running, read_running
from devproxy.errors import DevproxyError
from devproxy.paths import Paths, as_root
from devproxy.registry.model import HttpsPort
from devproxy.run.detach import spawn
from devproxy.storage.locks import exclusive
from devproxy.storage.process_identity import is_same

PATIENCE = 20.0  # seconds for the proxy to be ready
MARGIN = 5.0  # seconds that an end may take beyond the grace for requests in flight
_TAIL = 2000  # characters of its output that an error shows
_LOOK = 0.02  # seconds between two looks at another process


class Launched(NamedTuple):
    """The proxy that runs, and whether it is a new one."""

    running: Running
    is_new: bool


def start(paths: Paths, *, http: int | None = None, https: HttpsPort = None) -> Launched:
    """The running proxy, started if there was none; returns once it takes connections. Blocks.

    `http` and `https` (0: any free port) take the place of the registry's settings. Raises DevproxyError where it does
    not start.
    """
    if running := read_running(paths):
        return Launched(running, False)
    log = paths.serve_output
    paths.make(log.parent)
    with exclusive(log):
        if running := read_running(paths):
            return Launched(running, False)
        ports = [f"--{name}={port}" for name, port in (("http", http), ("https", https)) if port is not None]
        process = spawn(paths, ["serve", "--detached", *ports], log)
        return _ready(paths, process, log)


def _ready(paths: Paths, process: "subprocess.Popen[bytes]", log: Path) -> Launched:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        running = read_running(paths)
        if running and (ended or running.pid == process.pid):
            # If ours ended, another one was started by `devproxy serve` at the same moment: that one serves.
            process.returncode = process.returncode or 0  # it goes on without us: no warning when we forget it
            return Launched(running, not ended)
        if ended:
            break
        time.sleep(_LOOK)
    else:
        process.kill()
        process.wait()
    raise _failed(log.read_text("utf-8", "replace").strip()[-_TAIL:])


def _failed(said: str) -> DevproxyError:
    """What `serve` said when it ended, in its own three parts if it had them."""
    what, _, rest = said.partition("\n  why: ")
    if rest:
        why, _, fix = rest.partition("\n  fix: ")
        return DevproxyError(f"the proxy did not start: {what}", why=why, fix=fix)
    why = said or f"it said nothing for {PATIENCE:.0f} seconds"
    return DevproxyError("the proxy did not start", why=why, fix="devproxy serve, by itself, may say more")


class Ended(NamedTuple):
    """The proxy that was ended, and whether it had to be killed."""

    running: Running
    was_killed: bool


def stop(paths: Paths, *, grace: float) -> Ended | None:
    """End the proxy and wait until it is gone; None where none runs. Blocks.

    Requests in flight may finish for `grace` seconds, which is the proxy's own rule; it is killed only if it has not
    ended some seconds after that. Raises DevproxyError where it belongs to somebody else.
    """
    running = read_running(paths)
    if running is None:
        return None
    _send(running, signal.SIGTERM)
    if _gone(running, grace + MARGIN):
        return Ended(running, False)
    _send(running, getattr(signal, "SIGKILL", signal.SIGTERM))
    if not _gone(running, MARGIN):
        raise DevproxyError(
            f"the proxy (pid {running.pid}) does not end",
            why="the system has not let go of it since it was killed",
            fix=f"see what it waits for: cat /proc/{running.pid}/stack",
        )
    return Ended(running, True)


def _send(running: Running, number: int) -> None:
    try:
        with suppress(ProcessLookupError):
            if is_same(running.pid, running.started):
                os.kill(running.pid, number)
    except PermissionError:
        raise DevproxyError(
            f"the proxy (pid {running.pid}) cannot be ended",
            why="it belongs to another user",
            fix=as_root(f"kill {running.pid}"),
        ) from None


def _gone(running: Running, seconds: float) -> bool:
    """Whether the process ends within `seconds`."""
    deadline = time.monotonic() + seconds
    while is_same(running.pid, running.started):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK)
    return True
