"""TCP forwarding beside nginx's stream module, HAProxy and socat: a database's questions, bulk, idle connections.

Lives here: how each is configured, a PostgreSQL of the bench's own, and the measurements. pgbench asks PostgreSQL (its
built-in `select-only` script) through each; a server pours 100 MB; connections are opened and left alone.
Not here: the order of rounds (`stages.py`), CPU and memory (`cpu.py`).
"""

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.bulk import BUFFER_BYTES, HUNDRED_MB
from tests.bench.cpu import TICK, resident, stat, used
from tests.bench.origin import nginx_command, nginx_program
from tests.bench.peers import CHECKOUTS, Devproxy
from tests.bench.process import (
    READY_SECONDS,
    BenchError,
    Cores,
    Running,
    ended,
    environment,
    free_port,
    started,
)

CLIENTS = 4
IDLE = 2000  # connections that are open and say nothing
NOBODY = 65534


@dataclass(frozen=True)
class Ports:
    """Where a proxy listens: for the database, for what pours, for what swallows, for what never says a word."""

    database: int
    pour: int
    swallow: int
    silent: int


class TcpPeer:
    """One proxy: `command` starts it in the foreground, with `origins` behind its `ports`."""

    name = ""
    holds_many = True  # connections in one process

    def version(self) -> list[str]:
        raise NotImplementedError

    def env(self, folder: Path) -> Mapping[str, str]:
        return {"HOME": str(folder)}

    def commands(self, folder: Path, ports: Ports, origins: Ports) -> list[list[str]]:
        """Its processes; most have one for all ports."""
        raise NotImplementedError


def pairs(ports: Ports, origins: Ports) -> list[tuple[str, int, int]]:
    """(name, where the proxy listens, where the origin does)."""
    return [(name, getattr(ports, name), getattr(origins, name)) for name in ("database", "pour", "swallow", "silent")]


class DevproxyTcp(TcpPeer):
    def __init__(self, peer: Devproxy) -> None:
        self.peer = peer
        self.name = peer.name

    def version(self) -> list[str]:
        return self.peer.version()

    def env(self, folder: Path) -> Mapping[str, str]:
        return {"HOME": str(folder), "DEVPROXY_HOME": str(folder / "home")}

    def commands(self, folder: Path, ports: Ports, origins: Ports) -> list[list[str]]:
        config = folder / "home" / "config"
        config.mkdir(mode=0o700, parents=True)
        (folder / "home").chmod(0o700)
        text = f"[proxy]\nhttp = {free_port()}\n" + "".join(
            f'[services.{name}]\nprotocol = "tcp"\nport = {origin}\nlisten = {port}\nother_user = "allow"\n'
            for name, port, origin in pairs(ports, origins)
        )
        (config / "registry.toml").write_text(text, encoding="utf-8")
        return [[*self.peer.program(), "serve"]]


class NginxStream(TcpPeer):
    name = "nginx"

    def version(self) -> list[str]:
        return [nginx_program(), "-v"]

    def commands(self, folder: Path, ports: Ports, origins: Ports) -> list[list[str]]:
        module = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
        if not module.exists():
            raise BenchError("nginx has no stream module: apt-get install libnginx-mod-stream")
        servers = "".join(
            f"server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{origin}; proxy_timeout 1h; }}\n"
            for _, port, origin in pairs(ports, origins)
        )
        file = folder / "nginx.conf"
        file.write_text(
            f"daemon off;\nload_module {module};\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
            "worker_processes 1;\n"
            f"events {{ worker_connections 10000; }}\nstream {{\n{servers}}}\n",
            encoding="utf-8",
        )
        return [nginx_command(folder, file)]


class Haproxy(TcpPeer):
    name = "haproxy"

    def version(self) -> list[str]:
        return [installed("haproxy"), "-v"]

    def commands(self, folder: Path, ports: Ports, origins: Ports) -> list[list[str]]:
        text = (
            "global\n  nbthread 1\n  maxconn 5000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n"
            "  timeout server 1h\n  option splice-auto\n"
        )
        for name, port, origin in pairs(ports, origins):
            text += f"listen {name}\n  bind 127.0.0.1:{port}\n  server s 127.0.0.1:{origin}\n"
        file = folder / "haproxy.cfg"
        file.write_text(text, encoding="utf-8")
        return [[installed("haproxy"), "-f", str(file)]]


class Socat(TcpPeer):
    name = "socat"
    holds_many = False

    def version(self) -> list[str]:
        return [installed("socat"), "-V"]

    def commands(self, folder: Path, ports: Ports, origins: Ports) -> list[list[str]]:
        return [
            [
                installed("socat"),
                "-b",
                "131072",
                f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,nodelay",
                f"TCP:127.0.0.1:{origin},nodelay",
            ]
            for _, port, origin in pairs(ports, origins)
        ]


TCP_PEERS: dict[str, TcpPeer] = {
    peer.name: peer
    for peer in (DevproxyTcp(Devproxy()), *map(DevproxyTcp, CHECKOUTS), NginxStream(), Haproxy(), Socat())
}


