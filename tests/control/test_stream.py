"""Server-sent events: what happens, as it happens."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from devproxy.control import stream
from devproxy.events import Notice, Services
from tests.control.conftest import Client
from tests.control.sample import Pages
from tests.waiting import DEADLINE, until


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """The events of a stream; a comment is `{}`."""
    while block := (await _block(answer)).strip():
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "data" in fields:
            event = json.loads(fields["data"])
            assert event["id"] == int(fields["id"])
            yield event
        elif "" in fields:
            yield {}


async def _block(answer: aiohttp.ClientResponse) -> str:
    lines = []
    async with asyncio.timeout(DEADLINE):
        while line := (await answer.content.readline()).decode():
            if line == "\n":
                break
            lines.append(line)
    return "".join(lines)


async def test_a_reader_gets_only_what_is_new(client: Client, pages: Pages) -> None:
    pages.events.add(Notice("old"))
    async with client.get("/api/events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert await _block(answer) == "retry: 1000\n"
        pages.events.add(Services(added=("web",)))
        event = await anext(events(answer))
    assert event == {
        "kind": "services",
        "added": ["web"],
        "removed": [],
        "changed": [],
        "settings": False,
        "id": 2,
        "time": 1_700_000_000.0,
        "text": "added web",
    }


@pytest.mark.parametrize("field", [True, False], ids=["Last-Event-ID", "query"])
async def test_a_reader_that_comes_back_gets_what_it_missed(field: bool, client: Client, pages: Pages) -> None:
    for name in "abc":
        pages.events.add(Notice(name))
    headers, path = ({"Last-Event-ID": "1"}, "/api/events") if field else ({}, "/api/events?after=1")
    async with client.get(path, headers=headers) as answer:
        stream_of = events(answer)
        assert [(await anext(stream_of))["message"] for _ in range(2)] == ["b", "c"]


@pytest.mark.parametrize("after", ["", "x", "-1", "1e3", "²", "9" * 5000])
async def test_a_number_that_is_none_counts_as_unsaid(after: str, client: Client, pages: Pages) -> None:
    pages.events.add(Notice("old"))
    async with client.get("/api/events", params={"after": after}) as answer:
        assert await _block(answer) == "retry: 1000\n"
        pages.events.add(Notice("new"))
        assert (await anext(events(answer)))["message"] == "new"


async def test_a_silent_stream_has_a_heartbeat(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT", 0.05)
    async with client.get("/api/events") as answer:
        assert await anext(events(answer)) == {}


async def test_a_reader_that_left_is_forgotten_at_once(client: Client, pages: Pages) -> None:
    async with client.get("/api/events") as answer:
        await _block(answer)
        assert len(pages.events._subscribers) == 1
    await until(lambda: not pages.events._subscribers)


async def test_a_reader_that_does_not_read_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, client: Client, pages: Pages
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT", 0.2)
    monkeypatch.setattr(stream, "MOST_WAITING", 5)
    async with client.get("/api/events") as answer:
        await _block(answer)
        async with asyncio.timeout(DEADLINE):
            while pages.events._subscribers:
                pages.events.add(Notice("x" * 100_000))
                await asyncio.sleep(0)


async def test_readers_are_bounded(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    monkeypatch.setattr(stream, "MOST_READERS", 1)
    async with client.get("/api/events") as first:
        await _block(first)
        async with client.get("/api/events") as second:
            assert second.status == 503
            assert second.headers["Devproxy-Error"] == "too-many-readers"


async def test_a_shutdown_ends_the_streams(client: Client) -> None:
    async with client.get("/api/events") as answer:
        await _block(answer)
        await client.server.close()
        async with asyncio.timeout(DEADLINE):
            assert await answer.content.read() == b""
