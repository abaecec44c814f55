"""How long a command takes from a cold start, wall clock, on the core that proxies get.

Lives here: the timing of one run. The files are in the page cache: what is measured is the program, not the disk.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from tests.bench.process import BenchError, Cores, environment

PYTHON = [sys.executable, "-c", "pass"]


def once(command: Sequence[str], env: Mapping[str, str], cores: Cores) -> float:
    """Milliseconds that one run of `command` takes; raises BenchError if it can't be run or fails."""
    full = environment(env)
    os.sched_setaffinity(0, {cores.proxy})  # the child inherits it; taskset would add a program of its own
    begin = time.perf_counter()
    try:
        done = subprocess.run(command, env=full, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        elapsed = time.perf_counter() - begin
    finally:
        os.sched_setaffinity(0, {cores.rest})
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines() or ["nothing said"]
        raise BenchError(f"`{' '.join(command)}` ended with {done.returncode}: {said[-1]}")
    return elapsed * 1e3
