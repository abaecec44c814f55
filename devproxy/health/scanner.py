"""Who listens on this machine: every listening TCP socket with the process behind it.

How it works: one scan serves all services, and a scanner remembers what it has found out. On Linux sock_diag lists the
listeners (a millisecond beside thousands of connections, no rights needed). The process behind a socket is asked for
only when its inode is new: one walk over `/proc/*/fd` (proc(5)) finds the processes of all new inodes. On a later scan
one readlink a listener tells whether its process still holds it. Elsewhere psutil gives both; there a listener whose
(address, port, pid) is known is not asked about again. Where rights are missing the rest still works, and `gap` says
what is not known.
Not here: what a listener means (`exposure.py`), netlink (`net/sockdiag.py`), the table without processes
(`socket_table.py`).
"""
# ruff: noqa: PTH115, PTH123, PTH208  (thousands of files of /proc are looked at; pathlib would cost more than the rest)

import contextlib
import ipaddress
import os
import socket
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import psutil

from devproxy.addresses import is_loopback
from devproxy.health.model import Family, Interface, Listener, Process, Scan
from devproxy.net import sockdiag
from devproxy.net.sockdiag import ListenerTable, RawListener
from devproxy.net.users import is_other_user, user_name
from devproxy.paths import is_root
from devproxy.storage.process_identity import parent_of

GENERATIONS = 5  # how many parents are worth a look: npx → npm → sh → node → node
_DENIED = "it belongs to another user, whose processes only root may look into: run it with sudo to see the process"
_DENIED_TO_ROOT = "its process cannot be looked into, not even by root here (a container without CAP_SYS_PTRACE)"
_NOBODY = "no process of this machine holds it that can be seen from here (the kernel, or another PID namespace)"


class Holder(NamedTuple):
    """A process and the descriptor by which it holds a socket."""

    pid: int
    descriptor: str


class SocketHolders(NamedTuple):
    """Which processes hold which inode; `denied` if some process could not be looked into."""

    held: Mapping[int, tuple[Holder, ...]]
    denied: bool


class _Known(NamedTuple):
    listener: Listener
    holder: Holder | None  # None: no process could be found


class Scanner:
    """Scans the machine and remembers what a scan has found out; not thread-safe, one for each loop that scans."""

    def __init__(self) -> None:
        self._known: dict[RawListener, _Known] = {}
        self._portable = _PortableScanner()
        self._table = ListenerTable()

    def changed(self) -> bool:
        """Whether some listener came or went since this was asked before, as far as the system tells for next to
        nothing (0.2 ms with 500 listeners). Raises OSError where it does not: not Linux, or a sandbox.
        """
        return self._table.changed()

    def scan(self, ports: Collection[int] | None = None) -> Scan:
        """The listeners and interfaces as they are now; of `ports` alone if they are given.

        Blocks for about a millisecond, longer after a change.
        """
        try:
            raw = sockdiag.listeners()
        except OSError:  # not Linux, or a sandbox: psutil reads what it can
            return self._portable.scan(ports)
        if ports is not None:
            raw = [one for one in raw if one.port in ports]
        self._refresh(raw)
        return Scan(listeners=_sorted(self._known[one].listener for one in raw), interfaces=interfaces())

    def close(self) -> None:
        """Let go of what is open."""
        self._table.close()

    def _refresh(self, raw: list[RawListener]) -> None:
        """Make `_known` hold exactly `raw`; /proc is walked only if something is new or its process let go."""
        current = set(raw)
        stale = {one for one, known in self._known.items() if known.holder and not still_holds(known.holder, one.inode)}
        self._known = {one: known for one, known in self._known.items() if one in current}
        if not stale and len(self._known) == len(current):
            return
        unresolved = {one for one, known in self._known.items() if known.holder is None}
        asked = (current - self._known.keys()) | (stale & current) | unresolved
        found = holders({one.inode for one in asked})
        for one in asked:
            holding = found.held.get(one.inode, ())
            process = process_of(holding, found.denied)
            self._known[one] = _Known(_listener(one, process), holding[0] if holding else None)


