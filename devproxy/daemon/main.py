"""The composition root: builds everything `devproxy serve` consists of, and owns every task.

Lives here: what is started in which order, what happens on a change and on a signal, and the orderly end.
Not here: any of the parts: `serving/` has what is not a package of its own.

Connections are accepted by the loop's own servers, one for each socket of `net/loopback.py`, with the proxy as protocol
factory: what aiohttp's runner and sites would add (choosing addresses, binding) is what devproxy must never leave to
others. aiohttp gets the connections whose first request is for devproxy's own pages.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from devproxy import __version__
from devproxy.control.app import build_app, runner
from devproxy.control.context import ControlContext
from devproxy.daemon import process
from devproxy.daemon.access_log import AccessLog
from devproxy.daemon.activation import Activator, IdleWatch
from devproxy.daemon.banner import announcement
from devproxy.daemon.env_writer import EnvWriter
from devproxy.daemon.health_publisher import HealthPublisher
from devproxy.daemon.log import DaemonLog
from devproxy.daemon.reload import MOST_TOLD, RegistryChange, Reloader
from devproxy.daemon.runtime import Running, read_running
from devproxy.errors import DevproxyError, Exit
from devproxy.events import EventLog, Notice, Problems, Started, Stopped
from devproxy.health.model import Condition, Listener, WaitingRequests
from devproxy.net.loopback import BACKLOG, HTTP, Listening, listen
from devproxy.paths import Paths
from devproxy.problems import PORT_TAKEN
from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.server import Proxy
from devproxy.registry.loader import Loader
from devproxy.registry.model import Upstream
from devproxy.storage import files
from devproxy.storage.process_identity import start_time
from devproxy.storage.rotating_file import RotatedFile
from devproxy.tcp.forwarder import Forwarder
from devproxy.urls import Ports

ACCESS_LOG_LIMIT, ACCESS_LOGS_KEPT = 10 << 20, 5  # bytes a file, older files
RESERVED_DESCRIPTORS = 128  # files, logs, the loop, devproxy's own pages, pipes of bulk transfers
INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended

_log = logging.getLogger(__name__)


def run(paths: Paths, *, http: int | None = None, access_log: bool | None = None, watched: bool = True) -> int:
    """Serve until a signal comes; returns the exit code. Raises DevproxyError where it cannot start.

    `http` (0: any free port) and `access_log` take the place of the registry's settings. `watched`: somebody reads
    stderr, so the log is shown there, too.
    """
    return process.run(serve(paths, http=http, access_log=access_log, watched=watched))


async def serve(paths: Paths, *, http: int | None = None, access_log: bool | None = None, watched: bool = True) -> int:
    """`run`, on an event loop that is there."""
    paths.make(paths.config)
    claim = process.claim(paths)
    try:
        with DaemonLog(paths, watched=watched):
            return await Daemon(paths, http, access_log).run()
    finally:
        claim.release()


def client_limit(descriptors: int) -> int:
    """How many clients there may be of HTTP, and as many of TCP services, each with a connection to a service: neither
    kind takes the descriptors of the other."""
    return max(16, (descriptors - RESERVED_DESCRIPTORS) // 4)


class Daemon:
    """One run of the proxy, from `run` to its return."""

    def __init__(self, paths: Paths, http: int | None, access_log: bool | None):
        self._paths = paths
        self._http = http
        self._access_log_wanted = access_log
        self._access_log: AccessLog | None = None
        self._started = start_time(os.getpid()) or time.time()
        self._events = EventLog(time.time)
        self._reloader = Reloader(Loader(paths))
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()
        self._notices: list[str] = []
        self._servers: list[asyncio.Server] = []

    async def run(self) -> int:
        """Start, serve, end."""
        self._handle_signals()
        limit = process.raise_descriptor_limit()
        settings = (await self._reloader.load()).settings
        listening = listen(HTTP._replace(port=settings.http if self._http is None else self._http))
        self._notices = listening.notices
        self._ports = Ports(http=listening.port)
        try:
            self._control = runner(build_app(self._view(listening)))
            await self._control.setup()
            connections = client_limit(limit)
            snapshot = Snapshot.of(await self._reloader.load(self._ports.known))
            self._proxy = Proxy(snapshot, control=self._own_page, connection_limit=connections)
            self._forwarder = Forwarder(self._proxy, limit=connections)
            self._switch_access_log()
            await asyncio.to_thread(self._write_state)
            self._watch_health_of_services()
            self._env_writer = EnvWriter(lambda: self._reloader.registry, self._ports)
            await self._accept(listening)
            await self._forwarder.follow(self._reloader.registry.services)
        except BaseException:
            listening.close()
            raise
        self._announce(listening)
        process.settle_memory()
        self._env_writer.look()
        tasks = [
            asyncio.create_task(self._env_writer.run()),
            asyncio.create_task(self._reloader.follow(self._stop, self._change)),
            asyncio.create_task(self._publisher.run()),
            asyncio.create_task(self._idle.run()),
            asyncio.create_task(self._forwarder.run()),
        ]
        await self._stop.wait()
        return await self._end(tasks)

    def _watch_health_of_services(self) -> None:
        """Begin to watch the services; devproxy's own sockets are audited by the same code."""
        registry = self._reloader
        self._publisher = HealthPublisher(
            self._paths, self._proxy, self._events, lambda: registry.registry, self._ports.known
        )

        def stop() -> None:
            self._stop.set()
            self._at_once.set()

        self._publisher.on_alarm = stop
        self._publisher.forwarded = lambda: self._forwarder.addresses
        self._forwarder.tell = self._publisher.tell
        self._forwarder.is_known_up = self._publisher.is_known_up
        self._forwarder.on_problems = partial(self._reloader.set_problems, PORT_TAKEN)
        self._activator = Activator(self._paths, self._proxy, self._publisher, self._events)
        self._publisher.starts = lambda: self._activator.gates
        self._activator.awaits = self._forwarder.awaits
        self._proxy.wake = self._activator.wake
        self._idle = IdleWatch(self._paths, self._proxy, self._activator, self._last_used)
        self._idle.connections = self._forwarder.used

    def _last_used(self, upstream: Upstream) -> float:
        """When a service last answered a request or had a connection, on the loop's clock."""
        return max(self._publisher.answered(upstream), self._forwarder.last_used(upstream))

    def _view(self, listening: Listening) -> ControlContext:
        return ControlContext(
            registry=lambda: self._reloader.registry,
            notices=lambda: self._notices,
            conditions=self._conditions,
            waiting=self._waiting,
            answers=lambda: self._proxy.counts,
            history=self._past,
            look=self._look,
            events=self._events,
            paths=self._paths,
            ports=self._ports,
            addresses=tuple(listening.addresses),
            pid=os.getpid(),
            started=self._started,
            loop=type(asyncio.get_running_loop()).__module__.partition(".")[0],
        )

    def _conditions(self) -> Mapping[str, Condition]:
        return self._publisher.conditions()

    async def _look(self) -> None:
        await self._publisher.look()

    def _waiting(self) -> Mapping[str, WaitingRequests]:
        return self._publisher.waiting()

    def _past(self, service: str | None) -> list[dict[str, Any]]:
        return self._publisher.past(service)

    def _own_page(self) -> asyncio.BaseProtocol:
        """A protocol of aiohttp's for a connection to devproxy's own pages."""
        server = self._control.server
        assert server is not None
        return server()

    async def _accept(self, listening: Listening) -> None:
        loop = asyncio.get_running_loop()
        for sock in listening.sockets:
            self._servers.append(await loop.create_server(self._proxy.connection, sock=sock, backlog=BACKLOG))

    # While it runs

    async def _change(self, change: RegistryChange) -> None:
        self._proxy.swap(change.snapshot)
        await self._forwarder.follow(change.registry.services)
        self._publisher.registry_changed()
        self._env_writer.look()
        self._switch_access_log()
        self._notice_port(change)
        self._tell(change)
        if change.problems_differ or change.registry.has_errors:
            try:
                await asyncio.to_thread(self._write_state)
            except DevproxyError as error:
                _log.error("%s", error)

    def _switch_access_log(self) -> None:
        wanted = self._access_log_wanted
        if wanted is None:
            wanted = self._reloader.registry.settings.access_log
        if wanted and self._access_log is None:
            file = RotatedFile(self._paths.access_log, limit=ACCESS_LOG_LIMIT, kept=ACCESS_LOGS_KEPT)
            self._access_log = AccessLog(file)
        self._proxy.access_log = self._access_log if wanted else None

    def _notice_port(self, change: RegistryChange) -> None:
        """A port is chosen once: open connections and printed URLs hang on it."""
        port = change.registry.settings.http
        if change.old.settings.http == port or self._http is not None or port == self._ports.http:
            return
        message = f"[proxy] http is {port or 'the standard port'} now: restart devproxy to listen there"
        self._notices.append(message)
        self._events.add(Notice(message))
        _log.warning("%s", message)

    def _tell(self, change: RegistryChange) -> None:
        for event in change.events:
            self._events.add(event)
            if not isinstance(event, Problems):
                _log.info("%s", event.text())
        for problem in change.appeared[:MOST_TOLD]:
            _log.warning("%s", problem.text())
        if len(change.appeared) > MOST_TOLD:
            _log.warning("and %d more problems: devproxy check", len(change.appeared) - MOST_TOLD)
        for problem in change.mended[:MOST_TOLD]:
            _log.info("mended: %s: %s", problem.where, problem.message)

    def _write_state(self) -> None:
        """`state/proxy.json`, for every other command. Blocks (disk)."""
        registry = self._reloader.registry
        running = Running(
            pid=os.getpid(),
            started=self._started,
            http=self._ports.http,
            https=self._ports.https,
            version=__version__,
            problems=registry.problems,
            in_force=registry if registry.has_errors else None,
        )
        files.write_json(self._paths.proxy, running)

    def _announce(self, listening: Listening) -> None:
        self._events.add(Started(__version__, listening.port))
        for notice in self._notices:
            self._events.add(Notice(notice))
        _log.debug("listening on %s", ", ".join(listening.addresses))
        text = announcement(self._reloader.registry, listening.addresses, self._ports, self._notices)
        # Whoever started us may have closed the pipe, or read one line of it: no reason not to serve.
        with contextlib.suppress(OSError, ValueError):
            print(text, flush=True)

    # The end

    def _handle_signals(self) -> None:
        """SIGTERM and Ctrl-C end us, a second Ctrl-C at once; SIGHUP reads the registry again."""
        loop = asyncio.get_running_loop()
        if sys.platform == "win32":
            for number in (signal.SIGINT, signal.SIGBREAK):
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._interrupt))
            return
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        loop.add_signal_handler(signal.SIGHUP, self._reloader.request)

    def _interrupt(self) -> None:
        (self._at_once if self._stop.is_set() else self._stop).set()

    async def _end(self, tasks: list[asyncio.Task[None]]) -> int:
        for server in self._servers:
            server.close()
        self._forwarder.stop()
        self._withdraw()
        for task in tasks:
            task.cancel()
        await self._activator.close()
        self._forwarder.close()
        hurried = await self._drain(self._reloader.registry.settings.grace)
        await asyncio.gather(*tasks, return_exceptions=True)
        self._events.add(Stopped())
        await self._publisher.close()
        if self._access_log is not None:
            await self._access_log.close()
        if self._publisher.alarmed is not None:
            raise _exposed(self._publisher.alarmed)
        _log.info("stopped")
        return INTERRUPTED if hurried else Exit.GOOD

    async def _drain(self, grace: float) -> bool:
        """Let what is under way finish for at most `grace` seconds; whether somebody was in more of a hurry."""
        under_way = len(self._proxy.connections) + len(self._proxy.tunnels) // 2
        _log.info("stopping: %d connections, at most %g seconds (Ctrl-C: at once)", under_way, grace)
        ending = asyncio.gather(self._proxy.drain(grace), self._control.cleanup(), return_exceptions=True)
        at_once = asyncio.ensure_future(self._at_once.wait())
        either: set[asyncio.Future[Any]] = {ending, at_once}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        at_once.cancel()
        if not ending.done():
            ending.cancel()
            self._proxy.close()
        return self._at_once.is_set()

    def _withdraw(self) -> None:
        """Take `proxy.json` away, if it is ours."""
        running = read_running(self._paths)
        if running is not None and running.pid == os.getpid():
            with contextlib.suppress(DevproxyError):
                files.remove(self._paths.proxy)


def _exposed(listener: Listener) -> DevproxyError:
    return DevproxyError(
        f"devproxy's own socket {listener.where} can be reached from beyond this machine: stopped",
        why="devproxy is for this machine alone; something has opened that socket in its process",
        fix="start it again, and report this if it happens again",
        exit_code=Exit.REFUSED,
    )
