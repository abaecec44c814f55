"""devproxy.localhost: devproxy's own pages and API, the only part that aiohttp serves.

Lives here: the application: routes, guard, static files.
Not here: listening (the proxy hands a connection over once it knows that it is ours), what the pages say (`pages.py`).
Everything is read-only and small: static files are read once, at start.
"""

import logging
from importlib.resources import files

from aiohttp import web
from aiohttp.typedefs import Handler

from devproxy.control import api, pages
from devproxy.control.context import ControlContext
from devproxy.control.guard import guard
from devproxy.control.responses import refusal, secure
from devproxy.control.stream import Streams
from devproxy.proxy.answers import BUG, REPORT_BUG

_log = logging.getLogger(__name__)
_NO_LIMIT = 1 << 30  # bytes: the proxy has refused what is too large before it comes here
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def build_app(view: ControlContext) -> web.Application:
    """The application for connections to `devproxy.<tld>`."""
    app = web.Application(middlewares=[guard(view.hosts), _explain])
    streams = Streams(view)
    app.on_response_prepare.append(secure)
    app.on_shutdown.append(streams.close)
    app.add_routes(api.routes(view))
    app.add_routes([web.get("/api/events", streams.handle), web.get("/", _page(view))])
    app.add_routes([web.get(f"/static/{name}", handler) for name, handler in _static().items()])
    return app


def runner(app: web.Application, grace: float = 1.0) -> web.AppRunner:
    """What makes connection protocols (`.server()`) after `setup`; `cleanup` ends them within `grace` seconds."""
    return web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=grace,
        lingering_time=1.0,
        handler_cancellation=True,  # a reader of events that goes away ends its handler at once
        max_line_size=_NO_LIMIT,
        max_field_size=_NO_LIMIT,
    )


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What the router refuses, and a fault of our own, in our own words."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return refusal(request, 404, "not-found", "devproxy has no such page", "see / or /api/services")
    except web.HTTPException:
        raise
    except Exception:
        _log.exception("%s could not be made", request.path)
        what = "devproxy ran into a bug of its own; services are reached as before"
        return refusal(request, 500, BUG, what, REPORT_BUG)


def _page(view: ControlContext) -> Handler:
    async def dashboard(_: web.Request) -> web.Response:
        await view.look()
        return web.Response(text=pages.dashboard(view), content_type="text/html")

    return dashboard


def _static() -> dict[str, Handler]:
    found: dict[str, Handler] = {}
    for file in files("devproxy.control").joinpath("static").iterdir():
        kind = _TYPES.get(f".{file.name.rpartition('.')[2]}")
        if kind:
            found[file.name] = _file(file.read_bytes(), kind)
    return found


def _file(content: bytes, kind: str) -> Handler:
    async def static(_: web.Request) -> web.Response:
        return web.Response(body=content, content_type=kind, charset="utf-8", headers={"Cache-Control": "no-cache"})

    return static
