"""URLs: the one place that makes them.

Lives here: how the port the proxy really has becomes part of a URL, and what a service that is no HTTP has instead.
"""

import msgspec

from devproxy.registry.model import Service

STANDARD_HTTP = 80


def service_url(service: Service, http_port: int | None) -> str:
    """The URL that a person opens, without a `/` at its end, so that a script can put a path behind it.

    `http_port` is the port the proxy really has, None while nobody knows.
    A service whose `protocol` is tcp has the address where it is itself, `tcp://127.0.0.1:54321`: nothing is forwarded
    from its `listen` yet.
    """
    if service.protocol == "tcp":
        upstream = service.upstream
        return msgspec.structs.replace(upstream, hosts=upstream.hosts[:1]).text if upstream else ""
    host = service.hosts[0] if service.hosts else ""
    if not host:
        return ""
    return f"http://{host}" if http_port in {None, STANDARD_HTTP} else f"http://{host}:{http_port}"
