"""The only way to a service: from an Upstream to a connected transport.

Lives here: the order in which the addresses of a service are tried, which are left out, and what a person is told when
none answers.
Not here: keeping connections (`proxy/pool.py`), asking for anything (`proxy/exchange.py`), and the one other connect():
the proof of exposure tries this machine's own addresses, and sends nothing (`health/reachability.py`).

Never through DNS: an Upstream holds loopback literals, and each is checked again before it is dialled. Never to another
user of this machine (`net/users.py`) unless the Upstream says so: an address whose listener is somebody else's is
passed over, and once there is a connection the kernel is asked again, before anything is sent. It costs some 30 µs a
connection, and nothing a request.
"""

import asyncio
import errno
import os
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import Any, TypeVar

from devproxy.addresses import is_loopback
from devproxy.net.sockets import bound_buffers, family_of
from devproxy.net.tls_transport import TlsTransport, shake_hands
from devproxy.net.users import other_listener, other_peer, user_name
from devproxy.registry.model import Upstream

CONNECT_TIMEOUT = 5.0  # seconds; loopback answers at once unless the listener's backlog is full
HTTP_1_1 = ("http/1.1",)
HTTP_2_FIRST = ("h2", "http/1.1")
_ROOM_EVERY = 0.01  # seconds between looks whether a unix socket's backlog has room
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

P = TypeVar("P", bound=asyncio.BaseProtocol)
T = TypeVar("T")


class DialError(Exception):
    """No address of a service took the connection. `tried` is a list of (address, reason) as a person reads them;
    `other_user` is who listens on one of them instead of us, empty where nobody does."""

    def __init__(
        self, tried: list[tuple[str, str]], *, timeout: bool = False, exhausted: bool = False, other_user: str = ""
    ):
        super().__init__("; ".join(f"{address}: {reason}" for address, reason in tried))
        self.tried = tried
        self.timeout = timeout
        self.exhausted = exhausted
        self.other_user = other_user


class _OtherUserError(OSError):
    """What listens there belongs to another user of this machine."""

    def __init__(self, uid: int):
        super().__init__(f"user {user_name(uid)} listens there, not you")
        self.user = user_name(uid)


async def connect(
    upstream: Upstream,
    factory: Callable[[], P],
    *,
    first: str = "",
    server_name: str = "",
    alpn: tuple[str, ...] = HTTP_1_1,
) -> tuple[P, str]:
    """Connect to `upstream`; returns the protocol and the address that answered.

    `first` is the address to try before the others (the one that answered last time); `server_name` is the SNI of a TLS
    upstream, whose certificate is not verified, and `alpn` what it may choose from (RFC 7301). Raises DialError.
    """

    async def opened(sock: socket.socket, host: str) -> P:
        await _establish(upstream, host, sock)
        loop = asyncio.get_running_loop()
        if upstream.scheme == "https":
            return await _over_tls(sock, _unverified(alpn), server_name or host, factory)
        if upstream.path:
            _, protocol = await loop.create_unix_connection(factory, sock=sock)
        else:
            _, protocol = await loop.create_connection(factory, sock=sock)
        return protocol

    return await _dial(upstream, first, opened)


async def _over_tls(sock: socket.socket, context: ssl.SSLContext, name: str, factory: Callable[[], P]) -> P:
    encrypted = await shake_hands(context, sock, name)
    try:
        protocol = factory()
        TlsTransport(asyncio.get_running_loop(), encrypted, protocol)
    except BaseException:
        encrypted.close()
        raise
    return protocol


async def connect_socket(upstream: Upstream, *, first: str = "") -> tuple[socket.socket, str]:
    """As `connect`, for somebody who moves bytes himself: the connected socket, which does not block. No TLS."""

    async def opened(sock: socket.socket, host: str) -> socket.socket:
        await _establish(upstream, host, sock)
        return sock

    return await _dial(upstream, first, opened)


