"""The proof, on machines of the test's own: what a neighbour reaches it reaches, and it never leaves the machine."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from devproxy.health import reachability
from devproxy.health.model import Interface, Reach
from devproxy.health.scanner import interfaces
from tests import require
from tests.health.container import PUBLISHED, container, run
from tests.health.netns import Machine, neighbours

FOUR, SIX = "192.0.2.1", "2001:db8::1"


@pytest.fixture(scope="module")
def wire() -> Iterator[tuple[Machine, Machine]]:
    with neighbours() as machines:
        yield machines


@contextlib.contextmanager
def listening(machine: Machine, address: str, port: int = 0) -> Iterator[socket.socket]:
    def listen() -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.create_server((address, port), family=family, dualstack_ipv6=address == "::")

    with machine.call(listen) as server:
        yield server


def proved(machine: Machine, *ports: int) -> dict[int, Reach]:
    return machine.call(lambda: reachability.prove(ports, reachability.addresses(interfaces())))


@pytest.mark.netns
class TestReached:
    @pytest.mark.parametrize(
        ("address", "accepted"),
        [
            ("0.0.0.0", (FOUR,)),
            ("::", (FOUR, SIX)),
            (FOUR, (FOUR,)),
            (SIX, (SIX,)),
            ("127.0.0.1", ()),
            ("::1", ()),
        ],
    )
    def test_it_reaches_what_the_neighbour_reaches(
        self, wire: tuple[Machine, Machine], address: str, accepted: tuple[str, ...]
    ) -> None:
        machine, neighbour = wire
        with listening(machine, address) as server:
            port = server.getsockname()[1]
            reach = proved(machine, port)[port]
            assert reach == Reach((FOUR, SIX), accepted)
            assert tuple(one for one in (FOUR, SIX) if neighbour.reaches(one, port)) == accepted

    def test_many_ports_at_once(self, wire: tuple[Machine, Machine]) -> None:
        with contextlib.ExitStack() as stack:
            servers = [
                stack.enter_context(listening(wire[0], "0.0.0.0" if number % 2 else "127.0.0.1"))
                for number in range(150)
            ]
            ports = [server.getsockname()[1] for server in servers]
            found = proved(wire[0], *ports)
        assert [bool(found[port].accepted) for port in ports] == [bool(number % 2) for number in range(150)]

    def test_a_service_that_comes_to_it_later_sees_its_end_and_no_reset(self, wire: tuple[Machine, Machine]) -> None:
        with listening(wire[0], "0.0.0.0") as server:
            proved(wire[0], server.getsockname()[1])
            connection, _ = server.accept()
            with connection:
                assert connection.recv(1) == b""


@pytest.mark.netns
class TestContainer:
    @pytest.mark.parametrize("engine", PUBLISHED)
    def test_a_published_port_that_no_process_holds(self, engine: str) -> None:
        with neighbours() as (host, neighbour), container(host) as inside, listening(inside, "0.0.0.0", 80):
            before = proved(host, 8080)[8080]
            PUBLISHED[engine](host, 8080)
            after = proved(host, 8080)[8080]
            assert neighbour.reaches(FOUR, 8080)
        assert before.accepted == ()
        assert set(after.accepted) == {FOUR, "172.17.0.1"}

    def test_a_rule_that_catches_everything_proves_nothing(self) -> None:
        """A transparent proxy takes every connection: that a port takes one says nothing about the port."""
        require.program("iptables")
        with neighbours() as (host, _), listening(host, "127.0.0.1", 15001), listening(host, "0.0.0.0", 15002):
            run(host, "iptables -w -t nat -A OUTPUT -p tcp -d 192.0.2.1 -j REDIRECT --to-ports 15001")
            found = proved(host, 8080, 15002)
        assert found[8080].accepted == found[15002].accepted == ()


@pytest.mark.netns
class TestStaysHere:
    def test_an_address_of_another_machine_is_never_connected_to(self, wire: tuple[Machine, Machine]) -> None:
        machine, neighbour = wire
        with listening(neighbour, "::") as server:
            port = server.getsockname()[1]
            assert machine.reaches("192.0.2.2", port)  # a plain connection would
            server.accept()[0].close()
            server.setblocking(False)
            found = machine.call(lambda: reachability.prove([port], ["192.0.2.2", "2001:db8::2", "127.0.0.1"]))
            assert found[port].accepted == ()
            with pytest.raises(BlockingIOError):
                server.accept()

    def test_a_packet_that_is_dropped_costs_no_more_than_the_patience(
        self, wire: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        require.program("iptables")
        monkeypatch.setattr(reachability, "PATIENCE", 0.05)
        with neighbours() as (host, _), listening(host, "0.0.0.0", 8080):
            run(host, "iptables -w -A INPUT -p tcp --dport 8080 -j DROP")
            assert proved(host, 8080)[8080] == Reach((FOUR, SIX))


class TestParting:
    """Services of this machine: what each sees of a proof is a connection that ends, never a reset."""

    @pytest.mark.parametrize("greeting", [b"", b"220 ready\r\n", b"x" * 300_000])
    def test_no_service_sees_a_reset(self, greeting: bytes) -> None:
        seen: list[bytes | OSError] = []

        def serve(server: socket.socket) -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    connection.sendall(greeting)
                    seen.append(connection.recv(1))
                except OSError as error:
                    seen.append(error)

        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=serve, args=(server,))
            thread.start()
            port = server.getsockname()[1]
            assert reachability.prove([port], ["127.0.0.1"])[port].accepted == ("127.0.0.1",)
            thread.join()
        assert seen == [b""]


ETH0 = Interface("eth0", 2, ("192.168.1.20", "192.168.1.21", "fe80::1", "fd00::20", "fd00::21"))
LO = Interface("lo", 1, ("127.0.0.1", "10.9.8.7", "::1"), loopback=True)


def test_the_first_of_each_family_of_each_interface_ipv4_first() -> None:
    tun = Interface("tun0", 4, ("10.8.0.2",))
    assert reachability.addresses((LO, ETH0, tun)) == ("192.168.1.20", "10.8.0.2", "fd00::20")


def test_however_many_interfaces_there_are_it_is_bounded() -> None:
    many = [Interface(f"br-{n}", n, (f"172.{n}.0.1",)) for n in range(16, 200)]
    assert len(reachability.addresses(many)) == reachability.MOST_ADDRESSES
    assert reachability.addresses(many, 2) == ("172.16.0.1", "172.17.0.1")


@pytest.mark.parametrize("interface", [LO, Interface("wlan0", 3, ("fe80::1", "0.0.0.0")), Interface("tun", 4)])
def test_what_gives_no_address_to_try(interface: Interface) -> None:
    assert reachability.addresses((interface,)) == ()


def test_without_an_address_nothing_is_tried() -> None:
    assert reachability.prove([80], []) == {}


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not reachability.allowed(True)  # the suite's own switch
    monkeypatch.delenv("DEVPROXY_NO_PROOF")
    assert reachability.allowed(True)
    assert not reachability.allowed(False)
