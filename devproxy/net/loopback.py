"""The only sockets that devproxy listens on.

Lives here: taking a port (the one asked for; or the standard one, else a fallback), binding it on 127.0.0.1 and
::1, or for a TCP service where it is to be reached, whether that could be done (`is_free`), and taking over sockets
that systemd holds (sd_listen_fds(3)), each for the scheme that its name (`FileDescriptorName=`), else its port, says.
Not here: which ports those are (`net/endpoints.py`), which addresses are loopback (`devproxy/addresses.py`), what is
served on the sockets (`proxy/`, `tcp/`), who listens elsewhere (`health/`), connecting (`net/dial.py`), who holds a
port that is taken (`net/port_owner.py`), and the one other bind(): the proof of exposure binds the near end of the
connections that it makes, and never listens (`health/reachability.py`).

HTTP and HTTPS listen on the addresses of `LOOPBACKS` and nowhere else; they are no parameter of `listen`. A TCP service
may have an address of its own (`listen_at`): one that is not loopback is refused before anything is bound to it, so
there is nothing that a setting, a flag or an environment variable could widen. What was bound is read back
(`getsockname`) and checked all the same.

A port is ours only if both families give it to us. With one of them somebody else's, half of the clients
(those that try the other address first) would talk to a stranger.
"""

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import msgspec

from devproxy.addresses import LOOPBACKS, is_loopback
from devproxy.errors import DevproxyError, Exit
from devproxy.net.endpoints import HTTP, HTTPS, Endpoint
from devproxy.net.port_owner import holder
from devproxy.net.sockets import bound_buffers, family_of
from devproxy.paths import as_root
from devproxy.registry.model import ListenAddress
from devproxy.text import bracketed, host_port

BACKLOG = 4096  # the kernel bounds it by net.core.somaxconn (listen(2))
FIRST_HANDED_OVER = 3  # SD_LISTEN_FDS_START
_ANY_PORT_ATTEMPTS = 20
_NO_SUCH_FAMILY = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}
_FORBIDDEN = {errno.EACCES, errno.EPERM}


class Listening(msgspec.Struct):
    """Sockets that listen for one scheme, all on `port` unless systemd handed over several; none, and port 0, where an
    optional endpoint could not be had. `notices` are for a person.
    """

    scheme: str
    sockets: list[socket.socket]
    port: int
    notices: list[str] = []

    @property
    def addresses(self) -> list[str]:
        """As a person writes them: `127.0.0.1:80`, `[::1]:80`."""
        return [_address_text(sock) for sock in self.sockets]

    def close(self) -> None:
        """Stop listening."""
        for sock in self.sockets:
            sock.close()


class _Unavailable(Exception):  # noqa: N818  (an answer of this module to itself)
    """A port that cannot be had: which address refused it, and with which errno."""

    def __init__(self, host: str, port: int, code: int):
        super().__init__(host, port, code)
        self.host = host
        self.port = port
        self.code = code

    @property
    def forbidden(self) -> bool:
        # Windows answers WSAEACCES for a port that another process holds for itself, too.
        return self.code in _FORBIDDEN

    def why(self) -> str:
        """`port 80 on [::1] is held by nginx (pid 12)`, or why the system does not give it."""
        where = f"port {self.port} on {bracketed(self.host)}"
        if self.code == errno.EADDRINUSE or sys.platform == "win32":
            return f"{where} is held by {holder(self.host, self.port)}"
        if self.forbidden:
            return f"{where} is not open to ordinary users on this system"
        return f"{where}: {os.strerror(self.code)}"

    def fix(self, endpoint: Endpoint) -> str:
        if not self.forbidden:
            choice = f"{endpoint.setting} = {endpoint.fallback} in registry.toml"
            return f"stop that process, or choose another port: {choice}"
        if sys.platform == "linux":
            lower = as_root(f"sysctl -w net.ipv4.ip_unprivileged_port_start={self.port}")
            return f"{lower}, or choose a port above 1023"
        return f"choose a port above 1023: {endpoint.setting} in registry.toml"


def listen_at(address: ListenAddress) -> Listening:
    """Listen where a TCP service is to be reached.

    Raises DevproxyError: the port cannot be had, and who holds it; the system does not have the address. Blocks:
    who holds a port is found in the table of all connections.
    """
    hosts = [host for host in address.hosts if is_loopback(host)]
    if len(hosts) != len(address.hosts):
        raise ValueError(f"not on loopback: {address}")
    try:
        return _listen_on("tcp", address.port, hosts)
    except _Unavailable as refusal:
        what = f"cannot listen on {host_port(refusal.host, refusal.port)}"
        raise DevproxyError(what, why=refusal.why(), fix=_fix_of_tcp(refusal)) from None


