"""Which address a service is reached at: both loopbacks, one of them, a unix socket, none.

Lives here: dialling as it shows on the wire.
Not here: the dialler by itself (`tests/net/`), restarts (`test_pool.py`).
"""

from pathlib import Path

import pytest

from devproxy.registry.model import Upstream
from tests import require
from tests.wire.harness import HOST, OK, Origin, Stage, crlf, get, service

BOTH = ("127.0.0.1", "::1")


async def served_by(stage: Stage, origin: Origin, target: bytes = b"/where") -> None:
    client = await stage.connect()
    await client.send(get(target))
    up = await origin.accept()
    head = await up.head()
    assert head.target == target
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Connection: close", b"Content-Length: 2") + b"ok")
    assert (await client.response()).body == b"ok"


@pytest.mark.parametrize("only", BOTH)
async def test_service_on_one_family_only(stage: Stage, only: str) -> None:
    origin = stage.another(require.loopback(only))
    await stage.start(service("web", Upstream("http", BOTH, origin.port)))
    await served_by(stage, origin)
    await served_by(stage, origin, b"/again")


async def test_service_moves_to_the_other_family(stage: Stage) -> None:
    """The one that answered last time is tried first, and is not the only one."""
    require.loopback("::1")
    first = stage.another("127.0.0.1")
    await stage.start(service("web", Upstream("http", BOTH, first.port), hold=5.0))
    await served_by(stage, first)
    first.refuse()
    second = stage.another("::1", port=first.port)
    await served_by(stage, second)
    second.refuse()
    first.listen()
    await served_by(stage, first)


async def test_family_that_answered_last_time_is_first(stage: Stage) -> None:
    require.loopback("::1")
    second = stage.another("::1")
    await stage.start(service("web", Upstream("http", BOTH, second.port)))
    await served_by(stage, second)
    newcomer = stage.another("127.0.0.1", port=second.port)
    await served_by(stage, second)
    assert newcomer.untouched()


async def test_neither_family(stage: Stage) -> None:
    origin = stage.another("127.0.0.1")
    origin.refuse()
    await stage.start(service("web", Upstream("http", BOTH, origin.port)))
    client = await stage.connect()
    await client.send(get(b"/", b"Accept: application/json"))
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-refused")
    assert f"127.0.0.1:{origin.port}".encode() in message.body
    assert f"[::1]:{origin.port}".encode() in message.body
    assert b"/registry.toml" in message.body


async def test_unix_socket(stage: Stage, tmp_path: Path) -> None:
    origin = stage.another(path=tmp_path / "s")
    await stage.start(service("web", origin))
    client = await stage.connect()
    await client.send(crlf(b"POST /u HTTP/1.1", HOST, b"Content-Length: 2") + b"hi")
    up = await origin.accept()
    message = await up.request()
    assert (message.head.target, message.head.one(b"Host"), message.body) == (b"/u", b"web.localhost", b"hi")
    await up.send(OK)
    await client.expect(OK)
    await client.send(get(b"/again"))
    assert (await up.head()).target == b"/again"


@pytest.mark.parametrize("there", [True, False], ids=["stale", "missing"])
async def test_unix_socket_that_nobody_serves(stage: Stage, tmp_path: Path, there: bool) -> None:
    path = tmp_path / "s"
    if there:
        stage.another(path=path).refuse()
    await stage.start(service("web", Upstream("http", path=str(path))))
    client = await stage.connect()
    await client.send(get(b"/", b"Accept: application/json"))
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-refused")
    assert str(path).encode() in message.body


async def test_service_without_a_port_yet(stage: Stage) -> None:
    await stage.start(service("web", None))
    client = await stage.connect()
    await client.send(get())
    message = await client.response()
    assert (message.status, message.error) == (502, "no-upstream")
    assert b"/registry.toml" in message.body


async def test_scheme_that_is_not_spoken(stage: Stage) -> None:
    upstream = Upstream("tcp", (stage.host,), stage.origin.port)
    await stage.start(service("web", upstream))
    client = await stage.connect()
    await client.send(get())
    assert (await client.response()).error == "unsupported-upstream"
    assert stage.origin.untouched()


async def test_page_for_a_browser_loads_again_by_itself(stage: Stage) -> None:
    stage.origin.refuse()
    await stage.start(service("web", stage.origin, command="npm run dev -- <x>"))
    client = await stage.connect()
    await client.send(get(b"/", b"Accept: text/html"))
    message = await client.response()
    assert (message.status, message.head.one(b"Content-Type").split(b";")[0]) == (502, b"text/html")
    assert b"devproxy up web" in message.body
    assert b"<x>" not in message.body
    assert b"<script>" in message.body
    assert b"location.reload" in message.body
