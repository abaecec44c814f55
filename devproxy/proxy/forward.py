"""What is forwarded, dropped, and added: heads towards the service and towards the client.

Lives here: what `Connection` names away (RFC 9110 §7.6.1), and the fields that devproxy sets; pure functions.
Not here: which fields are hop-by-hop, and what becomes of one line (`fields.py`), who gets a request (`decide.py`),
where bodies end (`framing.py`).

How it works: every line was made ready for its way when it was read, so a section passes as one join that keeps order,
case and duplicates; only where `Connection` names more, or Host changes, is it gone through once more.
"""

from typing import NamedTuple
from zlib import crc32

from devproxy.proxy.fields import Section
from devproxy.proxy.framing import CHUNKED, UNTIL_CLOSE
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


def request_lines(fields: Section, host: bytes | None) -> bytes:
    """The client's lines as they pass to a service; `host` replaces the value of Host where it is not None."""
    lines = fields.up if host is None else _with_host(fields, host)
    named = nominated(fields)
    return _without(lines, named) if named else lines


def nominated(fields: Section) -> frozenset[bytes]:
    """The names of plain fields that Connection marks as hop-by-hop."""
    return fields.connection - _NOT_NOMINATED


def added_lines(fields: Section, route: Route, origin: Origin, host: bytes, *, upgrade: bytes, trusted: bool) -> bytes:
    """Our own lines towards a service; the last one, `Devproxy-Chain: …`, still wants an entry and its end.

    `host` is the authority the client asked for. `trusted` passes on the outside scheme and host a tunnel agent claims.
    """
    claimed = fields.get if trusted else _nothing
    added = [
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


def _with_host(fields: Section, host: bytes) -> bytes:
    """The lines that pass, with another value of Host where it stands, or at the front where it is missing."""
    lines = [field.up[:5] + b" %b\r\n" % host if field.name == b"host" else field.up for field in fields.fields]
    if b"host" not in fields.found:
        lines.insert(0, b"Host: %b\r\n" % host)
    return b"".join(lines)


def _without(lines: bytes, named: frozenset[bytes]) -> bytes:
    """`lines` without the fields that Connection names."""
    kept = [line for line in lines.split(b"\r\n")[:-1] if line.partition(b":")[0].lower() not in named]
    return b"".join(line + b"\r\n" for line in kept)


def chain_entry(route: Route, method: bytes, target: bytes) -> bytes:
    """One pass through a route, as it stands in Devproxy-Chain: the service and a checksum of method and target."""
    return b"%b;%08x" % (route.name, crc32(target, crc32(method)))


def loop(fields: Section, entry: bytes) -> list[str] | None:
    """The services a request went through, in order, where passing on would loop; else None."""
    passed = [item.strip(b" \t") for value in fields.all(b"devproxy-chain") for item in value.split(b",")]
    name = entry.partition(b";")[0]
    names = [item.partition(b";")[0] for item in passed if item]
    if entry in passed or names.count(name) >= CHAIN_LIMIT - 1:
        return [item.decode("latin-1") for item in (*names, name)]
    return None


def response_lines(fields: Section, *, chunks: bool) -> bytes:
    """A service's lines as they pass to the client; `chunks` False leaves chunked coding out (an HTTP/1.0 client)."""
    lines = fields.down
    if not chunks and b"transfer-encoding" in fields.found:
        lines = _without(lines, frozenset((b"transfer-encoding",)))
    named = nominated(fields)
    return _without(lines, named) if named else lines


def delimited(length: int, minor: int) -> bool:
    """Whether a client of HTTP/1.`minor` can tell where a response of `length` ends without the connection closing."""
    return not (length == UNTIL_CLOSE or (length == CHUNKED and minor == 0))
