"""The verdict table of `health/exposure.py`, row by row, and what several listeners on one port come to."""

import ipaddress
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.health.exposure import judge, judge_port, takes
from devproxy.health.model import Family, Interface, Listener, Scan, Verdict

LO = Interface("lo", 1, ("127.0.0.1", "::1"), loopback=True)
ETH0 = Interface("eth0", 2, ("192.168.1.20", "fd00::20", "fe80::aa:1"))
DOCKER0 = Interface("docker0", 3, ("172.17.0.1",))
MACHINE = (LO, ETH0, DOCKER0)


def at(address: str, v6only: bool | None = None, *, port: int = 3000, device: str | None = None) -> Listener:
    family: Family = "ipv6" if ":" in address else "ipv4"
    return Listener(address=address, port=port, family=family, v6only=v6only, device=device)


ROWS = [
    pytest.param(at("127.0.0.1"), "loopback", (), id="127.0.0.1"),
    pytest.param(at("127.255.255.254"), "loopback", (), id="all of 127.0.0.0/8"),
    pytest.param(at("::1", True), "loopback", (), id="::1"),
    pytest.param(at("::ffff:127.0.0.1", False), "loopback", (), id="v4-mapped loopback"),
    pytest.param(at("::ffff:7f08:901", False), "loopback", (), id="v4-mapped loopback in hexadecimal"),
    pytest.param(at("0:0:0:0:0:0:0:1"), "loopback", (), id="::1 written out"),
    pytest.param(at("/run/app.sock"), "loopback", (), id="a unix socket"),
    pytest.param(at("unix:/run/app.sock"), "loopback", (), id="a unix socket by scheme"),
    pytest.param(at("0.0.0.0"), "exposed", ("eth0", "docker0"), id="0.0.0.0"),
    pytest.param(at("::ffff:0.0.0.0", False), "exposed", ("eth0", "docker0"), id="v4-mapped wildcard"),
    pytest.param(at("::", False), "exposed", ("eth0", "docker0"), id=":: that takes IPv4"),
    pytest.param(at("::", True), "exposed", ("eth0",), id=":: IPv6 only"),
    pytest.param(at("::", None), "exposed", ("eth0", "docker0"), id=":: that does not say"),
    pytest.param(at("192.168.1.20"), "exposed", ("eth0",), id="an interface's address"),
    pytest.param(at("::ffff:192.168.1.20", False), "exposed", ("eth0",), id="v4-mapped address"),
    pytest.param(at("fd00::20", True), "exposed", ("eth0",), id="an interface's IPv6 address"),
    pytest.param(at("fe80::aa:1", True, device="eth0"), "exposed", ("eth0",), id="link-local with its zone"),
    pytest.param(at("fe80::aa:1%eth0", True), "exposed", ("eth0",), id="link-local, the zone in the address"),
    pytest.param(at("fe80::aa:1%2", True), "exposed", ("eth0",), id="link-local, the zone an index"),
    pytest.param(at("fe80::1", True, device="lo"), "loopback", (), id="link-local on a loopback device"),
    pytest.param(at("0.0.0.0", device="lo"), "loopback", (), id="wildcard tied to a loopback device"),
    pytest.param(at("0.0.0.0", device="eth0"), "exposed", ("eth0",), id="wildcard tied to a device"),
    pytest.param(at("172.17.0.1"), "exposed", ("docker0",), id="a container bridge"),
    pytest.param(at("10.9.8.7"), "exposed", (), id="an address no interface has"),
    pytest.param(at("::127.0.0.1", True), "exposed", (), id="v4-compatible is no loopback"),
    pytest.param(at("0.1.2.3"), "exposed", (), id="0.0.0.0/8 is no wildcard"),
    pytest.param(at("2002:7f00:1::", True), "exposed", (), id="6to4 of a loopback is none"),
    pytest.param(at(""), "unknown", (), id="nothing"),
    pytest.param(at("?"), "unknown", (), id="no address"),
    pytest.param(at("localhost"), "unknown", (), id="a name is no address"),
]


@pytest.mark.parametrize(("listener", "verdict", "interfaces"), ROWS)
def test_row(listener: Listener, verdict: Verdict, interfaces: tuple[str, ...]) -> None:
    found = judge(listener, MACHINE)
    assert (found.verdict, found.interfaces) == (verdict, interfaces)
    assert found.why


@pytest.mark.parametrize(
    ("listener", "why"),
    [
        (at("0.0.0.0"), "bound to 0.0.0.0: every IPv4 interface (eth0 192.168.1.20, docker0 172.17.0.1)"),
        (at("::", True), "bound to ::: every interface, IPv6 only (eth0 fd00::20, eth0 fe80::aa:1)"),
        (at("172.17.0.1"), "bound to 172.17.0.1: interface docker0 (a bridge: containers and virtual machines on it)"),
        (at("fe80::aa:1", device="eth0"), "bound to fe80::aa:1%eth0: interface eth0"),
        (at("0.0.0.0", device="eth0"), "bound to 0.0.0.0: interface eth0 (eth0 192.168.1.20)"),
        (at("10.9.8.7"), "bound to 10.9.8.7: an interface that is not known (any more)"),
        (at(""), "bound to '', which is no IP address"),
    ],
)
def test_why_reads_as_a_person_would_say_it(listener: Listener, why: str) -> None:
    assert judge(listener, MACHINE).why == why


