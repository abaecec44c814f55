"""Field lines, each read once: what a line means to a proxy, and how it passes in either direction.

Lives here: RFC 9110 §5 for one line and for a section of lines; the names that a proxy treats in a way of their own
(hop-by-hop, framing, ours) and nowhere else; what `Connection` names away (RFC 9110 §7.6.1); the lines of a section as
they pass; pure. Not here: start lines (`grammar.py`), what a request's section as
a whole means (`proxy/decide.py`).

How it works: nearly all lines that come were there before (a browser repeats its own on every request), so a section
is cut into lines and each is looked up among those that were read already. Only a new line is taken apart, and its
name is looked up in turn. A line knows what becomes of it towards the service (`up`) and towards the client (`down`),
so that forwarding is one join that keeps order, case and duplicates; only where `Connection` names more, or Host
changes, is a section gone through once more.

CGI (RFC 3875 §4.1.18), and every server that names fields as it does, folds `_` and other marks into the `_` that it
makes of `-`: `Content_Length` and `Content-Length` are one variable there. A field that such a server would take for
one with a meaning here therefore never reaches a service.
"""

import re
from functools import lru_cache
from typing import Final

from devproxy.http1.grammar import TOKEN, Fault, explain_fields

_NAME: Final = re.compile(TOKEN)
_CONTROLS: Final = bytes((*range(9), *range(10, 32), 127))  # what RFC 9110 §5.5 keeps out of a value