def installed(name: str) -> str:
    """A program's path. Raises BenchError."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise BenchError(f"{name} is not installed: apt-get install {name}")
    return found


# What stands behind the proxies


@contextmanager
def origins(folder: Path, cores: Cores) -> Iterator[Ports]:
    """PostgreSQL, a server that pours, one that swallows, and one that is silent."""
    with ExitStack() as stack:
        database = stack.enter_context(postgres(folder, cores))
        pour = stack.enter_context(serving(_pour))
        swallow = stack.enter_context(serving(_swallow))
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096))  # the kernel accepts
        yield Ports(database, pour, swallow, int(silent.getsockname()[1]))


@contextmanager
def postgres(folder: Path, cores: Cores) -> Iterator[int]:
    """A PostgreSQL with the tables of pgbench; yields its port."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        raise BenchError("PostgreSQL is not installed: apt-get install postgresql")
    programs, data, port = found[-1].parent, folder / "data", free_port()
    folder.mkdir(parents=True)
    data.mkdir()
    as_user: list[str] = []
    if os.geteuid() == 0:
        as_user = [installed("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        os.chown(data, NOBODY, NOBODY)
        for parent in (folder, folder.parent):
            parent.chmod(0o711)
    run([*as_user, str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-N"])
    settings = [f"-p{port}", "-cunix_socket_directories=", "-clisten_addresses=127.0.0.1", "-cfsync=off"]
    with started([*as_user, str(programs / "postgres"), "-D", str(data), *settings], cores.rest, {}, folder / "log"):
        pgbench = [installed("pgbench"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-i", "-q", "postgres"]
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                run(pgbench)
                break
            except BenchError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield port


def run(command: list[str]) -> str:
    """A command's output. Raises BenchError with its last line."""
    done = subprocess.run(command, env=environment({}), cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-200:]}")
    return done.stdout


@contextmanager
def serving(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server of this process that hands each connection to `handle`, in a thread; yields its port."""
    server = socket.create_server(("127.0.0.1", 0), backlog=4096)

    def accept() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield int(server.getsockname()[1])
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def _pour(client: socket.socket) -> None:
    piece = bytes(BUFFER_BYTES)
    with closing(client):
        asked = client.recv(100)
        left = int(asked or b"0")
        while left:
            client.sendall(memoryview(piece)[: min(left, BUFFER_BYTES)])
            left -= min(left, BUFFER_BYTES)


def _swallow(client: socket.socket) -> None:
    buffer, missing = bytearray(BUFFER_BYTES), HUNDRED_MB
    with closing(client):
        while missing and (count := client.recv_into(buffer)):
            missing -= count
        client.sendall(b"done")


# The measurements


@contextmanager
def running(peer: TcpPeer, folder: Path, behind: Ports, cores: Cores) -> Iterator[tuple[list[Running], Ports]]:
    """The proxy's processes and its ports, once it forwards. Raises BenchError."""
    folder.mkdir()
    ports = Ports(free_port(), free_port(), free_port(), free_port())
    with ExitStack() as stack:
        processes = [
            stack.enter_context(started(command, cores.proxy, peer.env(folder), folder / f"log{number}"))
            for number, command in enumerate(peer.commands(folder, ports, behind))
        ]
        deadline = time.monotonic() + READY_SECONDS
        while not forwards(ports.pour):
            if time.monotonic() > deadline or any(ended(one.pid) for one in processes):
                raise BenchError(f"it did not forward: {processes[0].last_words()}")
            time.sleep(0.05)
        yield processes, ports


def forwards(port: int) -> bool:
    """Whether what pours can be reached there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
            client.sendall(b"1")
            return client.recv(10) != b""
    except OSError:
        return False


def spent(processes: list[Running]) -> float:
    """CPU seconds that the proxy has used, its children among them that have ended (socat has one a connection)."""
    ended_children = sum(int(ticks) for one in processes for ticks in stat(one.pid)[13:15]) * TICK
    return ended_children + sum(used(one.pid).total for one in processes)


def measure(processes: list[Running], ports: Ports, seconds: float) -> dict[str, float]:
    """The figures of one round: CPU µs a transaction and transactions a second; CPU ms a 100 MB in either direction."""
    pgbench = [installed("pgbench"), "-h", "127.0.0.1", "-p", str(ports.database), "-U", "postgres", "-n", "-S"]
    before = spent(processes)
    told = run([*pgbench, "-c", str(CLIENTS), "-T", f"{seconds:.0f}", "postgres"])
    time.sleep(1)  # a process a connection ends half a second after it
    cost = spent(processes) - before
    count = float(found(r"actually processed: (\d+)", told))
    rate = float(found(r"tps = ([\d.]+)", told))
    figures = {"transaction_us": cost * 1e6 / count, "transactions_per_second": rate}
    for key, move, port in (("down", _download, ports.pour), ("up", _upload, ports.swallow)):
        move(port)
        before = spent(processes)
        for _ in range(3):
            move(port)
        figures[f"{key}_ms_per_100mb"] = (spent(processes) - before) * 1e3 / 3
    return figures


def found(pattern: str, text: str) -> str:
    """What the pattern's group matches. Raises BenchError."""
    match = re.search(pattern, text)
    if match is None:
        raise BenchError(f"pgbench printed no {pattern!r}")
    return match[1]


def _download(port: int) -> None:
    buffer = memoryview(bytearray(BUFFER_BYTES))
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"%d" % HUNDRED_MB)
        missing = HUNDRED_MB
        while missing and (count := client.recv_into(buffer)):
            missing -= count
    if missing:
        raise BenchError(f"a download ended {missing} bytes short")


def _upload(port: int) -> None:
    piece = bytes(BUFFER_BYTES)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        left = HUNDRED_MB
        while left:
            client.sendall(memoryview(piece)[: min(left, BUFFER_BYTES)])
            left -= min(left, BUFFER_BYTES)
        if client.recv(10) != b"done":
            raise BenchError("an upload was not taken whole")


def idle(processes: list[Running], ports: Ports, count: int) -> float:
    """KiB of resident memory that each of `count` connections costs that are open and say nothing."""
    before = sum(resident(one.pid) for one in processes)
    with ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", ports.silent), timeout=30))
            client.setblocking(False)
        time.sleep(1)
        return (sum(resident(one.pid) for one in processes) - before) / 1024 / count