def _fix_of_tcp(refusal: _Unavailable) -> str:
    if refusal.code in _NO_SUCH_FAMILY:
        if sys.platform == "darwin":
            return as_root(f"ifconfig lo0 alias {refusal.host}")
        return 'leave out `address = "own"`, and write `listen = "auto"`'
    if not refusal.forbidden:
        return 'stop that process, or choose another port for `listen`, such as "auto"'
    if sys.platform == "linux":
        lower = as_root(f"sysctl -w net.ipv4.ip_unprivileged_port_start={refusal.port}")
        return f"{lower}, or choose a port above 1023 for `listen`"
    return "choose a port above 1023 for `listen`"


def is_free(port: int) -> bool:
    """Whether a service could listen on `port` on every loopback address that this machine has, at this moment."""
    try:
        _listen_on(HTTP.scheme, port).close()
    except (_Unavailable, OverflowError):
        return False
    return True


def listen(endpoint: Endpoint) -> Listening:
    """`listen_all` for one endpoint."""
    return listen_all([endpoint])[0]


def listen_all(endpoints: Sequence[Endpoint]) -> list[Listening]:
    """Listen for each endpoint, on both loopback addresses; to be called once, since what systemd hands over is taken.

    Sockets that systemd handed over come first. Raises DevproxyError, with nothing left open: where the port asked for
    (or both of the standard ones) cannot be had, naming who holds it; exit 4 where a socket handed over is not on
    loopback.
    """
    made: list[Listening] = []
    handed_over = _from_systemd()
    try:
        schemes = [_scheme_for(one, endpoints) for one in handed_over]
        for endpoint in endpoints:
            ours = [one.sock for one, scheme in zip(handed_over, schemes, strict=True) if scheme == endpoint.scheme]
            made.append(_take_over(ours, endpoint) if ours else _listen_for(endpoint))
        wanted = {endpoint.scheme for endpoint in endpoints}
        for one, scheme in zip(handed_over, schemes, strict=True):
            if scheme not in wanted:
                made[0].notices.append(f"systemd handed over port {one.port} for {scheme}, which is off: it is closed")
                one.sock.close()
    except BaseException:
        for listening in made:
            listening.close()
        for one in handed_over:
            one.sock.close()
        raise
    return made


def _listen_for(endpoint: Endpoint) -> Listening:
    if endpoint.port is not None:
        return _listen_asked(endpoint, endpoint.port)
    try:
        return _listen_on(endpoint.scheme, endpoint.standard)
    except _Unavailable as refusal:
        first = refusal
    try:
        listening = _listen_on(endpoint.scheme, endpoint.fallback)
    except _Unavailable as refusal:
        return _without(endpoint, first, refusal)
    fix = f" ({first.fix(endpoint)})" if first.forbidden else ""
    listening.notices.insert(0, f"listening on port {endpoint.fallback}, because {first.why()}{fix}")
    return listening


def _without(endpoint: Endpoint, first: _Unavailable, second: _Unavailable) -> Listening:
    """What there is where neither port can be had. Raises DevproxyError unless the endpoint is optional."""
    why = f"{first.why()}; {second.why()}"
    choice = f"{endpoint.setting} = {endpoint.fallback + 100} in registry.toml"
    if endpoint.optional:
        return Listening(endpoint.scheme, [], 0, [f"there is no {endpoint.scheme}: {why} (another port: {choice})"])
    raise DevproxyError(
        f"neither port {endpoint.standard} nor port {endpoint.fallback} can be had",
        why=why,
        fix=f"stop one of them, or choose a free port: {choice}",
    ) from None


def _listen_asked(endpoint: Endpoint, port: int) -> Listening:
    try:
        return _listen_on(endpoint.scheme, port) if port else _listen_on_any(endpoint.scheme)
    except _Unavailable as refusal:
        what = f"cannot listen on port {refusal.port}"
        raise DevproxyError(what, why=refusal.why(), fix=refusal.fix(endpoint)) from None


def _listen_on_any(scheme: str) -> Listening:
    """A port that is free on both families: the kernel chooses one on the first, the second may disagree."""
    for _ in range(_ANY_PORT_ATTEMPTS - 1):
        with contextlib.suppress(_Unavailable):
            return _listen_on(scheme, 0)
    return _listen_on(scheme, 0)


def _listen_on(scheme: str, port: int, hosts: Sequence[str] = LOOPBACKS) -> Listening:
    """Bind all of `hosts`, then listen on all. Raises _Unavailable, with nothing left open."""
    sockets: list[socket.socket] = []
    missing: list[str] = []
    try:
        for host in hosts:
            sock = _bind(host, port)
            if sock is None:
                missing.append(host)
                continue
            sockets.append(sock)
            port = port or sock.getsockname()[1]
        if not sockets:
            raise _Unavailable(hosts[0], port, errno.EADDRNOTAVAIL)
        for sock in sockets:
            _start(sock, port)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    notices = [f"this machine has no loopback address {host}: listening without it" for host in missing]
    return Listening(scheme, sockets, port, notices)


