"""The scan against real listeners, processes and interfaces: who, where, and what could not be read."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from devproxy.health import scanner as module
from devproxy.health.model import Interface, Listener, Scan
from devproxy.health.scanner import Scanner, SocketHolders, interfaces
from devproxy.net import sockdiag
from tests import require
from tests.ports import listening
from tests.waiting import DEADLINE, PROGRAM_DEADLINE, wait_until

HOLD = """
import os, socket, sys
servers = [socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
           for host in sys.argv[1].split(",")]
is_worker = False
for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 0):
    is_worker = is_worker or os.fork() == 0
if not is_worker:
    print(*(server.getsockname()[1] for server in servers), flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def holding(*args: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Another process that listens on those loopback addresses: it, and its ports."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, [int(port) for port in process.stdout.readline().split()]
        finally:
            process.kill()


@pytest.fixture(params=["native", "psutil"])
def scanner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Scanner:
    """The scan of this system, and the portable one that others use."""
    if request.param == "psutil":
        monkeypatch.setattr(sockdiag, "listeners", no_netlink)
    else:
        require.linux()
    return Scanner()


def no_netlink() -> list[sockdiag.RawListener]:
    raise OSError("sock_diag is Linux only")


def on(scan: Scan, port: int, address: str = "127.0.0.1") -> Listener:
    (found,) = [listener for listener in scan.listeners if (listener.address, listener.port) == (address, port)]
    return found


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.8.7", "::1"])
def test_own_listener_has_all_of_it(scanner: Scanner, address: str) -> None:
    if address == "::1":
        require.ipv6()
    with socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET) as server:
        found = on(scanner.scan(), server.getsockname()[1], address)
    assert (found.address, found.family) == (address, "ipv6" if ":" in address else "ipv4")
    assert found.pid == os.getpid()
    assert found.process.argv == tuple(psutil.Process().cmdline())
    assert found.process.parents[0] == tuple(psutil.Process().parent().cmdline())  # type: ignore[union-attr]
    assert found.user == psutil.Process().username()
    assert found.process.gap == ""


def test_other_process_with_several_listeners(scanner: Scanner) -> None:
    require.ipv6()
    with holding("127.0.0.1,::1,127.0.0.1") as (process, ports):
        scan = scanner.scan()
        found = [on(scan, *place) for place in zip(ports, ("127.0.0.1", "::1", "127.0.0.1"), strict=True)]
    assert [listener.pid for listener in found] == [process.pid] * 3
    assert all(listener.command and "127.0.0.1,::1" in listener.command for listener in found)


def test_sorted_by_port() -> None:
    with holding("127.0.0.1,127.0.0.1,127.0.0.1"):
        ports = [listener.port for listener in Scanner().scan().listeners]
    assert ports == sorted(ports)


def test_forked_workers_share_it_and_the_parent_comes_first() -> None:
    require.linux()
    with holding("127.0.0.1", "2") as (process, ports):
        found = on(Scanner().scan(), ports[0])
        assert found.pid == process.pid
        assert len(found.process.pids) == 3
        assert set(found.process.pids[1:]) == {child.pid for child in psutil.Process(process.pid).children(True)}


def test_gone_listener_is_gone(scanner: Scanner) -> None:
    with listening() as port:
        on(scanner.scan(), port)
    assert all(listener.port != port for listener in scanner.scan().listeners)


def test_interfaces_come_along() -> None:
    (loopback,) = [one for one in Scanner().scan().interfaces if "127.0.0.1" in one.addresses]
    assert loopback.loopback
    assert loopback.index == socket.if_nametoindex(loopback.name)


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """The inodes of each walk over /proc."""
    require.linux()
    asked: list[set[int]] = []
    real = module.holders

    def counted(inodes: set[int]) -> SocketHolders:
        asked.append(inodes)
        return real(inodes)

    monkeypatch.setattr(module, "holders", counted)
    return asked


def mine(walks: list[set[int]], *servers: socket.socket) -> list[bool]:
    """For each walk, whether it asked about one of these sockets."""
    inodes = {os.fstat(server.fileno()).st_ino for server in servers}
    return [not inodes.isdisjoint(asked) for asked in walks]


def test_processes_are_asked_for_only_on_a_change(walks: list[set[int]]) -> None:
    scanner = Scanner()
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(5):
            scanner.scan()
        assert mine(walks, server).count(True) == 1
        with socket.create_server(("127.0.0.1", 0)) as another:
            scanner.scan()
            assert mine(walks, another)[-1]
            assert mine(walks, server).count(True) == 1


def test_a_socket_that_was_handed_on_is_noticed(walks: list[set[int]]) -> None:
    """The first process ends, a child still listens on the same socket: the same inode, another owner."""
    scanner = Scanner()
    with holding("127.0.0.1", "1") as (process, ports):
        before = on(scanner.scan(), ports[0])
        worker = psutil.Process(process.pid).children()[0]
        process.kill()
        process.wait(DEADLINE)
        after = on(scanner.scan(), ports[0])
        worker.kill()
    assert (before.pid, after.process.pids) == (process.pid, (worker.pid,))


UNPRIVILEGED = """
import encodings.idna, json, os, shlex, socket, sys
import devproxy.health.scanner, psutil, pwd
os.setgroups([]); os.setgid(65534); os.setuid(65534)
own = socket.create_server(("127.0.0.1", 0))
scanner = devproxy.health.scanner.Scanner()
if sys.argv[2] == "psutil":
    def refuse(): raise OSError
    devproxy.net.sockdiag.listeners = refuse
scan = scanner.scan()
for port in (int(sys.argv[1]), own.getsockname()[1]):
    one = next(listener for listener in scan.listeners if (listener.address, listener.port) == ("127.0.0.1", port))
    print(json.dumps([one.address, one.pid, one.command is None, one.user, one.process.gap]))
"""


@pytest.mark.parametrize("way", ["native", "psutil"])
def test_without_rights_the_rest_still_works_and_the_gap_is_said(way: str) -> None:
    require.linux()
    require.root()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        root = Path(__file__).parents[2]
        output = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, str(port), way],
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
            timeout=PROGRAM_DEADLINE,
        ).stdout
    roots, own = (json.loads(line) for line in output.splitlines())
    assert roots[:3] == ["127.0.0.1", None, True]
    assert "another user" in roots[4]
    assert "sudo" in roots[4]
    assert (own[1] is not None, own[2], own[4]) == (True, False, "")
    if way == "native":
        assert roots[3] == "root"


