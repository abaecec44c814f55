"""The address of a service as a file spells it → an `Upstream` on this machine, or the reason why not.

Lives here: the grammar of `upstream`, and why an address is refused that is not loopback, whatever the spelling.
Not here: what is loopback (`devproxy/addresses.py`), making paths absolute (`resolve.py`), connecting (`net/dial.py`).
"""

import re

import msgspec

from devproxy.addresses import LOOPBACKS, ip_literal, is_loopback
from devproxy.problems import Wrong
from devproxy.registry.model import Scheme, Upstream
from devproxy.text import host_port, shown
from devproxy.urls import url

_SCHEMES: dict[str, tuple[Scheme, int]] = {"http": ("http", 80), "https": ("https", 443), "h2c": ("h2c", 80)}
# texts, which `re` compiles when they are first needed
_URL = r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\\]*)(.*)"
_AUTHORITY = r"(\[[^\[\]]*\]|[^:\[\]@]*)(?::([0-9]*))?"
_ENDS_IN_NUMBER = r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?"
_EXAMPLE = 'write it as in "http://127.0.0.1:9000"'


def upstream(text: str) -> Upstream:
    """The address that `text` names; the path of a unix socket is left as it is written.

    `http://`, `https://`, `h2c://` and `tcp://` with a loopback host, or `unix:PATH`. Raises Wrong.
    """
    if text.startswith("unix:"):
        return _socket(text)
    if not text.isascii():
        raise _bad(text, "an address is written in ASCII")
    match = re.fullmatch(_URL, text, re.DOTALL)
    if match is None:
        raise _without_scheme(text)
    if match[3] not in ("", "/"):
        raise _bad(
            text,
            "paths are forwarded as they come, so an upstream has none",
            f'write "{url(match[1], shown(match[2]))}"',
        )
    scheme, standard = _scheme(match[1].lower(), match[2], text)
    authority = re.fullmatch(_AUTHORITY, match[2])
    if authority is None:
        raise _bad(text, *_advice_on_authority(match[1], match[2]))
    port = _port(authority[2], standard, text)
    named = _Named(text, f'write "{url(scheme, host_port("localhost", port))}"')
    return Upstream(scheme, loopback(authority[1], named), port)


class _Named(msgspec.Struct, frozen=True):
    """An address as it is written, and what to write instead if it is not on this machine."""

    text: str
    fix: str


def loopback(host: str, named: _Named) -> tuple[str, ...]:
    """The literals to dial for `host`, an IPv6 address in brackets, an IPv4 address in any spelling, or `localhost`."""
    if host.lower() == "localhost":
        return LOOPBACKS
    is_ipv6 = host.startswith("[")
    if not is_ipv6 and not re.fullmatch(_ENDS_IN_NUMBER, host):
        raise _elsewhere(named, "names are not looked up")
    if is_ipv6 and "%" in host:
        raise _bad(named.text, "loopback needs no zone", 'write "[::1]"')
    address = ip_literal(host)
    if address is None:
        kind, inside = ("IPv6", host[1:-1]) if is_ipv6 else ("IPv4", host)
        raise _bad(named.text, f"{shown(inside)} is not an {kind} address")
    if is_loopback(address):
        return (address,)
    if address in ("0.0.0.0", "::"):  # noqa: S104
        raise _unspecified(named, address)
    raise _elsewhere(named, f"{address} is none of these, even where it is this machine's own")


def _elsewhere(named: _Named, more: str = "") -> Wrong:
    return Wrong(
        f'"{shown(named.text)}" is not a loopback address',
        why="devproxy forwards to this machine only: 127.0.0.0/8, ::1, localhost, or a unix socket"
        + (f"; {more}" if more else ""),
        fix=named.fix,
        code="not-this-machine",
    )


def _unspecified(named: _Named, address: str) -> Wrong:
    return Wrong(
        f'"{shown(named.text)}" is not an address to connect to',
        why=f"{address} means every interface, and only to a program that listens",
        fix=named.fix,
        code="not-this-machine",
    )


def _scheme(scheme: str, authority: str, text: str) -> tuple[Scheme, int]:
    if scheme == "tcp":
        return "tcp", 0
    if scheme in _SCHEMES:
        return _SCHEMES[scheme]
    better = {"ws": "http", "wss": "https", "h2": "h2c", "grpc": "h2c"}.get(scheme, "http")
    raise _bad(text, "the schemes are http, https, h2c, tcp and unix", f'write "{url(better, shown(authority))}"')


def _port(digits: str | None, standard: int, text: str) -> int:
    if digits is None and standard:
        return standard
    if not digits or not 1 <= int(digits[:6]) <= 65535 or len(digits) > 5:
        raise _bad(text, "it needs a port from 1 to 65535")
    return int(digits)


def _socket(text: str) -> Upstream:
    path = text.removeprefix("unix:")
    if path.startswith("//"):  # unix:///run/app.sock, as other programs write it
        path = "/" + path.lstrip("/")
    if not path.strip("/"):
        raise _bad(text, "it names no file", 'write it as in "unix:run/app.sock"')
    if path.startswith("~"):
        raise _bad(text, "`~` is not expanded here", "write the path in full, or relative to this file")
    return Upstream("http", path=path)


def _advice_on_authority(scheme: str, authority: str) -> tuple[str, str]:
    if "@" in authority:
        return "it has a user name in it", f'write "{url(scheme, shown(authority.rpartition("@")[2]))}"'
    if authority.count(":") > 1 and "[" not in authority:
        return "an IPv6 address stands in brackets", 'write it as in "http://[::1]:9000"'
    return "its host and port cannot be read", _EXAMPLE


def _without_scheme(text: str) -> Wrong:
    if re.fullmatch("[0-9]{1,5}", text):
        return _bad(text, "a port alone is no address", f"write `port = {int(text)}`")
    if re.fullmatch(r"[\w.\[\]:-]+:[0-9]{1,5}/?", text):
        return _bad(text, "it has no scheme", f'write "{url("http", shown(text.rstrip("/")))}"')
    if text.startswith(("/", "./")) or text.endswith(".sock"):
        return _bad(text, "it has no scheme", f'write "unix:{shown(text)}"')
    return _bad(text, "it has no scheme", 'write it as in "http://127.0.0.1:9000" or "unix:run/app.sock"')


def _bad(text: str, why: str, fix: str = _EXAMPLE) -> Wrong:
    return Wrong(f'"{shown(text)}" is not an address', why=why, fix=fix, code="bad-upstream")
