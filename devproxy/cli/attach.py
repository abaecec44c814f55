"""`devproxy attach`: the terminal of a service of `devproxy up`, until Ctrl-D.

Lives here: this terminal, in raw mode meanwhile (termios(3)), and the loop that copies bytes between it and the
service. Where a standard stream is none, what comes there is typed, and what is shown goes there as plain lines.
Not here: the way to the `up` that has it (`run/attachment.py`, `run/group_state.py`).
"""

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

from devproxy.cli.arguments import complete_service, services_meant
from devproxy.cli.output import print_line, remark
from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from devproxy.registry.loader import read
from devproxy.text import devproxy_command

_LOOK = 0.1  # seconds between two looks whether the service is over, before its `up` has answered
_DETACH = b"\x04"  # Ctrl-D
# Colours, the cursor, bracketed paste and the mouse (xterm's ctlseqs): as a shell's prompt wants them
_AS_BEFORE = b"\x1b[0m\x1b[?25h\x1b[?2004l\x1b[?1000;1002;1003;1006l"


@click.command("attach")
@click.argument("name", shell_complete=complete_service)
def command(name: str) -> None:
    """Have a service's terminal, for a debugger or a prompt.

    What you type goes to NAME, a service of `devproxy up` in whichever terminal, key by key, and you see what it shows.
    Ctrl-C interrupts it, unless it reads that key itself. Ctrl-D gives your terminal back, and leaves it running.
    """
    from pathlib import Path

    paths = Paths.from_environment()
    (service,) = services_meant(read(paths), [name], Path.cwd())
    _attach(paths, service.id)


def _attach(paths: Paths, service: str) -> None:
    from devproxy.run.attachment import AttachRequest, make_pipes, remove_pipes
    from devproxy.run.group_state import OVER, ask, group_of

    group = group_of(paths, service)
    if group is None or group.services[service].state in OVER:
        raise DevproxyError(
            f"`{service}` is not run by `devproxy up`",
            why="what `devproxy run` has is in a terminal of its own" if group is None else "it has ended",
            fix=devproxy_command("start", service),
        )
    remark(f"attached to `{service}`: Ctrl-D gives this terminal back, Ctrl-C interrupts the service", dim=True)

    def is_over() -> bool:
        now = group_of(paths, service)
        return now is None or now.pid != group.pid or now.services[service].state in OVER

    def is_taken() -> bool:
        return not any(file.exists() for file in paths.attach_pipes(os.getpid()))

    def send_size(request: Any = "resize") -> None:
        ask(paths, group, request, [service], AttachRequest(os.getpid(), *_size()).text)

    try:
        shown, typed = make_pipes(paths)
        send_size("attach")
        with _raw_mode(), _signals(send_size):
            has_ended = _copy(shown, typed, is_over, is_taken)
        os.close(typed)
        os.close(shown)
    finally:
        remove_pipes(paths)
    remark(f"`{service}` {'has ended' if has_ended else 'runs on'}")


def _copy(shown: int, typed: int, is_over: Callable[[], bool], is_taken: Callable[[], bool]) -> bool:
    """Both ways, until somebody detaches (False), or the service is over (True). What was typed is left to be read only
    once its `up` has taken the pipes (`is_taken`)."""
    show, finish = _output()
    has_begun, has_typed_all, waiting = False, False, b""
    is_terminal = os.isatty(0)  # a person can always leave; a file or a pipe waits until what it said is taken
    try:
        while True:
            reads = [shown] if has_typed_all or (waiting and not is_terminal) else [0, shown]
            try:
                settled = has_begun and not has_typed_all
                ready, free, _ = select.select(reads, [typed] if waiting else [], [], None if settled else _LOOK)
                if shown in ready:
                    data = os.read(shown, 65536)
                    if not data:
                        return True
                    has_begun = True
                    show(data)
                if 0 in ready:
                    data = os.read(0, 65536)
                    more, detach, _ = data.partition(_DETACH)
                    waiting += more
                    has_typed_all = bool(detach) or not data
                if typed in free:
                    waiting = waiting[os.write(typed, waiting) :]
                if has_typed_all and ((not waiting and is_taken()) or is_terminal):
                    return False
                if not ready and is_over():
                    return True
            except KeyboardInterrupt:  # where what is typed comes from no terminal
                waiting += b"\x03"
    finally:
        finish()


def _output() -> tuple[Callable[[bytes], None], Callable[[], None]]:
    """What shows bytes, and what ends that."""
    from devproxy.run.logs import LineSplitter, plain
    from devproxy.run.terminal import write_all

    if not os.isatty(1):
        lines = LineSplitter(lambda text: print_line(plain(text), is_coloured=False))
        return lines.feed, lines.end
    last = b"\n"

    def show(data: bytes) -> None:
        nonlocal last
        last = data[-1:]
        write_all(1, data)

    return show, lambda: write_all(1, _AS_BEFORE + (b"" if last == b"\n" else b"\r\n"))


@contextlib.contextmanager
def _raw_mode() -> Iterator[None]:
    """Every key is the service's, which says itself what becomes of it."""
    import termios
    import tty

    if not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _signals(resized: Callable[[], None]) -> Iterator[None]:
    """Tell the service of another size of this window; an end from outside gives the terminal back as well."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    handlers = {signal.SIGWINCH: lambda *_: resized(), signal.SIGTERM: end, signal.SIGHUP: end}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _size() -> tuple[int, int]:
    """Rows and columns of this terminal; 0 where there is none."""
    try:
        size = os.get_terminal_size(1)
    except OSError:
        return 0, 0
    return size.lines, size.columns
