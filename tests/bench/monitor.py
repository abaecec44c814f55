"""What watching 500 services costs beside 5,000 open WebSockets, what it adds to a request, and how soon a change of a
listener is known.

Lives here: measurements of devproxy alone: the others have no such thing. Half of the services are up: one process
listens on 250 ports. The cost is the process's CPU with the monitor less that of the same without it, as a share of one
core, in the same minute of doing nothing else. A request's cost is taken from both at the same time on the same core:
whatever else the machine does meets both alike. No service is bound beyond loopback: what is timed is a listener that
appears at another address of 127.0.0.0/8, which takes the same way through the monitor as one at 0.0.0.0.
"""

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench import load
from tests.bench.cpu import used
from tests.bench.idle import open_some
from tests.bench.origin import WebSocketOrigin
from tests.bench.process import BenchError, Cores, Running, free_port, started, wait_ready

SERVICES = 500
SECONDS = 20.0  # a minute, where a round of load is 3 s
SETTLED = 5.0  # seconds: the first look at everything is over
NOTICED = 20.0
KNOWN = 60.0
HOST = "app.localhost"
CONNECTIONS = 16
ROOT = str(Path(__file__).parents[2])
RUN = "import sys; from devproxy.cli.app import run; sys.exit(run(['serve']))"
BLIND = f"""
import asyncio
from devproxy.health.monitor import Monitor
async def run(self): await asyncio.Event().wait()
Monitor.run = run
{RUN}
"""
CODE = {"with": RUN, "without": BLIND}


