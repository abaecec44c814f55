"""Leases on disk: who has one, who may change it, and what becomes of a dead one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from devproxy.registry.leases import holds, read_leases, remove_lease, replace_lease, take_lease
from devproxy.registry.loader import LEASE_CHECK, Loader
from devproxy.registry.model import Lease
from devproxy.storage.process_identity import start_time
from tests.waiting import DEADLINE


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "config").mkdir()
    return Paths(tmp_path / "config", tmp_path / "state")


@pytest.fixture
def other() -> Iterator["subprocess.Popen[bytes]"]:
    """Another process that may have a lease."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, process_group=0
    )
    yield process
    process.kill()
    process.communicate()


def lease(service: str = "web", port: int = 4000, pid: int = 0, **more: object) -> Lease:
    pid = pid or os.getpid()
    return Lease(service=service, port=port, pid=pid, started=start_time(pid) or 0.0, **more)  # type: ignore[arg-type]


def take(paths: Paths, wanted: Lease, *, force: bool = False) -> Lease:
    return take_lease(paths, wanted.service, lambda _: wanted, force=force)


def test_what_is_written_is_read_again(paths: Paths) -> None:
    whole = lease("web.shop", hosts=("shop.localhost",), checkout="/home/you/shop", group=7, group_started=1.25)
    taken = take(paths, whole)
    assert read_leases(paths) == (taken,)
    assert taken.file == str(paths.lease("web.shop"))


def test_without_leases_there_are_none(paths: Paths) -> None:
    assert read_leases(paths) == ()
    assert not remove_lease(paths, lease())
    assert not replace_lease(paths, lease(), lease(port=4001))


def test_a_lease_of_a_process_that_is_gone_is_removed(paths: Paths, other: "subprocess.Popen[bytes]") -> None:
    take(paths, lease("web", pid=other.pid))
    assert len(read_leases(paths)) == 1
    other.kill()
    other.wait()
    assert read_leases(paths) == ()
    assert list(paths.leases.iterdir()) == []


def test_a_lease_whose_pid_is_another_process_now_is_removed(paths: Paths) -> None:
    earlier = (start_time(os.getpid()) or 0.0) - 60
    take(paths, Lease(service="web", port=4000, pid=os.getpid(), started=earlier))
    assert read_leases(paths) == ()
    assert not paths.lease("web").exists()


def test_what_a_dead_lease_left_running_is_ended(paths: Paths, other: "subprocess.Popen[bytes]") -> None:
    started = start_time(other.pid) or 0.0
    take(paths, Lease(service="web", port=4000, pid=2**22 + 1, started=1.0, group=other.pid, group_started=started))
    read_leases(paths)
    assert other.wait(DEADLINE) == -15


def test_a_group_whose_number_is_anothers_by_now_is_left_alone(paths: Paths, other: "subprocess.Popen[bytes]") -> None:
    started = (start_time(other.pid) or 0.0) - 60
    take(paths, Lease(service="web", port=4000, pid=2**22 + 1, started=1.0, group=other.pid, group_started=started))
    assert read_leases(paths) == ()
    assert other.poll() is None


def test_a_name_that_somebody_has_is_not_taken(paths: Paths, other: "subprocess.Popen[bytes]") -> None:
    first = take(paths, lease(pid=other.pid, checkout="/home/you/shop"))
    with pytest.raises(DevproxyError, match="`web` is running already") as error:
        take(paths, lease(port=4001))
    assert "/home/you/shop" in error.value.why
    assert "--force" in error.value.fix
    assert read_leases(paths) == (first,)


def test_force_takes_it_over_and_the_old_owner_can_no_longer_change_or_remove_it(
    paths: Paths, other: "subprocess.Popen[bytes]"
) -> None:
    old = take(paths, lease(pid=other.pid))
    new = take(paths, lease(port=4001), force=True)
    assert not holds(paths, old)
    assert not replace_lease(paths, old, lease(port=4002))
    assert not remove_lease(paths, old)
    assert read_leases(paths) == (new,)
    assert remove_lease(paths, new)


def test_an_owner_changes_its_own(paths: Paths) -> None:
    old = take(paths, lease())
    assert replace_lease(paths, old, lease(port=4001))
    assert [one.port for one in read_leases(paths)] == [4001]


def test_who_takes_one_sees_those_of_others(paths: Paths) -> None:
    take(paths, lease("api", port=4000))
    seen: list[int] = []

    def make(others: tuple[Lease, ...]) -> Lease:
        seen.extend(one.port for one in others)
        return lease("web", port=4001)

    take_lease(paths, "web", make)
    assert seen == [4000]


@pytest.mark.parametrize(
    "text", ["", "port = ", 'service = "api"\nport = 1\npid = 1', 'service = "web"\nport = 0\npid = 1']
)
def test_what_is_no_lease_is_ignored_and_can_be_taken(paths: Paths, text: str) -> None:
    paths.leases.mkdir(parents=True, mode=0o700)
    paths.lease("web").write_text(text)
    assert read_leases(paths) == ()
    assert take(paths, lease()).port == 4000


def test_twenty_at_once_get_twenty_ports(paths: Paths) -> None:
    script = """
import os, sys
from pathlib import Path
from devproxy.paths import Paths
from devproxy.storage.process_identity import start_time
from devproxy.registry.layers import Lease
from devproxy.registry.leases import take_lease
paths = Paths(Path(sys.argv[1]), Path(sys.argv[2]))
def make(others):
    port = max((lease.port for lease in others), default=3999) + 1
    return Lease(service=sys.argv[3], port=port, pid=os.getpid(), started=start_time(os.getpid()))
print(take_lease(paths, sys.argv[3], make).port, flush=True)
sys.stdin.read()
"""
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(paths.config), str(paths.state), f"s{number}"],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(20)
    ]
    try:
        ports = [int(process.stdout.readline()) for process in asking if process.stdout]
    finally:
        for process in asking:
            process.communicate()
    assert sorted(ports) == list(range(4000, 4020))


def test_the_registry_has_what_runs(paths: Paths) -> None:
    paths.registry.write_text("[services.api]\n")
    loader = Loader(paths)
    assert [service.upstream for service in loader.load().services] == [None]
    assert loader.again_in is None
    taken = [take(paths, lease("api", port=4000)), take(paths, lease("web.shop", port=4001, hosts=("x.localhost",)))]
    found = {service.id: service for service in loader.load().services}
    assert found["api"].upstream is not None
    assert found["api"].upstream.port == 4000
    assert found["web.shop"].hosts == ("web.shop.localhost", "x.localhost")
    assert loader.again_in == LEASE_CHECK
    assert loader.load() is loader.load()
    for one in taken:
        remove_lease(paths, one)
    assert [service.id for service in loader.load().services] == ["api"]


def test_leases_are_watched(paths: Paths) -> None:
    loader = Loader(paths)
    assert paths.leases in loader.watched
    assert paths.leases not in loader.files
