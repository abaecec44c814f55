"""Who listens on this machine: every listening TCP socket with the process behind it.

Lives here: the scan, and the cache that makes it cheap. One scan serves all services.
Not here: what a listener means (`exposure.py`), reading /proc (`storage/process_identity.py`), netlink (`net/sockdiag.py`).

How it works: on Linux sock_diag lists the listeners (a millisecond beside thousands of connections, no rights
needed). The process behind a socket is asked for only when its inode is new: one walk over `/proc/*/fd` finds
the processes of all new inodes. On a later scan one readlink a listener tells whether its process still holds
it. Elsewhere psutil gives both; there a listener whose (address, port, pid) is known is not asked about
again. Where rights are missing the rest still works, and `gap` says what is not known.
"""

import contextlib
import socket
import sys
from collections.abc import Collection, Iterable
from typing import NamedTuple

import psutil

from devproxy.health.interfaces import interfaces
from devproxy.health.listener import Family, Listener, Process, Scan
from devproxy.health.processes import GENERATIONS, Holder, holders, process_of, still_holds, user_name
from devproxy.net import sockdiag
from devproxy.net.sockdiag import ListenerTable, RawListener


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


def _listener(raw: RawListener, process: Process) -> Listener:
    return Listener(
        address=raw.address,
        port=raw.port,
        family=_family(raw.family),
        v6only=raw.v6only,
        device=_device(raw.interface),
        user=user_name(raw.uid),
        process=process,
    )


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


def _family(family: int) -> Family:
    return "ipv6" if family == socket.AF_INET6 else "ipv4"


def _device(index: int) -> str | None:
    if not index:
        return None
    try:
        return socket.if_indextoname(index)
    except OSError:  # the interface has gone since
        return str(index)


def _sorted(listeners: Iterable[Listener]) -> tuple[Listener, ...]:
    return tuple(sorted(listeners, key=lambda one: (one.port, one.family, one.address, one.pid or 0)))


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
        return Process(gap="its process belongs to another user: run it with more rights (sudo) to see it"), None
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
