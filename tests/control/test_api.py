"""The JSON of devproxy's own pages."""

import msgspec

from devproxy import __version__
from devproxy.health.model import Condition
from devproxy.serializers import problem_row, service_rows
from devproxy.urls import Ports
from tests.control.conftest import Client
from tests.control.sample import Pages
from tests.imported import imported_build


async def test_services_are_the_rows_of_ls(client: Client, pages: Pages) -> None:
    async with client.get("/api/services") as answer:
        assert answer.content_type == "application/json"
        assert await answer.json() == service_rows(pages.registry, Ports(7080))


async def test_problems_are_all_that_are_open(client: Client, pages: Pages) -> None:
    async with client.get("/api/problems") as answer:
        assert await answer.json() == [problem_row(problem) for problem in pages.registry.problems]


async def test_status_tells_who_runs_and_where(client: Client, pages: Pages) -> None:
    pages.notices = ["port 80 is busy"]
    async with client.get("/api/status") as answer:
        status = await answer.json()
    assert (status["version"], status["build"]) == (__version__, imported_build())
    assert (status["pid"], status["http"], status["services"], status["problems"]) == (42, 7080, 4, 1)
    assert status["addresses"] == ["127.0.0.1:7080", "[::1]:7080"]
    assert status["notices"] == ["port 80 is busy"]
    assert status["uptime"] > 0


async def test_what_is_shown_follows_the_registry(client: Client, pages: Pages) -> None:
    pages.registry = msgspec.structs.replace(pages.registry, services=())
    async with client.get("/api/services") as answer:
        assert await answer.json() == []


async def test_health_is_the_conditions_by_service(client: Client, pages: Pages) -> None:
    pages.conditions = {"app": Condition(state="up", exposure="loopback")}
    async with client.get("/api/health") as answer:
        health = await answer.json()
    async with client.get("/api/services") as answer:
        rows = {row["id"]: row for row in await answer.json()}
    assert (health["app"]["state"], health["app"]["exposure"]) == ("up", "loopback")
    assert (rows["app"]["state"], rows["web.shop"]["state"]) == ("up", "unknown")


async def test_history_is_of_all_or_of_one(client: Client, pages: Pages) -> None:
    pages.history = [{"service": "app", "kind": "up"}, {"service": "web", "kind": "down"}]
    async with client.get("/api/history") as answer:
        assert len(await answer.json()) == 2
    async with client.get("/api/history?service=web") as answer:
        assert [row["kind"] for row in await answer.json()] == ["down"]
