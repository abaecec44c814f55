"""`devproxy serve` as the other commands see it, and what it can be told."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest

from devproxy.cli.demo import sample_service
from devproxy.cli.serve import command
from tests.cli.command import Home
from tests.waiting import DEADLINE, wait_until


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
        wait_until(lambda: process.poll() or (home.state / "proxy.json").exists(), "proxy.json", log=log.read_text)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(DEADLINE)


def test_no_option_widens_where_it_listens() -> None:
    assert {option for parameter in command.params for option in parameter.opts} == {
        "--http",
        "--https",
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
        assert process.wait(DEADLINE) == 0
    assert home.run("status").code == 3


def get(port: int, host: str) -> str:
    """The body of a GET, once the service is routed."""
    answers: list[tuple[int, str]] = []

    def is_routed() -> bool:
        connection = HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        connection.request("GET", "/", headers={"Host": host})
        response = connection.getresponse()
        answers.append((response.status, response.read().decode().strip()))
        connection.close()
        return response.status == 200

    wait_until(is_routed, f"{host} to be routed", log=lambda: str(answers[-1]))
    return answers[-1][1]


def test_a_port_that_is_taken_is_an_error_with_its_holder(home: Home) -> None:
    with sample_service("web") as web:
        done = home.run("serve", "--http", str(web.port))
    assert (done.code, done.out) == (1, "")
    assert str(web.port) in done.err
    assert "Traceback" not in done.err
