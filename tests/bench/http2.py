"""HTTP/2 over TLS: small answers, asked for by h2load (nghttp2): 8 connections with 10 streams each; idle connections.

Lives here: the command and what it prints, and what a connection costs that has asked once and is then silent.
Not here: certificates and the proxies (`tls.py`, `peers.py`), the order of rounds (`stages.py`).
"""

import re
import shutil
import ssl
import subprocess
import time
from contextlib import ExitStack

from devproxy.proxy.h2_engine import Connection, Role, StreamClosed
from tests.bench import load, tls
from tests.bench.cpu import resident, used
from tests.bench.process import BenchError, Cores, environment

CONNECTIONS, STREAMS = 8, 10
IDLE = 500  # connections, after as many that are not counted
_DONE = re.compile(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored")
_LATENCY = re.compile(r"time for request: +\S+ +\S+ +(\S+?)(us|ms|s) ")
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_LEFT_OUT = frozenset(("Host", "Connection"))  # the one is in the URL, the other has no place in HTTP/2


def h2load(port: int, host: str, seconds: float, core: int) -> dict[str, float]:
    """Run h2load (one thread) for `seconds`, rounded to whole ones; what it counted."""
    program = shutil.which("h2load")
    if program is None:
        raise BenchError("h2load is not installed: apt-get install nghttp2-client")
    whole_seconds = max(1, round(seconds))
    fields = [f"-H{name}: {value}" for name, value in load.FIELDS.items() if name not in _LEFT_OUT]
    asked = [one.replace("{host}", host).replace("{number}", "1") for one in (*fields, load.TARGET)]
    command = [program, "-t1", f"-c{CONNECTIONS}", f"-m{STREAMS}", "-D", str(whole_seconds), *asked[:-1]]
    done = subprocess.run(
        ["taskset", "-c", str(core), *command, f"--connect-to=127.0.0.1:{port}", f"https://{host}:{port}{asked[-1]}"],
        env=environment({}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=whole_seconds + 60,
        check=False,
    )
    found, latency = _DONE.search(done.stdout), _LATENCY.search(done.stdout)
    if found is None or "Application protocol: h2" not in done.stdout:
        raise BenchError(f"h2load failed: {(done.stderr or done.stdout).strip()[-300:]}")
    return {
        "requests": int(found[1]),
        "errors": int(found[1]) - int(found[2]) + int(found[3]) + int(found[4]),
        "seconds": whole_seconds,
        "mean": float(latency[1]) * _MILLISECONDS[latency[2]] if latency is not None else 0.0,
    }


def measure(pid: int, port: int, host: str, seconds: float, cores: Cores) -> load.Load:
    """Warm up for a second, then measure. h2load tells the mean time alone, which stands in both columns."""
    h2load(port, host, 1, cores.rest)
    before = used(pid)
    result = h2load(port, host, seconds, cores.rest)
    return load.Load(
        requests=int(result["requests"]),
        seconds=result["seconds"],
        p50=result["mean"],
        p99=result["mean"],
        errors=int(result["errors"]),
        cpu=used(pid) - before,
    )


def idle(pid: int, port: int, host: str) -> float:
    """KiB of resident memory for each of many connections over TLS that have had one answer and say nothing more."""
    context = tls.client_context()
    context.set_alpn_protocols(["h2"])
    with ExitStack() as stack:
        for _ in range(IDLE):
            _ask_once(stack.enter_context(tls.connected(port, host, context)), host)
        before = resident(pid)
        for _ in range(IDLE):
            _ask_once(stack.enter_context(tls.connected(port, host, context)), host)
        time.sleep(1)
        return (resident(pid) - before) / 1024 / IDLE


def _ask_once(connection: ssl.SSLSocket, host: str) -> None:
    engine = Connection(Role.CLIENT)
    engine.initiate_connection()
    pairs = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", host.encode()), (b":path", b"/")]
    fields = [(name.lower().encode(), value.encode()) for name, value in load.FIELDS.items() if name not in _LEFT_OUT]
    engine.send_request([*pairs, *fields], end_stream=True)
    while True:
        connection.sendall(engine.data_to_send())
        data = connection.recv(65536)
        if not data:
            raise BenchError("an HTTP/2 connection ended before it was answered")
        engine.receive_data(data)
        if any(isinstance(event, StreamClosed) for event in engine.events()):
            connection.sendall(engine.data_to_send())
            return
