"""What is printed once devproxy is ready."""

from devproxy import __version__
from devproxy.daemon.banner import announcement
from devproxy.problems import Problem
from devproxy.registry.model import Registry, Service, Source, Upstream
from devproxy.urls import Ports

BOTH = ["127.0.0.1:80", "[::1]:80"]


def service(name: str, port: int | None) -> Service:
    upstream = Upstream("http", ("127.0.0.1", "::1"), port) if port else None
    return Service(
        id=name, name=name, project=None, hosts=(f"{name}.localhost",), upstream=upstream, source=Source("/f", 1)
    )


def test_names_addresses_and_notices() -> None:
    registry = Registry(services=(service("app", 3000), service("longer", None)))
    assert announcement(registry, BOTH, Ports(80), ["no IPv6"]).splitlines() == [
        f"devproxy {__version__} listens on 127.0.0.1:80 and [::1]:80",
        "note: no IPv6",
        "",
        "  http://app.localhost     →  http://localhost:3000",
        "  http://longer.localhost  →  no port yet",
        "",
        "Everything at a glance: http://devproxy.localhost/",
    ]


def test_another_port_is_in_every_url() -> None:
    text = announcement(Registry(services=(service("app", 3000),)), BOTH, Ports(7080), [])
    assert "http://app.localhost:7080 " in text
    assert text.endswith("http://devproxy.localhost:7080/")


def test_an_empty_registry_says_how_to_begin() -> None:
    assert "No services yet. Give a port a name: devproxy add app 3000" in announcement(Registry(), BOTH, Ports(80), [])


def test_problems_come_last_with_place_and_fix() -> None:
    problem = Problem(code="unknown-key", message="unknown key `prot`", file="/f", line=2, column=1, fix="rename it")
    lines = announcement(Registry(problems=(problem,)), BOTH, Ports(80), []).splitlines()
    assert lines[-3:] == ["1 problem:", "  /f:2:1: error: unknown key `prot` [unknown-key]", "    fix: rename it"]


def test_what_is_too_much_is_counted() -> None:
    services = tuple(service(f"s{number:03}", 3000) for number in range(150))
    problems = tuple(Problem(code="syntax", message="m", file="/f", line=line) for line in range(30))
    text = announcement(Registry(services=services, problems=problems), BOTH, Ports(80), [])
    assert "  and 50 more: devproxy ls" in text
    assert text.endswith("  and 10 more: devproxy check")
