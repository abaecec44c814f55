"""Small answers under load: CPU per request, requests per second, latency.

Lives here: the requests, wrk, and one measurement of one proxy. Not here: the order of the measurements (`stages.py`).

Every request has ten fields, as a browser sends them, over kept-alive connections. `same` repeats one request;
`varied` changes the target, `Referer` and `Cookie` every time, so that nobody gains by remembering a head.
wrk runs as fast as the proxy answers (a closed loop), so the latencies are those of a proxy at its limit.
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cpu import Cpu, used
from tests.bench.process import BenchError, Cores, environment

WORKLOADS = ("same", "varied")
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
FIELDS = {
    "Host": "{host}",
    "Connection": "keep-alive",
    "User-Agent": CHROME,
    "Accept": "application/json, text/plain, */*",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Referer": "http://{host}/items?page={number}",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-GB,en;q=0.9",
    "Cookie": "theme=dark; session=4f1c9a7be2d84c0a9d3f; seen={number}",
}
TARGET = "/api/items/{number}?expand=owner"

SCRIPT = """\
local pieces = {pieces}
local number = 1000000
local function build() return {expression} end
local fixed = build()
local function vary()
  number = number + 1
  return build()
end
request = {varied} and vary or function() return fixed end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"errors":%d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """One measured window of one proxy."""

    requests: int
    seconds: float
    p50: float  # milliseconds
    p99: float
    errors: int
    cpu: Cpu

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU per request."""
        return self.cpu.total / max(1, self.requests) * 1e6

    def figures(self) -> dict[str, float]:
        """Everything that is reported, by name; `busy_percent` is how much of its core the proxy used."""
        count = max(1, self.requests)
        return {
            "cpu_us": self.cpu_us,
            "user_us": self.cpu.user / count * 1e6,
            "system_us": self.cpu.system / count * 1e6,
            "requests_per_second": self.requests / self.seconds,
            "p50_ms": self.p50,
            "p99_ms": self.p99,
            "busy_percent": self.cpu.total / self.seconds * 100,
        }


def head(host: str) -> str:
    """One request head, with `{number}` standing where the varied workload differs."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in FIELDS.items())
    return f"GET {TARGET} HTTP/1.1\r\n{fields}\r\n".replace("{host}", host)


def script(workload: str, host: str) -> str:
    """wrk's Lua for a workload: whole requests in a fixed field order, and its result as one line of JSON."""
    pieces = [json.dumps(piece) for piece in head(host).split("{number}")]
    return SCRIPT.format(
        pieces="{" + ", ".join(pieces) + "}",
        expression=" .. number .. ".join(f"pieces[{index}]" for index in range(1, len(pieces) + 1)),
        varied="true" if workload == "varied" else "false",
    )


def wrk(url: str, lua: Path, seconds: float, connections: int, core: int, under: Sequence[str] = ()) -> dict[str, int]:
    """Run wrk (one thread) for `seconds`, rounded up to wrk's whole seconds, by the command `under`; what its `done`
    wrote.
    """
    program = shutil.which("wrk")
    if program is None:
        raise BenchError("wrk is not installed: apt-get install wrk")
    whole_seconds = max(1, round(seconds))
    command = [program, "-t1", f"-c{connections}", f"-d{whole_seconds}s", "-s", str(lua), url]
    done = subprocess.run(
        ["taskset", "-c", str(core), *under, *command],
        env=environment({}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=whole_seconds + 60,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise BenchError(f"wrk failed: {(done.stderr or done.stdout).strip()[-300:]}")
    result: dict[str, int] = json.loads(lines[-1])
    return result


def measure(
    pid: int, url: str, lua: Path, seconds: float, connections: int, cores: Cores, under: Sequence[str] = ()
) -> Load:
    """Warm up for a second, then measure `seconds` of load on the proxy whose process tree begins at `pid`."""
    wrk(url, lua, 1, connections, cores.rest, under)
    before = used(pid)
    result = wrk(url, lua, seconds, connections, cores.rest, under)
    cpu = used(pid) - before
    return Load(
        requests=result["requests"],
        seconds=result["microseconds"] / 1e6,
        p50=result["p50"] / 1e3,
        p99=result["p99"] / 1e3,
        errors=result["errors"],
        cpu=cpu,
    )
