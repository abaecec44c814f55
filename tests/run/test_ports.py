"""A port is stable, free, unclaimed, one that browsers open, and never given to two that ask at one moment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.errors import DevproxyError
from devproxy.net.endpoints import HTTP
from devproxy.net.loopback import is_free, listen
from devproxy.paths import Paths
from devproxy.registry.model import ListenAddress, ProxySettings, Registry, Service, Source, Upstream
from devproxy.registry.validate import BLOCKED_PORTS
from devproxy.run.ports import allocate, declared_ports, release, reserve
from tests.ports import free_port, port_range
from tests.waiting import DEADLINE, PROGRAM_DEADLINE


def choose(service: str = "web", checkout: str = "", taken: frozenset[int] = frozenset()) -> int:
    return allocate("shop", service, checkout, taken=taken, low=20000, high=29999, is_free=lambda _: True)


def test_it_is_the_same_in_every_process() -> None:
    code = (
        "from devproxy.run.ports import allocate;"
        "print(allocate('shop', 'web', '', taken=(), low=20000, high=29999, is_free=lambda _: True))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == choose()


def test_service_project_and_checkout_all_count() -> None:
    other = allocate("other", "web", "", taken=(), low=20000, high=29999, is_free=lambda _: True)
    assert len({choose(), choose("api"), choose(checkout="fix-ui"), other}) == 4


@given(st.sets(st.integers(6000, 6020)), st.sets(st.integers(6000, 6020)), st.text(max_size=10))
def test_it_is_never_taken_busy_or_blocked(taken: set[int], busy: set[int], service: str) -> None:
    usable = set(range(6000, 6021)) - taken - busy - BLOCKED_PORTS

    def run() -> int:
        return allocate(None, service, "", taken=taken, low=6000, high=6020, is_free=lambda port: port not in busy)

    if usable:
        assert run() in usable
    else:
        with pytest.raises(DevproxyError, match="no port is free between 6000 and 6020"):
            run()


def test_others_ports_are_declared() -> None:
    def service(name: str, port: int, listen: int | None = None) -> Service:
        address = Upstream("http", ("127.0.0.1",), port) if port else Upstream("http", path="/run/a.sock")
        at = ListenAddress(("127.0.0.1",), listen) if listen else None
        return Service(id=name, name=name, project=None, hosts=(), upstream=address, listen=at, source=Source("", 1))

    services = (service("a", 3000), service("b", 3001, 5432), service("c", 0))
    registry = Registry(settings=ProxySettings(http=7080), services=services)
    assert declared_ports(registry, "a") == {3001, 5432, 7080}


ASK = """
import sys
from pathlib import Path
from devproxy.paths import Paths
from devproxy.run.ports import reserve
home = Path(sys.argv[1])
print(reserve(Paths(home / "config", home / "state"), str(home), sys.argv[2], taken=(), low=LOW, high=HIGH), flush=True)
sys.stdin.read()
"""


class Asker:
    """Asks for ports of a range that no other test has."""

    def __init__(self, home: Path):
        self.home = home
        self.paths = Paths(home / "config", home / "state")
        self.low, self.high = map(int, port_range().split("-"))

    def reserved(self, service: str, taken: frozenset[int] = frozenset()) -> int:
        return reserve(self.paths, str(self.home), service, taken=taken, low=self.low, high=self.high)

    def process(self, service: str) -> subprocess.Popen[str]:
        """Another process that asks, and keeps what it gets until its input ends."""
        code = ASK.replace("LOW", str(self.low)).replace("HIGH", str(self.high))
        return subprocess.Popen(
            [sys.executable, "-c", code, str(self.home), service],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )


@pytest.fixture
def asker(tmp_path: Path) -> Asker:
    return Asker(tmp_path)


def answer(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def test_twenty_at_once_get_twenty_ports_even_for_one_service(asker: Asker) -> None:
    asking = [asker.process("web") for _ in range(20)]
    try:
        ports = [answer(process) for process in asking]
    finally:
        for process in asking:
            process.communicate(timeout=PROGRAM_DEADLINE)
    assert len(set(ports)) == 20
    assert asker.reserved("web") in ports  # they have ended: nothing is held any more


def test_what_a_killed_process_held_is_free_again(asker: Asker) -> None:
    process = asker.process("web")
    port = answer(process)
    assert asker.reserved("web") != port
    release(asker.paths, asker.reserved("web"))
    process.kill()
    process.communicate(timeout=DEADLINE)
    assert asker.reserved("web") == port


def test_one_process_gets_the_same_again_until_it_lets_go(asker: Asker) -> None:
    port = asker.reserved("web")
    listening = listen(HTTP._replace(port=port))
    try:
        assert asker.reserved("web") == port
        assert asker.reserved("web", frozenset({port})) != port
    finally:
        listening.close()
    release(asker.paths, port)
    assert asker.reserved("api") != 0


def test_a_broken_file_is_no_obstacle(asker: Asker) -> None:
    port = asker.reserved("web")
    (asker.home / "state/ports/held/ports.json").write_text("{", "utf-8")
    assert asker.reserved("web") == port


def test_a_port_in_use_on_one_family_is_not_free() -> None:
    listening = listen(HTTP._replace(port=free_port()))
    try:
        assert not is_free(listening.port)
        for sock in listening.sockets[1:]:
            sock.close()
        assert not is_free(listening.port)
    finally:
        listening.close()
    assert is_free(listening.port)
    assert not is_free(70000)
