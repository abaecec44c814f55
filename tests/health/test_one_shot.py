"""All services checked once: every kind of service, against real sockets on loopback."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from devproxy.health import reachability
from devproxy.health.model import Reach, ServiceOwner
from devproxy.health.one_shot import check_once
from devproxy.registry.model import Health, ProxySettings, Registry
from tests.health.things import service
from tests.ports import free_port, listening


async def test_every_kind_of_service(tmp_path: Path) -> None:
    async def sick(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 Sick\r\n\r\n")
        writer.close()

    port = free_port()
    server = await asyncio.start_server(sick, "127.0.0.1", port)
    waits: dict[str, Any] = {"command": "vite", "start": "on-request", "trusted": True}
    services = (
        service("asleep", free_port(), **waits),
        service("down", free_port()),
        service("gone", path=str(tmp_path / "x.sock")),
        service("none", None),
        service("portless", None, **waits),
        service("sick", port, health=Health(path="/")),
        service("sleepless", port, health=Health(path="/"), **waits),
        service("up", port),
    )
    async with server:
        found = await check_once(Registry(services=services), services)
    assert {name: condition.word for name, condition in found.items()} == {
        "asleep": "on-request",
        "down": "down",
        "gone": "down",
        "none": "unknown",
        "portless": "on-request",
        "sick": "down",
        "sleepless": "down",
        "up": "up",
    }
    assert found["sick"].why == "GET / was answered 500, not 2xx"
    assert (found["up"].exposure, found["gone"].exposure, found["down"].exposure) == ("loopback", "loopback", "unknown")
    assert {finding.code for finding in found["up"].findings} == {"conflict", "family"}


async def test_only_those_asked_for_but_conflicts_with_all() -> None:
    with listening() as port:
        both = service("a", port), service("b", port)
        found = await check_once(Registry(services=both), both[:1])
    assert list(found) == ["a"]
    assert "conflict" in {finding.code for finding in found["a"].findings}


async def test_the_owner_that_was_known_and_the_proxys_own_port() -> None:
    with listening() as port:
        made = (service(port=port),)
        known = {"web": ServiceOwner("another program")}
        found = await check_once(Registry(services=made), made, own_ports=[port], owners=known)
    assert {"owner", "self"} <= {finding.code for finding in found["web"].findings}


@pytest.mark.parametrize("allowed", [True, False])
async def test_the_proof_is_the_registrys_choice(allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(reachability.OFF)
    reach = Reach(("192.0.2.1",), ("192.0.2.1",))
    monkeypatch.setattr(reachability, "prove", lambda ports, _: dict.fromkeys(ports, reach))
    made = (service(port=free_port()),)
    found = await check_once(Registry(services=made, settings=ProxySettings(exposure_proof=allowed)), made)
    assert (found["web"].exposure == "exposed") == allowed