# What a field means to a proxy.
PLAIN: Final = 0
LOOKED_AT: Final = 1
HOP_BY_HOP: Final = 2
FRAMING: Final = 3
OURS: Final = 4
BINDING: Final = 5
PINNING: Final = 6
_KINDS: Final = {
    **dict.fromkeys((b"connection", b"keep-alive", b"te", b"upgrade", b"proxy-connection"), HOP_BY_HOP),
    **dict.fromkeys((b"proxy-authenticate", b"proxy-authorization"), HOP_BY_HOP),
    **dict.fromkeys((b"content-length", b"transfer-encoding"), FRAMING),
    **dict.fromkeys((b"host", b"origin", b"max-forwards", b"sec-websocket-key", b"sec-websocket-accept"), LOOKED_AT),
    **dict.fromkeys((b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest", b"sec-fetch-user"), LOOKED_AT),
    **dict.fromkeys((b"sec-purpose", b"purpose", b"x-purpose", b"x-moz", b"user-agent"), LOOKED_AT),
    **dict.fromkeys((b"location", b"access-control-allow-origin"), LOOKED_AT),
    # What a browser would keep for a name, whatever answers there next (RFC 6797, RFC 7838)
    **dict.fromkeys((b"strict-transport-security", b"alt-svc"), PINNING),
    **dict.fromkeys((b"authorization", b"www-authenticate", b"proxy-support", b"persistent-auth"), BINDING),
}
# What devproxy sets itself: a client's goes no further. Other fields of that family (X-Forwarded-User) are not ours.
_OURS: Final = re.compile(rb"x-forwarded-(?:for|proto|host|port|prefix)|x-real-ip|forwarded|devproxy-.*|http2-settings")
_FOLDED: Final = bytes(code if chr(code).isalnum() and code < 128 else 0x2D for code in range(256))
# Authentication of a connection instead of a request (RFC 4559 §6, [MS-NTHT], [MS-N2HT]); in the values of the BINDING
# fields, which are plain otherwise. Where they stand in a list of challenges does not matter.
_BINDS: Final = re.compile(
    rb"(?:^|,)[ \t]*(?:ntlm|negotiate|nego2|kerberos|session-based-authentication|true)(?![^ \t,])", re.I
)
_UNPINNED: Final = b"clear"  # RFC 7838 §3; HSTS has `max-age=0`, and nothing to forget where none was passed on
_PROXY_AUTHENTICATION: Final = frozenset((b"proxy-authenticate", b"proxy-authorization"))
_NUMBER: Final = re.compile(rb"[0-9]{1,18}")

_KNOWN_LINES: Final = 512  # lines that are remembered: as many as stay in a cache of the processor
_KNOWN_LENGTH: Final = 256  # bytes of the longest of them
_KNOWN_NAMES: Final = 1024


class Field:
    """One field line. `name` is lower case; `up` passes to a service, `down` to a client: lines with CRLF, or empty.

    Lines are remembered, so two sections nearly always share the objects of what they have in common.
    """

    __slots__ = ("_text", "_value", "down", "kind", "name", "up")

    def __init__(self, name: bytes, text: bytes, kind: int, up: bytes, down: bytes):
        self.name = name
        self.kind = kind
        self.up = up
        self.down = down
        self._text = text
        self._value: bytes | None = None

    @property
    def value(self) -> bytes:
        """Without white space around it (RFC 9110 §5.5)."""
        if self._value is None:
            self._value = self._text.strip(b" \t")
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Field) and self._said() == other._said()

    def __hash__(self) -> int:
        return hash(self._said())

    def _said(self) -> tuple[bytes, bytes, bytes, bytes]:
        return self.name, self._text, self.up, self.down


class _MalformedError(Exception):
    """A line that is no field."""


class _Lines(dict[bytes, Field]):
    """The field of a line, without its CRLF. Lines are remembered; when there are too many, all are forgotten."""

    def __missing__(self, line: bytes) -> Field:
        field = _read(line)
        if len(line) <= _KNOWN_LENGTH:
            if len(self) >= _KNOWN_LINES:
                self.clear()
            self[line] = field
        return field


_known: Final = _Lines()
_field: Final = _known.__getitem__


class _Names(dict[bytes, tuple[bytes, int]]):
    """A name as it is written → in lower case, and its kind: names come again even where values never do."""

    def __missing__(self, written: bytes) -> tuple[bytes, int]:
        if _NAME.fullmatch(written) is None:
            raise _MalformedError
        name = written.lower()
        kind = kind_of_name(name)
        if len(self) >= _KNOWN_NAMES:
            self.clear()
        if len(written) <= _KNOWN_LENGTH:
            self[written] = name, kind
        return name, kind


def fold(name: bytes) -> bytes:
    """A name, in lower case, as a CGI-like server takes it: all that it takes for one variable is the same here."""
    return name.translate(_FOLDED)


def kind_of_name(name: bytes) -> int:
    """What a name, in lower case, means to a proxy."""
    folded = fold(name)
    kind = _KINDS.get(name, PLAIN)
    return OURS if _OURS.fullmatch(folded) or (kind == PLAIN and folded in _KINDS) else kind


_names: Final = _Names()


def _read(line: bytes) -> Field:
    written, colon, text = line.partition(b":")
    name, kind = _names[written]
    if not colon or len(text.translate(None, _CONTROLS)) != len(text):
        raise _MalformedError
    if kind <= LOOKED_AT:
        whole = line + b"\r\n"
        return Field(name, text, kind, whole, whole)
    return _read_special(line, written, name, text, kind)


def _read_special(line: bytes, written: bytes, name: bytes, text: bytes, kind: int) -> Field:
    value = text.strip(b" \t")
    whole = line + b"\r\n"
    if kind == BINDING:
        return Field(name, text, kind if _BINDS.search(value) else PLAIN, whole, whole)
    if kind == PINNING:
        return Field(name, text, *((PLAIN, whole, whole) if value.lower() == _UNPINNED else (kind, whole, b"")))
    if kind == HOP_BY_HOP:
        return Field(name, text, kind, b"", b"")
    if kind == FRAMING:
        anew = _framing(written, name, value)
        return Field(name, text, kind, anew, anew)
    return Field(name, text, kind, b"", b"" if name.startswith(b"devproxy") else whole)


def forget() -> None:
    """Empty the memos, for those who measure."""
    _known.clear()
    _names.clear()


def _framing(written: bytes, name: bytes, value: bytes) -> bytes:
    """A framing field written anew from its value; one that is malformed never gets as far as being passed on."""
    if name == b"transfer-encoding":
        return written + b": chunked\r\n"
    return b"%b: %d\r\n" % (written, int(value)) if _NUMBER.fullmatch(value) else b""


_NOT_LOOKED: Final = b"\n"  # no value has this


class Section:
    """A valid field section.

    `raw` is its lines without the CRLF of the last one; `special` the fields that are not plain, in order. Referer is
    plain: it changes from page to page, and seldom matters.
    """

    __slots__ = ("_found", "_options", "_referer", "_up", "fields", "raw", "special")

    def __init__(self, raw: bytes, fields: list[Field]):
        self.raw = raw
        self.fields = fields
        self.special = [field for field in fields if field.kind != PLAIN]
        self._found: dict[bytes, Field] | None = None
        self._referer: bytes | None = _NOT_LOOKED
        self._options: frozenset[bytes] | None = None
        self._up: bytes | None = None

    @property
    def referer(self) -> bytes | None:
        """The value of Referer, the first one where it stands several times; None without one."""
        if self._referer is _NOT_LOOKED:
            self._referer = self.any(b"referer")
        return self._referer

    @property
    def found(self) -> dict[bytes, Field]:
        """The special fields by name, the last one of each."""
        if self._found is None:
            self._found = {field.name: field for field in self.special}
        return self._found

    def get(self, name: bytes) -> bytes | None:
        """The value of a special field, the last one where it stands several times; None without one."""
        field = self.found.get(name)
        return None if field is None else field.value

    def all(self, name: bytes) -> list[bytes]:
        """Every value of a special field, in order."""
        if len(self.found) == len(self.special):
            field = self.found.get(name)
            return [] if field is None else [field.value]
        return [field.value for field in self.special if field.name == name]

    def any(self, name: bytes) -> bytes | None:
        """The first value of any field, special or not; `name` in lower case. For the paths that are not hot."""
        return next((field.value for field in self.fields if field.name == name), None)

    @property
    def connection(self) -> frozenset[bytes]:
        """The options named in Connection, lower case (RFC 9110 §7.6.1)."""
        if self._options is None:
            named = b"connection" in self.found
            self._options = _options(b",".join(self.all(b"connection"))) if named else _NO_OPTIONS
        return self._options

    @property
    def binds(self) -> bool:
        """Whether it offers or carries an authentication that a service ties to the connection (NTLM, Negotiate)."""
        return any(
            field.kind == BINDING or (field.name in _PROXY_AUTHENTICATION and _BINDS.search(field.value) is not None)
            for field in self.special
        )

    @property
    def up(self) -> bytes:
        """The lines that pass towards a service."""
        if self._up is None:
            self._up = b"".join([field.up for field in self.fields])
        return self._up

    @property
    def down(self) -> bytes:
        """The lines that pass towards a client."""
        return b"".join([field.down for field in self.fields])


_NO_OPTIONS: Final = frozenset[bytes]()
_CODING: Final = frozenset((b"transfer-encoding",))


@lru_cache(64)
def _options(value: bytes) -> frozenset[bytes]:
    return frozenset(option.strip(b" \t") for option in value.lower().split(b",")) - {b""}


def section(raw: bytes, limit: int) -> Section | Fault:
    """Read a field section: its lines, without the CRLF of the last one, or nothing; at most `limit` fields."""
    if not raw:
        return Section(raw, [])
    lines = raw.split(b"\r\n")
    if len(lines) > limit:
        return Fault(431, "header-too-large", f"{len(lines)} fields, and the limit is {limit} (max_headers)")
    try:
        return Section(raw, list(map(_field, lines)))
    except _MalformedError:
        return explain_fields(raw)


# Connection may name fields to drop, but not these: they are dropped or written anew in any case, or would change the
# meaning.
_NOT_NOMINATED: Final = frozenset(
    b"close keep-alive upgrade te http2-settings connection proxy-connection"
    b" host content-length transfer-encoding trailer expect date".split()
)


def upgrade_protocols(fields: Section) -> bytes:
    """The protocols asked for or granted, as sent, without h2c; empty where Connection does not name Upgrade."""
    if b"upgrade" not in fields.connection or b"upgrade" not in fields.found:
        return b""
    protocols = [protocol.strip(b" \t") for protocol in b",".join(fields.all(b"upgrade")).split(b",")]
    return b", ".join(p for p in protocols if p and p.lower() != b"h2c")


def takes_trailers(fields: Section) -> bool:
    """Whether a client says that it takes trailers (RFC 9110 §10.1.4): the one part of TE that outlives a hop."""
    if b"te" not in fields.found:
        return False
    return b"trailers" in (coding.strip(b" \t").lower() for coding in b",".join(fields.all(b"te")).split(b","))


def request_lines(fields: Section, host: bytes | None) -> bytes:
    """The client's lines as they pass to a service; `host` replaces the value of Host where it is not None."""
    lines = fields.up if host is None else _with_host(fields, host)
    named = nominated(fields)
    return _without(lines, named) if named else lines


def nominated(fields: Section) -> frozenset[bytes]:
    """The names of plain fields that Connection marks as hop-by-hop."""
    return fields.connection - _NOT_NOMINATED


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


def response_lines(fields: Section, unwanted: frozenset[bytes] = _NO_OPTIONS, *, chunks: bool) -> bytes:
    """A service's lines as they pass to the client, without those of the names `unwanted` (lower case).

    `chunks` False leaves chunked coding out (an HTTP/1.0 client).
    """
    dropped = nominated(fields) | unwanted
    if not chunks and b"transfer-encoding" in fields.found:
        dropped |= _CODING
    return _without(fields.down, dropped) if dropped else fields.down


def pinning_lines(fields: Section, names: frozenset[bytes]) -> bytes:
    """The lines of `names` that do not pass by themselves."""
    return b"".join(field.up for field in fields.special if field.kind == PINNING and field.name in names)


def own_lines(fields: Section) -> bytes:
    """As `response_lines`, of devproxy's own pages: what no service may say about devproxy passes, too."""
    lines = zip(fields.raw.split(b"\r\n"), fields.fields, strict=True) if fields.fields else ()
    kept = [line + b"\r\n" if field.kind == OURS else field.down for line, field in lines]
    return b"".join(kept)


_SPACED: Final = re.compile(rb"^(" + TOKEN + rb")[ \t]++:", re.MULTILINE)


def without_space(raw: bytes) -> bytes:
    """Lines of a response without white space before the colon, which a proxy must take out (RFC 9112 §5.1)."""
    return _SPACED.sub(rb"\1:", raw)
