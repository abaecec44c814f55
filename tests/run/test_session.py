"""A session: the lease from before the start to after the end, and what is told of it."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from devproxy.registry.leases import read_leases, take_lease
from devproxy.registry.model import Lease, Service, Source
from devproxy.run.command import PreparedCommand
from devproxy.run.listeners import ListenerWatcher, ObservedListeners
from devproxy.run.session import NOT_FOUND, Session
from devproxy.storage.process_identity import start_time
from tests import require
from tests.ports import free_port
from tests.waiting import DEADLINE, until

SERVER = "import http.server as h, sys; h.HTTPServer((sys.argv[1], int(sys.argv[2])), h.SimpleHTTPRequestHandler)"
SERVE = f"{SERVER}.serve_forever()"
# As daemon(7) has it: fork, a session of its own, fork again.
DAEMON = f"""
import os, sys
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
{SERVE}
"""


class Stage:
    """Sessions of one service, `web`, at `port`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.paths = Paths(folder / "config", folder / "state")
        self.port = free_port()
        self.told: list[str] = []
        self.output = bytearray()

    def session(self, *argv: str, service: Service | None = None) -> Session:
        us = os.getpid()
        mine = Lease(service="web", port=self.port, pid=us, started=start_time(us) or 0.0)
        prepared = PreparedCommand(argv=list(argv), env={"PORT": str(self.port)}, cwd=str(self.folder), port=self.port)
        lease = take_lease(self.paths, "web", lambda _: mine, force=True)
        return Session(self.paths, prepared, lease, notify=self.told.append, output=self.output.extend, service=service)

    @property
    def lease(self) -> Lease:
        [lease] = read_leases(self.paths)
        return lease


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def ended(session: Session, running: Awaitable[int]) -> int:
    session.signal(signal.SIGTERM)
    return await asyncio.wait_for(running, DEADLINE)


async def test_output_and_exit_code_are_passed_on(stage: Stage) -> None:
    session = stage.session("sh", "-c", "test -t 1 && echo a terminal; echo port $PORT; exit 3")
    assert await session.run() == 3
    assert stage.output.decode().split("\r\n") == ["a terminal", f"port {stage.port}", ""]
    assert read_leases(stage.paths) == ()


async def test_where_nobody_types_nobody_can_be_asked(stage: Stage) -> None:
    """Else `fastapi dev` waits ten seconds for a terminal that tells its colours, and `sudo` for ever."""
    session = stage.session("sh", "-c", "(: < /dev/tty) 2> /dev/null || echo nobody; test -t 1 && echo a terminal")
    assert await session.run() == 0
    assert stage.output.decode().split("\r\n") == ["nobody", "a terminal", ""]


async def test_its_terminal_has_a_size_where_nobody_looks(stage: Stage) -> None:
    """In one of no columns a progress bar of tqdm is an empty line."""
    session = stage.session(sys.executable, "-c", "import os; print(*os.get_terminal_size(1))")
    assert await session.run() == 0
    assert stage.output.decode() == "80 24\r\n"


async def test_what_it_reads_does_not_end_while_it_runs(stage: Stage) -> None:
    """`esbuild --serve` and `tailwindcss --watch` end when their standard input does."""
    script = "import sys; print('ready', flush=True); sys.stdin.buffer.read(); print('its input has ended')"
    session = stage.session(sys.executable, "-c", script)
    running = asyncio.ensure_future(session.run())
    await until(lambda: b"ready" in stage.output, "it to run")
    assert await ended(session, running) == 143
    assert b"ended" not in stage.output


async def test_a_command_that_is_not_there(stage: Stage) -> None:
    session = stage.session("no-such-program-anywhere")
    with pytest.raises(DevproxyError, match="no-such-program-anywhere could not be started"):
        await session.run()
    assert session.code == NOT_FOUND
    assert read_leases(stage.paths) == ()


async def test_it_is_ready_when_it_listens(stage: Stage) -> None:
    session = stage.session(sys.executable, "-c", SERVE, "127.0.0.1", str(stage.port))
    running = asyncio.ensure_future(session.run())
    await asyncio.wait_for(session.ready.wait(), DEADLINE)
    assert stage.lease.port == stage.port
    assert stage.lease.group > 1
    assert await ended(session, running) == 128 + signal.SIGTERM
    assert stage.told == []


async def test_another_port_is_adopted_and_told(stage: Stage) -> None:
    other = free_port()
    session = stage.session(sys.executable, "-c", SERVE, "127.0.0.1", str(other))
    running = asyncio.ensure_future(session.run())
    await until(lambda: stage.lease.port == other, "the lease to follow")
    await until(lambda: stage.told, "a remark")
    await ended(session, running)
    assert stage.told == [f"`web` listens on port {other}, not on {stage.port}: its name leads there now"]
    assert read_leases(stage.paths) == ()


