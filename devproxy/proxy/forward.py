"""What devproxy adds to a request, and the loops it finds by that.

Lives here: the fields that devproxy sets towards a service, and how a loop is found by one of them; pure functions.
Not here: which of a client's lines pass (`http1/fields.py`), who gets a request (`decide.py`).
"""

from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from devproxy.http1.fields import Section
from devproxy.registry.model import Upstream
from devproxy.routing.table import Route

CHAIN_LIMIT = 5


class Peer(NamedTuple):
    """What the connection says about the client: its address, the scheme it used, and the port it came to."""

    address: bytes
    scheme: bytes
    port: bytes


def added_lines(fields: Section, route: Route, peer: Peer, host: bytes, *, upgrade: bytes, trusted: bool) -> bytes:
    """Our own lines towards a service; the last one, `Devproxy-Chain: …;`, still wants `pass_mark` and its end.

    `host` is the authority the client asked for. `trusted` passes on the outside scheme and host a tunnel agent claims.
    """
    claimed = fields.get if trusted else _nothing
    added = [
        b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\nX-Forwarded-Port: %b\r\n"
        % (
            peer.address,
            claimed(b"x-forwarded-proto") or peer.scheme,
            claimed(b"x-forwarded-host") or host,
            claimed(b"x-forwarded-port") or peer.port,
        ),
    ]
    if route.strip:
        added.append(b"X-Forwarded-Prefix: %b\r\n" % route.prefix)
    if upgrade:
        added.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % upgrade)
    passed = b", ".join(fields.all(b"devproxy-chain")) if b"devproxy-chain" in fields.found else b""
    added.append(b"Devproxy-Chain: %b%b;" % (passed + b", " if passed else b"", route.name))
    return b"".join(added)


@lru_cache(1024)
def upstream_authority(upstream: Upstream | None) -> bytes:
    """Host as a service that insists on its own address wants it: `localhost:5173`, `127.0.0.1:9000`, `[::1]:9443`."""
    return upstream.authority.encode() if upstream else b"localhost"


def _nothing(_name: bytes) -> None:
    return None


def chain_entry(route: Route, method: bytes, target: bytes) -> bytes:
    """One pass through a route, as it stands in Devproxy-Chain: the service and `pass_mark`."""
    return b"%b;%08x" % (route.name, pass_mark(method, target))


def pass_mark(method: bytes, target: bytes) -> int:
    """What tells one request from another on its way round: a checksum of method and target, eight hex digits."""
    return crc32(target, crc32(method))


def loop(fields: Section, entry: bytes) -> list[str] | None:
    """The services a request went through, in order, where passing on would loop; else None."""
    passed = [item.strip(b" \t") for value in fields.all(b"devproxy-chain") for item in value.split(b",")]
    name = entry.partition(b";")[0]
    names = [item.partition(b";")[0] for item in passed if item]
    if entry in passed or names.count(name) >= CHAIN_LIMIT - 1:
        return [item.decode("latin-1") for item in (*names, name)]
    return None
