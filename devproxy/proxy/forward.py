"""What is forwarded, dropped, and added: heads towards the service and towards the client.

Lives here: the one place for hop-by-hop fields (RFC 9110 §7.6.1) and for the fields devproxy sets; pure functions.
Not here: who gets a request (`decide.py`), where bodies end (`framing.py`).

How it works: a section passes as slices of the bytes that came, so order, case and duplicates stay; lines that must not pass
are cut out, framing fields are written anew where they stood.
"""

from typing import NamedTuple
from zlib import crc32

from devproxy.proxy.framing import CHUNKED, UNTIL_CLOSE
from devproxy.proxy.grammar import DROPPED, Section
from devproxy.registry.model import Upstream
from devproxy.routing.table import Route

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"upgrade",
    )
)
_NOT_NOMINATED = frozenset((b"host", b"content-length", b"transfer-encoding", b"trailer", b"expect"))
CHAIN_LIMIT = 5


class Origin(NamedTuple):
    """What the connection says about the client: its address, the scheme it used, and the port it came to."""

    address: bytes
    scheme: bytes
    port: bytes


def connection_tokens(fields: Section) -> frozenset[bytes]:
    """The options named in Connection, lower case (RFC 9110 §7.6.1)."""
    if b"connection" not in fields.values:
        return frozenset()
    joined = b",".join(fields.all(b"connection")).lower()
    return frozenset(token.strip(b" \t") for token in joined.split(b",")) - {b""}


def upgrade_tokens(fields: Section, tokens: frozenset[bytes]) -> bytes:
    """The protocols asked for or granted, as sent, without h2c; empty where Connection does not name Upgrade."""
    if b"upgrade" not in tokens or b"upgrade" not in fields.values:
        return b""
    protocols = [protocol.strip(b" \t") for protocol in b",".join(fields.all(b"upgrade")).split(b",")]
    return b", ".join(p for p in protocols if p and p.lower() != b"h2c")


def request_fields(
    fields: Section, route: Route, origin: Origin, host: bytes, *, length: int, upgrade: bytes, trusted: bool
) -> bytes:
    """The field section towards the service, open at its end: `Devproxy-Chain: …` still wants its last entry and an empty line.

    `host` is the authority the client asked for. `trusted` passes on the outside scheme and host a tunnel agent claims.
    """
    service = route.service
    told = upstream_authority(service.upstream) if service.host_header == "upstream" else host
    kept = _spliced(fields, told, length)
    named = connection_tokens(fields) - HOP_BY_HOP - _NOT_NOMINATED
    if named:
        kept = _without(kept, named)
    claimed = fields.values if trusted else {}
    added = [
        kept,
        b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\nX-Forwarded-Port: %b\r\n"
        % (
            origin.address,
            claimed.get(b"x-forwarded-proto", origin.scheme),
            claimed.get(b"x-forwarded-host", host),
            claimed.get(b"x-forwarded-port", origin.port),
        ),
    ]
    if route.strip:
        added.append(b"X-Forwarded-Prefix: %b\r\n" % route.prefix)
    if upgrade:
        added.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % upgrade)
    passed = b", ".join(fields.all(b"devproxy-chain"))
    added.append(b"Devproxy-Chain: %b" % (passed + b", " if passed else b""))
    return b"".join(added)


def upstream_authority(upstream: Upstream | None) -> bytes:
    """Host as a service that insists on its own address wants it: `localhost:5173`, `127.0.0.1:9000`, `[::1]:9443`."""
    if upstream is None or upstream.path:
        return b"localhost"
    host = upstream.hosts[0] if len(upstream.hosts) == 1 else "localhost"
    return (f"[{host}]:{upstream.port}" if ":" in host else f"{host}:{upstream.port}").encode()


def _spliced(fields: Section, host: bytes, length: int) -> bytes:
    raw = fields.raw
    pieces: list[bytes] = []
    at = 1
    has_host = False
    for found in fields.special:
        name = found[1]
        start, end = found.start(1), found.end() + 1
        if DROPPED.fullmatch(name):
            line = b""
        elif name == b"host":
            line = b"" if has_host else b"%b: %b\r\n" % (raw[start : found.end(1)], host)
            has_host = True
        elif name == b"content-length":
            line = b"%b: %d\r\n" % (raw[start : found.end(1)], length)
        elif name == b"transfer-encoding":
            line = raw[start : found.end(1)] + b": chunked\r\n"
        else:
            continue
        pieces.append(raw[at:start])
        pieces.append(line)
        at = end
    pieces.append(raw[at:-2])
    if not has_host:
        pieces.insert(0, b"Host: %b\r\n" % host)
    return b"".join(pieces)


def _without(lines: bytes, names: frozenset[bytes]) -> bytes:
    kept = [line for line in lines.split(b"\r\n")[:-1] if line.partition(b":")[0].lower() not in names]
    return b"".join(line + b"\r\n" for line in kept)


def chain_entry(route: Route, method: bytes, target: bytes) -> bytes:
    """One pass through a route, as it stands in Devproxy-Chain: the service and a checksum of method and target."""
    return b"%b;%08x" % (route.service.id.encode(), crc32(target, crc32(method)))


def loop(fields: Section, entry: bytes) -> list[str] | None:
    """The services a request went through, in order, where passing on would loop; else None."""
    passed = [item.strip(b" \t") for value in fields.all(b"devproxy-chain") for item in value.split(b",")]
    name = entry.partition(b";")[0]
    names = [item.partition(b";")[0] for item in passed if item]
    if entry in passed or names.count(name) >= CHAIN_LIMIT - 1:
        return [item.decode("latin-1") for item in (*names, name)]
    return None


def response_fields(fields: Section, length: int, *, chunks: bool, connection: bytes) -> bytes:
    """The field section towards the client, with its empty line.

    `length` as `framing.response_length` tells; `chunks` False leaves chunked coding out (an HTTP/1.0 client);
    `connection` is the value of our own Connection field, or empty.
    """
    raw = fields.raw
    pieces: list[bytes] = []
    at = 1
    for found in fields.special:
        name = found[1]
        start, end = found.start(1), found.end() + 1
        if name in HOP_BY_HOP:
            line = b""
        elif name == b"content-length" and length >= 0:
            line = b"%b: %d\r\n" % (raw[start : found.end(1)], int(fields.values[name]))
        elif name == b"transfer-encoding":
            line = raw[start : found.end(1)] + b": chunked\r\n" if chunks else b""
        else:
            continue
        pieces.append(raw[at:start])
        pieces.append(line)
        at = end
    pieces.append(raw[at:-2])
    named = connection_tokens(fields) - HOP_BY_HOP - _NOT_NOMINATED
    kept = b"".join(pieces)
    if named:
        kept = _without(kept, named)
    return b"%bConnection: %b\r\n\r\n" % (kept, connection) if connection else kept + b"\r\n"


def delimited(length: int, minor: int) -> bool:
    """Whether a client of HTTP/1.`minor` can tell where a response of `length` ends without the connection closing."""
    return not (length == UNTIL_CLOSE or (length == CHUNKED and minor == 0))
