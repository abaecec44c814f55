"""The Linux kernel's own socket table, asked over netlink: sock_diag(7), `linux/inet_diag.h`.

Lives here: the packing of a request, the reading of its answer, and the questions devproxy asks: which TCP
sockets listen, and what of the other end of a loopback connection: does anybody still hold it, whose is it, and how
much has come there that was not read.
Not here: which process a socket belongs to (`health/scanner.py`), what a listener means
(`health/exposure.py`), which users are trusted (`net/users.py`), other systems: off Linux `listeners` raises OSError,
and `peer_is_orphan`, `listener_uid` and `peer_uid` say None.

How it works: a request is `nlmsghdr` (16 bytes) and `inet_diag_req_v2` (56), an answer `nlmsghdr`,
`inet_diag_msg` (72) and attributes. The kernel filters a dump by state, so that 10,000 open connections cost
a dump of the listeners nothing. An exact lookup (no NLM_F_DUMP) is answered within the send itself, so a
non-blocking read right after it always has the answer: microseconds, and nothing that could hold up an event
loop.
"""

import _socket as socket  # what `socket` is made of: its enums and selectors take `devproxy ls` two milliseconds
import errno
import itertools
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import msgspec

Endpoint = tuple[str, int] | tuple[str, int, int, int]

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_INET_DIAG_SKV6ONLY = 11
_ESTABLISHED, _SYN_RECV, _CLOSE_WAIT, _LISTEN = 1, 3, 8, 10
_NO_COOKIE = 0xFFFFFFFF
_DUMP_TIMEOUT = 2.0  # seconds; the kernel answers at once, this only guards against never

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port id
# family, protocol, ext, states | sport and dport, src, dst, if, cookie
_REQUEST = struct.Struct("=BBBxI4s16s16sIII")
# family, state, timer, retrans | sport, dport, src, dst, if, cookie | expires, rqueue, wqueue, uid, inode
_ANSWER = struct.Struct("=BBBB2s2s16s16sIIIIIIII")
_ATTRIBUTE = struct.Struct("=HH")  # length with this head, type

_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_LO = 1  # the index of the loopback device in every network namespace: sockets may be bound to it (SO_BINDTODEVICE)
_MAPPED = b"\0" * 10 + b"\xff\xff"
_ONE6 = b"\0" * 15 + b"\1"


class RawListener(msgspec.Struct, frozen=True):
    """A TCP socket that listens, as the kernel tells it.

    `family` is AF_INET or AF_INET6, `v6only` None when the kernel did not say, `interface` the index of the
    device the socket is bound to or scoped by (0: none), `inode` the number in the `socket:[inode]` of
    `/proc/<pid>/fd`.
    """

    address: str
    port: int
    family: int
    inode: int
    uid: int
    v6only: bool | None
    interface: int

    @property
    def device(self) -> str | None:
        """The name of that device, its index where it has gone since; None for none."""
        if not self.interface:
            return None
        try:
            return socket.if_indextoname(self.interface)
        except OSError:
            return str(self.interface)


class _Found(msgspec.Struct, frozen=True):
    state: int
    unread: int
    uid: int
    inode: int


def listeners() -> list[RawListener]:
    """Every listening TCP socket of this network namespace, IPv4 first. Needs no rights.

    Raises OSError where the kernel has no sock_diag (not Linux, the module is missing, a sandbox forbids it).
    """
    found: list[RawListener] = []
    with closing(_open()) as channel:
        channel.settimeout(_DUMP_TIMEOUT)
        for family in _FAMILIES:
            found.extend(_listener(payload) for payload in _dump(channel, family, 1 << _LISTEN))
    return found


def established(*, local: int = 0, remote: int = 0) -> list[int]:
    """The inodes of established TCP connections with these ports; 0 stands for any. Blocks. Raises OSError as above."""
    ports = struct.pack(">HH", local, remote)
    with closing(_open()) as channel:
        channel.settimeout(_DUMP_TIMEOUT)
        found = [payload for family in _FAMILIES for payload in _dump(channel, family, 1 << _ESTABLISHED, ports)]
    return [int(_ANSWER.unpack_from(payload)[-1]) for payload in found]


