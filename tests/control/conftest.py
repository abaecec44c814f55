"""devproxy's own pages, served without the proxy in front, and a client that knows their name."""

from typing import Any, TypeAlias

import pytest
from aiohttp import ClientTimeout, web
from aiohttp.test_utils import TestClient, TestServer
from pytest_aiohttp.plugin import AiohttpClient

from devproxy.control.app import build_app, runner
from tests.control.sample import HOST, Pages
from tests.waiting import DEADLINE

Client: TypeAlias = TestClient[web.Request, None]


class _Server(TestServer):
    """With the runner that the daemon uses."""

    async def _make_runner(self, **_: Any) -> web.AppRunner:
        return runner(self.app, grace=5)


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
async def client(aiohttp_client: AiohttpClient, pages: Pages) -> Client:
    """A client of `pages` that says `Host: devproxy.localhost`."""
    server = _Server(build_app(pages.view()), skip_url_asserts=True)  # paths as they are, `/../` and all
    return await aiohttp_client(server, headers={"Host": HOST}, timeout=ClientTimeout(DEADLINE))