def _sorted(listeners: Iterable[Listener]) -> tuple[Listener, ...]:
    return tuple(sorted(listeners, key=lambda one: (one.port, one.family, one.address, one.pid or 0)))


def _family(family: int) -> Family:
    return "ipv6" if family == socket.AF_INET6 else "ipv4"


def interfaces() -> tuple[Interface, ...]:
    """Every interface with its IPv4 and IPv6 addresses (zones removed), in the system's order."""
    indices = {name: index for index, name in socket.if_nameindex()}
    return tuple(
        _interface(name, indices.get(name, 0), [entry.address for entry in entries])
        for name, entries in psutil.net_if_addrs().items()
    )


def _interface(name: str, index: int, texts: list[str]) -> Interface:
    addresses = tuple(text.partition("%")[0] for text in texts if _is_address(text))
    return Interface(name, index, addresses, any(is_loopback(address) for address in addresses))


def _is_address(text: str) -> bool:
    """Whether it is an IP literal; psutil lists link-layer addresses too."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


# Linux: the processes that hold a socket


def _listener(raw: RawListener, process: Process) -> Listener:
    return Listener(
        address=raw.address,
        port=raw.port,
        family=_family(raw.family),
        v6only=raw.v6only,
        device=raw.device,
        user=user_name(raw.uid),
        is_other_user=is_other_user(raw.uid),
        seen_by_root=is_root(),
        process=process,
    )


def holders(inodes: set[int]) -> SocketHolders:
    """Every process that holds one of the socket `inodes`, by inode, the one that the others descend from first."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    held: dict[int, list[Holder]] = {}
    denied = False
    for pid in (entry for entry in os.listdir("/proc") if entry.isdigit()) if wanted else ():
        try:
            for target, descriptor in descriptors(pid):
                if target in wanted:
                    held.setdefault(wanted[target], []).append(Holder(int(pid), descriptor))
        except PermissionError:
            denied = True
        except OSError:  # it has ended
            continue
    return SocketHolders({inode: _eldest_first(found) for inode, found in held.items()}, denied)


def still_holds(holder: Holder, inode: int) -> bool:
    """Whether the process still has that socket there: one readlink, which also notices a pid used again."""
    try:
        return os.readlink(f"/proc/{holder.pid}/fd/{holder.descriptor}") == f"socket:[{inode}]"
    except OSError:
        return False


def process_of(holding: Iterable[Holder], denied: bool) -> Process:
    """What is known of a socket's processes; `denied` says whether rights could be why there are none."""
    pids = tuple(holder.pid for holder in holding)
    if not pids:
        return Process(gap=(_DENIED_TO_ROOT if is_root() else _DENIED) if denied else _NOBODY)
    argv = command_line(pids[0])
    return Process(
        pids=pids,
        argv=argv,
        folder=_folder(pids[0]),
        parents=tuple(_parents(pids[0])),
        gap="" if argv is not None else f"the command line of process {pids[0]} cannot be read",
    )


