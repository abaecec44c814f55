"""A program of another user of this machine, who takes a place that a service leaves free; needs root.

It listens where it is told, keeps what it is sent, and answers every request as if it were the service. `once`: it
takes one connection, and closes the listener before anything else.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests import require
from tests.waiting import DEADLINE

UID = 65533  # nobody's in particular, and not `nobody` itself, which stands for whom a user namespace does not know

_PROGRAM = """
import os, socket, sys
uid, once, place, port = int(sys.argv[1]), sys.argv[2] == "once", sys.argv[3], int(sys.argv[4])
os.setgroups([]), os.setgid(uid), os.setuid(uid)
sock = socket.socket(socket.AF_UNIX if not port else socket.AF_INET6 if ":" in place else socket.AF_INET)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.bind((place, port) if port else place)
if not port:
    os.chmod(place, 0o777)
sock.listen(16)
print("listens", flush=True)
while True:
    one, _ = sock.accept()
    if once:
        sock.close()
    print("took one", flush=True)
    got = one.recv(65536)
    if got:
        print("got", got, flush=True)
        one.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nother")
    if once:
        sys.stdin.read()
"""


class OtherUser:
    """The program. `said` ends it, and tells what it saw."""

    def __init__(self, process: "subprocess.Popen[str]"):
        self._process = process

    def line(self) -> str:
        """The next thing that it says."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> list[str]:
        """End it; what it had said by then and nobody read."""
        self._process.kill()
        return self._process.communicate(timeout=DEADLINE)[0].splitlines()


@contextmanager
def listens(place: str, port: int = 0, *, once: bool = False) -> Iterator[OtherUser]:
    """While it listens at a loopback literal and `port`, or at the path of a unix socket."""
    require.root()
    argv = [sys.executable, "-c", _PROGRAM, str(UID), "once" if once else "", place, str(port)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        other = OtherUser(process)
        assert other.line() == "listens"
        yield other
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE)
