"""`/api/events`: what happens, as it happens (server-sent events, WHATWG HTML §9.2).

Lives here: turning log entries into events, and one subscription a reader.
Not here: the log (`devproxy/events.py`).
How: a reader gets what came after the last event it saw (`Last-Event-ID`, or `?after=`), then every new one. A reader
that does not read is cut off after a bounded number of entries; its browser comes back by itself and asks for the rest.
"""

import asyncio

import msgspec
from aiohttp import web

from devproxy.control.context import ControlContext
from devproxy.control.responses import refusal
from devproxy.events import Entry
from devproxy.text import json_text

HEARTBEAT = 15.0  # seconds; a comment, so that a reader that went away is noticed
MOST_READERS = 64
MOST_WAITING = 1000  # entries a slow reader may fall behind
_RETRY = b"retry: 1000\n\n"  # milliseconds until a browser asks again

Waiting = asyncio.Queue[Entry | None]


def encode(entry: Entry) -> bytes:
    """One event: its number as `id`, and as data the event's JSON with `id` and `time`."""
    data = msgspec.to_builtins(entry.event) | {"id": entry.id, "time": entry.time, "text": entry.event.text()}
    return f"id: {entry.id}\ndata: {json_text(data, lines=False)}\n\n".encode()


class Streams:
    """Every open stream, so that `close` can end them all."""

    def __init__(self, view: ControlContext):
        self._view = view
        self._readers: set[Waiting] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """`GET /api/events`; on HEAD the head alone."""
        if len(self._readers) >= MOST_READERS:
            return refusal(request, 503, "too-many-readers", f"{MOST_READERS} readers of events are connected already")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        if request.method == "GET":
            try:
                await self._stream(response, _after(request, self._view.events.last))
            except (ConnectionError, TimeoutError):
                # Gone, or it reads nothing: there is nobody to end the response for.
                if request.transport is not None:
                    request.transport.abort()
        return response

    async def close(self, _: object = None) -> None:
        """End every stream (`on_shutdown`): a graceful stop does not wait for readers that never leave."""
        for waiting in self._readers:
            _end(waiting)

    async def _stream(self, response: web.StreamResponse, after: int) -> None:
        log = self._view.events
        waiting: Waiting = asyncio.Queue(MOST_WAITING)
        self._readers.add(waiting)
        unsubscribe = log.subscribe(lambda entry: _end(waiting) if waiting.full() else waiting.put_nowait(entry))
        try:
            await _send(response, _RETRY + b"".join(encode(entry) for entry in log.since(after)))
            while True:
                try:
                    entry = await asyncio.wait_for(waiting.get(), HEARTBEAT)
                except TimeoutError:
                    await _send(response, b": still here\n\n")
                    continue
                if entry is None:
                    return
                await _send(response, encode(entry))
        finally:
            unsubscribe()
            self._readers.discard(waiting)


async def _send(response: web.StreamResponse, data: bytes) -> None:
    """Raises TimeoutError where the reader has stopped reading, ConnectionError where it is gone."""
    async with asyncio.timeout(HEARTBEAT):
        await response.write(data)


def _end(waiting: Waiting) -> None:
    """Make the reader's next look the last."""
    while not waiting.empty():
        waiting.get_nowait()
    waiting.put_nowait(None)


def _after(request: web.Request, last: int) -> int:
    """The last event the reader has seen; one that says nothing gets only what is new."""
    said = request.headers.get("Last-Event-ID") or request.query.get("after", "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 16 else last