def fake_connections(rows: Sequence[tuple[str, str, int, int | None]]) -> Callable[[str], list[SimpleNamespace]]:
    return lambda _: [
        SimpleNamespace(
            family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            laddr=SimpleNamespace(ip=address, port=port),
            status=status,
            pid=pid,
        )
        for status, address, port, pid in rows
    ]


class Forbidden:
    """Another user's process."""

    pid = 1

    def net_connections(self, _: str) -> None:
        raise psutil.AccessDenied


class TestElsewhere:
    """What psutil says on systems that are not at hand."""

    @pytest.fixture(autouse=True)
    def _no_netlink(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sockdiag, "listeners", no_netlink)

    def test_only_listeners_a_zone_is_split_off_and_v6only_is_not_known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = [("LISTEN", "fe80::1%en0", 1, os.getpid()), ("ESTABLISHED", "10.0.0.1", 2, os.getpid())]
        monkeypatch.setattr(psutil, "net_connections", fake_connections(rows))
        (found,) = Scanner().scan().listeners
        assert (found.address, found.device, found.v6only, found.where) == ("fe80::1", "en0", None, "[fe80::1%en0]:1")

    def test_rows_of_forked_workers_are_one_listener(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = [("LISTEN", "127.0.0.1", 1, 7), ("LISTEN", "127.0.0.1", 1, os.getpid()), ("LISTEN", "::1", 1, None)]
        monkeypatch.setattr(psutil, "net_connections", fake_connections(rows))
        first, second = Scanner().scan().listeners
        assert first.process.pids == tuple(sorted([7, os.getpid()]))
        assert second.process.gap

    def test_a_process_that_cannot_be_read_is_a_gap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(psutil, "net_connections", fake_connections([("LISTEN", "127.0.0.1", 1, 2**22 + 1)]))
        (found,) = Scanner().scan().listeners
        assert found.process.argv is None
        assert found.process.gap

    def test_without_root_on_macos_ones_own_are_seen_and_the_gap_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def denied(_: str) -> None:
            raise psutil.AccessDenied

        monkeypatch.setattr(psutil, "net_connections", denied)
        monkeypatch.setattr(psutil, "process_iter", lambda: [Forbidden(), psutil.Process()])
        with socket.create_server(("127.0.0.1", 0)) as server:
            scan = Scanner().scan()
            assert on(scan, server.getsockname()[1]).pid == os.getpid()
        assert "without root" in scan.gap


def test_whether_the_table_has_changed_is_told_without_reading_it() -> None:
    require.linux()
    scanner = Scanner()
    assert scanner.changed()

    def settle() -> None:
        """Other programs of this machine come and go: twice the same in a row is enough."""
        wait_until(lambda: not scanner.changed(), "the table to stay as it is")

    settle()
    with socket.create_server(("127.0.0.1", 0)):
        assert scanner.changed()
        settle()
    assert scanner.changed()
    scanner.close()
    assert scanner.changed()
    scanner.close()


def test_a_scan_of_some_ports_looks_into_no_other(scanner: Scanner) -> None:
    with holding("127.0.0.1,127.0.0.1") as (_, ports):
        assert {listener.port for listener in scanner.scan({ports[0]}).listeners} == {ports[0]}
        assert {listener.port for listener in scanner.scan(set(ports)).listeners} == set(ports)
        assert scanner.scan(set()).listeners == ()


def test_real_interfaces_have_their_loopback() -> None:
    found = interfaces()
    assert [one.name for one in found if one.loopback]
    assert all("%" not in address for one in found for address in one.addresses)


def test_link_layer_addresses_and_zones_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"lo": ["127.0.0.1"], "en0": ["aa:bb:cc:dd:ee:ff", "10.0.0.2", "fe80::1%en0"], "en1": []}
    monkeypatch.setattr(
        psutil, "net_if_addrs", lambda: {n: [SimpleNamespace(address=a) for a in found] for n, found in names.items()}
    )
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (4, "en0")])
    assert interfaces() == (
        Interface("lo", 1, ("127.0.0.1",), loopback=True),
        Interface("en0", 4, ("10.0.0.2", "fe80::1")),
        Interface("en1", 0),
    )
