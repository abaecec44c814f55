"""Services that are where many proxies do not look: on `::1` alone, and on a unix socket.

Lives here: reaching them. What a service on both addresses means for exposure is for another day.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import require
from tests.e2e.clients import request
from tests.e2e.origin import Handler, origin, saying, unix_origin
from tests.e2e.proxy import Devproxy

pytestmark = pytest.mark.e2e

Serve = Callable[[str], Devproxy]


@pytest.fixture(autouse=True)
def ipv6() -> None:
    require.ipv6()


def test_a_service_on_ipv6_only(serve: Serve) -> None:
    with origin(saying("on ::1"), host="::1") as service:
        devproxy = serve(
            f'[services.six]\nport = {service.port}\n[services.url]\nupstream = "http://[::1]:{service.port}"\n'
        )
        assert devproxy.get("six.localhost").body == b"on ::1"
        assert devproxy.get("url.localhost").body == b"on ::1"


def test_two_services_that_differ_in_the_address_family_alone(serve: Serve) -> None:
    with origin(saying("four")) as four, origin(saying("six"), host="::1") as six:
        devproxy = serve(
            f'[services.four]\nupstream = "http://127.0.0.1:{four.port}"\n'
            f'[services.six]\nupstream = "http://[::1]:{six.port}"\n'
        )
        assert (devproxy.get("four.localhost").body, devproxy.get("six.localhost").body) == (b"four", b"six")


def test_a_service_on_a_unix_socket(serve: Serve) -> None:
    def echo(handler: Handler) -> None:
        handler.reply(handler.headers["Host"].encode() + b" " + handler.body())

    # A folder with a short name: the path of a unix socket has room for about a hundred bytes.
    with tempfile.TemporaryDirectory(prefix="dp") as folder:
        path = Path(folder) / "app.sock"
        with unix_origin(echo, path) as record:
            devproxy = serve(f'[services.app]\nupstream = "unix:{path}"\n')
            answer = request(devproxy.port, "app.localhost", "/a%2Fb?c", method="POST", body=b"x" * 100_000)
            assert answer.body == f"app.localhost:{devproxy.port} ".encode() + b"x" * 100_000
            assert record.paths() == ["/a%2Fb?c"]


def test_the_proxy_itself_answers_on_both_addresses(serve: Serve) -> None:
    with origin(saying("here")) as service:
        devproxy = serve(f"[services.app]\nport = {service.port}\n")
        for address in ("127.0.0.1", "::1"):
            assert request(devproxy.port, "app.localhost", address=address).body == b"here"
