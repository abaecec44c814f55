"""Ports that a test has to itself, whatever else runs on the machine.

Lives here: one port on both loopback addresses, held until the test ends; listeners on it; a range for devproxy to
choose from.

A number that was free a moment ago is anybody's. So the sockets that proved it free stay bound, and are never listened
on: the kernel refuses whoever connects, and gives the number to nobody. Who is meant to have it takes it by setting
SO_REUSEADDR, as every server does on POSIX: on Linux such sockets may share an address while at most one of them
listens (socket(7)). The flag is set after bind(2), which has to be exclusive, or two tests could choose one number. On
other systems a socket that is bound keeps everybody out: there the number is only chosen, out of a range that the
system gives to nobody by itself.
"""

import errno
import random
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

# Below the ephemeral ranges of Linux and macOS: no outgoing connection takes one. Below devproxy's own choice, too.
_PORTS = range(10100, 15000)  # above 10080, which browsers do not open
_RANGES = range(15000, 20000, 50)
_LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_held: list[ExitStack] = []


def free_port() -> int:
    """A port that nobody has on either loopback address, and that nobody gets by chance before the test ends."""
    for port in random.sample(_PORTS, 200):
        with suppress(OSError):
            _held.append(_hold(port, shared=True))
            return port
    raise AssertionError("no port is free on both loopback addresses")


@contextmanager
def listening(*hosts: str, port: int | None = None) -> Iterator[int]:
    """A port where these loopback addresses listen (127.0.0.1 unless told otherwise), and nobody at the other one."""
    port = free_port() if port is None else port
    with ExitStack() as stack:
        for host in hosts or ("127.0.0.1",):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            stack.enter_context(socket.create_server((host, port), family=family))
        yield port


def port_range() -> str:
    """49 ports for `[proxy] ports`, from which no other test's devproxy chooses.

    devproxy's choice of a port is stable, so tests beside each other would all choose the same one. Whoever has the
    port below the range has the range.
    """
    for low in random.sample(_RANGES, len(_RANGES)):
        with suppress(OSError):
            _held.append(_hold(low, shared=False))
            return f"{low + 1}-{low + 49}"
    raise AssertionError("no range of ports is left")


def release() -> None:
    """Let go of every port; after a test, by `tests/conftest.py`."""
    while _held:
        _held.pop().close()


def _hold(port: int, *, shared: bool) -> ExitStack:
    """Both loopback addresses, bound. Raises OSError where somebody has one of them."""
    with ExitStack() as stack:
        for family, host in _LOOPBACKS:
            try:
                sock = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
                sock.bind((host, port))
            except OSError as error:
                if family == socket.AF_INET6 and error.errno != errno.EADDRINUSE:
                    continue  # a machine without IPv6 has no ::1 to be busy
                raise
            if shared and sys.platform == "linux":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept = stack.pop_all()
    if shared and sys.platform != "linux":
        kept.close()
    return kept
