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
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from devproxy import __version__
from devproxy.build import own_build
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
from devproxy.daemon.runtime import Running, read_running, with_scheme
from devproxy.daemon.tls_server import TlsServer
from devproxy.errors import DevproxyError, Exit
from devproxy.events import EventLog, Notice, Problems, Started, Stopped
from devproxy.health.model import Condition, Listener, WaitingRequests
from devproxy.net.endpoints import endpoints
from devproxy.net.loopback import BACKLOG, Listening, listen_all
from devproxy.paths import Paths
from devproxy.problems import PORT_TAKEN
from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.server import Proxy
from devproxy.proxy.tls_accept import TlsAcceptor
from devproxy.registry.loader import Loader
from devproxy.registry.model import HttpsPort, Upstream
from devproxy.storage import files
from devproxy.storage.process_identity import start_time
from devproxy.storage.rotating_file import RotatedFile
from devproxy.tcp.forwarder import Forwarder
from devproxy.urls import Ports

ACCESS_LOG_LIMIT, ACCESS_LOGS_KEPT = 10 << 20, 5  # bytes a file, older files
RESERVED_DESCRIPTORS = 128  # files, logs, the loop, devproxy's own pages, pipes of bulk transfers
INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended

_log = logging.getLogger(__name__)


class Override(NamedTuple):
    """What takes the place of the registry's settings: the ports (0: any free one), and the log of requests."""

    http: int | None = None
    https: HttpsPort = None
    access_log: bool | None = None


AS_REGISTERED = Override()


def run(paths: Paths, override: Override = AS_REGISTERED, *, watched: bool = True) -> int:
    """Serve until a signal comes; returns the exit code. Raises DevproxyError where it cannot start.

    `watched`: somebody reads stderr, so the log is shown there, too.
    """
    return process.run(serve(paths, override, watched=watched))


async def serve(paths: Paths, override: Override = AS_REGISTERED, *, watched: bool = True) -> int:
    """`run`, on an event loop that is there."""
    paths.make(paths.config)
    claim = process.claim(paths)
    try:
        with DaemonLog(paths, watched=watched):
            return await Daemon(paths, override).run()
    finally:
        claim.release()


def client_limits(descriptors: int) -> tuple[int, int]:
    """How many clients there may be of HTTP, and of TCP services, each with a connection to a service: a database has
    fewer, and neither kind takes the descriptors of the other."""
    quarter = (descriptors - RESERVED_DESCRIPTORS) // 8
    return max(16, 3 * quarter), max(16, quarter)


