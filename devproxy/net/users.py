"""Whose program may answer for a service: another ordinary user of this machine is not believed.

Loopback TCP knows no users: whoever comes first gets a port, and where a service listens on 127.0.0.1 alone, anybody
may take the same port on ::1. But the kernel knows who opened each socket (`net/sockdiag.py`), and of a unix socket who
began to listen on it (SO_PEERCRED, unix(7)).

Trusted are the user that devproxy runs as, root, and, where root runs it by sudo, whoever typed that. Everybody else is
another user, system accounts too. What cannot be told is not held against anybody: other systems than Linux tell
nobody but root, and behind a NAT rule, which root alone can set, no listener of this network namespace answers.
"""

import os
import struct
import sys
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from devproxy.net import sockdiag
from devproxy.paths import sudo_caller

if TYPE_CHECKING:
    import socket

_CREDENTIALS = struct.Struct("=iII")  # struct ucred: pid, uid, gid


@cache
def _trusted() -> frozenset[int]:
    if sys.platform == "win32":
        return frozenset()
    caller = sudo_caller()
    return frozenset((0, os.geteuid(), *(() if caller is None else (caller,))))


def is_other_user(uid: int) -> bool:
    """Whether a socket of `uid` is another ordinary user's."""
    return uid not in _trusted()


@lru_cache(maxsize=256)
def user_name(uid: int) -> str:
    """The login name, or the number where there is none (a container's user)."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def other_listener(host: str, port: int) -> int | None:
    """The uid of the other user at whose socket a connection to `host` and `port` would end, None if there is none."""
    uid = sockdiag.listener_uid(host, port)
    return uid if uid is not None and is_other_user(uid) else None


def other_peer(sock: "socket.socket") -> int | None:
    """The uid of the other user at whose socket the connection `sock` has ended, None if there is none.

    Of TCP the listener is asked for, and where there is none any more (it took one connection, and closed) the
    connection's other end.
    """
    if sys.platform == "win32":
        return None
    from socket import AF_UNIX  # whoever has a socket has loaded it; `devproxy ls` has none

    uid = _of_unix(sock) if sock.family == AF_UNIX else _of_tcp(sock)
    return uid if uid is not None and is_other_user(uid) else None


def _of_unix(sock: "socket.socket") -> int | None:
    if sys.platform != "linux":
        return None
    from socket import SO_PEERCRED, SOL_SOCKET

    try:
        credentials = sock.getsockopt(SOL_SOCKET, SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return None
    uid: int = _CREDENTIALS.unpack(credentials)[1]
    return uid


def _of_tcp(sock: "socket.socket") -> int | None:
    try:
        peer, local = sock.getpeername()[:2], sock.getsockname()[:2]
    except OSError:  # it was reset already: nobody reads what is sent
        return None
    uid = sockdiag.listener_uid(*peer)
    return sockdiag.peer_uid(local, peer) if uid is None else uid
