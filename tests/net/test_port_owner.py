"""Who holds a port: named where the system tells, and said where it does not."""

import socket
import subprocess
import sys
from contextlib import closing
from os import getpid

import pytest

from devproxy.net.port_owner import MAX_COMMAND, holder


@pytest.mark.parametrize(
    ("bound", "asked", "held"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("::1", "::1", True),
        ("::", "::1", True),
        ("127.0.0.1", "::1", False),
        ("0.0.0.0", "::1", False),
        ("127.0.0.2", "127.0.0.1", False),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2, and a table that can be read")
def test_what_stands_in_the_way_is_named(bound: str, asked: str, held: bool) -> None:
    family = socket.AF_INET6 if ":" in bound else socket.AF_INET
    with closing(socket.create_server((bound, 0), family=family)) as sock:
        assert (f"(pid {getpid()})" in holder(asked, sock.getsockname()[1])) == held


def test_a_holder_that_cannot_be_read_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devproxy.net.port_owner._listeners", lambda port: [("0.0.0.0", None)])
    assert "can't read" in holder("127.0.0.1", 80)
    monkeypatch.setattr("devproxy.net.port_owner._listeners", lambda port: [])
    assert "can't be found" in holder("127.0.0.1", 80)


def test_a_holders_command_is_short_and_without_control_characters() -> None:
    code = "import socket,sys; s=socket.create_server(('127.0.0.1',0)); print(s.getsockname()[1],flush=True); input()"
    argv = [sys.executable, "-c", code, "\x1b]0;owned\x07" + "x" * 200]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = holder("127.0.0.1", int(process.stdout.readline()))
        process.communicate("\n")
    assert said.endswith(f"(pid {process.pid})")
    assert said.isprintable()
    assert len(said) < MAX_COMMAND + 30
