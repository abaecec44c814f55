"""What devproxy adds to a request, and the loops it finds by that.

Lives here: the fields that devproxy sets towards a service, and how a loop is found by one of them; pure functions.
What the client says in those fields is dropped (`http1/fields.py`), unless `trusted_forwarded` says that it is another
proxy: then what it says is kept, and added to (RFC 7239 §§4-7, and the X-Forwarded-* that came before it).
Not here: which of a client's lines pass (`http1/fields.py`), who gets a request (`decide.py`).
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple
from zlib import crc32

from devproxy.http1.fields import Section
from devproxy.registry.model import Upstream
from devproxy.routing.table import Route
from devproxy.urls import url

CHAIN_LIMIT: Final = 5


class Peer(NamedTuple):
    """What the connection says about the client: its address, the scheme it used, and the port it came to."""

    address: bytes
    scheme: bytes
    port: bytes


def added_lines(
    fields: Section,
    route: Route,
    peer: Peer,
    host: bytes,
    *,
    upgrade: bytes,
    trusted: bool,
    trailers: bool = False,
) -> bytes:
    """Our own lines towards a service; the last one, `Devproxy-Chain: …;`, still wants `pass_mark` and its end.

    `host` is the authority the client asked for. `trusted`: the client is a proxy that is believed. `trailers`: it
    takes trailers.
    """
    added = [_forwarded(_claims(fields) if trusted else _NO_CLAIMS, route, peer, host)]
    if upgrade or trailers:
        options = (b"Upgrade", b"TE") if upgrade and trailers else (b"Upgrade",) if upgrade else (b"TE",)
        added.append(b"Connection: %b\r\n" % b", ".join(options))
    if upgrade:
        added.append(b"Upgrade: %b\r\n" % upgrade)
    if trailers:
        added.append(b"TE: trailers\r\n")
    passed = b", ".join(fields.all(b"devproxy-chain")) if b"devproxy-chain" in fields.found else b""
    added.append(b"Devproxy-Chain: %b%b;" % (passed + b", " if passed else b"", route.name))
    return b"".join(added)


_CHAINS: Final = (b"x-forwarded-for", b"forwarded")  # lists that every proxy adds to; of the others the last counts
_CLAIMED: Final = (*_CHAINS, b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-prefix")
_NO_CLAIMS: Final = dict.fromkeys(_CLAIMED, b"")
_STANDARD: Final = {b"http": b"80", b"https": b"443"}
_PORT: Final = re.compile(rb":([0-9]+)$")


def _claims(fields: Section) -> dict[bytes, bytes]:
    """What another proxy says of the way that a request has come; empty where it says nothing."""
    claims = {}
    for name in _CLAIMED:
        values = list(filter(None, fields.all(name)))
        claims[name] = b", ".join(values) if name in _CHAINS else values[-1] if values else b""
    return claims


def _forwarded(claims: dict[bytes, bytes], route: Route, peer: Peer, host: bytes) -> bytes:
    """The lines that say where a request comes from, what others say of it before what we see."""
    scheme = claims[b"x-forwarded-proto"] or peer.scheme
    outside = claims[b"x-forwarded-host"]
    is_ours = not outside and scheme == peer.scheme
    lines = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\nX-Forwarded-Port: %b\r\n" % (
        _behind(claims[b"x-forwarded-for"], peer.address),
        scheme,
        outside or host,
        claims[b"x-forwarded-port"] or (not is_ours and _port(outside or host, scheme)) or peer.port,
    )
    prefix = claims[b"x-forwarded-prefix"].rstrip(b"/") + (route.prefix if route.strip else b"")
    if prefix:
        lines += b"X-Forwarded-Prefix: %b\r\n" % prefix
    if claims[b"forwarded"]:
        node = b'"[%b]"' % peer.address if b":" in peer.address else peer.address
        element = b'for=%b;host="%b";proto=%b' % (node, host, peer.scheme)
        lines += b"Forwarded: %b\r\n" % _behind(claims[b"forwarded"], element)
    return lines


def _behind(chain: bytes, element: bytes) -> bytes:
    return b"%b, %b" % (chain, element) if chain else element


def _port(host: bytes, scheme: bytes) -> bytes:
    """The port that belongs to an outside host, which is not ours."""
    found = _PORT.search(host)
    return found[1] if found else _STANDARD.get(scheme.lower(), b"")


@lru_cache(1024)
def upstream_authority(upstream: Upstream | None) -> bytes:
    """Host as a service that insists on its own address wants it: `localhost:5173`, `127.0.0.1:9000`, `[::1]:9443`."""
    return upstream.authority.encode() if upstream else b"localhost"


def upstream_origin(upstream: Upstream | None) -> bytes:
    """The origin of a service's own address: `http://localhost:5173`."""
    scheme = upstream.scheme if upstream else "http"
    return url(scheme, upstream_authority(upstream).decode()).encode()


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
