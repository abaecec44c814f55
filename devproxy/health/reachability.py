"""The proof that a port can be reached: a connection to this machine's own other addresses.

Lives here: which addresses and ports are tried, and trying them.
Not here: what it means (`findings.py`). It needs no rights, and sees what the socket table cannot: a container's port
that a NAT rule publishes. It says "bound and reachable on this machine's address", never "a firewall lets it through".

It never connects to any other machine. Each socket is first bound to the very address it then connects to, and the
kernel binds to none that this machine does not have (bind(2), EADDRNOTAVAIL): a packet to itself stays inside.

Bounded: at most `MOST_ADDRESSES` addresses a port, `BATCH` sockets at a time, `PATIENCE` seconds a batch, and as many
to part. A connection that is accepted is ended as TCP has it (FIN, then what the service says until it ends as well):
a reset would be an error in its log. Where an address takes connections on a port that nobody can
have asked for, something catches them all there, and the address proves nothing.
"""

import contextlib
import errno
import ipaddress
import os
import select
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from devproxy.addresses import is_loopback
from devproxy.health.model import Interface, Reach

MOST_ADDRESSES = 6
BATCH = 64
PATIENCE = 0.3  # seconds; this machine answers itself at once, unless a firewall drops the packet
OFF = "DEVPROXY_NO_PROOF"
_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK)


def allowed(setting: bool) -> bool:
    """Whether to prove anything: `[proxy] exposure_proof`, unless `DEVPROXY_NO_PROOF` is in the environment."""
    return setting and not os.environ.get(OFF)


def addresses(interfaces: Iterable[Interface], most: int = MOST_ADDRESSES) -> tuple[str, ...]:
    """The addresses to try: of each interface that is no loopback the first of either family, IPv4 before IPv6."""
    found: dict[str, int] = {}
    for interface in interfaces:
        if interface.loopback:
            continue
        for version in (4, 6):
            first = next((one for one in interface.addresses if _usable(one, version)), None)
            if first is not None:
                found.setdefault(first, version)
    return tuple(islice(sorted(found, key=lambda one: found[one]), most))


def prove(ports: Iterable[int], where: Sequence[str]) -> dict[int, Reach]:
    """Try each port at each of this machine's addresses `where`. Blocks for at most twice `PATIENCE` a batch."""
    places = [(address, port) for port in dict.fromkeys(ports) for address in where]
    taken: set[tuple[str, int]] = set()
    for batch in _batches(places):
        taken |= _try_connect(batch)
    if taken:
        catching = _catch_all({address for address, _ in taken})
        taken = {place for place in taken if place[0] not in catching}
    found: dict[int, Reach] = {}
    for port in dict.fromkeys(port for _, port in places):
        found[port] = Reach(tuple(where), tuple(one for one in where if (one, port) in taken))
    return found


def _usable(text: str, version: int) -> bool:
    """An address of that version that a plain connect can name: a link-local one would need its zone."""
    address = ipaddress.ip_address(text)
    is_usable = not (address.is_link_local or address.is_unspecified or is_loopback(text))
    return address.version == version and is_usable


def _batches(places: Sequence[tuple[str, int]]) -> Iterator[Sequence[tuple[str, int]]]:
    yield from (places[start : start + BATCH] for start in range(0, len(places), BATCH))


def _catch_all(where: Iterable[str]) -> set[str]:
    """Those addresses that take a connection on a port that is free there: it was ours a moment ago."""
    places = []
    for address in where:
        try:
            with socket.socket(_family(address), socket.SOCK_STREAM) as probe:
                probe.bind((address, 0))
                places.append((address, int(probe.getsockname()[1])))
        except OSError:
            continue
    return {address for address, _ in _try_connect(places)}


def _try_connect(places: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
    """The places where a connection is accepted within `PATIENCE`."""
    open_: dict[int, tuple[socket.socket, tuple[str, int]]] = {}
    try:
        for place in places:
            if sock := _begin(*place):
                open_[sock.fileno()] = (sock, place)
        accepted = _finish(open_)
        _part(sock for sock, place in open_.values() if place in accepted)
        return accepted
    finally:
        for sock, _ in open_.values():
            sock.close()


def _begin(address: str, port: int) -> socket.socket | None:
    """A socket on its way to `address` from that same address; None where that cannot be."""
    sock = socket.socket(_family(address), socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind((address, 0))
        if sock.getsockname()[1] != port and sock.connect_ex((address, port)) in (0, *_UNDER_WAY):
            return sock
    except OSError:
        pass
    sock.close()
    return None


def _finish(open_: dict[int, tuple[socket.socket, tuple[str, int]]]) -> set[tuple[str, int]]:
    deadline = time.monotonic() + PATIENCE
    waiting = set(open_)
    accepted: set[tuple[str, int]] = set()
    while waiting and (left := deadline - time.monotonic()) > 0:
        for descriptor in _writable(waiting, left):
            waiting.discard(descriptor)
            sock, place = open_[descriptor]
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and _is_connected(sock):
                accepted.add(place)
    return accepted


def _part(connected: Iterable[socket.socket]) -> None:
    """End connections so that no service sees a reset: nothing comes any more, and what it still says is read."""
    deadline = time.monotonic() + PATIENCE
    waiting: dict[int, socket.socket] = {}
    for sock in connected:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
            waiting[sock.fileno()] = sock
    while waiting and (left := deadline - time.monotonic()) > 0:
        for descriptor in _readable(set(waiting), left):
            if _is_at_end(waiting[descriptor]):
                del waiting[descriptor]


def _is_at_end(sock: socket.socket) -> bool:
    try:
        return not sock.recv(65536)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _writable(descriptors: set[int], seconds: float) -> list[int]:
    if sys.platform == "win32":
        _, ready, failed = select.select([], list(descriptors), list(descriptors), seconds)
        return list({*ready, *failed})
    return _polled(descriptors, select.POLLOUT, seconds)


def _readable(descriptors: set[int], seconds: float) -> list[int]:
    if sys.platform == "win32":
        return select.select(list(descriptors), [], [], seconds)[0]
    return _polled(descriptors, select.POLLIN, seconds)


def _polled(descriptors: set[int], what: int, seconds: float) -> list[int]:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, what)
    return [descriptor for descriptor, _ in poll.poll(seconds * 1000)]


def _is_connected(sock: socket.socket) -> bool:
    """Connected to another socket than itself (TCP's simultaneous open)."""
    try:
        return bool(sock.getpeername()[:2] != sock.getsockname()[:2])
    except OSError:
        return False


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
