"""From a change of the configuration to the first answer under the new name.

Lives here: one measurement of one proxy. The new file is written beside the old one first; the clock starts just
before `os.replace` (and the signal, for a proxy that has to be told) and stops at the first 200. portless gets its file
written in place (`peers.py` says why).
"""

import http.client
import time

from tests.bench.peers import Peer, Site
from tests.bench.process import BenchError, answers

POLL_SECONDS = 0.001
LIMIT_SECONDS = 15.0


def measure(peer: Peer, site: Site, pid: int, name: str, origin: int) -> float:
    """Add `name` to the proxy's routes; milliseconds until `<name>.localhost` is answered with 200."""
    site.routes[name] = origin
    peer.prepare(site)
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=5)
    if answers(connection, f"{name}.localhost"):
        raise BenchError(f"{name} is answered before it is configured")
    begin = time.perf_counter()
    peer.switch(site, pid)
    while not answers(connection, f"{name}.localhost"):
        if time.perf_counter() - begin > LIMIT_SECONDS:
            raise BenchError(f"a change was not live after {LIMIT_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)
    elapsed = time.perf_counter() - begin
    connection.close()
    return elapsed * 1e3
