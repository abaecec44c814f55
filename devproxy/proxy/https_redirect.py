"""From http:// to https://: which requests are sent there, and what the others are told; pure.

Two may be redirected: a GET or HEAD of a service with `redirect`, and one that came as plain HTTP to the port for
HTTPS. Never a WebSocket, whose clients follow no redirect, nor a method with a body. The status is 308 (RFC 9110
§15.4.9), and nothing is to keep it (`Cache-Control: no-store`, as on all of our answers): with `redirect` off again, or
another port, the next request is answered as it then should be.
"""

from typing import Final

from devproxy.proxy.answers import Respond
from devproxy.proxy.decide import CONTROL, Reading
from devproxy.urls import host_url

_REDIRECTED: Final = frozenset((b"GET", b"HEAD"))


def may_redirect(reading: Reading, method: bytes, target: bytes) -> bool:
    """Whether the client of a request would follow."""
    return method in _REDIRECTED and not reading.upgrade and reading.length == 0 and target.startswith(b"/")


def to_https(reading: Reading, target: bytes, port: int) -> Respond:
    """The redirect to the same place at `port`, by https."""
    location = host_url("https", reading.host, port, target.decode("latin-1"))
    return Respond(308, "to-https", f"this is at {location}", location=location)


def misplaced(reading: Reading, method: bytes, target: bytes, port: int) -> Respond:
    """The answer to plain HTTP at `port`, where HTTPS is spoken."""
    is_ours = reading.routes is not None or reading.refusal is CONTROL
    if is_ours and may_redirect(reading, method, target):
        return to_https(reading, target, port)._replace(close=True)
    return Respond(
        400,
        "http-on-https-port",
        "this port speaks HTTPS, and what came is plain HTTP",
        "use https:// instead of http:// in the address",
        close=True,
    )
