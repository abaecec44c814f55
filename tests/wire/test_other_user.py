"""Another user of this machine listens where a service should, or on the loopback that it leaves free.

Lives here: that attack, with a second user who really does it.
Not here: who is another user (`tests/net/test_users.py`), what `health` says of it (`tests/health/`).
"""

import errno
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from devproxy.net import dial
from devproxy.net.sockets import family_of
from devproxy.registry.model import Upstream
from tests import require
from tests.other_user import UID, listens
from tests.ports import free_port
from tests.waiting import until
from tests.wire.harness import Stage, get, service
from tests.wire.test_dial import BOTH, served_by

OTHER = {"127.0.0.1": "::1", "::1": "127.0.0.1"}


@pytest.fixture(autouse=True)
def linux() -> None:
    require.linux()
    require.ipv6()


@pytest.fixture
def folder() -> Iterator[Path]:
    """One in which anybody may make a socket."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def nobody_listens(host: str, port: int) -> bool:
    """Whether the kernel refuses whoever connects."""
    with socket.socket(family_of(host), socket.SOCK_STREAM) as probe:
        return probe.connect_ex((host, port)) == errno.ECONNREFUSED


async def refused(stage: Stage) -> None:
    client = await stage.connect()
    await client.send(get(b"/", b"Cookie: secret"))
    message = await client.response()
    assert (message.status, message.error) == (503, "other-user"), message.body
    assert b"under [services.web], /registry.toml" in message.body


@pytest.mark.parametrize("place", [("127.0.0.1",), ("::1",), BOTH])
async def test_who_alone_answers_gets_nothing(stage: Stage, place: tuple[str, ...]) -> None:
    port = free_port()
    await stage.start(service("web", Upstream("http", BOTH, port)))
    for host in place:
        with listens(host, port) as other:
            await refused(stage)
            assert other.end() == []


@pytest.mark.parametrize("mine", BOTH)
async def test_the_loopback_that_a_service_leaves_free(stage: Stage, mine: str) -> None:
    """Neither while the service is away, nor once it is back, nor because the other one is tried first."""
    origin = stage.another(mine)
    await stage.start(service("web", Upstream("http", BOTH, origin.port), hold=0.0))
    with listens(OTHER[mine], origin.port) as other:
        await served_by(stage, origin)
        origin.refuse()
        await until(lambda: nobody_listens(mine, origin.port), "the kernel to refuse")
        await refused(stage)
        origin.listen()
        await served_by(stage, origin)
        assert other.end() == []


async def test_who_is_allowed_answers_until_that_is_taken_back(stage: Stage) -> None:
    port = free_port()
    web = service("web", Upstream("http", ("127.0.0.1",), port, any_user=True))
    await stage.start(web)
    with listens("127.0.0.1", port) as other:
        client = await stage.connect()
        await client.send(get())
        assert (await client.response()).body == b"other"
        assert other.line() == "took one"
        assert other.line().startswith("got")
        assert web.upstream is not None
        stage.swap(structs.replace(web, upstream=structs.replace(web.upstream, any_user=False)))
        await refused(stage)  # no kept connection leads there either
        assert other.end() == []


async def test_who_comes_between_the_look_and_the_connection(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has taken the connection, and no byte is sent on it."""
    port = free_port()
    await stage.start(service("web", Upstream("http", ("127.0.0.1",), port)))
    monkeypatch.setattr(dial, "other_listener", lambda host, port: None)
    with listens("127.0.0.1", port) as other:
        await refused(stage)
        assert "got" not in "".join(other.end())


async def test_a_unix_socket(stage: Stage, folder: Path) -> None:
    path = folder / "app.sock"
    await stage.start(service("web", Upstream("http", path=str(path))))
    with listens(str(path)) as other:
        await refused(stage)
        assert "got" not in "".join(other.end())
    path.unlink()
    await served_by(stage, stage.another(path=path))


async def test_the_answer_names_who_is_in_the_way(stage: Stage) -> None:
    port = free_port()
    await stage.start(service("web", Upstream("http", ("127.0.0.1",), port)))
    with listens("127.0.0.1", port):
        client = await stage.connect()
        await client.send(get(b"/", b"Accept: application/json"))
        assert f"127.0.0.1:{port} (user {UID} listens there, not you)".encode() in (await client.response()).body
