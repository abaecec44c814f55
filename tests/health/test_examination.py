"""Listeners, verdict and findings of one service put together, every combination of listeners on its port."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from devproxy.health import findings
from devproxy.health.findings import examine, find_conflicts, scans_by_port
from devproxy.health.model import Listener, Process, Reach, ServiceOwner
from devproxy.programs.recognize import RecognizedProgram, recognize
from devproxy.registry.model import ExposurePolicy, ListenAddress, Registry
from tests.health.things import PYTHON, UNREAD, VITE, at, scan, service

LAN = "192.168.1.20"
ACCEPTED, TRIED = Reach((LAN,), (LAN,)), Reach((LAN,))
FORMS = {
    "127.0.0.1": at("127.0.0.1"),
    "::1": at("::1", v6only=True),
    "0.0.0.0": at("0.0.0.0"),
    ":: both": at("::", v6only=False),
    ":: only": at("::", v6only=True),
    "mapped": at("::ffff:127.0.0.1", v6only=False),
    "lan": at(LAN),
    "link-local": at("fe80::aa:1", v6only=True),
}
LOOPBACK = {"127.0.0.1", "::1", "mapped"}


@pytest.mark.parametrize("names", [c for n in range(4) for c in itertools.combinations(FORMS, n)])
def test_every_combination_on_one_port(names: tuple[str, ...]) -> None:
    exam = examine(service(), scan(*(FORMS[name] for name in names)))
    wide = [FORMS[name] for name in names if name not in LOOPBACK]
    assert exam.exposure == ("unknown" if not names else "exposed" if wide else "loopback")
    assert len(exam.listeners) == len(names)
    exposed = [finding for finding in exam.findings if finding.code == "exposed"]
    assert len(exposed) == bool(wide)  # one process: one finding, that names every place
    assert all(listener.where in exposed[0].address for listener in wide)
    takes4 = {"127.0.0.1", "0.0.0.0", ":: both", "mapped"} & set(names)
    takes6 = {"::1", ":: both", ":: only"} & set(names)
    assert any(finding.code == "family" for finding in exam.findings) == (bool(takes4) != bool(takes6))


def codes(*listeners: Listener, known: ServiceOwner | None = None) -> list[str]:
    return [finding.code for finding in examine(service(), scan(*listeners), known=known).findings]


def test_two_processes_that_are_exposed_are_two_findings() -> None:
    assert codes(at("0.0.0.0"), at("::", PYTHON, True)) == ["exposed", "exposed", "shadowed"]


def test_an_exposed_one_has_all_that_a_person_needs() -> None:
    (finding, _) = examine(service(), scan(at("0.0.0.0")), ACCEPTED).findings
    assert (finding.code, finding.severity, finding.address) == ("exposed", "warning", "0.0.0.0:3000")
    assert finding.proof == "a connection to 192.168.1.20:3000 was accepted"
    assert finding.who == "pid 42 (anna): /usr/bin/node /shop/node_modules/.bin/vite --host"
    assert finding.fix == "Vite: change `--host` to `--host 127.0.0.1`"
    assert finding.command == "/usr/bin/node /shop/node_modules/.bin/vite --host 127.0.0.1"


@pytest.mark.parametrize(("policy", "severity"), [("warn", "warning"), ("refuse", "error"), ("allow", "note")])
def test_how_grave_it_is_is_the_policys(policy: ExposurePolicy, severity: str) -> None:
    assert examine(service(exposure=policy), scan(at("0.0.0.0"))).findings[0].severity == severity
    assert examine(service(exposure=policy), scan(), ACCEPTED).findings[0].severity == severity


class TestProof:
    def test_a_firewall_does_not_make_it_loopback(self) -> None:
        exam = examine(service(), scan(at("0.0.0.0")), TRIED)
        assert exam.exposure == "exposed"
        assert "a firewall, perhaps" in exam.findings[0].proof

    def test_not_tried(self) -> None:
        assert examine(service(), scan(at("0.0.0.0"))).findings[0].proof == "the socket table"

    @pytest.mark.parametrize("listeners", [(), (at("127.0.0.1"),)], ids=["no listener", "on loopback"])
    def test_a_nat_rule_is_seen_by_it_alone(self, listeners: tuple[Listener, ...]) -> None:
        exam = examine(service(), scan(*listeners), ACCEPTED)
        assert exam.exposure == "exposed"
        assert "a NAT rule forwards it" in exam.findings[0].message
        assert "-p 127.0.0.1:3000:PORT" in exam.findings[0].fix

    def test_loopback_that_was_proved_says_so(self) -> None:
        exam = examine(service(), scan(at("127.0.0.1")), TRIED)
        assert (exam.exposure, exam.why) == (
            "loopback",
            "bound to 127.0.0.1; no connection to 192.168.1.20:3000 was accepted",
        )


class TestUnknown:
    def test_nothing_there(self) -> None:
        exam = examine(service(), scan())
        assert (exam.exposure, exam.why, exam.findings) == ("unknown", "nothing listens on port 3000", ())

    def test_a_gap_is_said_and_never_taken_for_loopback(self) -> None:
        exam = examine(service(), scan(gap="macOS hides it"))
        assert (exam.exposure, exam.why) == ("unknown", "macOS hides it")
        assert [finding.code for finding in exam.findings] == ["unknown"]

    def test_no_port_yet(self) -> None:
        assert examine(service(port=None), scan()).exposure == "unknown"

    def test_a_socket_file_is_loopback(self) -> None:
        assert examine(service(path="/run/x.sock"), scan()).exposure == "loopback"

    def test_a_process_that_cannot_be_read(self) -> None:
        (finding, _) = examine(service(), scan(at("0.0.0.0", UNREAD))).findings
        assert finding.who == "a process of anna that cannot be read: it belongs to another user"
        assert finding.command == ""


def test_the_owner_is_told_with_program_folder_and_user() -> None:
    assert examine(service(), scan(at("127.0.0.1"))).owner == ServiceOwner("Vite", "/shop", "anna")
    assert examine(service(), scan()).owner is None
    assert codes(at("127.0.0.1"), at("::1", v6only=True), known=ServiceOwner("Django", "/shop")) == ["owner"]


def test_the_catalogue_is_searched_once_for_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[object] = []

    def counted(argv: Sequence[str], *more: Any) -> RecognizedProgram:
        searched.append(argv)
        return recognize(argv, *more)

    monkeypatch.setattr(findings, "recognize", counted)
    exam = examine(service(), scan(at("0.0.0.0"), at("::", v6only=True)), known=ServiceOwner("Django"))
    assert [finding.code for finding in exam.findings] == ["exposed", "owner"]
    assert searched == [VITE.argv]


def test_forked_workers_are_one_program() -> None:
    worker = Process(pids=(42, 43, 44), argv=VITE.argv)
    assert codes(at("127.0.0.1", worker), at("::1", worker, True)) == []


def test_our_own_port_is_the_gravest_and_comes_first() -> None:
    exam = examine(service(), scan(at("127.0.0.1")), own_ports={3000})
    assert (exam.findings[0].code, exam.findings[0].severity) == ("self", "error")


def test_services_that_share_an_upstream_conflict() -> None:
    registry = Registry(services=(service("a"), service("b"), service("c", 3001), service("d", None)))
    shared = find_conflicts(registry)
    assert sorted(shared) == ["a", "b"]
    found = examine(registry.services[0], scan(at("127.0.0.1"), at("::1", v6only=True)), conflict=shared["a"])
    assert [finding.code for finding in found.findings] == ["conflict"]


def test_scans_by_port_keep_interfaces_and_gap() -> None:
    whole = scan(at("127.0.0.1"), at("::1", port=3001), at("0.0.0.0", port=3001), gap="g")
    parts = scans_by_port(whole)
    assert {port: len(part.listeners) for port, part in parts.items()} == {3000: 1, 3001: 2}
    assert all((part.interfaces, part.gap) == (whole.interfaces, "g") for part in parts.values())


def test_where_the_proxy_listens_for_a_service_is_none_of_its_own_listeners() -> None:
    """An address of its own may have the very port that the service has on 127.0.0.1."""
    db = service(protocol="tcp", listen=ListenAddress(("127.70.1.2",), 3000))
    exam = examine(db, scan(at("127.0.0.1"), at("127.70.1.2", PYTHON)))
    assert [listener.address for listener in exam.listeners] == ["127.0.0.1"]
    assert [finding.code for finding in exam.findings] == ["family"]
    other = examine(service(protocol="tcp"), scan(at("127.0.0.1"), at("127.70.1.2", PYTHON)))
    assert len(other.listeners) == 2
