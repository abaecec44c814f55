"""What a long-lived process needs from the system, and that there is one of it.

Lives here: the claim of the process that serves a DEVPROXY_HOME, the descriptor limit, the event loop, the garbage
collector's thresholds.
Not here: what the process does (`main.py`), locking (`storage/locks.py`).
"""

import asyncio
import gc
import os
import sys
import time
import warnings
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from devproxy.daemon.runtime import Running, read_running
from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from devproxy.storage.locks import FileLock, hold
from devproxy.storage.system_errors import why_and_fix

_PATIENCE = 0.5  # seconds that a predecessor's last moments may take
_before: list[int] = []  # the soft limit that we were started with
_MODEST_LIMIT = 10_240  # OPEN_MAX of macOS, where the hard limit says "infinity" and setrlimit(2) refuses it


def claim(paths: Paths) -> FileLock:
    """Take the state folder for this process, until it ends. Raises DevproxyError: another one has it, and which."""
    paths.make(paths.claim.parent)
    try:
        lock = hold(paths.claim, _PATIENCE)
    except OSError as error:
        why, fix = why_and_fix(error, paths.claim)
        raise DevproxyError(f"{paths.claim} could not be locked", why=why, fix=fix) from None
    if lock is None:
        raise _taken(paths)
    return lock


def _taken(paths: Paths) -> DevproxyError:
    running = read_running(paths)
    why = f"it serves {paths.state}, and one proxy at a time can"
    if running is None:
        return DevproxyError("devproxy is already starting or stopping", why=why, fix="devproxy status tells when")
    fix = "use that one, or end it first: devproxy stop"
    return DevproxyError(f"devproxy is already running ({_description(running)})", why=why, fix=fix)


def _description(running: Running) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(running.started))
    ports = [f"{scheme} port {port}" for scheme in ("http", "https") if (port := getattr(running, scheme))]
    return ", ".join([f"pid {running.pid}", f"since {since}", *ports])


def raise_descriptor_limit() -> int:
    """Raise the limit of open descriptors to the hard one (setrlimit(2)); returns what is in force now.

    Every proxied connection takes two descriptors, and the soft limit is 256 on macOS and 1024 on Linux.
    """
    if sys.platform == "win32":
        return 1 << 24  # handles a process may have; sockets know no lower limit
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, _MODEST_LIMIT):
        if soft == resource.RLIM_INFINITY or (wanted != resource.RLIM_INFINITY and wanted <= soft):
            break
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            _before[:] = _before or [soft]
            return wanted if wanted != resource.RLIM_INFINITY else sys.maxsize
    return soft if soft != resource.RLIM_INFINITY else sys.maxsize


def restore_descriptor_limit(pid: int) -> None:
    """Give a process that we started the soft limit that we were started with (prlimit(2), Linux).

    Programs that use select(2), or that close every descriptor there may be, count on a low one.
    """
    if sys.platform == "linux" and _before:
        import resource

        with suppress(OSError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (_before[0], hard))


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run `main` on the fastest event loop there is: uvloop (winloop on Windows), else asyncio's own.

    `DEVPROXY_LOOP=asyncio` asks for asyncio's.
    """
    # mypyc's coroutines hand on an exception in the old way. Where PYTHONWARNINGS makes errors of warnings, this one
    # would stand in for every cancellation, and what was cancelled would go on.
    warnings.filterwarnings("ignore", r"the \(type, exc, tb\) signature of throw", DeprecationWarning)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if os.environ.get("DEVPROXY_LOOP") == "asyncio":
        return None
    try:
        if sys.platform == "win32":
            import winloop as uvloop
        else:
            import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def settle_memory() -> None:
    """To be called once everything is built: what is there now stays, so the collector need not look at it again.

    A full collection walks every tracked object: with 10,000 services some 10 ms in which no byte is forwarded. Frozen
    objects are left out of it (and are still freed when their last reference goes, as an old registry's are). What a
    request makes is freed by reference counting, so the young generation may grow larger before it is searched. The
    program's entry has frozen what it had imported by then, garbage too (`cli/app.py`), which is looked for here.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
