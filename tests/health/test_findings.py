"""Each finding: when it is there, when it is not, and how it reads."""

import msgspec
import pytest
from msgspec import structs

from devproxy.health.findings import (
    PortListeners,
    find_conflicts,
    find_exposed,
    find_one_family,
    find_other_owner,
    find_other_user,
    find_own_port,
    find_shadowed,
    listeners_on,
    owner_of,
)
from devproxy.health.model import Family, Finding, Interface, Listener, Process, Scan, ServiceOwner
from devproxy.registry.model import Registry, Service, Upstream
from tests.health.things import BOTH, service

ETH0 = Interface("eth0", 2, ("192.168.1.20",))
NODE = Process(pids=(42, 43), argv=("/usr/bin/node", "/shop/node_modules/.bin/vite", "--host"))
PYTHON = Process(pids=(50,), argv=("python3", "-m", "http.server", "3000"))
UNREAD = Process(gap="it belongs to another user")


def at(address: str, process: Process = NODE, v6only: bool | None = None, port: int = 3000) -> Listener:
    family: Family = "ipv6" if ":" in address else "ipv4"
    return Listener(address=address, port=port, family=family, v6only=v6only, user="anna", process=process)


def scan(*listeners: Listener, gap: str = "") -> Scan:
    return Scan(listeners=listeners, interfaces=(ETH0,), gap=gap)


def on_port(looked: Scan) -> PortListeners:
    return listeners_on(3000, looked)


def exposures(looked: Scan) -> tuple[Finding, ...]:
    return find_exposed(on_port(looked), "warn")


def owners(looked: Scan, known: ServiceOwner | None) -> tuple[Finding, ...]:
    there = on_port(looked)
    return find_other_owner(there, owner_of(there), known)


def conflicts(*services: Service) -> dict[str, Finding]:
    return find_conflicts(Registry(services=services))


class TestExposed:
    def test_says_who_where_and_the_line_that_mends_it(self) -> None:
        (found,) = exposures(scan(at("0.0.0.0")))
        assert found.code == "exposed"
        assert found.message == (
            "node (pid 42, user anna) can be reached from beyond this machine on port 3000: "
            "it is bound to 0.0.0.0: every IPv4 interface (eth0 192.168.1.20)"
        )
        assert found.fix == "Vite: change `--host` to `--host 127.0.0.1`"

    def test_one_for_each_listener(self) -> None:
        found = exposures(scan(at("0.0.0.0"), at("127.0.0.1"), at("::", PYTHON, True)))
        assert [finding.address for finding in found] == ["0.0.0.0:3000", "[::]:3000"]

    def test_a_program_nobody_knows(self) -> None:
        (found,) = exposures(scan(at("0.0.0.0", Process(pids=(7,), argv=("/opt/shopd",)))))
        assert found.fix == (
            "make it listen on 127.0.0.1 instead of 0.0.0.0: look for a host or bind option, or for the port"
        )

    def test_a_process_that_cannot_be_read_says_the_gap(self) -> None:
        (found,) = exposures(scan(at("0.0.0.0", UNREAD)))
        assert found.message.startswith("a process of anna that cannot be read can be reached")
        assert found.fix == "make it listen on 127.0.0.1 instead of 0.0.0.0; it belongs to another user"

    def test_loopback_and_nothing_there_are_no_finding(self) -> None:
        assert exposures(scan(at("127.0.0.1"), at("::1", v6only=True))) == ()
        assert exposures(scan()) == ()

    @pytest.mark.parametrize("looked", [scan(gap="macOS hides it"), scan(at("?"))])
    def test_what_cannot_be_read_is_unknown(self, looked: Scan) -> None:
        (found,) = exposures(looked)
        assert (found.code, "sudo" in found.fix) == ("unknown", True)

    def test_root_is_not_told_to_get_more_rights(self) -> None:
        (found,) = exposures(scan(msgspec.structs.replace(at("?"), seen_by_root=True)))
        assert (found.code, found.fix) == ("unknown", "")


