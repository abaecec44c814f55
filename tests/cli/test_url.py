"""`devproxy url`: a URL on stdout and nothing else; what is said on stderr; exit codes."""

import json

import pytest

from tests.cli.command import Home, pretend_running, write_all

STOPPED = "the proxy is not running; start it: devproxy start\n"


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("api", "http://api.shop.localhost:7080"),
        ("web", "http://web.localhost:7080"),
        ("web.shop", "http://web.shop.localhost:7080"),
        ("a.web.localhost", "http://a.web.localhost:7080"),
        ("db", "tcp://127.0.0.1:5432"),
    ],
)
def test_a_url_works_as_it_is(home: Home, name: str, url: str) -> None:
    write_all(home)
    pretend_running(home, 7080)
    assert home.run("url", name) == (0, f"{url}\n", "")


def test_with_the_proxy_stopped_the_url_comes_with_a_remark(home: Home) -> None:
    write_all(home)
    assert home.run("url", "api") == (0, "http://api.shop.localhost\n", STOPPED)


def test_a_killed_proxys_file_is_not_believed(home: Home) -> None:
    write_all(home)
    pretend_running(home, 7080, started=1.0)
    assert home.run("url", "api") == (0, "http://api.shop.localhost\n", STOPPED)


def test_json(home: Home) -> None:
    write_all(home)
    pretend_running(home, 7080)
    done = home.run("url", "--json", "api")
    assert json.loads(done.out) == {
        "name": "api.shop",
        "host": "api.shop.localhost",
        "url": "http://api.shop.localhost:7080",
        "running": True,
    }


@pytest.mark.parametrize("command", ["url", "open"])
def test_a_wrong_name_is_bad_news(home: Home, command: str) -> None:
    write_all(home)
    done = home.run(command, "apo")
    assert (done.code, done.out) == (1, "")
    assert done.err == "nothing is called `apo`\n  fix: did you mean `api.shop`?\n"
