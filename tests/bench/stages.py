"""The order of the measurements, interleaved: each round takes every proxy once (A B C, A B C, …).

Lives here: the stages, and which results they add. Not here: how one thing is measured (`load.py` and its like), how
results are printed (`report.py`).

The machine is shared and its speed drifts: so the proxies take turns, each figure is the median of its rounds, and
the ratio to nginx is taken inside each round first.
"""

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import bulk, change, cpu, http2, idle, latency, load, monitor, parsers, startup, tcp, tls
from tests.bench.origin import http_origin
from tests.bench.peers import PEERS, Peer, Site
from tests.bench.process import BenchError, Cores, Running, environment, free_port, started, wait_ready
from tests.bench.results import REFERENCE, Results

PARTS = ("load", "latency", "bulk", "change", "idle", "monitor", "watched", "startup", "parser", "tcp", "tls")
HOST = "app.localhost"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line asked for."""

    only: tuple[str, ...]
    parts: tuple[str, ...]
    seconds: float
    rounds: int
    connections: int
    changes: int
    sockets: int
    downloads: int


@dataclass
class Bench:
    """One run: the proxies that are here, running, and the results so far."""

    settings: Settings
    cores: Cores
    folder: Path
    results: Results = field(default_factory=Results)
    peers: dict[str, tuple[Peer, Site, Running]] = field(default_factory=dict)

    def run(self) -> Results:
        """Every stage that was asked for."""
        here = self.fetch()
        if {"load", "latency", "bulk", "change"} & set(self.settings.parts):
            with ExitStack() as stack:
                say("starting the origin and the proxies")
                origin = stack.enter_context(http_origin(self.folder / "origin", self.cores))
                self.start(stack, here, origin)
                self.stage("load", self.load)
                self.stage("latency", lambda: self.latency(origin))
                self.stage("bulk", self.bulk)
                self.stage("change", lambda: self.change(origin))
        self.stage("idle", lambda: self.idle(here))
        self.stage("monitor", self.monitor)
        self.stage("watched", self.watched)
        self.stage("startup", lambda: self.startup(here))
        self.stage("parser", self.parser)
        self.stage("tcp", self.tcp_forwarding)
        self.stage("tls", lambda: self.https(here))
        return self.results

    def stage(self, part: str, measure: Callable[[], None]) -> None:
        """Run one part if it was asked for; if it breaks, that is in the report, and what was measured stays."""
        if part not in self.settings.parts:
            return
        say(f"measuring: {part}")
        try:
            measure()
        except Exception as error:
            self.results.fail(part, f"{type(error).__name__}: {error}")

    def fetch(self) -> list[Peer]:
        """The peers that can be run; why each of the others can't is in the results."""
        here = []
        for name in self.settings.only:
            peer = PEERS[name]
            try:
                say(f"looking for {name}")
                peer.fetch()
                self.results.versions[name] = version(peer)
            except BenchError as error:
                self.results.missing[name] = str(error)
            else:
                here.append(peer)
        return here

    def start(self, stack: ExitStack, here: list[Peer], origin: int) -> None:
        """Start each proxy; one that does not answer is missing, with its last words."""
        for peer in here:
            site = Site(self.folder / peer.name, free_port(), {"app": origin})
            peer.place(site)
            running = stack.enter_context(
                started(peer.command(site), self.cores.proxy, peer.env(site), site.folder / "log")
            )
            try:
                wait_ready(running, site.port, HOST)
            except BenchError as error:
                self.results.missing[peer.name] = str(error)
            else:
                self.peers[peer.name] = (peer, site, running)

    def each(self, key: str, measure: Callable[[Peer, Site, Running], float]) -> None:
        """Measure every running proxy once; a failure is noted under its name, and the others go on."""
        for name, (peer, site, running) in self.peers.items():
            try:
                self.results.add(name, key, measure(peer, site, running))
            except (BenchError, OSError) as error:
                self.results.fail(f"{name} {key}", str(error))

    def load(self) -> None:
        lua = {}
        for workload in load.WORKLOADS:
            lua[workload] = self.folder / f"{workload}.lua"
            lua[workload].write_text(load.script(workload, HOST), encoding="utf-8")
        for number in range(self.settings.rounds):
            say(f"  round {number + 1} of {self.settings.rounds}")
            for workload in load.WORKLOADS:
                for name, (_, site, running) in self.peers.items():
                    self.one_load(name, workload, site, running, lua[workload])
        self.each("rss_mib", lambda _peer, _site, running: cpu.resident(running.pid) / 1048576)

    def one_load(self, name: str, workload: str, site: Site, running: Running, lua: Path) -> None:
        settings = self.settings
        try:
            url = f"http://127.0.0.1:{site.port}/"
            result = load.measure(running.pid, url, lua, settings.seconds, settings.connections, self.cores)
        except BenchError as error:
            self.results.fail(f"{name} {workload}", str(error))
            return
        for key, value in result.figures().items():
            self.results.add(name, f"{workload}_{key}", value)
        if result.errors:
            self.results.fail(f"{name} {workload}", f"{result.errors} errors or answers that were not 2xx")

    def latency(self, origin: int) -> None:
        """The same constant rate for each, and for the origin without a proxy."""
        ports = {name: site.port for name, (_, site, _) in self.peers.items()} | {latency.DIRECT: origin}
        self.results.versions[latency.DIRECT] = "the origin without a proxy"
        for workload in load.WORKLOADS:
            rate = self.half_load(workload, ports)
            say(f"  {workload}: {rate:,.0f} requests per second")
            asked = latency.requests(workload, HOST)
            for _ in range(self.settings.rounds):
                for name, port in ports.items():
                    self.one_latency(name, f"half_{workload}", port, asked, rate)

    def half_load(self, workload: str, ports: dict[str, int]) -> float:
        """Half of what the slower of devproxy and nginx takes, of those that are here."""
        lua = self.folder / f"{workload}.lua"
        lua.write_text(load.script(workload, HOST), encoding="utf-8")
        measured = [ports[name] for name in ("devproxy", REFERENCE) if name in ports] or list(ports.values())
        connections = self.settings.connections
        return min(latency.most(f"http://127.0.0.1:{port}/", lua, connections, self.cores) for port in measured) / 2

    def one_latency(self, name: str, key: str, port: int, asked: Iterator[bytes], rate: float) -> None:
        settings = self.settings
        try:
            result = latency.measure(port, asked, rate, settings.seconds, settings.connections)
        except (BenchError, OSError) as error:
            self.results.fail(f"{name} {key}", str(error))
            return
        for figure, value in (result.figures() | {"rate": rate}).items():
            self.results.add(name, f"{key}_{figure}", value)

    def bulk(self) -> None:
        for _ in range(self.settings.rounds):
            self.each(
                "cpu_ms_per_100mb",
                lambda _peer, site, running: bulk.measure(running.pid, site.port, HOST, self.settings.downloads),
            )

    def change(self, origin: int) -> None:
        for number in range(self.settings.changes):
            self.each(
                "change_ms",
                lambda peer, site, running: change.measure(peer, site, running.pid, f"n{number}", origin),  # noqa: B023
            )
            time.sleep(random.uniform(0.5, 1.5))  # out of step with whoever polls

    def idle(self, here: list[Peer]) -> None:
        for peer in here:
            folder = self.folder / f"{peer.name}-idle"
            try:
                kib = asyncio.run(idle.grown(peer, folder, self.cores, self.settings.sockets))
                self.results.add(peer.name, "websocket_kib", kib)
            except (BenchError, OSError, TimeoutError) as error:
                self.results.fail(f"{peer.name} idle WebSockets", str(error) or type(error).__name__)

    def monitor(self) -> None:
        settings = self.settings
        folder = self.folder / "monitor"
        folder.mkdir()
        seconds = settings.seconds * monitor.SECONDS
        found = asyncio.run(monitor.measured(folder, self.cores, settings.sockets, seconds, settings.changes))
        self.results.monitor.update(monitor.report(found))

    def watched(self) -> None:
        settings = self.settings
        folder = self.folder / "watched"
        folder.mkdir()
        with http_origin(folder / "origin", self.cores) as origin:
            pairs = monitor.per_request(folder, self.cores, origin, settings.seconds, settings.rounds * 2)
        self.results.monitor.update(monitor.report_requests(pairs))

    def startup(self, here: list[Peer]) -> None:
        commands: dict[str, tuple[list[str], dict[str, str]]] = {"python -c pass": (startup.PYTHON, {})}
        for peer in here:
            site = Site(self.folder / f"{peer.name}-startup", free_port(), {"app": free_port(), "api": free_port()})
            peer.place(site)
            label = " ".join([peer.name, *peer.startup()[len(peer.program()) :]])
            commands[label] = (peer.startup(), dict(peer.env(site)))
        for _ in range(max(3, self.settings.rounds * 3)):
            for label, (command, env) in commands.items():
                try:
                    self.results.startup_ms.setdefault(label, []).append(startup.once(command, env, self.cores))
                except BenchError as error:
                    self.results.fail(label, str(error))

    def parser(self) -> None:
        for name, kind, data, read in parsers.readers():
            self.results.parser_us.setdefault(name, {})[kind] = parsers.microseconds(read, data, 1.0)

    def tcp_forwarding(self) -> None:
        """Beside its own peers: of those that were asked for devproxy, other checkouts and nginx take part."""
        with ExitStack() as stack:
            behind = stack.enter_context(tcp.origins(self.folder / "tcp-origins", self.cores))
            here = self.start_tcp(stack, behind)
            for _ in range(self.settings.rounds):
                for name, (processes, ports) in here.items():
                    self.one_tcp(name, lambda: tcp.measure(processes, ports, self.settings.seconds))  # noqa: B023
            for name, (processes, ports) in here.items():
                if tcp.TCP_PEERS[name].holds_many:
                    self.one_tcp(name, lambda: {"idle_kib": tcp.idle(processes, ports, tcp.IDLE)})  # noqa: B023

    def start_tcp(self, stack: ExitStack, behind: tcp.Ports) -> dict[str, tuple[list[Running], tcp.Ports]]:
        """Those that forward TCP, running; why each of the others does not is in the results."""
        here = {}
        for name in [name for name in tcp.TCP_PEERS if name in {"haproxy", "socat", *self.settings.only}]:
            peer = tcp.TCP_PEERS[name]
            try:
                self.results.versions.setdefault(name, version(peer))
                folder = self.folder / f"{name}-tcp"
                here[name] = stack.enter_context(tcp.running(peer, folder, behind, self.cores))
            except BenchError as error:
                self.results.missing[f"{name} (TCP)"] = str(error)
        return here

    def one_tcp(self, name: str, measure: Callable[[], dict[str, float]]) -> None:
        try:
            figures = measure()
        except (BenchError, OSError) as error:
            self.results.fail(f"{name} TCP", str(error))
            return
        for key, value in figures.items():
            self.results.add_tcp(name, key, value)

    def https(self, here: list[Peer]) -> None:
        """HTTPS/1.1 and HTTP/2: the same small answers and large bodies, and the first byte on a new connection."""
        folder = self.folder / "tls"
        folder.mkdir()
        pem, hosts = tls.certificate(folder, HOST), tls.hosts_file(folder, HOST)
        lua = {}
        for workload in load.WORKLOADS:
            lua[workload] = folder / f"{workload}.lua"
            lua[workload].write_text(load.script(workload, HOST), encoding="utf-8")
        with ExitStack() as stack:
            origin = stack.enter_context(http_origin(folder / "origin", self.cores))
            running = self.start_tls(stack, [*here, tls.Haproxy()], origin, pem)
            for name, (site, process) in running.items():
                try:
                    self.results.add(name, "h2_idle_kib", http2.idle(process.pid, site.port, HOST))
                except (BenchError, OSError) as error:
                    self.results.fail(f"{name} idle HTTP/2", str(error))
            for _ in range(self.settings.rounds):
                for name, (site, process) in running.items():
                    try:
                        self.one_https(name, site, process, lua, hosts)
                    except (BenchError, OSError) as error:
                        self.results.fail(f"{name} tls", str(error))

    def start_tls(self, stack: ExitStack, here: list[Peer], origin: int, pem: Path) -> dict[str, tuple[Site, Running]]:
        running = {}
        for peer in here:
            site = Site(self.folder / f"{peer.name}-tls", free_port(), {"app": origin}, pem)
            try:
                peer.fetch()
                self.results.versions.setdefault(peer.name, version(peer))
                peer.place(site)
                process = stack.enter_context(
                    started(peer.command(site), self.cores.proxy, peer.env(site), site.folder / "log")
                )
                tls.wait_ready(process, site.port, HOST)
            except BenchError as error:
                self.results.missing[f"{peer.name} (TLS)"] = str(error)
            else:
                running[peer.name] = (site, process)
        return running

    def one_https(self, name: str, site: Site, process: Running, lua: dict[str, Path], hosts: Path) -> None:
        settings, add = self.settings, self.results.add
        url = f"https://{HOST}:{site.port}/"
        for workload in load.WORKLOADS:
            result = tls.measure(
                process.pid, url, lua[workload], settings.seconds, settings.connections, self.cores, hosts
            )
            for key, value in result.figures().items():
                add(name, f"tls_{workload}_{key}", value)
            if result.errors:
                self.results.fail(f"{name} tls {workload}", f"{result.errors} errors or answers that were not 2xx")
        many = http2.measure(process.pid, site.port, HOST, settings.seconds, self.cores)
        for key, value in many.figures().items():
            add(name, f"h2_same_{key}", value)
        if many.errors:
            self.results.fail(f"{name} h2", f"{many.errors} errors or answers that were not 2xx")
        add(name, "tls_cpu_ms_per_100mb", tls.downloads(process.pid, site.port, HOST, settings.downloads))
        add(name, "tls_first_byte_ms", tls.first_bytes(site.port, HOST))


def version(peer: Peer | tcp.TcpPeer) -> str:
    """The first line with a digit that its version command prints."""
    command = peer.version()
    try:
        done = subprocess.run(
            command,
            env=environment({}),
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BenchError(f"`{' '.join(command)}` failed: {error}") from error
    lines = (done.stdout + done.stderr).splitlines()
    return next((line.strip() for line in lines if any(map(str.isdigit, line))), "unknown")


def say(text: str) -> None:
    """Progress, on standard error: standard output is for the report."""
    print(text, file=sys.stderr, flush=True)