class TestShadowed:
    def test_loopback_and_wildcard_of_two_programs(self) -> None:
        (found,) = shadowed(scan(at("127.0.0.1"), at("0.0.0.0", PYTHON)))
        assert found.code == "shadowed"
        assert found.message == (
            "2 programs share port 3000, who answers depends on the address asked: "
            "node (pid 42, user anna) has 127.0.0.1:3000; python3 (pid 50, user anna) has 0.0.0.0:3000"
        )
        assert found.fix == "stop the one that is not web, or give web another port"

    def test_a_squatter_on_the_other_family(self) -> None:
        assert shadowed(scan(at("127.0.0.1"), at("::1", PYTHON, True)))

    def test_nobody_is_told_to_end_the_service_itself(self) -> None:
        """Whichever of the two it is, and where that is not known, neither."""
        both = scan(at("127.0.0.1"), at("::1", PYTHON, True))
        (found,) = shadowed(both, ServiceOwner("Vite", "/shop", "anna"))
        assert found.fix == "stop what is not web (`kill 50`), or give web another port"
        (found,) = shadowed(both, ServiceOwner("python -m http.server", "/other", "anna"))
        assert found.fix == "stop what is not web (`kill 42`), or give web another port"
        (found,) = shadowed(both, ServiceOwner("uvicorn", "/api", "anna"))
        assert "kill" not in found.fix

    def test_another_user_is_the_stranger(self) -> None:
        for theirs in (UNREAD, PYTHON):
            (found,) = shadowed(scan(at("127.0.0.1"), foreign("::1", theirs)), ServiceOwner("", "", "mallory"))
            assert "kill 42" not in found.fix
            assert ("`sudo kill 50`" in found.fix) == (theirs is PYTHON)

    def test_root_ends_another_users_program_without_sudo(self) -> None:
        for theirs, line in ((PYTHON, "`kill 50`"), (UNREAD, UNREAD.gap)):
            other = msgspec.structs.replace(foreign("::1", theirs), seen_by_root=True)
            (found,) = shadowed(scan(at("127.0.0.1"), other), ServiceOwner("", "", "mallory"))
            assert line in found.fix
            assert "sudo" not in found.fix

    def test_one_that_cannot_be_read_beside_one_that_can(self) -> None:
        (found,) = shadowed(scan(at("127.0.0.1"), at("0.0.0.0", UNREAD)))
        assert "kill" not in found.fix

    @pytest.mark.parametrize(
        "looked",
        [
            scan(),
            scan(at("127.0.0.1")),
            scan(at("127.0.0.1"), at("::1", v6only=True)),
            scan(at("127.0.0.1"), at("0.0.0.0", Process(pids=(43,)))),
            scan(at("127.0.0.1"), at("0.0.0.0", PYTHON, port=3001)),
            scan(at("127.0.0.1", UNREAD), at("::1", UNREAD, True)),
        ],
    )
    def test_one_program_is_no_finding(self, looked: Scan) -> None:
        assert shadowed(looked) == ()


def shadowed(looked: Scan, known: ServiceOwner | None = None) -> tuple[Finding, ...]:
    return find_shadowed(on_port(looked), service(), known)


def foreign(address: str, process: Process = UNREAD) -> Listener:
    """A listener of another user, whose process can be read by root alone."""
    return structs.replace(at(address, process), user="mallory", is_other_user=True)


class TestOtherUser:
    @pytest.mark.parametrize("looked", [scan(foreign("127.0.0.1")), scan(foreign("::1")), scan(foreign("0.0.0.0"))])
    def test_who_alone_answers(self, looked: Scan) -> None:
        (found,) = find_other_user(on_port(looked), service())
        assert (found.code, found.severity) == ("user", "error")
        assert "a process of mallory that cannot be read, another user of this machine" in found.message
        assert 'other_user = "allow" under [services.web], /r/devproxy.toml' in found.fix

    @pytest.mark.parametrize(
        "looked",
        [
            scan(),
            scan(at("127.0.0.1")),
            scan(foreign("127.0.0.1"), at("::1", v6only=True)),
            scan(at("127.0.0.1"), foreign("::1")),
            scan(foreign("192.168.1.20")),
        ],
    )
    def test_nobody_else_has_its_place(self, looked: Scan) -> None:
        assert find_other_user(on_port(looked), service()) == ()

    def test_allowed(self) -> None:
        allowed = service(upstream=Upstream("http", BOTH, 3000, any_user=True))
        assert find_other_user(on_port(scan(foreign("127.0.0.1"))), allowed) == ()

    def test_owner_is_compared_though_its_process_cannot_be_read(self) -> None:
        """And whoever merely sits beside the service is not its owner."""
        known = ServiceOwner("Vite", "/shop", "anna")
        taken = on_port(scan(foreign("127.0.0.1")))
        assert owner_of(taken) == ServiceOwner("", "", "mallory")
        (found,) = find_other_owner(taken, owner_of(taken), known)
        assert found.message.startswith("port 3000 belongs to a process (mallory) now, and not to Vite in /shop (anna)")
        assert "kill None" not in found.fix
        beside = on_port(scan(foreign("127.0.0.1"), at("::1", v6only=True)))
        assert find_other_owner(beside, owner_of(beside), known) == ()