async def measured(folder: Path, cores: Cores, sockets: int, seconds: float, changes: int) -> dict[str, list[float]]:
    """`percent` of one core with and without the monitor (its share is their difference), and `noticed_ms`."""
    loop = asyncio.get_running_loop()
    origin = await loop.create_server(WebSocketOrigin, "127.0.0.1", 0, backlog=1024)
    found: dict[str, list[float]] = {}
    with _listening(SERVICES // 2) as ports:
        for label in CODE:
            with _proxy(folder / label, cores, origin.sockets[0].getsockname()[1], ports) as (running, port):
                await asyncio.to_thread(wait_ready, running, port, HOST)
                clients = await open_some(port, HOST, sockets)
                await asyncio.sleep(SETTLED)
                before = used(running.pid).total
                await asyncio.sleep(seconds)
                found[label] = [(used(running.pid).total - before) / seconds * 100]
                if label == "with":
                    found["noticed_ms"] = [
                        await asyncio.to_thread(_noticed, folder / label, ports[0]) for _ in range(changes)
                    ]
                for client in clients:
                    client.transport.abort()
    origin.close()
    return found


def per_request(folder: Path, cores: Cores, origin: int, seconds: float, rounds: int) -> list[tuple[float, float]]:
    """CPU µs per request with the monitor and without it, a pair a round; `origin` is the port of the HTTP origin.

    Two equal proxies differ by some per cent from start to start: so both are started anew for every second pair, in
    turns, and loaded once the monitor has seen everything.
    """
    lua = folder / "same.lua"
    lua.write_text(load.script("same", HOST), encoding="utf-8")
    pairs: list[tuple[float, float]] = []
    with _listening(SERVICES // 2) as ports:
        while len(pairs) < rounds:
            place = folder / str(len(pairs))
            place.mkdir()
            with contextlib.ExitStack() as stack:
                proxies = {}
                for label in list(CODE) if len(pairs) % 4 else reversed(CODE):
                    proxies[label] = stack.enter_context(_proxy(place / label, cores, origin, ports))
                    wait_ready(*proxies[label], HOST)
                _wait_known(place / "with")
                time.sleep(SETTLED)
                pairs += [_loaded(proxies, lua, seconds, cores) for _ in range(2)]
    return pairs


def _wait_known(home: Path) -> None:
    """Until the monitor has seen every service."""
    deadline = time.monotonic() + KNOWN
    while True:
        with contextlib.suppress(OSError, ValueError):
            health = json.loads((home / "state" / "health.json").read_bytes())
            if all(condition["state"] != "unknown" for condition in health["services"].values()):
                return
        if time.monotonic() > deadline:
            raise BenchError(f"not every service was looked at within {KNOWN:g} s")
        time.sleep(0.1)


def _loaded(proxies: Mapping[str, tuple[Running, int]], lua: Path, seconds: float, cores: Cores) -> tuple[float, float]:
    """CPU µs per request with and without, of both at the same time."""
    with ThreadPoolExecutor(len(proxies)) as threads:
        loads = {
            label: threads.submit(
                load.measure, running.pid, f"http://127.0.0.1:{port}/", lua, seconds, CONNECTIONS, cores
            )
            for label, (running, port) in proxies.items()
        }
        return loads["with"].result().cpu_us, loads["without"].result().cpu_us


@contextlib.contextmanager
def _proxy(home: Path, cores: Cores, app: int, up: list[int]) -> Iterator[tuple[Running, int]]:
    """A devproxy with 500 services besides `app`, and its port; without the monitor where `home` is called so."""
    port = _place(home, app, up)
    env = {"HOME": str(home.parent), "DEVPROXY_HOME": str(home), "PYTHONPATH": ROOT, "DEVPROXY_NO_PROOF": "1"}
    code = CODE[home.name]
    with started([sys.executable, "-c", code], cores.proxy, env, home.with_suffix(".log")) as running:
        yield running, port


@contextlib.contextmanager
def _listening(count: int) -> Iterator[list[int]]:
    """That many listeners of this process; their ports."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        yield [server.getsockname()[1] for server in servers]


def _place(home: Path, app: int, up: list[int]) -> int:
    """Write the registry: `app`, the services that are up, and as many that are not; the proxy's port."""
    port = free_port()
    down = [free_port() for _ in up]
    services = [f"[services.s{number}]\nport = {one}\n" for number, one in enumerate([*up, *down])]
    config = home / "config"
    config.mkdir(mode=0o700, parents=True)
    home.chmod(0o700)
    text = "\n".join([f"[proxy]\nhttp = {port}\n", f"[services.app]\nport = {app}\n", *services])
    (config / "registry.toml").write_text(text, encoding="utf-8")
    return port


def _noticed(home: Path, port: int) -> float:
    """Milliseconds from a new listener on `port` to its place in health.json, whenever in a tick it comes."""
    time.sleep(time.monotonic_ns() % 1000 / 1000)
    with socket.create_server(("127.0.0.7", port)):
        begin = time.perf_counter()
        _wait(home, 2)
        elapsed = time.perf_counter() - begin
    _wait(home, 1)
    return elapsed * 1e3


def _wait(home: Path, listeners: int) -> None:
    """Until the first service is known to have so many listeners."""
    deadline = time.monotonic() + NOTICED
    while True:
        health = json.loads((home / "state" / "health.json").read_bytes())
        if len(health["services"]["s0"]["listeners"]) == listeners:
            return
        if time.monotonic() > deadline:
            raise BenchError(f"a listener that came or went was not noticed within {NOTICED:g} s")
        time.sleep(0.005)


def report_requests(pairs: list[tuple[float, float]]) -> list[tuple[str, list[float]]]:
    """Rows for the table."""
    return [
        ("CPU µs per request, 500 services watched", [mine for mine, _ in pairs]),
        ("CPU µs per request, the same without the monitor", [other for _, other in pairs]),
        ("% that the monitor adds to a request, by rounds", [(mine / other - 1) * 100 for mine, other in pairs]),
    ]


def report(found: dict[str, list[float]]) -> list[tuple[str, list[float]]]:
    """Rows for the table: what is measured, its samples."""
    shares = [mine - other for mine, other in zip(found["with"], found["without"], strict=True)]
    return [
        ("% of a core, 500 services and idle WebSockets", found["with"]),
        ("% of a core, the same without the monitor", found["without"]),
        ("% of a core, the monitor's share", shares),
        ("ms until a changed listener is known", found["noticed_ms"]),
    ]