# A listener of its own kind at one port, and the service's own port once it may: argv is the kind, the side port.
SIDE = """
import http.server as h, os, socketserver, sys, threading, time
kind, side = sys.argv[1], int(sys.argv[2])
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while self.rfile.readline().strip(): pass
        self.wfile.write({"inspector": b"HTTP/1.0 400 Bad Request\\r\\n\\r\\nWebSockets request was expected",
                          "reload": b"HTTP/1.1 426 Upgrade Required\\r\\n\\r\\n", "other": b"not HTTP",
                          "page": b"HTTP/1.1 200 OK\\r\\n\\r\\n"}[kind])
        os.write(1, b"asked\\n")
socketserver.TCPServer.allow_reuse_address = True
server = socketserver.ThreadingTCPServer(("127.0.0.1", side), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
while not os.path.exists("go"): time.sleep(0.01)
h.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), h.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.mark.parametrize("kind", ["inspector", "reload", "other"])
async def test_what_answers_as_something_else_is_not_adopted(
    stage: Stage, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devproxy.run.listeners.SETTLED", 0.0)
    session = stage.session(sys.executable, "-c", SIDE, kind, str(free_port()))
    running = asyncio.ensure_future(session.run())
    await until(lambda: b"asked" in stage.output, "the side listener to be asked")
    assert not session.ready.is_set()
    (stage.folder / "go").touch()
    await asyncio.wait_for(session.ready.wait(), DEADLINE)
    assert stage.lease.port == stage.port
    await ended(session, running)
    assert stage.told == []


async def test_its_own_port_has_the_name_back_however_late_it_comes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devproxy.run.listeners.SETTLED", 0.0)
    side = free_port()
    session = stage.session(sys.executable, "-c", SIDE, "page", str(side))
    running = asyncio.ensure_future(session.run())
    await until(lambda: stage.lease.port == side, "the lease to follow")
    (stage.folder / "go").touch()
    await until(lambda: stage.lease.port == stage.port, "the lease to be back")
    await ended(session, running)
    assert stage.told == [
        f"`web` listens on port {side}, not on {stage.port}: its name leads there now",
        f"`web` listens on port {stage.port}, its own, now: its name leads there again",
    ]


def named(listens: int | str) -> Service:
    return Service(id="web", name="web", project=None, hosts=(), listens=listens, source=Source("", 0))


async def test_the_port_that_listens_names_is_the_services_whatever_else_is_open(stage: Stage) -> None:
    other = free_port()
    session = stage.session(sys.executable, "-c", SIDE, "page", str(stage.port), service=named(stage.port))
    session._prepared.env["PORT"] = str(other)
    (stage.folder / "go").touch()
    running = asyncio.ensure_future(session.run())
    await asyncio.wait_for(session.ready.wait(), DEADLINE)
    assert stage.lease.port == stage.port
    await ended(session, running)
    assert stage.told == []


async def test_the_port_that_its_log_names_is_the_services(stage: Stage) -> None:
    side, own = free_port(), free_port()
    script = f'print("  \\x1b[32mLocal:\\x1b[0m http://localhost:{own}/", flush=True)\n{SIDE}'
    session = stage.session(sys.executable, "-c", script, "page", str(side), service=named("http://localhost:{port}/"))
    session._prepared.env["PORT"] = str(own)
    assert session.port is None
    running = asyncio.ensure_future(session.run())
    await until(lambda: session.port is not None, "its log")
    (stage.folder / "go").touch()
    await until(lambda: stage.lease.port == own, "the lease to follow")
    await ended(session, running)
    assert stage.told == [f"`web` listens on port {own}, not on {stage.port}: its name leads there now"]


async def test_a_listener_beyond_loopback_is_told_with_the_fix(stage: Stage) -> None:
    argv = [sys.executable, "-m", "http.server", "--bind", "0.0.0.0", str(stage.port)]
    session = stage.session(*argv)
    running = asyncio.ensure_future(session.run())
    await until(lambda: stage.told, "a remark")
    await ended(session, running)
    [told] = stage.told
    assert "others can reach it" in told
    assert "change `--bind 0.0.0.0` to `--bind 127.0.0.1`" in told


async def test_the_lease_follows_a_command_that_daemonises_itself(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    require.linux()
    monkeypatch.setattr("devproxy.run.session.DAEMON_PATIENCE", DEADLINE)  # however long the daemon takes to listen
    session = stage.session(sys.executable, "-c", DAEMON, "127.0.0.1", str(stage.port))
    running = asyncio.ensure_future(session.run())
    await until(lambda: stage.lease.pid != os.getpid(), "the lease to follow")
    assert session.code == 0
    daemon = stage.lease
    assert "runs on in the background" in stage.told[0]
    assert await ended(session, running) == 0
    assert start_time(daemon.pid) is None
    assert read_leases(stage.paths) == ()


async def test_what_a_command_leaves_behind_without_serving_is_ended(stage: Stage) -> None:
    require.linux()
    session = stage.session("sh", "-c", "setsid sleep 600 & echo $! > pid")
    assert await asyncio.wait_for(session.run(), DEADLINE) == 0
    assert start_time(int((stage.folder / "pid").read_text())) is None


# Says that it is asked to end, and serves on until it may.
SLOW_END = """
import os, signal, sys, threading
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"asked\\n"))
import http.server as h
server = h.HTTPServer(("127.0.0.1", int(sys.argv[1])), h.SimpleHTTPRequestHandler)
server.timeout = 0.05
while not os.path.exists("go"): server.handle_request()
print("ended well")
"""


@pytest.mark.parametrize("grace", [None, 600.0], ids=["by a signal", "by up or down"])
async def test_a_server_that_takes_its_time_to_end_behind_a_shell_is_no_daemon(
    stage: Stage, grace: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell is gone at once; `uvicorn --reload` closes connections first, and takes a second signal for haste."""
    require.linux()
    observations: list[bool] = []
    observe = ListenerWatcher.observe

    def counted(self: ListenerWatcher, given: int, **more: Any) -> ObservedListeners:
        observations.append(session.code is not None)
        return observe(self, given, **more)

    monkeypatch.setattr(ListenerWatcher, "observe", counted)
    (stage.folder / "slow.py").write_text(SLOW_END)
    session = stage.session("sh", "-c", f"{sys.executable} slow.py $PORT; true")
    running = asyncio.ensure_future(session.run())
    await asyncio.wait_for(session.ready.wait(), DEADLINE)
    if grace is None:
        session.signal(signal.SIGTERM)
    else:
        session.end(grace)
    await until(lambda: observations.count(True) > 2, "an observation or two after the shell's end")
    assert stage.lease.pid == os.getpid()
    (stage.folder / "go").touch()
    assert await asyncio.wait_for(running, DEADLINE) == 128 + signal.SIGTERM
    assert stage.output.decode() == "asked\r\nended well\r\n"
    assert stage.told == []
    assert read_leases(stage.paths) == ()