def _bind(host: str, port: int) -> socket.socket | None:
    """A bound socket that is checked to be on loopback; None where the machine does not have the address."""
    sock, family = None, family_of(host)
    try:
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if sys.platform == "win32":
            # There SO_REUSEADDR would let another process take the port over from under us.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # Past connections in TIME_WAIT must not keep us from starting again.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
    except OSError as error:
        if sock is not None:
            sock.close()
        if error.errno in _NO_SUCH_FAMILY:
            return None
        raise _Unavailable(host, port, error.errno or 0) from None
    _check(sock)
    return sock


def _start(sock: socket.socket, port: int) -> None:
    """listen(2): with SO_REUSEADDR two sockets may be bound to one address, but only one of them may listen."""
    bound_buffers(sock)
    try:
        sock.listen(BACKLOG)
    except OSError as error:
        raise _Unavailable(sock.getsockname()[0], port, error.errno or 0) from None
    sock.setblocking(False)


def _check(sock: socket.socket) -> None:
    """Close and refuse a socket that is not on a loopback address, whoever made it."""
    host = str(sock.getsockname()[0])
    if is_loopback(host):
        return
    text = _address_text(sock)
    sock.close()
    raise DevproxyError(
        f"refusing to listen on {text}",
        why="devproxy listens on loopback addresses only: anyone on the network could reach this one",
        fix="in the .socket unit: ListenStream=127.0.0.1:80 and ListenStream=[::1]:80 (443 for https)",
        exit_code=Exit.REFUSED,
    )


class _HandedOver(NamedTuple):
    """A socket of systemd's, and its name there (`FileDescriptorName=`; the unit's name without one)."""

    name: str
    sock: socket.socket

    @property
    def port(self) -> int:
        return int(self.sock.getsockname()[1])


def _from_systemd() -> list[_HandedOver]:
    """The sockets of `LISTEN_FDS`, if they are meant for this process; the variables are unset either way."""
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    os.environ.pop("LISTEN_PIDFDID", None)
    if sys.platform == "win32" or pid != str(os.getpid()) or not count.isdecimal():
        return []
    found: list[_HandedOver] = []
    try:
        for index in range(int(count)):  # one by one: an absurd count fails at the first one that is not there
            sock = _adopt(FIRST_HANDED_OVER + index)
            found.append(_HandedOver(names[index] if index < len(names) else "", sock))
    except BaseException:
        for one in found:
            one.sock.close()
        raise
    return found


def _scheme_for(one: _HandedOver, endpoints: Sequence[Endpoint]) -> str:
    """What a socket is for: its name says so, else its port does; one that nothing speaks for is http."""
    if one.name in (HTTP.scheme, HTTPS.scheme):
        return one.name
    asked = (endpoint.scheme for endpoint in endpoints if endpoint.port == one.port)
    usual = (endpoint.scheme for endpoint in (HTTP, HTTPS) if one.port in (endpoint.standard, endpoint.fallback))
    return next(chain(asked, usual), HTTP.scheme)


def _adopt(descriptor: int) -> socket.socket:
    """One descriptor as a socket. Raises DevproxyError (exit 4) unless it is TCP, listens, and on loopback."""
    try:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
        accepts = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise _not_ours(descriptor, f"it is no socket ({error.strerror})") from None
    if sock.family not in {socket.AF_INET, socket.AF_INET6} or sock.type != socket.SOCK_STREAM:
        raise _not_ours(descriptor, "it is no TCP socket")
    if not accepts:
        raise _not_ours(descriptor, "it does not listen (Accept=yes hands over connections instead)")
    _check(sock)
    sock.setblocking(False)
    return sock


def _not_ours(descriptor: int, why: str) -> DevproxyError:
    return DevproxyError(
        f"descriptor {descriptor}, handed over by systemd (LISTEN_FDS), is of no use",
        why=why,
        fix="in the .socket unit: ListenStream=127.0.0.1:80, ListenStream=[::1]:80 and Accept=no",
        exit_code=Exit.REFUSED,
    )


def _take_over(sockets: Sequence[socket.socket], endpoint: Endpoint) -> Listening:
    port = int(sockets[0].getsockname()[1])
    listening = Listening(endpoint.scheme, list(sockets), port)
    if endpoint.port not in {None, 0, port}:
        listening.notices.append(f"systemd handed over port {port}: that is used, not port {endpoint.port}")
    for host in LOOPBACKS:
        if all(sock.family != family_of(host) for sock in sockets):
            missing = host_port(host, port)
            listening.notices.append(
                f"systemd handed over no socket on {missing}, where any other program may answer instead; "
                f"add ListenStream={missing} to the .socket unit"
            )
    return listening


def _address_text(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return host_port(host, port)
