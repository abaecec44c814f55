"""Whether the first bytes of a connection are an HTTP request: the cross-protocol attack on what speaks something else.

A page can have a browser connect to any port of this machine and send `POST / HTTP/1.1` with a body of the page's
choice; a server that skips lines it does not understand (Redis, memcached, SMTP) carries out those that it does. What a
browser sends first is always a request line (RFC 9112 §3) with a path and `HTTP/1.1` at its end, and no protocol that
is not HTTP begins so: neither TLS (its first byte is 22) nor what clients of a protocol with a banner say first
(`EHLO`, `USER`, `SSH-2.0-`). Redis takes `GET key` on a line of its own: no more than the version tells the two apart,
so the line is waited for.

A page that has fooled DNS may use any token as its method (`fetch`), `FLUSHALL` among them. Of one that is none of
HTTP's own, nothing is waited for before its path: a client of another protocol may wait for an answer to a word. A
browser sends its whole head at once, so the path is there, unless the word is so long that it comes in pieces.
"""

import re
from typing import Final

LONGEST: Final = 1 << 16  # bytes; a line that begins like a request's and has no end by then is one, a word is none

_METHODS: Final = (b"CONNECT", b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PRI", b"PUT", b"TRACE")
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_LONG_WORD: Final = 1 << 12  # bytes; a word that is longer may be cut anywhere on its way


def is_request(first: bytes) -> bool | None:
    """Whether a client that begins with `first` speaks HTTP; None while more bytes are needed to tell."""
    line, ending, _ = first.partition(b"\n")
    method, space, rest = line.partition(b" ")
    if not space:
        may_be = not ending and _may_become_method(method)
    elif method in _METHODS:
        may_be = True
    else:
        is_cut = not rest and len(method) >= _LONG_WORD  # between the method and the path
        may_be = (is_cut or rest[:1] == b"/") and _TOKEN.fullmatch(method) is not None
    if not may_be:
        return False
    if ending:
        return rest.removesuffix(b"\r").rpartition(b" ")[2][:5] == b"HTTP/"
    return True if len(first) >= LONGEST else None


def _may_become_method(word: bytes) -> bool:
    if len(word) >= _LONG_WORD:
        return len(word) < LONGEST and _TOKEN.fullmatch(word) is not None
    return any(known.startswith(word) for known in _METHODS)
