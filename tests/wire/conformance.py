"""`python -m tests.wire.conformance`: what h2spec, the public conformance program for HTTP/2, says of the proxy.

Lives here: a proxy and a service in this process, and h2spec's run against them, over plain text. Its arguments are
passed on (`http2/6.9`, `--strict` …); its exit code is this one's, 2 where there is no h2spec.
Not here: the cases of the RFCs as tests of ours (`test_h2.py`, `test_h2_hostile.py`).

It asks for the host that it connects to, so it gets a hosts file of its own, which names `web.localhost`.
"""

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.tls import hosts_file, under
from tests.wire import oracle
from tests.wire.harness import Stage
from tests.wire.peer import Peer

BODY = b"hello " * 20_000  # more than a window holds


async def serve(peer: Peer) -> None:
    """Answer each whole request with BODY."""
    done = 0
    with contextlib.suppress(AssertionError, ConnectionError):
        while not peer.ended:
            await peer.more("a request")
            whole = oracle.requests(bytes(peer.received))
            for request in whole[done:]:
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)
                await peer.send(head if request.method == b"HEAD" else head + BODY)
            done = len(whole)


async def run(program: str, options: Sequence[str]) -> int:
    """h2spec's exit code."""
    stage = Stage("127.0.0.1")
    await stage.start()
    stage.origin.always(serve)
    try:
        with tempfile.TemporaryDirectory() as folder:
            hosts = hosts_file(Path(folder), "web.localhost")
            command = [*under(hosts), program, "-h", "web.localhost", "-p", str(stage.port), *options]
            child = await asyncio.create_subprocess_exec(*command)
            return await child.wait()
    finally:
        await stage.close()


def main() -> int:
    program = shutil.which("h2spec")
    if program is None:
        print("h2spec is not installed", file=sys.stderr)
        return 2
    return asyncio.run(run(program, sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(main())
