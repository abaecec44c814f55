"""What a registry changes in the fields of a message: `set`, `add`, `remove`; and paths that a mount has moved; pure.

Lives here: edits of lines that pass as `fields.py` says, in either direction, and which names nobody may edit: framing
and hop-by-hop fields belong to the connection (RFC 9110 §7.6.1), others are devproxy's own.
Not here: the keys of the registry (`registry/schema.py`), who is edited (`routing/table.py`).

How it works: an edit is made once for a route, and is a set of names whose lines go and the lines that come instead.
In one table, `remove` comes before `set`, and that before `add`; a mount's table comes after its service's. Names that
a CGI-like server takes for one (`fields.fold`) are one: who writes `X_User` gets around no edit of `X-User`.

A service whose mount strips a prefix does not know of it. `PathMove` puts the prefix before the paths that it answers
with, in `Location` and `Content-Location` (RFC 9110 §§10.2.2, 8.7) and the `Path` of cookies (RFC 6265 §4.1.2.4), and
takes it off the `Destination` of WebDAV (RFC 4918 §10.3). A path that already lies below the prefix, a relative one and
the URL of another host stay.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from devproxy.http1.fields import BINDING, LOOKED_AT, PINNING, PLAIN, fold, kind_of_name

Pairs = Iterable[tuple[str, str]]

_NOT_EDITABLE: Final = frozenset(
    (b"trailer", b"expect", b"date", b"host", b"max-forwards", b"sec-websocket-key", b"sec-websocket-accept")
)
_URL: Final = re.compile(rb"((?:[Hh][Tt][Tt][Pp][Ss]?:)?//)([^/?#]*)(.*)", re.DOTALL)


def is_editable(name: bytes) -> bool:
    """Whether a registry may change the fields of this name, which is a token."""
    lower = name.lower()
    return kind_of_name(lower) in (PLAIN, LOOKED_AT, BINDING, PINNING) and lower not in _NOT_EDITABLE


class FieldEdit(NamedTuple):
    """`names` (in lower case, folded) are those whose lines go, `lines` what comes behind the others."""

    names: frozenset[bytes] = frozenset()
    lines: bytes = b""

    @classmethod
    def of(cls, remove: Iterable[str], values: Pairs, more: Pairs) -> "FieldEdit":
        """From a table of the registry: `values` are set, `more` are added."""
        pairs = {name.lower(): (name, value) for name, value in values}
        names = frozenset(fold(name.lower().encode()) for name in (*remove, *pairs))
        return cls(names, b"".join(map(_line, (*pairs.values(), *more))))

    def then(self, other: "FieldEdit") -> "FieldEdit":
        """This one, and the other one after it."""
        return FieldEdit(self.names | other.names, other.apply(self.lines))

    def apply(self, lines: bytes) -> bytes:
        """`lines` as they are after it."""
        if not self.names:
            return lines + self.lines
        kept = [line for line in lines.split(b"\r\n")[:-1] if _name(line) not in self.names]
        return b"".join(line + b"\r\n" for line in kept) + self.lines


def _line(pair: tuple[str, str]) -> bytes:
    name, value = pair
    return f"{name}: {value.strip()}\r\n".encode()


def _name(line: bytes) -> bytes:
    return fold(line.partition(b":")[0].lower())


class PathMove(NamedTuple):
    """A mount below `host` at `prefix`; `own` are the authorities by which the service knows itself (lower case)."""

    host: bytes
    prefix: bytes
    own: frozenset[bytes]

    def response(self, lines: bytes) -> bytes:
        """The lines of a response with its paths below the prefix."""
        moved = (self._down(line) for line in lines.split(b"\r\n")[:-1])
        return b"".join(line + b"\r\n" for line in moved)

    def request(self, lines: bytes, authority: bytes) -> bytes:
        """The lines of a request to `authority` with its Destination as the service has it."""
        moved = (self._up(line, authority) for line in lines.split(b"\r\n")[:-1])
        return b"".join(line + b"\r\n" for line in moved)

    def _down(self, line: bytes) -> bytes:
        name, colon, value = line.partition(b":")
        lower = name.lower()
        if lower in (b"location", b"content-location"):
            return name + colon + b" " + self._moved(value.strip(b" \t"))
        return name + colon + self._cookie(value) if lower == b"set-cookie" else line

    def _moved(self, url: bytes) -> bytes:
        found = _URL.fullmatch(url)
        if found is None:
            return self._below(url) if url.startswith(b"/") else url
        begin, authority, rest = found.groups()
        rest = rest if rest.startswith(b"/") else b"/" + rest
        if authority.lower() in self.own:
            return self._below(rest)
        return begin + authority + self._below(rest) if _host(authority) == self.host else url

    def _below(self, path: bytes) -> bytes:
        return path if self._is_below(path) else self.prefix + path

    def _is_below(self, path: bytes) -> bool:
        return path.startswith(self.prefix) and path[len(self.prefix) : len(self.prefix) + 1] in (b"", b"/", b"?", b"#")

    def _cookie(self, value: bytes) -> bytes:
        if value.lstrip(b" \t").lower().startswith(b"__host-"):
            return value  # its path is `/`, or it is none
        first, *attributes = value.split(b";")
        return b";".join((first, *map(self._attribute, attributes)))

    def _attribute(self, attribute: bytes) -> bytes:
        name, equals, path = attribute.partition(b"=")
        path = path.strip(b" \t")
        if name.strip(b" \t").lower() != b"path" or not path.startswith(b"/"):
            return attribute
        return name + equals + (self.prefix if path == b"/" else self._below(path))

    def _up(self, line: bytes, authority: bytes) -> bytes:
        name, colon, value = line.partition(b":")
        if name.lower() != b"destination":
            return line
        value = value.strip(b" \t")
        found = _URL.fullmatch(value)
        begin, host, path = found.groups() if found is not None else (b"", b"", value)
        if (host and _host(host) != self.host) or not self._is_below(path):
            return line
        rest = path[len(self.prefix) :]
        rest = rest if rest.startswith(b"/") else b"/" + rest
        return name + colon + b" " + (begin + authority + rest if host else rest)


def _host(authority: bytes) -> bytes:
    """The name of an authority, lower case, without its port."""
    return authority.lower().rpartition(b"@")[2].partition(b":")[0].rstrip(b".")


class ResponseEdit(NamedTuple):
    """What becomes of the lines of a service's responses on one route. `passes` are the names, of those that pin a
    browser to something (`PINNING`), that may pass."""

    fields: FieldEdit
    move: PathMove | None
    passes: frozenset[bytes] = frozenset()

    def apply(self, lines: bytes) -> bytes:
        """`lines` as they go to the client."""
        return self.fields.apply(lines if self.move is None else self.move.response(lines))


def origin_moved(lines: bytes, name: bytes, own: bytes) -> bytes:
    """Request lines in which `Origin` and `Referer` of the authority `name` are of the origin `own` instead."""
    return b"".join(_with_origin(line, name, own) + b"\r\n" for line in lines.split(b"\r\n")[:-1])


def _with_origin(line: bytes, name: bytes, own: bytes) -> bytes:
    field, colon, value = line.partition(b":")
    if field.lower() not in (b"origin", b"referer"):
        return line
    found = _URL.fullmatch(value.strip(b" \t"))
    if found is None or found[1] == b"//" or found[2].lower() != name.lower():
        return line
    return field + colon + b" " + own + found[3]