class ListenerTable:
    """Tells whether the listeners have changed since it was last asked, for a tenth of what reading them costs.

    The kernel's answer is kept as bytes and compared: it is the same as long as nobody begins or ends to listen, but
    for the connections that wait in a queue to be accepted.
    """

    def __init__(self) -> None:
        self._channel: socket.socket | None = None
        self._last = b""

    def changed(self) -> bool:
        """Whether anything may be different. Blocks for some 0.2 ms. Raises OSError as `listeners` does."""
        if self._channel is None:
            self._channel = _open()
            self._channel.settimeout(_DUMP_TIMEOUT)
        try:
            now = b"".join(answer for family in _FAMILIES for answer in _answers(self._channel, family, 1 << _LISTEN))
        except OSError:
            self.close()
            raise
        before, self._last = self._last, now
        return now != before

    def close(self) -> None:
        """Let go of the socket; the next question opens another, and finds everything changed."""
        if self._channel is not None:
            self._channel.close()
        self._channel, self._last = None, b""


def peer_is_orphan(local: Endpoint, peer: Endpoint) -> bool | None:
    """Whether the other end of a loopback TCP connection has been closed by whoever had it.

    `local` and `peer` are `getsockname()` and `getpeername()` of our end. True: no process holds it any more
    (closed, killed, reset). False: a process does, even if it has sent its FIN (`shutdown`). None: cannot be
    told (not Linux, not permitted, not a loopback connection). Never raises, never blocks.
    """
    asked, found = _lookup.other_end(local, peer)
    return _is_orphan(found) if asked else None


def peer_unread(local: Endpoint, peer: Endpoint) -> int:
    """Bytes that have come to the other end of a loopback TCP connection and were not read there; 0 where that cannot
    be told. Never raises, never blocks."""
    _, found = _lookup.other_end(local, peer)
    return 0 if found is None or found.state == _LISTEN else found.unread


def listener_uid(host: str, port: int) -> int | None:
    """Who opened the socket that a connection from this machine to `host` (loopback) and `port` ends at, as the kernel
    itself looks it up: the nearest address wins. None: nobody listens there, or it cannot be told. Never blocks.
    """
    _, found = _lookup.other_end((host, 0), (host, port))
    return found.uid if found is not None and found.state == _LISTEN else None


def peer_uid(local: Endpoint, peer: Endpoint) -> int | None:
    """Who accepted a loopback connection, of which we have the end `local`. None: nobody has yet, or as above."""
    _, found = _lookup.other_end(local, peer)
    return found.uid if found is not None and (found.inode or found.state == _LISTEN) else None


class _Lookup:
    """One cached netlink socket for exact lookups; a lock, since the monitor may ask from a thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channel: socket.socket | None = None
        self._usable = sys.platform == "linux"
        self._sequence = itertools.count(1)

    def other_end(self, local: Endpoint, peer: Endpoint) -> tuple[bool, _Found | None]:
        """Whether the kernel could be asked, and the socket at `peer` that is connected to `local`, if there is one."""
        if not self._usable:
            return False, None
        try:
            request = _exact(peer, local)
            if request is None:
                return False, None
            with self._lock:
                return True, self._ask(request)
        except (OSError, ValueError, struct.error):
            return False, None

    def _ask(self, body: bytes) -> _Found | None:
        """The socket's state and inode, None if there is no such socket; OSError if nothing is said."""
        channel = self._channel or self._connect()
        sequence = next(self._sequence) & 0xFFFFFFFF
        channel.send(_message(_NLM_F_REQUEST, sequence, body))
        while True:
            answer = channel.recv(4096)
            _, kind, _, its_sequence, _ = _HEADER.unpack_from(answer)
            if its_sequence == sequence:  # anything else is the late answer to a question given up
                break
        if kind == _NLMSG_ERROR:
            code = _error_code(answer, _HEADER.size)
            if code == errno.ENOENT:
                return None
            raise OSError(code, "sock_diag lookup")
        fields = _ANSWER.unpack_from(answer, _HEADER.size)
        return _Found(state=fields[1], unread=fields[-4], uid=fields[-2], inode=fields[-1])

    def _connect(self) -> socket.socket:
        """Open once, and prove with an empty dump that the kernel knows TCP here.

        A kernel without the tcp_diag module says ENOENT, the same as for a socket that is gone.
        """
        channel = _open()
        try:
            channel.settimeout(_DUMP_TIMEOUT)
            for family in _FAMILIES:
                for _ in _dump(channel, family, 0):
                    pass
            channel.setblocking(False)
        except OSError:
            self._usable = False
            channel.close()
            raise
        self._channel = channel
        return channel


