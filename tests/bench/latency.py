"""How long requests take while a proxy is half busy: the same constant rate for each, and the tail of the latencies.

Lives here: the generator, and what a proxy can do at most, by wrk. Not here: requests (`load.py`), the order of rounds
(`stages.py`).

The load is open: requests are due at a constant rate, whatever becomes of those before, and a latency counts from the
moment when its request was due. So a pause of the proxy shows in every request that came due in it (a generator that
waits for its answers, as wrk does, leaves out those that it could not send). A request goes out on the connection that
has been idle for longest; where none is, it waits for one, and its time runs.

The rate is half of what the slower of devproxy and nginx takes at most, measured by wrk in the same run, and the same
for each peer; one that takes less than that is at its limit.

The generator and the origin share the core that the proxy does not have, as in `load.py`. What they take is in the
figures of every proxy alike and pulls ratios towards 1: so `direct`, the origin asked without a proxy, stands beside
them. Other work on the machine lengthens the tail first of all; the ratio is taken inside each round, and where
`direct` has a long tail in a round, the machine was busy.
"""

import gc
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from select import select  # not epoll, whose time is in whole milliseconds
from time import perf_counter as clock

from tests.bench import load
from tests.bench.origin import BODY
from tests.bench.process import BenchError, Cores

DIRECT = "direct"  # the name of the origin among the proxies
_END = BODY.encode()[-16:]
_STARTED = b"HTTP/1.1 200"
_PATIENCE = 20.0  # seconds for the last answers


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of one window: milliseconds from when a request was due, in ascending order."""

    milliseconds: Sequence[float]

    def percentile(self, percent: float) -> float:
        """The smallest that `percent` of all do not exceed (nearest rank)."""
        rank = -(-len(self.milliseconds) * round(10 * percent) // 1000)  # in whole numbers: 99.9 % of 41,000 is 40,959
        return self.milliseconds[max(0, rank - 1)]

    def figures(self) -> dict[str, float]:
        """Everything that is reported, by name."""
        return {
            "p50_ms": self.percentile(50),
            "p99_ms": self.percentile(99),
            "p999_ms": self.percentile(99.9),
        }


def requests(workload: str, host: str) -> Iterator[bytes]:
    """One request after the other, without an end."""
    pieces = [piece.encode() for piece in load.head(host).split("{number}")]
    number = 1_000_000
    fixed = (b"%d" % number).join(pieces)
    while True:
        if workload == "varied":
            number += 1
            yield (b"%d" % number).join(pieces)
        else:
            yield fixed


def most(url: str, lua: Path, connections: int, cores: Cores) -> float:
    """Requests per second that a proxy takes from a generator that never waits, over two seconds."""
    load.wrk(url, lua, 1, connections, cores.rest)
    result = load.wrk(url, lua, 2, connections, cores.rest)
    return result["requests"] / (result["microseconds"] / 1e6)


def measure(port: int, asked: Iterator[bytes], rate: float, seconds: float, connections: int) -> Latencies:
    """Warm up for half a second, then offer `rate` requests a second; raises BenchError where an answer is no 200."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(_connected(port)) for _ in range(connections)]
        with _without_collector():
            offer(sockets, asked, rate, 0.5)
            return Latencies(sorted(1e3 * latency for latency in offer(sockets, asked, rate, seconds)))


def offer(sockets: Sequence[socket.socket], asked: Iterator[bytes], rate: float, seconds: float) -> list[float]:
    """The latency of each request that came due in `seconds`, in seconds."""
    idle = deque(sockets)
    answering: dict[int, tuple[socket.socket, float]] = {}  # by descriptor, and when its request was due
    received: dict[int, bytes] = {}
    latencies: list[float] = []
    interval, count = 1 / rate, int(rate * seconds)
    descriptors = [sock.fileno() for sock in sockets]
    begun = clock()
    due, sent, end = begun, 0, begun + seconds + _PATIENCE
    while len(latencies) < count:
        now = clock()
        while idle and sent < count and due <= now:
            sock = idle.popleft()
            sock.send(next(asked))
            answering[sock.fileno()] = sock, due
            sent += 1
            due = begun + sent * interval
        wait = due - clock() if idle and sent < count else 1.0
        for descriptor in select(descriptors, (), (), max(0.0, wait))[0]:
            if descriptor not in answering:
                raise BenchError("a connection that nothing was asked on was closed")
            sock, was_due = answering[descriptor]
            data = received.pop(descriptor, b"") + sock.recv(65536)
            if data.endswith(_END):
                latencies.append(clock() - was_due)
                del answering[descriptor]
                idle.append(sock)
            elif data.startswith(_STARTED[: len(data)]) and data:
                received[descriptor] = data
                continue
            if not data.startswith(_STARTED):
                raise BenchError(f"a request was not answered with 200: {data[:60]!r}")
        if now > end:
            raise BenchError(f"{sent - len(latencies)} requests had no answer within {_PATIENCE:.0f} s")
    return latencies


def _connected(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


@contextmanager
def _without_collector() -> Iterator[None]:
    """The generator's own pauses are nobody's latency."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
