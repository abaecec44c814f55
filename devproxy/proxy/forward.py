"""What is forwarded, dropped, and added: heads towards the service and towards the client.

Lives here: the one place for hop-by-hop fields (RFC 9110 §7.6.1) and for the fields devproxy sets; pure functions.
Not here: who gets a request (`decide.py`), where bodies end (`framing.py`).

How it works: a section passes as slices of the bytes that came, so order, case and duplicates stay; lines that must
not pass are cut out, framing fields are written anew where they stood.
"""

from typing import NamedTuple
from zlib import crc32

from devproxy.proxy.framing import CHUNKED, UNTIL_CLOSE
from devproxy.proxy.grammar import FRAMING, HOP_BY_HOP, KINDS, LOOKED_AT, OURS, Section
from devproxy.registry.model import Upstream
from devproxy.routing.table import Route

# Connection may name fields to drop, but not these: they are dropped or written anew in any case, or would change the
# meaning.
_NOT_NOMINATED = frozenset(
    b"close keep-alive upgrade te http2-settings connection proxy-connection"
    b" host content-length transfer-encoding trailer expect".split()
)
CHAIN_LIMIT = 5


class Origin(NamedTuple):
    """What the connection says about the client: its address, the scheme it used, and the port it came to."""

    address: bytes
    scheme: bytes
    port: bytes


def upgrade_protocols(fields: Section) -> bytes:
    """The protocols asked for or granted, as sent, without h2c; empty where Connection does not name Upgrade."""
    if b"upgrade" not in fields.connection or b"upgrade" not in fields.found:
        return b""
    protocols = [protocol.strip(b" \t") for protocol in b",".join(fields.all(b"upgrade")).split(b",")]
    return b", ".join(p for p in protocols if p and p.lower() != b"h2c")


def request_fields(
    fields: Section, route: Route, origin: Origin, host: bytes, *, length: int, upgrade: bytes, trusted: bool
) -> bytes:
    """The field section towards the service; its last line, `Devproxy-Chain: …`, still wants an entry and its end.

    `host` is the authority the client asked for. `trusted` passes on the outside scheme and host a tunnel agent claims.
    """
    service = route.service
    told = upstream_authority(service.upstream) if service.host_header == "upstream" else host
    kept = _without(_spliced(fields, told if told != fields.get(b"host") else None, length), fields)
    claimed = fields.get if trusted else _nothing
    added = [
        kept,
        b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\nX-Forwarded-Port: %b\r\n"
        % (
            origin.address,
            claimed(b"x-forwarded-proto") or origin.scheme,
            claimed(b"x-forwarded-host") or host,
            claimed(b"x-forwarded-port") or origin.port,
        ),
    ]
    if route.strip:
        added.append(b"X-Forwarded-Prefix: %b\r\n" % route.prefix)
    if upgrade:
        added.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % upgrade)
    passed = b", ".join(fields.all(b"devproxy-chain")) if b"devproxy-chain" in fields.found else b""
    added.append(b"Devproxy-Chain: %b" % (passed + b", " if passed else b""))
    return b"".join(added)


def upstream_authority(upstream: Upstream | None) -> bytes:
    """Host as a service that insists on its own address wants it: `localhost:5173`, `127.0.0.1:9000`, `[::1]:9443`."""
    if upstream is None or upstream.path:
        return b"localhost"
    host = upstream.hosts[0] if len(upstream.hosts) == 1 else "localhost"
    return (f"[{host}]:{upstream.port}" if ":" in host else f"{host}:{upstream.port}").encode()


def _nothing(_name: bytes) -> None:
    return None


def _spliced(fields: Section, host: bytes | None, length: int) -> bytes:
    """The lines that pass, framing written anew; `host` replaces the value of Host where it is not None."""
    raw = fields.raw
    pieces: list[bytes] = []
    at = 1
    for match in fields.special:
        kind = KINDS.get(match[1], OURS)
        if kind is LOOKED_AT and (host is None or match[1] != b"host"):
            continue
        start = match.start() + 1
        name = raw[start : match.end()]
        pieces.append(raw[at:start])
        at = raw.index(b"\n", match.end()) + 1
        if kind is FRAMING:
            pieces.append(b"%b %d\r\n" % (name, length) if len(name) == 15 else name + b" chunked\r\n")
        elif kind is LOOKED_AT:
            pieces.append(name + b" " + (host or b"") + b"\r\n")
    if host is not None and b"host" not in fields.found:
        pieces.insert(0, b"Host: %b\r\n" % host)
    pieces.append(raw[at:-2])
    return b"".join(pieces)


def _without(lines: bytes, fields: Section) -> bytes:
    """`lines` without the fields that Connection names."""
    named = fields.connection - _NOT_NOMINATED
    if not named:
        return lines
    kept = [line for line in lines.split(b"\r\n")[:-1] if line.partition(b":")[0].lower() not in named]
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


def response_fields(fields: Section, *, chunks: bool, connection: bytes) -> bytes:
    """The field section towards the client, with its empty line.

    `chunks` False leaves chunked coding out (an HTTP/1.0 client);
    `connection` is the value of our own Connection field, or empty.
    """
    raw = fields.raw
    pieces: list[bytes] = []
    at = 1
    for match in fields.special:
        kind = KINDS.get(match[1])
        if kind is not HOP_BY_HOP and kind is not FRAMING:
            continue
        start = match.start() + 1
        name = raw[start : match.end()]
        pieces.append(raw[at:start])
        at = raw.index(b"\n", match.end()) + 1
        if kind is FRAMING and len(name) == 15:
            pieces.append(b"%b %d\r\n" % (name, int(fields.value_of(match))))
        elif kind is FRAMING and chunks:
            pieces.append(name + b" chunked\r\n")
    pieces.append(raw[at:-2])
    kept = _without(b"".join(pieces), fields)
    return b"%bConnection: %b\r\n\r\n" % (kept, connection) if connection else kept + b"\r\n"


def delimited(length: int, minor: int) -> bool:
    """Whether a client of HTTP/1.`minor` can tell where a response of `length` ends without the connection closing."""
    return not (length == UNTIL_CLOSE or (length == CHUNKED and minor == 0))
