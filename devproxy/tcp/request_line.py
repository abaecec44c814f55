"""Whether the first bytes of a connection are an HTTP request: the cross-protocol attack on what speaks something else.

A page can have a browser connect to any port of this machine and send `POST / HTTP/1.1` with a body of the page's
choice; a server that skips lines it does not understand (Redis, memcached, SMTP) carries out those that it does. What a
browser sends first is always a request line (RFC 9112 §3) with a path and `HTTP/1.1` at its end, and no protocol that
is not HTTP begins so: neither TLS (its first byte is 22) nor what clients of a protocol with a banner say first
(`EHLO`, `USER`, `SSH-2.0-`). Redis takes `GET key` on a line of its own: no more than the path and the version tell the
two apart, so the line is waited for.
"""

from typing import Final

LONGEST: Final = 1 << 16  # bytes; one that begins like a request and has no end by then is one

_METHODS: Final = (b"CONNECT", b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PRI", b"PUT", b"TRACE")


def is_request(first: bytes) -> bool | None:
    """Whether a client that begins with `first` speaks HTTP; None while more bytes are needed to tell."""
    line, ending, _ = first.partition(b"\n")
    method, space, rest = line.partition(b" ")
    if not space:
        return None if not ending and any(known.startswith(method) for known in _METHODS) else False
    if method not in _METHODS or (rest and rest[:1] not in b"/*"):
        return False
    if ending:
        return rest.removesuffix(b"\r").rpartition(b" ")[2][:5] == b"HTTP/"
    return True if len(first) >= LONGEST else None
