"""The JSON that devproxy's own pages answer with: `/api/services`, `/api/health`, `/api/history`, `/api/problems`,
`/api/status`.

Lives here: one handler a resource. Fields are only ever added.
Not here: the shape of a service (`devproxy/serializers.py`, shared with `devproxy ls --json`), `/api/events`
(`stream.py`).
"""

import asyncio
from collections.abc import Iterator

from aiohttp import web

from devproxy.control.context import ControlContext
from devproxy.control.responses import json_answer
from devproxy.serializers import problem_row, service_rows


def routes(view: ControlContext) -> Iterator[web.RouteDef]:
    """The handlers, each at its path."""

    async def services(_: web.Request) -> web.Response:
        await view.look()
        return json_answer(service_rows(view.registry(), view.ports(), view.conditions(), view.waiting()))

    async def health(_: web.Request) -> web.Response:
        await view.look()
        return json_answer(view.conditions())

    async def history(request: web.Request) -> web.Response:
        wanted = request.query.get("service")
        await view.look()
        return json_answer(await asyncio.to_thread(view.history, wanted))

    async def problems(_: web.Request) -> web.Response:
        return json_answer([problem_row(problem) for problem in view.registry().problems])

    async def status(_: web.Request) -> web.Response:
        await view.look()
        return json_answer(view.status())

    yield web.get("/api/services", services)
    yield web.get("/api/health", health)
    yield web.get("/api/history", history)
    yield web.get("/api/problems", problems)
    yield web.get("/api/status", status)