def _is_orphan(found: _Found | None) -> bool:
    if found is None or found.state == _LISTEN:  # no such connection: the kernel falls back to a listener there
        return True
    if found.state in (_ESTABLISHED, _SYN_RECV, _CLOSE_WAIT):  # open; inode 0 here means not accept()ed yet
        return False
    return found.inode == 0


def _exact(source: Endpoint, destination: Endpoint) -> bytes | None:
    """The lookup of the socket at `source` connected to `destination`; None unless both are on loopback."""
    family, src = _packed(source[0])
    other, dst = _packed(destination[0])
    if family != other or not (_loopback(src) and _loopback(dst)):
        return None
    ports = struct.pack(">HH", source[1], destination[1])
    return _request(family, 0, ports, src, dst, interface=_LO)


def _packed(address: str) -> tuple[int, bytes]:
    if ":" not in address:
        return socket.AF_INET, socket.inet_pton(socket.AF_INET, address)
    packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    if packed.startswith(_MAPPED):  # the kernel files such a connection under IPv4
        return socket.AF_INET, packed[12:]
    return socket.AF_INET6, packed


def _loopback(packed: bytes) -> bool:
    return packed[0] == 127 if len(packed) == 4 else packed == _ONE6


def _request(
    family: int, states: int, ports: bytes = b"", src: bytes = b"", dst: bytes = b"", *, interface: int = 0
) -> bytes:
    """`ports` is source and destination port, big-endian; what is left out is zeros, which asks for any."""
    return _REQUEST.pack(family, socket.IPPROTO_TCP, 0, states, ports, src, dst, interface, _NO_COOKIE, _NO_COOKIE)


def _message(flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, flags, sequence, 0) + body


def _dump(channel: socket.socket, family: int, states: int, ports: bytes = b"") -> Iterator[bytes]:
    """The payload of each `inet_diag_msg` of a dump; OSError if the kernel refuses."""
    for answer in _answers(channel, family, states, ports):
        yield from (payload for kind, payload in _messages(answer) if kind != _NLMSG_DONE)


def _answers(channel: socket.socket, family: int, states: int, ports: bytes = b"") -> Iterator[bytes]:
    """The reads of a dump. The message that ends it comes last in its read, whether alone or behind others."""
    channel.send(_message(_NLM_F_REQUEST | _NLM_F_DUMP, 0, _request(family, states, ports)))
    while True:
        answer = channel.recv(1 << 17)
        kind = _HEADER.unpack_from(answer)[1]
        if kind == _NLMSG_ERROR:
            raise OSError(_error_code(answer, _HEADER.size), "sock_diag dump")
        yield answer
        if kind == _NLMSG_DONE or _ends_dump(answer):
            return


def _ends_dump(answer: bytes) -> bool:
    """Whether the last message of a read is NLMSG_DONE, whose payload is a status of 4 bytes (netlink(7))."""
    last = len(answer) - _HEADER.size - 4
    return last >= 0 and _HEADER.unpack_from(answer, last)[:2] == (_HEADER.size + 4, _NLMSG_DONE)


def _messages(answer: bytes) -> Iterator[tuple[int, bytes]]:
    """Netlink messages of one read, aligned to 4 bytes: (type, payload)."""
    offset = 0
    while offset + _HEADER.size <= len(answer):
        length, kind, *_ = _HEADER.unpack_from(answer, offset)
        if length < _HEADER.size:
            return
        yield kind, answer[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def _listener(payload: bytes) -> RawListener:
    family, _, _, _, sport, _, src, _, interface, _, _, _, _, _, uid, inode = _ANSWER.unpack_from(payload)
    address = socket.inet_ntop(family, src[:4] if family == socket.AF_INET else src)
    (port,) = struct.unpack(">H", sport)
    v6only = None
    for kind, value in _attributes(payload[_ANSWER.size :]):
        if kind == _INET_DIAG_SKV6ONLY and value:
            v6only = value[0] != 0
    return RawListener(address, port, family, inode, uid, v6only, interface)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Netlink attributes (type, value), each aligned to 4 bytes."""
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind, data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


def _error_code(data: bytes, offset: int) -> int:
    (code,) = struct.unpack_from("=i", data, offset)
    return -int(code)


def _open() -> socket.socket:
    if sys.platform != "linux":
        raise OSError(errno.EOPNOTSUPP, "sock_diag is Linux only")
    channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
    with suppress(OSError):
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    return channel


_lookup = _Lookup()