async def _dial(
    upstream: Upstream, first: str, opened: Callable[[socket.socket, str], Coroutine[Any, Any, T]]
) -> tuple[T, str]:
    """What `opened` makes of the first address that takes the connection, and that address. Raises DialError."""
    tried: list[tuple[str, str]] = []
    timeout = exhausted = False
    other_user = ""
    for host in _in_order(upstream, first):
        try:
            sock = _unix_socket() if upstream.path else _begun(upstream, host)
            async with asyncio.timeout(CONNECT_TIMEOUT):
                try:
                    return await opened(sock, host), host
                except BaseException:
                    sock.close()
                    raise
        except TimeoutError:
            timeout = True
            tried.append((upstream.place(host), f"no answer to a connect within {CONNECT_TIMEOUT:g} s"))
        except _OtherUserError as error:
            other_user = error.user
            tried.append((upstream.place(host), str(error)))
        except OSError as error:
            exhausted = exhausted or error.errno in _NO_DESCRIPTORS
            tried.append((upstream.place(host), _reason(error)))
    raise DialError(tried, timeout=timeout, exhausted=exhausted, other_user=other_user)


def _in_order(upstream: Upstream, first: str) -> list[str]:
    if upstream.path:
        return [upstream.path]
    return sorted(upstream.hosts, key=lambda host: host != first)


def _unix_socket() -> socket.socket:
    if sys.platform == "win32":
        raise OSError(errno.EAFNOSUPPORT, "unix sockets are not reached on Windows")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock


def _begun(upstream: Upstream, host: str) -> socket.socket:
    """A socket that connects, or has. Raises OSError where that is refused, which loopback tells at once: no task, and
    no turn of the loop, for a service that is down."""
    port = upstream.port
    if not is_loopback(host):
        raise OSError("not an address of this machine's loopback")
    if not upstream.any_user and (uid := other_listener(host, port)) is not None:
        raise _OtherUserError(uid)
    sock = socket.socket(family_of(host), socket.SOCK_STREAM, socket.IPPROTO_TCP)  # which asyncio does not delay
    try:
        sock.setblocking(False)
        bound_buffers(sock)
        if sys.platform != "win32":  # its loops begin to connect themselves, or not at all
            code = sock.connect_ex((host, port))
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if code == errno.EINPROGRESS else code
            if code:
                raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


async def _establish(upstream: Upstream, host: str, sock: socket.socket) -> None:
    """Have the socket be connected, to the service and to nobody else. Raises OSError."""
    if upstream.path:
        await _connect_unix(sock, upstream.path)
    elif not _is_connected(sock):
        await asyncio.get_running_loop().sock_connect(sock, (host, upstream.port))
    _refuse_ourselves(sock)
    if not upstream.any_user and (uid := other_peer(sock)) is not None:
        raise _OtherUserError(uid)


async def _connect_unix(sock: socket.socket, path: str) -> None:
    """connect(2) says EAGAIN where the backlog is full: no connect goes on then, and nothing tells of room. The loops
    take that for one that goes on, and an unconnected socket for the connected one."""
    while code := sock.connect_ex(path):
        if code != errno.EAGAIN:
            raise OSError(code, os.strerror(code))
        await asyncio.sleep(_ROOM_EVERY)


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _refuse_ourselves(sock: socket.socket) -> None:
    """A connect from an ephemeral port to itself succeeds when nobody listens there (TCP simultaneous open)."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    try:
        peer = sock.getpeername()
    except OSError:  # it was reset already: whoever reads from it will find out
        return
    if peer == sock.getsockname():
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


@lru_cache(4)
def _unverified(alpn: tuple[str, ...]) -> ssl.SSLContext:
    """TLS towards a service on this machine: its certificate is self-signed more often than not."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(alpn))
    return context


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens there"
    if isinstance(error, FileNotFoundError):
        return "there is no such socket file"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, ssl.SSLError):
        return f"no TLS there ({error.reason or error})"
    return (os.strerror(error.errno) if error.errno else str(error)).lower()
