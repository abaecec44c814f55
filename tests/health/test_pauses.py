"""Processes that a signal or a debugger stops, each for real: as the kernel tells it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.request import urlopen

import pytest
from websockets.sync.client import connect

from devproxy.health.pauses import why_paused
from devproxy.net import sockdiag
from tests import require
from tests.ports import free_port
from tests.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.usefixtures("_linux")
THREADS = "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start(); print('up', flush=True)"
NODE = "setInterval(() => {}, 1000); console.log('up')"


@pytest.fixture
def _linux() -> None:
    require.linux()


@contextmanager
def process(*argv: str) -> Iterator[int]:
    """A program that has said that it is up."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == b"up\n"
            yield running.pid
        finally:
            running.kill()


def state_of(pid: int) -> str:
    return why_paused([pid])


def test_a_signal_stops_it_until_another_lets_it_go_on() -> None:
    with process(sys.executable, "-c", THREADS) as pid:
        assert state_of(pid) == ""
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: state_of(pid) == f"process {pid} is stopped by a signal", "it to stand still")
        assert why_paused([os.getpid(), pid]) == state_of(pid)  # whichever of those that hold a socket
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda: state_of(pid) == "", "it to go on")


def test_a_tracer_that_holds_it_and_one_that_lets_it_run() -> None:
    gdb = require.program("gdb")
    with process(sys.executable, "-c", THREADS) as pid:
        argv = [gdb, "-q", "-nx", "-batch", "-p", str(pid), "-ex", "shell echo held", "-ex", "shell cat"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tracer:
            assert tracer.stdout is not None
            assert any(line == b"held\n" for line in tracer.stdout)
            if not state_of(pid):
                require.missing("a system that lets a debugger attach")
            assert state_of(pid) == f"process {pid} is stopped by a debugger"
            tracer.communicate(b"", DEADLINE)
        wait_until(lambda: state_of(pid) == "", "it to go on")


def test_a_client_of_nodes_inspector() -> None:
    port = free_port()
    with process(require.program("node"), f"--inspect=127.0.0.1:{port}", "-e", NODE) as pid:
        assert state_of(pid) == ""  # it listens, and nobody has come
        with urlopen(f"http://127.0.0.1:{port}/json") as answer:
            (target,) = json.load(answer)
        with connect(target["webSocketDebuggerUrl"], open_timeout=DEADLINE):
            assert state_of(pid) == f"a debugger is connected to port {port} of process {pid}"
        wait_until(lambda: state_of(pid) == "", "the client to be gone")


def test_a_connection_that_another_process_has_is_none() -> None:
    """Of two that were told the same port one has it."""
    port = free_port()
    node = require.program("node")
    with (
        process(node, f"--inspect=127.0.0.1:{port}", "-e", NODE) as first,
        process(node, f"--inspect=127.0.0.1:{port}", "-e", NODE) as second,
    ):
        with urlopen(f"http://127.0.0.1:{port}/json") as answer:
            (target,) = json.load(answer)
        with connect(target["webSocketDebuggerUrl"], open_timeout=DEADLINE):
            assert state_of(first)
            assert state_of(second) == ""


def test_a_client_of_debugpys_adapter() -> None:
    require.module("debugpy")
    port = free_port()
    with process(sys.executable, "-m", "debugpy", "--listen", str(port), "-c", THREADS) as pid:
        assert state_of(pid) == ""
        with closing(socket.create_connection(("127.0.0.1", port), DEADLINE)) as client:
            wait_until(
                lambda: state_of(pid) == f"a debugger is connected to port {port} of process {pid}", "to be seen"
            )
            client.close()
        wait_until(lambda: state_of(pid) == "", "the client to be gone")


def test_a_service_on_a_debuggers_port_is_no_debugger() -> None:
    """As far as its clients can tell the two apart from outside."""
    port = free_port()
    with (
        process(require.program("node"), f"--inspect=127.0.0.1:{port}", "-e", NODE) as pid,
        closing(socket.create_connection(("127.0.0.1", port), DEADLINE)),
    ):
        wait_until(lambda: state_of(pid), "the client to be seen")
        assert why_paused([pid], port) == ""


def test_a_process_that_has_ended_is_not_paused() -> None:
    with process(sys.executable, "-c", THREADS) as pid:
        pass
    assert why_paused([pid]) == ""
    assert why_paused([]) == ""


def test_elsewhere_psutil_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: int) -> list[int]:
        raise OSError

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(sockdiag, "established", refuse)
    port = free_port()
    with process(require.program("node"), f"--inspect=127.0.0.1:{port}", "-e", NODE) as pid:
        assert state_of(pid) == ""
        with urlopen(f"http://127.0.0.1:{port}/json") as answer:
            (target,) = json.load(answer)
        with connect(target["webSocketDebuggerUrl"], open_timeout=DEADLINE):
            assert state_of(pid) == f"a debugger is connected to port {port} of process {pid}"
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: state_of(pid) == f"process {pid} is stopped by a signal", "it to stand still")
