"""`devproxy serve` as a process, as the tests of the daemon ask about it.

Lives here: an environment of the test's, what is bound, what `state/proxy.json` and the API say.
Not here: starting, stopping and asking (`tests/e2e/proxy.py`).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.proxy import Devproxy

OWN = "devproxy.localhost"


class Daemon(Devproxy):
    """A devproxy with an environment of the test's."""

    extra: dict[str, str]

    @property
    def env(self) -> dict[str, str]:
        return super().env | getattr(self, "extra", {})

    @property
    def pid_file(self) -> dict[str, Any]:
        found: dict[str, object] = json.loads(self.state.read_bytes())
        return found

    def bound(self) -> list[tuple[str, int]]:
        """Every address the process listens at."""
        sockets = self.process.net_connections(kind="all")
        return sorted(entry.laddr[:2] for entry in sockets if entry.status == psutil.CONN_LISTEN)

    def api(self, name: str) -> object:
        answer = self.get(OWN, f"/api/{name}")
        assert answer.status == 200
        return json.loads(answer.body)


@contextmanager
def daemon_in(folder: Path) -> Iterator[Daemon]:
    """One that is not started yet, with its home in `folder`; it is ended, and its output shown, in any case."""
    made = Daemon(folder / "home")
    try:
        yield made
    finally:
        if made.program is not None:
            made.kill()
        print(f"--- {made.log}\n{made.output()[-8000:]}")


def both(port: int) -> list[tuple[str, int]]:
    """`Daemon.bound` of one that listens at `port` as it should."""
    return [("127.0.0.1", port), ("::1", port)]