async def test_after_a_takeover_the_old_one_says_so_and_leaves_the_lease_alone(stage: Stage) -> None:
    old = stage.session(sys.executable, "-c", SERVE, "127.0.0.1", str(free_port()))
    us = os.getpid()
    new = Lease(service="web", port=1, pid=us, started=start_time(us) or 0.0)
    taken = take_lease(stage.paths, "web", lambda _: new, force=True)
    running = asyncio.ensure_future(old.run())
    await until(lambda: stage.told, "a remark")
    await ended(old, running)
    assert stage.told == ["another process has taken `web` over: its name leads there"]
    assert read_leases(stage.paths) == (taken,)


async def test_when_the_supervisor_is_killed_its_orphans_are_too(stage: Stage) -> None:
    require.linux()
    session = stage.session("sh", "-c", "setsid sleep 600 & echo $! > pid; wait")
    running = asyncio.ensure_future(session.run())
    file = stage.folder / "pid"
    await until(lambda: file.exists() and file.read_text().endswith("\n"), "the command")
    await until(lambda: stage.lease.group, "the supervisor to have told of it")
    assert session._process is not None
    session._process.kill()
    assert await asyncio.wait_for(running, DEADLINE) == 1
    assert start_time(int(file.read_text())) is None
    assert read_leases(stage.paths) == ()


async def test_when_the_supervisor_is_killed_while_it_starts_the_command_that_ends_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    require.linux()
    session = stage.session("sh", "-c", "echo $$ > pid; sleep 600")
    file = stage.folder / "pid"

    async def killed_before_it_tells() -> None:
        await until(lambda: file.exists() and file.read_text().endswith("\n"), "the command")
        assert session._process is not None
        session._process.kill()

    monkeypatch.setattr(session, "_receive", killed_before_it_tells)
    with pytest.raises(DevproxyError, match="could not be started"):
        await session.run()
    assert start_time(int(file.read_text())) is None
    assert read_leases(stage.paths) == ()


async def test_end_kills_what_does_not_listen_to_reason(stage: Stage) -> None:
    session = stage.session("sh", "-c", "trap '' TERM; echo up; while :; do sleep 600; done")
    running = asyncio.ensure_future(session.run())
    await until(lambda: b"up" in stage.output, "the command")
    session.end(0.2)
    assert await asyncio.wait_for(running, DEADLINE) == 137


@pytest.mark.parametrize("ask", [lambda one: one.end(DEADLINE), lambda one: one.signal(signal.SIGTERM)])
async def test_what_is_asked_of_it_before_it_runs_is_done_once_it_does(
    stage: Stage, ask: Callable[[Session], None]
) -> None:
    session = stage.session("sleep", "600")
    ask(session)
    running = asyncio.ensure_future(session.run())
    await until(lambda: session.lease.group or running.done(), "it to run")
    assert await asyncio.wait_for(running, DEADLINE) == 143
