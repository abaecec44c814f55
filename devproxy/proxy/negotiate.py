"""Which protocol a service speaks, and a connection to it, or a stream on one that is shared.

Lives here: HTTP/1.1 for `http://`, HTTP/2 with prior knowledge for `h2c://` (RFC 9113 §3.3), what ALPN chooses for
`https://` (RFC 7301); and that requests which come at once to a service that shares connections wait for one dial.
Not here: what goes over a connection (`upstream.py`, `h2_upstream.py`), trying again (`retry.py`).

Over TLS a WebSocket asks for HTTP/1.1, as browsers do where a server's HTTP/2 has none (RFC 8441). The library for
HTTP/2 is imported here only, once a service needs it.
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, cast

from devproxy.http1.grammar import Fault
from devproxy.net.dial import CONNECT_TIMEOUT, HTTP_2_FIRST, DialError, connect
from devproxy.proxy.interfaces import ProxyState
from devproxy.proxy.pool import UpstreamAddress, UpstreamStream
from devproxy.proxy.upstream import UpstreamConnection

if TYPE_CHECKING:
    from devproxy.proxy.h2_upstream import Http2Upstream


class NotHttp2Error(Exception):
    """A service that is asked in HTTP/2 answers with something else; `fault` says with what."""

    def __init__(self, fault: Fault):
        super().__init__(fault.detail)
        self.fault = fault


async def reach(address: UpstreamAddress, proxy: ProxyState, *, upgrade: bool) -> UpstreamStream:
    """A way to the service for one more request, which begins at once; `upgrade`: it wants another protocol.

    Raises DialError, NotHttp2Error, and ConnectionError where the service has closed the connection already.
    """
    scheme = address.upstream.scheme
    if scheme == "http" or (scheme == "https" and not _may_choose(address, proxy)):
        return await _dial(address)
    if scheme == "https" and upgrade:
        return await _reach_upgrading(address, proxy)
    return await _reach_chosen(address, proxy)


async def _reach_upgrading(address: UpstreamAddress, proxy: ProxyState) -> UpstreamStream:
    """For what wants another protocol: a connection of HTTP/1.1, which switches, unless the service is known to open
    WebSockets on streams (RFC 8441), or does not take HTTP/1.1 at all."""
    stream = address.open_stream()
    if stream is not None and stream.bridges:
        return stream
    try:
        return await _dial(address)
    except DialError as error:
        if error.timeout or error.exhausted or error.other_user:
            raise
        return await _reach_chosen(address, proxy)


async def _reach_chosen(address: UpstreamAddress, proxy: ProxyState) -> UpstreamStream:
    """By what the service has chosen, or chooses now."""
    while address.multiplexes:
        stream = address.open_stream()
        if stream is not None:
            return stream
        is_shared = await _join_once(address, proxy)
        taken = None if is_shared else address.take(proxy.clock, repeatable=True)
        if taken is not None:
            return taken
    connection = await _join(address, proxy)
    if isinstance(connection, UpstreamConnection):
        return connection
    stream = connection.open_stream()
    if stream is None:
        raise ConnectionResetError
    return stream


def _may_choose(address: UpstreamAddress, proxy: ProxyState) -> bool:
    return address.client is None and not address.is_http1_only and "h2" in proxy.fronts


async def _dial(address: UpstreamAddress) -> UpstreamConnection:
    """A connection that speaks HTTP/1.1."""
    connection, address.host = await connect(
        address.upstream,
        lambda: UpstreamConnection(address),
        first=address.host,
        server_name=address.server_name,
    )
    return connection


async def _join_once(address: UpstreamAddress, proxy: ProxyState) -> bool:
    """Wait for one more connection, together with everybody else who does; False where it speaks HTTP/1.1, and is
    idle now."""
    task = address.joining
    if task is None:
        task = address.joining = asyncio.create_task(_join(address, proxy))
        task.add_done_callback(partial(_joined, address))
    await asyncio.wait({task})
    if task.cancelled():
        raise ConnectionAbortedError
    connection = task.result()
    if isinstance(connection, UpstreamConnection):
        connection.idle_since = proxy.clock
        if connection.exchange is None and connection not in address.idle:
            address.idle.append(connection)
        return False
    if not connection.is_open:
        raise ConnectionResetError
    return True


def _joined(address: UpstreamAddress, task: "asyncio.Task[UpstreamConnection | Http2Upstream]") -> None:
    address.joining = None
    if not task.cancelled():
        task.exception()  # seen, also where nobody waits any more


async def _join(address: UpstreamAddress, proxy: ProxyState) -> "UpstreamConnection | Http2Upstream":
    """A new connection, once it may be used; `address.multiplexes` is then what was chosen."""
    from devproxy.proxy.h2_upstream import Http2Upstream

    upstream = address.upstream
    made: asyncio.Protocol
    if upstream.scheme == "https":
        chosen, address.host = await connect(
            upstream,
            lambda: _Chosen(address, proxy),
            first=address.host,
            server_name=address.server_name,
            alpn=HTTP_2_FIRST,
        )
        made = chosen.protocol
    else:
        made, address.host = await connect(upstream, lambda: Http2Upstream(address, proxy), first=address.host)
    address.multiplexes = isinstance(made, Http2Upstream)
    if isinstance(made, Http2Upstream):
        await _settle(made, address)
        return made
    return cast(UpstreamConnection, made)


async def _settle(connection: "Http2Upstream", address: UpstreamAddress) -> None:
    """Wait until the service has said that it speaks HTTP/2."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            fault = await connection.ready
    except TimeoutError:
        connection.discard()
        why = f"it takes the connection, and says nothing of HTTP/2 within {CONNECT_TIMEOUT:g} s"
        raise DialError([(address.upstream.place(address.host), why)], timeout=True) from None
    except asyncio.CancelledError:
        connection.discard()
        raise
    if fault is not None:
        raise NotHttp2Error(fault)


class _Chosen(asyncio.Protocol):
    """A connection over TLS until the handshake has told what it speaks; `protocol` is who does then."""

    def __init__(self, address: UpstreamAddress, proxy: ProxyState):
        self._address = address
        self._proxy = proxy
        self.protocol: asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        from devproxy.proxy.h2_upstream import Http2Upstream

        ssl_object = transport.get_extra_info("ssl_object")
        if ssl_object.selected_alpn_protocol() == "h2":
            self.protocol = Http2Upstream(self._address, self._proxy)
        else:
            self.protocol = UpstreamConnection(self._address)
        cast(asyncio.Transport, transport).set_protocol(self.protocol)
        self.protocol.connection_made(transport)
