"""A busy machine: runs a command beside programs that hold the usual ports and load on every core.

    python -m tests.busy -- make test

Lives here: the listeners, the load, and the command's exit code.

A contributor has Vite, PostgreSQL and a browser running. The suite must not notice, and this is how that is proved. The
listeners accept connections in the kernel alone and never say a word: whoever dials one by mistake waits. The load is
`nice`d, as a build in the background should be, and ends with this process, however that ends.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

# Vite, Node, PostgreSQL, Redis, devproxy's own fallback, Django, everybody's second choice, Prometheus' exporters.
PORTS = (3000, 5173, 5432, 6379, 7080, 8000, 8080, 9101, 9102)
_LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))

# Its standard input ends with whoever holds the other end of the pipe.
_BURN = """
import os, sys, threading
def end_with_our_parent():
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=end_with_our_parent, daemon=True).start()
if hasattr(os, "nice"):
    os.nice(19)
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {int(sys.argv[1])})
while True:
    sum(range(100_000))
"""


def hold(stack: ExitStack) -> list[str]:
    """Listen on every one of `PORTS`; returns the addresses that somebody else has, which is as good."""
    others = []
    for family, host in _LOOPBACKS:
        for port in PORTS:
            try:
                stack.enter_context(socket.create_server((host, port), family=family))
            except OSError as error:
                others.append(f"{host} port {port}: {error.strerror}")
    return others


@contextmanager
def load() -> Iterator[None]:
    """A process on each core that computes for nothing."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    burning = [
        subprocess.Popen([sys.executable, "-c", _BURN, str(core)], stdin=subprocess.PIPE, start_new_session=True)
        for core in cores
    ]
    try:
        yield
    finally:
        for process in burning:
            process.communicate()


def main(argv: Sequence[str]) -> int:
    command = list(argv[1:] if argv[:1] == ["--"] else argv)
    if not command:
        print("usage: python -m tests.busy -- COMMAND [ARGUMENT …]", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        for other in hold(stack):
            print(f"busy: not ours to hold: {other}", file=sys.stderr)
        stack.enter_context(load())
        return _run(command)


def _run(command: Sequence[str]) -> int:
    """The command's exit code, as a shell gives it. Ctrl-C is the command's: we wait for what it makes of it."""
    process = subprocess.Popen(command)
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            continue
        return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
