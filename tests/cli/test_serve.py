"""`devproxy serve` as the other commands see it, and what it can be told."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest

from devproxy.cli.demo import sample_service
from devproxy.cli.serve import command
from tests.cli.command import Home


@contextmanager
def serving(home: Home, *argv: str) -> "Iterator[subprocess.Popen[bytes]]":
    """A `devproxy serve` that has written state/proxy.json."""
    log = home.folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "devproxy", "serve", *argv],
            env=home.environment(),
            cwd=home.folder,
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + 30
        while not (home.state / "proxy.json").exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)


def test_no_option_widens_where_it_listens() -> None:
    assert {option for parameter in command.params for option in parameter.opts} == {
        "--http",
        "--access-log",
        "--detached",
    }


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_the_other_commands_know_the_port_that_it_really_has(home: Home) -> None:
    with sample_service("web") as web, serving(home, "--http", "0") as process:
        status = json.loads(home.run("status", "--json").out)
        port = status["http"]
        assert (status["running"], status["pid"]) == (True, process.pid)
        assert home.run("add", "web", str(web.port)) == (
            0,
            f"http://web.localhost:{port}\n",
            f"`web` is now in {home.registry}\n",
        )
        assert home.run("url", "web") == (0, f"http://web.localhost:{port}\n", "")
        assert get(port, f"web.localhost:{port}") == web.answer(f"web.localhost:{port}")
        second = home.run("serve")
        assert second.code == 1
        assert f"pid {process.pid}" in second.err
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert home.run("status").code == 3


def get(port: int, host: str) -> str:
    """The body of a GET, once the service is routed (a change is live within milliseconds)."""
    deadline = time.monotonic() + 10
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/", headers={"Host": host})
        response = connection.getresponse()
        body = response.read().decode().strip()
        connection.close()
        if response.status == 200 or time.monotonic() > deadline:
            return body
        time.sleep(0.02)


def test_a_port_that_is_taken_is_an_error_with_its_holder(home: Home) -> None:
    with sample_service("web") as web:
        done = home.run("serve", "--http", str(web.port))
    assert (done.code, done.out) == (1, "")
    assert str(web.port) in done.err
    assert "Traceback" not in done.err
