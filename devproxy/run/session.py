"""One service that runs: its supervised command, its terminal, its lease, from the start to the exit code.

`devproxy run` has one (`foreground.py`), `devproxy up` several (`group.py`).
Not here: what is started (`command.py`, `selection.py`, `ports.py`), ending descendants (`supervisor.py`), copying
bytes (`terminal.py`), what listeners mean (`listeners.py`), taking the lease (`registry/leases.py`).

The lease is taken before the command starts, so that its name leads there from the first moment. It goes when the
command ends, however it ends: if we are killed the supervisor removes it, and if that is killed too, whoever reads it
next.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec import structs

from devproxy.addresses import LOOPBACKS
from devproxy.errors import DevproxyError
from devproxy.health.probe import probe
from devproxy.paths import Paths
from devproxy.registry.leases import holds, remove_lease, replace_lease
from devproxy.registry.model import Lease, ProxySettings, Service, Source, Upstream
from devproxy.run import supervisor
from devproxy.run.command import PreparedCommand
from devproxy.run.ending import processes_to_ask
from devproxy.run.interpreter import interpreter, original_environment
from devproxy.run.listeners import ListenerWatcher, ObservedListeners, PortTracker
from devproxy.run.logs import LogPortFinder
from devproxy.run.terminal import STANDARD, Terminal, standard_terminals, write_all
from devproxy.storage.process_identity import start_time

POLL = 0.25  # seconds between two questions whether some listener came or went, and whether the lease is still ours
# Every answer but those of a debugger or a socket for reloading pages, which want a WebSocket and nothing else
_SERVICE_STATUS = "200-399,401-425,427-599"
DAEMON_PATIENCE = 3.0  # seconds that what a command leaves behind has to listen, to be taken for the service
LEFTOVER_GRACE = 2.0  # seconds until SIGKILL for what a command leaves behind
# What package managers ask before they load something, on a terminal alone, is answered where nobody looks at it
_UNASKED = {"npm_config_yes": "true", "COREPACK_ENABLE_DOWNLOAD_PROMPT": "0"}
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as shells say it
_ENDING = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", None), getattr(signal, "SIGQUIT", None))

Notify = Callable[[str], None]


def is_ignored(number: int) -> bool:
    """Whether whoever started us wants a signal ignored (signal(7)): asked before anything handles it."""
    return signal.getsignal(number) == signal.SIG_IGN


def _undeclared(lease: Lease) -> Service:
    """What is known of a service that no file tells of."""
    return Service(id=lease.service, name=lease.service, project=None, hosts=(), source=Source("", 0))


def _working_folder(folder: str) -> dict[str, str]:
    """PWD for a command that starts in `folder`: make and others believe it. A link that leads there stays its name."""
    named = os.environ.get("PWD", "")
    return {} if named and os.path.realpath(named) == os.path.realpath(folder) else {"PWD": folder}


class Session:
    """One command under a lease; `notify` gets what a person is to be told.

    Without `output` our standard streams are the command's. With it the command has a terminal of its own, whose bytes
    `output` gets, and where `write` types; no controlling one. It stays open for as long as it is looked after:
    esbuild, Tailwind and others take the end of their standard input for the end of whoever started them.
    """

    def __init__(
        self,
        paths: Paths,
        prepared: PreparedCommand,
        lease: Lease,
        *,
        notify: Notify,
        output: Callable[[bytes], None] | None = None,
        service: Service | None = None,
        settings: ProxySettings | None = None,
        terminal_size: tuple[int, int] = (0, 0),
    ):
        self.lease = lease
        self.code: int | None = None  # the command's exit code, once it has ended
        self.ready = asyncio.Event()  # it listens
        self._paths = paths
        self._prepared = prepared
        self._notify = notify
        self._output = output
        self._service = service or _undeclared(lease)
        self._settings = settings or ProxySettings()
        self._tracker = PortTracker(lease.port, only=isinstance(self._service.listens, int))
        self._log_port: LogPortFinder | None = None
        if isinstance(self._service.listens, str):
            self._log_port = LogPortFinder(self._service.listens)
            self._tracker = PortTracker(0, only=True)
        self._terminal: Terminal | None = None
        self._terminal_size = terminal_size
        self._real: int | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._exited = asyncio.Event()
        self._head = 0
        self._daemon: int | None = None
        self._end_requested = False  # by somebody else than us
        self._is_ending = False  # what is left of it then is no daemon, and has its time
        self._asked_early: list[Callable[[], None]] = []  # what it was told before it ran, and gets then
        self._notified: set[str] = set()
        self._before: frozenset[int] = frozenset()
        self.stopped: Callable[[], None] | None = None  # called when the command is stopped (Ctrl-Z)
        self.asked: Callable[[], None] | None = None  # called once somebody else has asked it to end
        self.over: Callable[[], None] | None = None  # called when nothing of it is left, before its lease goes

    async def run(self) -> int:
        """Start the command, and return its exit code (128 + N after signal N) when all of it has ended.

        Raises DevproxyError where it cannot be started.
        """
        watching: asyncio.Task[None] | None = None
        try:
            await self._start()
            watching = asyncio.create_task(self._watch_listeners())
            await self._read_messages()
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            self._close()
        return 1 if self.code is None else self.code

    def signal(self, number: int) -> None:
        """Pass a signal on to the command's process group."""
        self._note_request(number in _ENDING)
        self._is_ending = self._is_ending or self._end_requested
        if not self._head:
            self._asked_early.append(partial(self.signal, number))
        elif self._exited.is_set():
            self._end(LEFTOVER_GRACE)  # a daemon has left the group
        else:
            self._send({"signal": number})

    def write(self, data: bytes) -> None:
        """Something typed on the command's own terminal; no controlling one, so we make the signals of its keys."""
        if self._terminal is not None and self._output is not None:
            for number in self._terminal.signals_in(data):
                self._send_signal(number)
            self._terminal.write(data)

    def set_terminal_size(self, rows: int, columns: int) -> None:
        """Of the command's own terminal; 0: nobody looks at it."""
        if self._terminal is not None and self._output is not None:
            self._terminal.set_size(rows, columns)
            self._send_signal(signal.SIGWINCH)

    def _send_signal(self, number: int) -> None:
        if self._head and not self._exited.is_set():
            self._send({"signal": number})

    def end(self, grace: float) -> None:
        """Ask it to end, itself first and then what it leaves; SIGKILL to what is left after `grace` seconds."""
        self._note_request(True)
        self._end(grace)

    def _note_request(self, is_end: bool) -> None:
        if is_end and not self._end_requested:
            self._end_requested = True
            if self.asked is not None:
                self.asked()

    def _end(self, grace: float) -> None:
        self._is_ending = True
        if not self._head:
            self._asked_early.append(partial(self._end, grace))
            return
        first = [] if self._exited.is_set() else processes_to_ask(self._head)
        self._send({"end": grace, "first": first})

    @property
    def port(self) -> int | None:
        """Where the service is, as far as anybody can know; None while its log has yet to say so."""
        return self.lease.port if self._tracker.given else None

    @property
    def terminal(self) -> Terminal | None:
        return self._terminal

    async def _start(self) -> None:
        ours_end, theirs = socket.socketpair()
        self._open_terminal()
        self._before = supervisor.adopt_orphans()
        with theirs:
            self._process = self._spawn(theirs)
        supervisor.add_supervisor(self._process.pid)
        self._reader, self._writer = await asyncio.open_connection(sock=ours_end)
        self._send(self._spec())
        answer = await self._receive()
        if answer is None or "pid" not in answer:
            raise self._failed(answer or {})
        if self._terminal is not None:
            self._terminal.started(asyncio.get_running_loop())
        self._head = group = int(answer["pid"])
        self._replace_lease(structs.replace(self.lease, group=group, group_started=start_time(group) or 0.0))
        for ask in self._asked_early:
            ask()

    def _open_terminal(self) -> None:
        standard = standard_terminals()
        if self._output is not None:
            self._terminal = Terminal(None, self._reading_log(self._output))
            self._terminal.set_size(*self._terminal_size)
        elif standard:
            # The size is that of the one that is written to, if there is one.
            real = 1 if 1 in standard else standard[-1]
            self._terminal = Terminal(real, self._reading_log(lambda data: write_all(real, data)))
            self._real = os.dup(real)  # the supervisor gives it back as it was if we are killed

        if self._log_port is not None and not (self._output is not None or 1 in standard):
            self._log_port, self._tracker = None, PortTracker(self.lease.port)
            self._notify(f"`{self.lease.service}`: its output is not seen here, so that no port is taken from its log")

    def _reading_log(self, output: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """`output`, and the port that the log names on the way."""
        finder = self._log_port
        if finder is None:
            return output

        def read(data: bytes) -> None:
            if (port := finder.feed(data)) is not None:
                self._tracker.learn(port)
            output(data)

        return read

    def _streams(self) -> dict[int, int]:
        """Which of the standard descriptors the command gets another one for."""
        if self._terminal is None:
            return {}
        if self._output is not None:
            return dict.fromkeys(STANDARD, self._terminal.slave)
        return dict.fromkeys(standard_terminals(), self._terminal.slave)

    def _spawn(self, channel: socket.socket) -> "subprocess.Popen[bytes]":
        streams = self._streams()
        passed = [channel.fileno()]
        if self._real is not None:
            passed.append(self._real)
        return subprocess.Popen(
            interpreter(supervisor.__file__, str(channel.fileno())),
            stdin=streams.get(0),
            stdout=streams.get(1),
            stderr=streams.get(2),
            pass_fds=passed,
            start_new_session=self._terminal is not None,
            process_group=None if self._terminal is not None else 0,
        )

    def _spec(self) -> dict[str, Any]:
        prepared = self._prepared
        unasked = _UNASKED if self._output is not None else {}
        return {
            "argv": prepared.argv,
            "env": {**unasked, **original_environment(), **_working_folder(prepared.cwd), **prepared.env},
            "cwd": prepared.cwd,
            # Where nobody can type there is nobody to ask either: no /dev/tty, or what asks there waits for ever.
            "terminal": min(self._streams(), default=None) if self._output is None else None,
            "real": self._real,
            "stop": getattr(signal, self._service.stop_signal),
            "state": [str(self._paths.config), str(self._paths.state)],
        }

    def _failed(self, answer: Mapping[str, Any]) -> DevproxyError:
        if "failed" not in answer:
            return DevproxyError(f"{self._prepared.argv[0]} could not be started", why="its supervisor ended at once")
        file, why = answer["file"], os.strerror(answer["failed"]).lower()
        self.code = NOT_FOUND if answer["failed"] == 2 else NOT_EXECUTABLE
        return DevproxyError(f"{file} could not be started", why=why, fix="see whether it is installed, and spelt so")

    async def _read_messages(self) -> None:
        """Everything that the supervisor says, until nothing is left of the command."""
        while (message := await self._receive()) is not None:
            if "stopped" in message and self.stopped is not None:
                self.stopped()
            if "exited" in message:
                self.code = int(message["exited"])
                self._exited.set()
                if self.code != 0 and not self._is_ending:
                    self._end(LEFTOVER_GRACE)
        assert self._process is not None
        await asyncio.to_thread(self._process.wait)

    async def _watch_listeners(self) -> None:
        """See what it listens on whenever that may have changed; after the command has ended, wait for a daemon."""
        assert self._process is not None
        loop = asyncio.get_running_loop()
        if not self._service.serves:
            await self._watch_exit()
            return
        watcher, tracker = ListenerWatcher(self._process.pid), self._tracker
        tracker.begin(loop.time())
        is_new, given, ended, found = True, 0, 0.0, watcher.found
        exited = asyncio.ensure_future(self._exited.wait())
        try:
            while True:
                changed = watcher.changed()
                if changed or is_new or tracker.given != given or tracker.is_due(loop.time()):
                    given = tracker.given
                    observed = await asyncio.to_thread(
                        watcher.observe,
                        given,
                        present=tracker.present,
                        excluded=tracker.excluded(loop.time()),
                        only=tracker.only,
                    )
                    is_new = observed.port is not None and not await self._apply(observed, loop.time())
                    if watcher.found != found:  # of its own, whatever else comes and goes on the machine
                        found, is_new = watcher.found, True
                        tracker.forget()
                self._notice_takeover()
                if exited.done() and self._daemon is None:
                    ended = ended or loop.time()
                    is_new = True
                    if loop.time() - ended > DAEMON_PATIENCE:
                        self._end(LEFTOVER_GRACE)
                        return
                # Not `wait_for`: up to Python 3.11 it loses a cancellation that comes as it ends.
                await (asyncio.sleep(POLL) if exited.done() else asyncio.wait({exited}, timeout=POLL))
        finally:
            exited.cancel()
            watcher.close()

    async def _watch_exit(self) -> None:
        """Of what listens nowhere: it is ready once it runs, and what it leaves behind is no daemon of its."""
        self.ready.set()
        while not self._exited.is_set():
            self._notice_takeover()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self._exited.wait()
        self._end(LEFTOVER_GRACE)

    async def _apply(self, observed: ObservedListeners, now: float) -> bool:
        """Act on what was seen; False if that has to be looked at again."""
        assert observed.port is not None
        verdict = self._tracker.see(observed.port, now)
        if verdict == "wait" or (verdict == "ask" and not await self._is_service(observed.port)):
            return False
        self._follow(observed.port)
        self.ready.set()
        if self._exited.is_set() and observed.pid and observed.pid != self._daemon and not self._is_ending:
            self._adopt_daemon(observed.pid)
        for warning in observed.warnings:
            if warning not in self._notified:
                self._notified.add(warning)
                self._notify(f"`{self.lease.service}`: {warning}")
        return True

    async def _is_service(self, port: int) -> bool:
        """Whether the candidate answers as the service does; one that does not is asked again later, or never."""
        service = self._service
        upstream = service.upstream or Upstream("tcp" if service.protocol == "tcp" else "http", LOOPBACKS)
        health = (
            service.health if service.health.path else structs.replace(service.health, path="/", status=_SERVICE_STATUS)
        )
        asked = structs.replace(service, upstream=structs.replace(upstream, port=port, path=""), health=health)
        check = await probe(asked, self._settings)
        if check.up:
            self._tracker.take(port)
        else:
            self._tracker.refuse(port, asyncio.get_running_loop().time(), for_good=service.health.path is None)
        return check.up

    def _follow(self, port: int) -> None:
        """Its name leads to `port` from now on."""
        old = self.lease.port
        if port == old or not self._replace_lease(structs.replace(self.lease, port=port)):
            return
        if port == self._tracker.given and not self._tracker.only:
            self._notify(f"`{self.lease.service}` listens on port {port}, its own, now: its name leads there again")
        else:
            self._notify(f"`{self.lease.service}` listens on port {port}, not on {old}: its name leads there now")

    def _adopt_daemon(self, pid: int) -> None:
        """The command has ended and left a server behind: the lease is that server's now."""
        started = start_time(pid)
        if started is None:
            return
        self._daemon = pid
        if self._replace_lease(structs.replace(self.lease, pid=pid, started=started, group=0, group_started=0.0)):
            self._notify(f"`{self.lease.service}` runs on in the background (process {pid}); Ctrl-C here ends it")

    def _replace_lease(self, lease: Lease) -> bool:
        """Put `lease` in the place of ours, unless somebody has taken the name over."""
        if replace_lease(self._paths, self.lease, lease):
            self.lease = lease
            return True
        self._notice_takeover()
        return False

    def _notice_takeover(self) -> None:
        if "taken" not in self._notified and not holds(self._paths, self.lease):
            self._notified.add("taken")
            self._notify(f"another process has taken `{self.lease.service}` over: its name leads there")

    def _close(self) -> None:
        if self._terminal is not None:
            self._end_requested = self.end_requested  # what the terminal knows of that goes with it
            self._terminal.close()
            self._terminal = None
        if self._real is not None:
            os.close(self._real)
            self._real = None
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            self._process.wait()
            supervisor.discard_supervisor(self._process.pid)
            supervisor.kill_orphans(self._before)  # whatever became of the start: it may have been killed in the middle
        if self.over is not None:
            self.over()
        with contextlib.suppress(DevproxyError):
            remove_lease(self._paths, self.lease)

    @property
    def end_requested(self) -> bool:
        """Whether somebody has asked it to end, be it by Ctrl-C in its own terminal just before."""
        pressed = self._terminal.interrupted if self._terminal is not None else None
        recent = pressed is not None and time.monotonic() - pressed < self._service.stop_grace
        return self._end_requested or recent

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def _receive(self) -> dict[str, Any] | None:
        assert self._reader is not None
        try:
            line = await self._reader.readline()
        except (ConnectionError, ValueError):
            return None
        return dict(json.loads(line)) if line.endswith(b"\n") else None