class Daemon:
    """One run of the proxy, from `run` to its return."""

    def __init__(self, paths: Paths, override: Override):
        self._paths = paths
        self._override = override
        self._access_log: AccessLog | None = None
        self._started = start_time(os.getpid()) or time.time()
        self._events = EventLog(time.time)
        self._reloader = Reloader(Loader(paths), besides=[paths.trusted])
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()
        self._notices: list[str] = []
        self._servers: list[asyncio.Server] = []
        self._own_ports: dict[str, int] = {}
        self._env_writer = EnvWriter(lambda: self._reloader.registry, self._url_ports)

    async def run(self) -> int:
        """Start, serve, end."""
        self._handle_signals()
        limit = process.raise_descriptor_limit()
        settings = (await self._reloader.load()).settings
        listening = listen_all(endpoints(settings, self._override.http, self._override.https))
        self._notices = [notice for one in listening for notice in one.notices]
        self._own_ports = {one.scheme: one.port for one in listening if one.port}
        try:
            self._control = runner(build_app(self._view(listening)))
            await self._control.setup()
            http_clients, tcp_clients = client_limits(limit)
            without_https = "https" not in self._own_ports
            snapshot = Snapshot.of(await self._reloader.load(self._known_ports, without_https=without_https))
            self._proxy = Proxy(snapshot, control=self._own_page, connection_limit=http_clients)
            self._forwarder = Forwarder(self._proxy, limit=tcp_clients)
            certificates = TlsServer(self._paths, self._proxy, self._notice)
            self._tls = TlsAcceptor(self._proxy, certificates.context, self._proxy.fronts)
            self._switch_access_log()
            await asyncio.to_thread(self._write_state)
            self._watch_health_of_services()
            await self._accept(listening)
            await self._forwarder.follow(self._reloader.registry.services)
        except BaseException:
            for one in listening:
                one.close()
            raise
        self._url_scheme = self._url_ports().scheme
        self._announce(listening)
        process.settle_memory()
        self._env_writer.look()
        tasks = [
            asyncio.create_task(self._env_writer.run()),
            asyncio.create_task(self._reloader.follow(self._stop, self._change, self._follow_trust)),
            asyncio.create_task(self._publisher.run()),
            asyncio.create_task(self._idle.run()),
            asyncio.create_task(self._forwarder.run()),
        ]
        await self._stop.wait()
        return await self._end(tasks)

    @property
    def _known_ports(self) -> tuple[int, ...]:
        return tuple(self._own_ports.values())

    def _url_ports(self) -> Ports:
        """The ports that there are, with the scheme that URLs bear now."""
        http, https = self._own_ports.get("http"), self._own_ports.get("https")
        return with_scheme(self._paths, self._reloader.registry.settings, http, https)

    def _watch_health_of_services(self) -> None:
        """Begin to watch the services; devproxy's own sockets are audited by the same code."""
        registry = self._reloader
        self._publisher = HealthPublisher(
            self._paths, self._proxy, self._events, lambda: registry.registry, self._known_ports
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

    def _view(self, listening: Sequence[Listening]) -> ControlContext:
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
            ports=self._url_ports,
            addresses=tuple(_addresses(listening)),
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

    async def _accept(self, listening: Sequence[Listening]) -> None:
        loop = asyncio.get_running_loop()
        self._proxy.https_port = self._own_ports.get("https")
        for one in listening:
            for sock in one.sockets:
                if one.scheme == "https":
                    self._tls.accept_on(sock)
                else:
                    self._servers.append(await loop.create_server(self._proxy.connection, sock=sock, backlog=BACKLOG))

    # While it runs

    async def _change(self, change: RegistryChange) -> None:
        self._proxy.swap(change.snapshot)
        await self._forwarder.follow(change.registry.services)
        self._publisher.registry_changed()
        self._env_writer.look()
        self._switch_access_log()
        self._notice_ports(change)
        self._tell(change)
        if change.problems_differ or change.registry.has_errors:
            try:
                await asyncio.to_thread(self._write_state)
            except DevproxyError as error:
                _log.error("%s", error)

    async def _follow_trust(self) -> None:
        """Tell that URLs bear another scheme, once `trust` or `untrust` has run, or a setting says so."""
        scheme = (await asyncio.to_thread(self._url_ports)).scheme
        if scheme == self._url_scheme:
            return
        self._url_scheme = scheme
        self._env_writer.look()
        self._notice(f"URLs begin with {scheme}:// now", logging.INFO)

    def _switch_access_log(self) -> None:
        wanted = self._override.access_log
        if wanted is None:
            wanted = self._reloader.registry.settings.access_log
        if wanted and self._access_log is None:
            file = RotatedFile(self._paths.access_log, limit=ACCESS_LOG_LIMIT, kept=ACCESS_LOGS_KEPT)
            self._access_log = AccessLog(file)
        self._proxy.access_log = self._access_log if wanted else None

    def _notice_ports(self, change: RegistryChange) -> None:
        """A port is chosen once: open connections and printed URLs hang on it."""
        for scheme in ("http", "https"):
            port = getattr(change.registry.settings, scheme)
            is_old = getattr(change.old.settings, scheme) == port or getattr(self._override, scheme) is not None
            if is_old or port == self._own_ports.get(scheme, "off"):
                continue
            then = "stop listening" if port == "off" else "listen there"
            message = f"[proxy] {scheme} is {port or 'the standard port'} now: restart devproxy to {then}"
            self._notices.append(message)
            self._notice(message)

    def _notice(self, message: str, level: int = logging.WARNING) -> None:
        self._events.add(Notice(message))
        _log.log(level, "%s", message)

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
            http=self._own_ports.get("http"),
            https=self._own_ports.get("https"),
            protocols=tuple(self._proxy.fronts),
            version=__version__,
            build=own_build(),
            problems=registry.problems,
            in_force=registry if registry.has_errors else None,
        )
        files.write_json(self._paths.proxy, running)

    def _announce(self, listening: Sequence[Listening]) -> None:
        self._events.add(Started(__version__, self._own_ports["http"], self._own_ports.get("https")))
        for notice in self._notices:
            self._events.add(Notice(notice))
        addresses = _addresses(listening)
        _log.debug("listening on %s", ", ".join(addresses))
        text = announcement(self._reloader.registry, addresses, self._url_ports(), self._notices)
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
        loop.add_signal_handler(signal.SIGHUP, self._look_again)

    def _look_again(self) -> None:
        """Read the registry, and see whether the CA is trusted by now: URLs in files depend on it."""
        self._reloader.request()
        self._env_writer.look()

    def _interrupt(self) -> None:
        (self._at_once if self._stop.is_set() else self._stop).set()

    async def _end(self, tasks: list[asyncio.Task[None]]) -> int:
        for server in self._servers:
            server.close()
        self._tls.close()
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


def _addresses(listening: Sequence[Listening]) -> list[str]:
    return [address for one in listening for address in one.addresses]


def _exposed(listener: Listener) -> DevproxyError:
    return DevproxyError(
        f"devproxy's own socket {listener.where} can be reached from beyond this machine: stopped",
        why="devproxy is for this machine alone; something has opened that socket in its process",
        fix="start it again, and report this if it happens again",
        exit_code=Exit.REFUSED,
    )
