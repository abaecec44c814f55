"""Real servers: each is started exposed, the finding is seen, the proposed change is applied, the finding is gone.

All of it happens on a machine of the test's own (a network namespace); a neighbour on the same wire tells whether the
verdict is true.
"""

import os
import shlex
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from devproxy.health.exposure import PortJudgement, judge_port
from devproxy.health.scanner import Scanner
from devproxy.programs.fixes import Fix, propose_fix
from devproxy.programs.recognize import recognize
from tests.health.netns import Machine, neighbours
from tests.health.packages import node_modules
from tests.health.servers import SERVERS, Server, postgres
from tests.waiting import DEADLINE, PROGRAM_DEADLINE

pytestmark = pytest.mark.netns

T = TypeVar("T")


@pytest.fixture(scope="module")
def wire() -> Iterator[tuple[Machine, Machine]]:
    with neighbours() as machines:
        yield machines


@pytest.fixture
def here() -> Iterator[Path]:
    """A folder that another user may enter, unlike tmp_path."""
    folder = Path(tempfile.mkdtemp(prefix="devproxy-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", SERVERS)
def test_exposed_then_mended(name: str, wire: tuple[Machine, Machine], here: Path) -> None:
    server = SERVERS[name]
    server.needs()
    argv = _prepared(server, here)
    machine, neighbour = wire
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin",
        "HOME": str(here),
        "NEXT_TELEMETRY_DISABLED": "1",
        **server.env,
    }
    log = here / "log"
    if name == "PostgreSQL":
        _initialised(server, machine, here, env)
    with machine.running(_as_user(server, argv), here, env, log):
        fix = eventually(log, lambda: _finding(machine, neighbour, server))
    assert fix.text == server.said

    # A server's workers may outlive it for a moment, and must not answer for the next one.
    eventually(log, lambda: None if _heard(machine, server.port) else True)
    command = fix.command or (*argv, *shlex.split(fix.after))
    with machine.running(_as_user(server, command), here, env, log):
        eventually(log, lambda: _answers(machine, "127.0.0.1", server) or None)
        judged = _judged(machine, server.port)
        assert judged.verdict == "loopback", judged.why
        assert not neighbour.reaches("192.0.2.1", server.port)
        assert not neighbour.reaches("2001:db8::1", server.port)


def _prepared(server: Server, here: Path) -> list[str]:
    for file, text in server.files.items():
        (here / file).parent.mkdir(parents=True, exist_ok=True)
        (here / file).write_text(text, "utf-8")
    values = {"{bin}": str(Path(sys.executable).parent), "{here}": str(here)}
    if "{modules}" in server.command:
        (here / "node_modules").symlink_to(node_modules())
        values["{modules}"] = "node_modules"
    if "{postgres}" in server.command:
        values["{postgres}"] = postgres()
    command = server.command
    for place, value in values.items():
        command = command.replace(place, value)
    return shlex.split(command)


def _as_user(server: Server, argv: Sequence[str]) -> list[str]:
    user = str(server.user)
    return list(argv) if server.user is None else ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", *argv]


def _initialised(server: Server, machine: Machine, here: Path, env: Mapping[str, str]) -> None:
    os.chown(here, server.user or 0, -1)
    argv = _as_user(server, [f"{postgres()}/initdb", "-D", f"{here}/data", "-U", "postgres", "-N"])
    with machine.running(argv, here, env, here / "log") as process:
        assert process.wait(PROGRAM_DEADLINE) == 0, (here / "log").read_text("utf-8")


def _judged(machine: Machine, port: int) -> PortJudgement:
    return judge_port(port, machine.call(Scanner().scan))


def _heard(machine: Machine, port: int) -> bool:
    return any(listener.port == port for listener in machine.call(Scanner().scan).listeners)


def _finding(machine: Machine, neighbour: Machine, server: Server) -> Fix | None:
    """The fix, once the server is exposed and the neighbour can use it."""
    if not _answers(neighbour, "192.0.2.1", server):
        return None
    judged = _judged(machine, server.port)
    assert judged.verdict == "exposed", judged.why
    listener, judgement = judged.exposed[0]
    assert judgement.interfaces == ("wire0",)
    assert listener.process.argv, listener.process.gap
    return propose_fix(recognize(listener.process.argv, listener.process.parents, server.port))


def _answers(machine: Machine, address: str, server: Server) -> bool:
    def ask() -> bool:
        try:
            with socket.create_connection((address, server.port), timeout=10) as connection:
                connection.settimeout(10)
                if server.hello is None:
                    return True
                connection.sendall(server.hello)
                return connection.recv(1) != b""
        except OSError:
            return False

    return machine.call(ask)


def eventually(log: Path, look: Callable[[], T | None]) -> T:
    """What `look` finds, asked until there is something; the server's output if there never is."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.05)
    pytest.fail(f"nothing after {DEADLINE} s; the server said:\n{log.read_text('utf-8', 'replace')[-3000:]}")
