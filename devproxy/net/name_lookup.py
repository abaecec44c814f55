"""What this system's resolver answers for a name, asked as any program asks: getaddrinfo(3).

How it works: a resolver may ask name servers, and wait seconds for one that is gone. So it is asked in a thread that
nobody waits for longer than `PATIENCE`; without an answer by then the name does not resolve.
This is for names in the hosts file alone: proxied requests never look a name up.
"""

import socket
import threading
import time
from collections.abc import Iterable
from typing import Final, NamedTuple

from devproxy.net.hosts_file import HostsLine

PATIENCE: Final = 0.5  # seconds that a command waits for all answers
REREAD: Final = 3.0  # systemd-resolved looks at the hosts file every two seconds
_PAUSE: Final = 0.1


class Astray(NamedTuple):
    """A name that does not lead to its address, and the addresses that it leads to."""

    line: HostsLine
    addresses: tuple[str, ...]

    @property
    def text(self) -> str:
        where = f"leads to {' and '.join(self.addresses)}" if self.addresses else "does not resolve"
        return f"{self.line.name} {where}, its address is {self.line.address}"


def astray(lines: Iterable[HostsLine], patience: float = PATIENCE) -> Astray | None:
    """The first of `lines` whose name leads anywhere else than to its address; each name has one."""
    wanted = list(lines)
    if not wanted:
        return None
    answers: dict[str, tuple[str, ...]] = {}
    asking = threading.Thread(target=_ask, args=(wanted, answers), daemon=True)
    asking.start()
    asking.join(patience)
    found = dict(answers)  # as far as it has come
    for line in wanted:
        if (addresses := found.get(line.name, ())) != (line.address,):
            return Astray(line, addresses)
    return None


def astray_after(lines: Iterable[HostsLine], patience: float) -> Astray | None:
    """As `astray`, for a file that has just been written: resolvers that keep what they read get time to see it."""
    wanted = list(lines)
    deadline = time.monotonic() + patience
    while True:
        wrong = astray(wanted)
        if wrong is None or time.monotonic() > deadline:
            return wrong
        time.sleep(_PAUSE)


def _ask(wanted: list[HostsLine], answers: dict[str, tuple[str, ...]]) -> None:
    for line in wanted:
        addresses = _lookup(line.name)
        answers[line.name] = addresses
        if addresses != (line.address,):
            return


def _lookup(name: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
