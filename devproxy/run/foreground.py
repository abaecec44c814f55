"""`devproxy run` in the foreground: one session, and which signal does what to it.

Not here: the session (`session.py`), the terminal's bytes (`terminal.py`).

Signals are the command's (signal(7)): what a terminal or `kill` sends us goes to its whole process group. SIGTERM asks
the service to end as `down` does, by its own signal; SIGHUP is passed on, and means the end as well: what is left after
the grace is killed. One that we have inherited as ignored stays so, for the command too (nohup(1)). When the command is
stopped (Ctrl-Z) so are we, and the shell has its terminal back.
"""

import asyncio
import contextlib
import os
import signal
import sys

from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from devproxy.run.launch import Launch
from devproxy.run.report import SessionReporter
from devproxy.run.session import LEFTOVER_GRACE, Notify, Session, is_ignored

_PASSED = ("SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTSTP")
_ENDING = ("SIGTERM", "SIGHUP")


def run(paths: Paths, ready: Launch, *, notify: Notify) -> int:
    """Run one service until it ends; its exit code, 128 + N after signal N. Raises DevproxyError: not on Windows."""
    if sys.platform == "win32":
        raise DevproxyError(
            "devproxy run does not work on Windows yet",
            why="ending a command with all that it started is done with POSIX process groups",
            fix="start it by itself, and give it a name: devproxy add NAME PORT",
        )
    return asyncio.run(_run(paths, ready, notify))


async def _run(paths: Paths, ready: Launch, notify: Notify) -> int:
    session = Session(
        paths,
        ready.prepared,
        ready.lease,
        notify=lambda text: _notify(session, notify, text),
        service=ready.service,
        settings=ready.settings,
    )
    session.stopped = lambda: _stop(session)
    reporter = SessionReporter(paths, session, ready.service)
    loop = asyncio.get_running_loop()
    for number in map(_number, _PASSED):
        if not is_ignored(number):
            loop.add_signal_handler(number, session.signal, number)
    for number in map(_number, _ENDING):
        if not is_ignored(number) or number == signal.SIGTERM:  # which `devproxy down` sends
            loop.add_signal_handler(number, _end, session, number, ready.service.stop_grace)
    loop.add_signal_handler(signal.SIGWINCH, _resize, session)
    loop.add_signal_handler(signal.SIGCONT, _resume, session)
    watching = loop.create_task(reporter.watch())
    try:
        return await session.run()
    except DevproxyError as error:
        if session.code is None:
            raise
        notify(str(error))
        return session.code
    finally:
        watching.cancel()


def _number(name: str) -> int:
    return int(getattr(signal, name))


def _notify(session: Session, notify: Notify, text: str) -> None:
    """`text` on the person's terminal, which does not return the carriage while it is in raw mode."""
    is_raw = session.terminal is not None and session.terminal.is_raw
    notify(text.replace("\n", "\r\n") + "\r" if is_raw else text)


def _end(session: Session, number: int, grace: float) -> None:
    if number == signal.SIGTERM:
        session.end(grace)
        return
    session.signal(number)
    asyncio.get_running_loop().call_later(grace, session.end, LEFTOVER_GRACE)


def _resize(session: Session) -> None:
    if session.terminal is not None:
        session.terminal.resize()


def _stop(session: Session) -> None:
    """Stop as the command has, our process group with us; returns when we are continued."""
    if session.terminal is not None:
        session.terminal.leave_raw_mode()
    loop = asyncio.get_running_loop()
    if loop.remove_signal_handler(signal.SIGTSTP):
        with contextlib.suppress(OSError):
            os.killpg(0, signal.SIGTSTP)  # ignored by the kernel where no shell could ever continue us
        loop.add_signal_handler(signal.SIGTSTP, session.signal, signal.SIGTSTP)
    _resume(session)


def _resume(session: Session) -> None:
    if session.terminal is not None:
        session.terminal.enter_raw_mode()
        session.terminal.resize()
    session.signal(signal.SIGCONT)