def command_line(pid: int) -> tuple[str, ...] | None:
    """A process's arguments as they are now (a server may have overwritten them), None if it has none to read."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            text = file.read().rstrip(b"\0")
    except OSError:
        return None
    return tuple(os.fsdecode(part) for part in text.split(b"\0")) if text else None


def _folder(pid: int) -> str:
    """Where the process runs, empty where that cannot be read; of a folder that is gone the name it had."""
    try:
        return os.readlink(f"/proc/{pid}/cwd").removesuffix(" (deleted)")
    except OSError:
        return ""


def descriptors(pid: str) -> Iterable[tuple[str, str]]:
    """What each descriptor of a process is, and its number, as text (proc_pid_fd(5)). Raises OSError."""
    folder = f"/proc/{pid}/fd"
    for descriptor in os.listdir(folder):
        try:
            yield os.readlink(f"{folder}/{descriptor}"), descriptor
        except FileNotFoundError:  # closed meanwhile
            continue


def _eldest_first(found: list[Holder]) -> tuple[Holder, ...]:
    """Pre-forked workers inherit the socket: the first is the one whose parent does not hold it."""
    pids = {holder.pid for holder in found}
    return tuple(sorted(found, key=lambda holder: (parent_of(holder.pid) in pids, holder.pid)))


def _parents(pid: int) -> Iterable[tuple[str, ...]]:
    for _ in range(GENERATIONS):
        pid = parent_of(pid)
        if pid <= 1:
            return
        if argv := command_line(pid):
            yield argv


# Every other system, by psutil


class _PortableScanner:
    """The same from psutil: macOS, Windows, and a Linux whose sandbox forbids netlink."""

    def __init__(self) -> None:
        self._known: dict[_Bound, Listener] = {}

    def scan(self, ports: Collection[int] | None) -> Scan:
        rows, gap = _connections()
        pids: dict[tuple[int, str, int], set[int]] = {}
        for family, address, port, pid in rows:
            if ports is not None and port not in ports:
                continue
            # Pre-forked workers share a socket: one listener, several pids.
            pids.setdefault((family, address, port), set()).update(() if pid is None else (pid,))
        bound = [_Bound(*place, frozenset(its_pids)) for place, its_pids in pids.items()]
        self._known = {one: self._known.get(one) or _portable_listener(one) for one in bound}
        return Scan(listeners=_sorted(self._known.values()), interfaces=interfaces(), gap=gap)


class _Bound(NamedTuple):
    family: int
    address: str
    port: int
    pids: frozenset[int]


def _portable_listener(bound: _Bound) -> Listener:
    address, _, zone = bound.address.partition("%")
    process, user = _portable_process(bound.pids)
    return Listener(
        address=address,
        port=bound.port,
        family=_family(bound.family),
        device=zone or None,
        user=user,
        process=process,
    )


def _connections() -> tuple[list[tuple[int, str, int, int | None]], str]:
    """(family, address, port, pid) of every listener psutil can see, and a sentence about those it cannot."""
    try:
        return [
            (one.family, one.laddr.ip, one.laddr.port, one.pid)
            for one in psutil.net_connections("tcp")
            if one.status == psutil.CONN_LISTEN and one.laddr
        ], ""
    except (psutil.AccessDenied, PermissionError):  # macOS: the whole table needs root, one's own processes do not
        return _own_connections(), f"listeners of other users cannot be seen on {sys.platform} without root (sudo)"


def _own_connections() -> list[tuple[int, str, int, int | None]]:
    rows: list[tuple[int, str, int, int | None]] = []
    for process in psutil.process_iter():
        try:
            rows.extend(
                (one.family, one.laddr.ip, one.laddr.port, process.pid)
                for one in process.net_connections("tcp")
                if one.status == psutil.CONN_LISTEN and one.laddr
            )
        except psutil.Error:  # another user's, or gone
            continue
    return rows


def _portable_process(pids: frozenset[int]) -> tuple[Process, str | None]:
    if not pids:
        return Process(gap=_DENIED_TO_ROOT if is_root() else _DENIED), None
    ordered = tuple(sorted(pids))  # the lowest is the parent, but for a pid counter that has wrapped
    try:
        process = psutil.Process(ordered[0])
        user, argv = process.username(), tuple(process.cmdline())
    except psutil.Error as error:
        return Process(pids=ordered, gap=f"process {ordered[0]} cannot be read: {error}"), None
    folder = ""
    with contextlib.suppress(psutil.Error):
        folder = process.cwd()
    return Process(pids=ordered, argv=argv, folder=folder, parents=tuple(_portable_parents(process))), user


def _portable_parents(process: psutil.Process) -> Iterable[tuple[str, ...]]:
    for parent in process.parents()[:GENERATIONS]:
        try:
            yield tuple(parent.cmdline())
        except psutil.Error:  # another user's, or gone
            return
