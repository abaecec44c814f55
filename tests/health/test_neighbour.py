"""The verdict against the truth: sockets bound in every way the table knows, and a neighbour that tries to connect."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from devproxy.health.exposure import judge, judge_port
from devproxy.health.model import Listener
from devproxy.health.scanner import Scanner
from devproxy.net import sockdiag
from tests.health.netns import Machine, neighbours
from tests.ports import free_port

pytestmark = pytest.mark.netns

SO_BINDTODEVICE = 25
FOUR, SIX, LINK_LOCAL = "192.0.2.1", "2001:db8::1", "fe80::1:1%wire0"


@pytest.fixture(scope="module")
def wire() -> Iterator[tuple[Machine, Machine]]:
    with neighbours() as machines:
        first, _ = machines
        first.run("ip", "link", "add", "docker0", "type", "bridge")
        first.run("ip", "addr", "add", "172.17.0.1/16", "dev", "docker0")
        yield machines


@contextlib.contextmanager
def bound(machine: Machine, address: str, v6only: bool | None = None, device: str = "", port: int = 0) -> Iterator[int]:
    """A listener in there, and its port; several may share one (SO_REUSEPORT)."""

    def listen() -> socket.socket:
        server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if v6only is not None:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        if device:
            server.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode())
        server.bind(socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][4])
        server.listen()
        return server

    with machine.call(listen) as server:
        yield server.getsockname()[1]


# bound how, the verdict, whether the neighbour gets in by IPv4 and by IPv6
BINDINGS: dict[str, tuple[tuple[str, bool | None, str], str, bool, bool]] = {
    "127.0.0.1": (("127.0.0.1", None, ""), "loopback", False, False),
    "127.8.9.1": (("127.8.9.1", None, ""), "loopback", False, False),
    "::1": (("::1", None, ""), "loopback", False, False),
    "mapped loopback": (("::ffff:127.0.0.1", False, ""), "loopback", False, False),
    "0.0.0.0": (("0.0.0.0", None, ""), "exposed", True, False),
    "mapped 0.0.0.0": (("::ffff:0.0.0.0", False, ""), "exposed", True, False),
    ":: both": (("::", False, ""), "exposed", True, True),
    ":: IPv6 only": (("::", True, ""), "exposed", False, True),
    "own IPv4": ((FOUR, None, ""), "exposed", True, False),
    "mapped own IPv4": ((f"::ffff:{FOUR}", False, ""), "exposed", True, False),
    "own IPv6": ((SIX, None, ""), "exposed", False, True),
    "0.0.0.0 on wire0": (("0.0.0.0", None, "wire0"), "exposed", True, False),
    "0.0.0.0 on lo": (("0.0.0.0", None, "lo"), "loopback", False, False),
    ":: on lo": (("::", False, "lo"), "loopback", False, False),
}


@pytest.mark.parametrize("name", BINDINGS)
def test_verdict_is_true(name: str, wire: tuple[Machine, Machine]) -> None:
    how, verdict, by4, by6 = BINDINGS[name]
    machine, neighbour = wire
    with bound(machine, *how) as port:
        judged = judge_port(port, machine.call(Scanner().scan))
        assert judged.verdict == verdict
        assert (neighbour.reaches(FOUR, port), neighbour.reaches(SIX, port)) == (by4, by6)
        for _, judgement in judged.exposed:
            assert "wire0" in judgement.interfaces
            assert (FOUR in judgement.addresses, SIX in judgement.addresses) == (by4, by6)


def only(machine: Machine, port: int) -> Listener:
    (found,) = [one for one in machine.call(Scanner().scan).listeners if one.port == port]
    return found


def test_link_local_with_its_zone(wire: tuple[Machine, Machine]) -> None:
    machine, neighbour = wire
    with bound(machine, LINK_LOCAL) as port:
        found = only(machine, port)
        assert found.device == "wire0"
        assert judge(found, machine.call(Scanner().scan).interfaces).interfaces == ("wire0",)
        assert neighbour.reaches(LINK_LOCAL, port)
        assert not neighbour.reaches(SIX, port)


def test_container_bridge_is_named(wire: tuple[Machine, Machine]) -> None:
    machine, _ = wire
    with bound(machine, "172.17.0.1") as port:
        judged = judge_port(port, machine.call(Scanner().scan))
    assert judged.verdict == "exposed"
    assert judged.why == "bound to 172.17.0.1: interface docker0 (a bridge: containers and virtual machines on it)"


def test_loopback_and_wildcard_on_one_port(wire: tuple[Machine, Machine]) -> None:
    """The neighbour gets the wildcard's process, a local client the other: exposed, by exactly one of them."""
    machine, neighbour = wire
    with bound(machine, "0.0.0.0") as port, bound(machine, "127.0.0.1", port=port):
        judged = judge_port(port, machine.call(Scanner().scan))
        assert [listener.address for listener, _ in judged.exposed] == ["0.0.0.0"]
        assert neighbour.reaches(FOUR, port)
    with bound(machine, "127.0.0.1", port=port):
        assert judge_port(port, machine.call(Scanner().scan)).verdict == "loopback"
        assert not neighbour.reaches(FOUR, port)


@pytest.mark.parametrize(("first", "second"), [("127.0.0.1", "::"), ("0.0.0.0", "::1"), ("0.0.0.0", "::")])
def test_families_apart(first: str, second: str, wire: tuple[Machine, Machine]) -> None:
    machine, neighbour = wire
    with bound(machine, first) as port, bound(machine, second, True, port=port):
        judged = judge_port(port, machine.call(Scanner().scan))
        assert {listener.family for listener, _ in judged.exposed} == {
            family for address, family in ((first, "ipv4"), (second, "ipv6")) if address in {"0.0.0.0", "::"}
        }
        assert neighbour.reaches(FOUR, port) is (first == "0.0.0.0")
        assert neighbour.reaches(SIX, port) is (second == "::")


def test_the_kernel_tells_dual_stack_from_ipv6_only(wire: tuple[Machine, Machine]) -> None:
    machine, _ = wire
    with bound(machine, "::", False) as dual, bound(machine, "::", True) as single:
        told = {one.port: one.v6only for one in machine.call(sockdiag.listeners)}
    assert (told[dual], told[single]) == (False, True)


def test_nothing_of_the_host_is_seen_in_there(wire: tuple[Machine, Machine]) -> None:
    """The namespaces are apart: what runs exposed in one cannot be on the host."""
    machine, _ = wire
    # On the host nobody else can have this one.
    with bound(machine, "0.0.0.0", port=free_port()) as port:
        assert all((one.port, one.address) != (port, "0.0.0.0") for one in Scanner().scan().listeners)
