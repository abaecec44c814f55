"""What the proxy listens for: one endpoint a scheme, and how its port is chosen.

Lives here: the standard ports and their fallbacks, what `[proxy]` makes of them, and the port that would be taken now.
Not here: listening, and whether a port is free (`net/loopback.py`): who only names ports need not load sockets. Pure.
"""

from collections.abc import Callable
from typing import NamedTuple

from devproxy.registry.model import HttpsPort, ProxySettings


class Endpoint(NamedTuple):
    """What is to be listened for, on every loopback address: a scheme, and how its port is chosen.

    `port` is the one asked for, 0 any that is free, None the `standard` one, else the `fallback` with a notice; it is
    set by the key of [proxy] that is called like the scheme. `optional`: where neither of those can be had, devproxy
    does without, and says so.
    """

    scheme: str
    standard: int
    fallback: int
    port: int | None = None
    optional: bool = False

    @property
    def setting(self) -> str:
        """As a person finds it: `[proxy] http`."""
        return f"[proxy] {self.scheme}"


HTTP = Endpoint("http", standard=80, fallback=7080)
HTTPS = Endpoint("https", standard=443, fallback=7443, optional=True)


def endpoints(settings: ProxySettings, http: int | None = None, https: HttpsPort = None) -> list[Endpoint]:
    """What the proxy listens for, by [proxy]; `http` and `https` take the place of those settings.

    Where http gets any free port, another proxy may have the usual ones: https gets any free one, too.
    """
    http = settings.http if http is None else http
    https = settings.https if https is None else https
    if https == "off":
        return [HTTP._replace(port=http)]
    return [HTTP._replace(port=http), HTTPS._replace(port=0 if https is None and http == 0 else https)]


def would_take(endpoint: Endpoint, is_free: Callable[[int], bool]) -> int | None:
    """The port that `listen` would have at this moment, None where it is not known: any free one, or none at all.

    `is_free` is asked only where the port is not set: `loopback.is_free`.
    """
    if endpoint.port is not None:
        return endpoint.port or None
    return next((port for port in (endpoint.standard, endpoint.fallback) if is_free(port)), None)