def test_dual_stack_says_both_families_and_an_unclear_one_says_so() -> None:
    assert "IPv6 and IPv4" in judge(at("::", False), MACHINE).why
    assert "as far as can be told" in judge(at("::", None), MACHINE).why


def test_addresses_to_prove_it_on_are_those_of_its_families() -> None:
    assert judge(at("0.0.0.0"), MACHINE).addresses == ("192.168.1.20", "172.17.0.1")
    assert judge(at("::", True), MACHINE).addresses == ("fd00::20", "fe80::aa:1")
    assert set(judge(at("::", False), MACHINE).addresses) == {*ETH0.addresses, *DOCKER0.addresses}
    assert judge(at("127.0.0.1"), MACHINE).addresses == ()


def test_an_address_that_sits_on_lo_is_reachable_from_outside() -> None:
    lo = Interface("lo", 1, ("127.0.0.1", "10.1.2.3"), loopback=True)
    found = judge(at("10.1.2.3"), (lo, ETH0))
    assert (found.verdict, found.interfaces) == ("exposed", ("lo",))


def test_without_interfaces_the_verdict_is_the_same() -> None:
    for listener, verdict in ((at("0.0.0.0"), "exposed"), (at("::1"), "loopback"), (at("fd00::20"), "exposed")):
        assert judge(listener).verdict == verdict


SINGLE: dict[str, tuple[Listener, Verdict]] = {
    "loopback4": (at("127.0.0.1"), "loopback"),
    "loopback6": (at("::1", True), "loopback"),
    "mapped": (at("::ffff:127.0.0.1", False), "loopback"),
    "wildcard4": (at("0.0.0.0"), "exposed"),
    "dual": (at("::", False), "exposed"),
    "only6": (at("::", True), "exposed"),
    "silent6": (at("::", None), "exposed"),
    "address4": (at("192.168.1.20"), "exposed"),
    "linklocal": (at("fe80::aa:1", True, device="eth0"), "exposed"),
    "bridge": (at("172.17.0.1"), "exposed"),
    "unreadable": (at(""), "unknown"),
}


@pytest.mark.parametrize("names", [c for size in (1, 2, 3) for c in itertools.combinations(SINGLE, size)], ids="+".join)
def test_combination_on_one_port_takes_the_worst(names: tuple[str, ...]) -> None:
    verdicts = [SINGLE[name][1] for name in names]
    worst = next(verdict for verdict in ("exposed", "unknown", "loopback") if verdict in verdicts)
    found = judge_port(3000, Scan(listeners=tuple(SINGLE[name][0] for name in names), interfaces=MACHINE))
    assert found.verdict == worst
    exposed = [SINGLE[name][0] for name in names if SINGLE[name][1] == "exposed"]
    assert [listener for listener, _ in found.exposed] == exposed


def test_other_ports_do_not_count() -> None:
    scan = Scan(listeners=(at("127.0.0.1"), at("0.0.0.0", port=3001)), interfaces=MACHINE)
    assert judge_port(3000, scan).verdict == "loopback"
    assert judge_port(3001, scan).verdict == "exposed"


def test_nothing_there_is_unknown_and_says_why() -> None:
    found = judge_port(3000, Scan(interfaces=MACHINE))
    assert (found.verdict, found.why) == ("unknown", "nothing listens on port 3000")


def test_what_could_not_be_read_is_unknown_and_says_why() -> None:
    found = judge_port(3000, Scan(interfaces=MACHINE, gap="listeners of other users cannot be seen"))
    assert (found.verdict, found.why) == ("unknown", "listeners of other users cannot be seen")


def test_what_was_read_counts_even_beside_a_gap() -> None:
    found = judge_port(3000, Scan(listeners=(at("127.0.0.1"),), interfaces=MACHINE, gap="…"))
    assert found.verdict == "loopback"


@pytest.mark.parametrize(
    ("listener", "address", "answer"),
    [
        (at("127.0.0.1"), "127.0.0.1", True),
        (at("127.0.0.1"), "::1", False),
        (at("127.0.0.1"), "127.0.0.2", False),
        (at("::1", True), "::1", True),
        (at("0.0.0.0"), "127.0.0.1", True),
        (at("0.0.0.0"), "::1", False),
        (at("::", True), "127.0.0.1", False),
        (at("::", True), "::1", True),
        (at("::", False), "127.0.0.1", True),
        (at("::", None), "127.0.0.1", True),
        (at("::ffff:127.0.0.1", False), "127.0.0.1", True),
        (at(""), "127.0.0.1", False),
        (at("127.0.0.1"), "", False),
    ],
)
def test_takes_a_connection(listener: Listener, address: str, answer: bool) -> None:
    assert takes(listener, address) is answer


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.sampled_from([None, False, True]))
def test_loopback_is_never_said_of_another_address(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, v6only: bool | None
) -> None:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    expected = "loopback" if (mapped or address).is_loopback else "exposed"
    assert judge(at(str(address), v6only), MACHINE).verdict == expected


@given(st.text(max_size=40))
def test_any_text_has_a_verdict(text: str) -> None:
    found = judge(at(text), MACHINE)
    assert found.verdict in {"loopback", "exposed", "unknown"}
    assert found.why