class TestFamily:
    @pytest.mark.parametrize(
        ("listener", "answering"),
        [
            (at("::1", v6only=True), "::1"),
            (at("127.0.0.1"), "127.0.0.1"),
            (at("::", v6only=True), "::1"),
            (at("0.0.0.0"), "127.0.0.1"),
        ],
    )
    def test_one_only(self, listener: Listener, answering: str) -> None:
        (found,) = find_one_family(on_port(scan(listener)), BOTH)
        assert found.code == "family"
        assert f"answers on {answering} only" in found.message

    @pytest.mark.parametrize(
        "looked",
        [scan(), scan(at("::", v6only=False)), scan(at("127.0.0.1"), at("::1", v6only=True)), scan(at("192.168.1.20"))],
    )
    def test_both_or_neither(self, looked: Scan) -> None:
        assert find_one_family(on_port(looked), BOTH) == ()

    def test_a_service_that_named_one_is_meant_so(self) -> None:
        assert find_one_family(on_port(scan(at("127.0.0.1"))), BOTH[:1]) == ()


class TestOwner:
    VITE = ServiceOwner("Vite", "/shop", "anna")

    def test_another_program(self) -> None:
        (found,) = owners(scan(at("127.0.0.1", PYTHON)), self.VITE)
        assert found.code == "owner"
        assert found.message == (
            "port 3000 belongs to python -m http.server (anna) now, and not to Vite in /shop (anna), "
            "which answered there before"
        )
        assert "`kill 50`" in found.fix

    def test_the_same_program_for_another_project(self) -> None:
        blog = Process(pids=(60,), argv=NODE.argv, folder="/blog")
        assert owners(scan(at("127.0.0.1", blog)), self.VITE)

    @pytest.mark.parametrize(
        ("looked", "known"),
        [
            (scan(), VITE),
            (scan(at("127.0.0.1", UNREAD)), VITE),
            (scan(at("127.0.0.1", PYTHON)), None),
            pytest.param(scan(at("127.0.0.1", Process(pids=(99,), argv=NODE.argv))), VITE, id="a restart"),
            pytest.param(scan(at("127.0.0.1", Process(pids=(9,), argv=NODE.argv, folder="/"))), VITE, id="no folder"),
        ],
    )
    def test_the_same_or_not_known(self, looked: Scan, known: ServiceOwner | None) -> None:
        assert owners(looked, known) == ()

    def test_the_one_that_a_connection_to_loopback_reaches(self) -> None:
        found = owner_of(on_port(scan(at("192.168.1.20", PYTHON), at("127.0.0.1", NODE))))
        assert found == ServiceOwner("Vite", "", "anna")

    def test_its_process_is_the_one_to_stop(self) -> None:
        looked = scan(at("192.168.1.20", NODE), at("127.0.0.1", PYTHON))
        (found,) = owners(looked, self.VITE)
        assert "`kill 50`" in found.fix


def test_conflict_names_the_others() -> None:
    six = service("api", upstream=Upstream("http", ("::1",), 3000))
    found = conflicts(service("web"), six, service("db", 5432))
    assert sorted(found) == ["api", "web"]
    assert found["web"].message == "port 3000 is also that of api: both names lead to the same program"
    assert conflicts(service("web", upstream=Upstream("http", ("127.0.0.1",), 3000)), six) == {}


def test_one_service_in_two_checkouts_is_no_conflict() -> None:
    twins = service("db.shop"), service("db.fix.shop")
    assert conflicts(*twins) == {}
    found = conflicts(*twins, service("web.shop"))
    assert found["db.shop"].message.startswith("port 3000 is also that of web.shop: ")
    assert found["web.shop"].message.startswith("port 3000 is also that of db.shop, db.fix.shop: ")


def test_self() -> None:
    (found,) = find_own_port(service("web", 7080), {7080, 7443})
    assert found.code == "self"
    assert "devproxy's own" in found.message
    assert find_own_port(service("web", 3000), {7080, 7443}) == ()
