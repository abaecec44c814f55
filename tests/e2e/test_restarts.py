"""A service that restarts is not an error: its clients wait a moment, and never see it.

Lives here: a real process that is killed and started again on the same port, under load.
"""

import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.clients import Hammer
from tests.e2e.processes import APPS, Program
from tests.e2e.proxy import Devproxy
from tests.ports import free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

_RESTARTS = 8
_WITHIN = 5.0  # seconds
_CLIENTS = 4


def test_eight_restarts_in_five_seconds_under_four_clients(serve: Callable[[str], Devproxy], tmp_path: Path) -> None:
    port = free_port()
    devproxy = serve(f'[services.app]\nport = {port}\nhold = "5m"\n')

    def start(number: int) -> Program:
        argv = [sys.executable, "-S", str(APPS / "small.py"), str(port), f"life {number}"]
        program = Program(argv, tmp_path / f"app-{number}.log", cwd=tmp_path)
        program.wait_output("listening")
        return program

    program = start(0)
    try:
        devproxy.wait_answer("app.localhost", body=b"life 0")
        with ExitStack() as stack:
            clients = [stack.enter_context(Hammer(devproxy.port, "app.localhost")) for _ in range(_CLIENTS)]
            wait_until(lambda: all(client.bodies for client in clients), "the first answers", log=devproxy.output)
            for number in range(1, _RESTARTS + 1):
                began = time.monotonic()
                # A developer's ^C, and a crash: in turn.
                program.popen.send_signal(signal.SIGTERM if number % 2 else signal.SIGKILL)
                program.wait()
                program = start(number)
                life = f"life {number}".encode()
                wait_until(lambda: any(life in client.bodies for client in clients), "an answer")  # noqa: B023
                # The rhythm of the restarts is the test's subject; nothing waits for anything here.
                time.sleep(max(0.0, _WITHIN / _RESTARTS - (time.monotonic() - began)))
            devproxy.wait_answer("app.localhost", body=f"life {_RESTARTS}".encode())
    finally:
        program.kill()

    assert [client.failures for client in clients] == [[]] * _CLIENTS
    lives = {body for client in clients for body in client.bodies}
    assert lives == {f"life {number}".encode() for number in range(_RESTARTS + 1)}
