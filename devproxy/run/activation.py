"""One attempt of the proxy to have a service run, and what may be run without anybody having typed it.

Lives here: starting the process that is to run it (`up --on-request`, which outlives the proxy), and what is seen of it
or of whatever runs the service already. All of it blocks (files, processes): never called on the event loop. Trust is
asked for twice: before anything is started, for all of it, and again for each command, by the very reading of the
registry that the command is taken from.
Not here: when to try, and what is made of it (`daemon/activation.py`); the group (`cli/up.py`, `group.py`).
"""

import subprocess
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from devproxy.errors import DevproxyError, Exit
from devproxy.paths import Paths
from devproxy.registry.leases import read_leases
from devproxy.registry.model import Service
from devproxy.registry.resolve import trust_command
from devproxy.run.detach import spawn
from devproxy.run.group_state import OVER, GroupFile, MemberPhase, read_groups
from devproxy.run.logs import Follower, plain

SHOWN_LINES, LONGEST_LINE = 15, 400  # lines, and characters of one


class AttemptStatus(NamedTuple):
    """How an attempt stands. `runs`: something has the service, or is about to; `ended`: what we started does no more.

    `code` is the exit code of our process once it has one, `states` are those of the services that are followed, as far
    as a group has them, `lines` the last of their logs.
    """

    runs: bool
    ended: bool
    code: int | None
    states: dict[str, MemberPhase]
    lines: tuple[str, ...]


class Attempt:
    """For service `identity`; `with_` are the services that are started along with it, whose logs count as well."""

    def __init__(self, paths: Paths, identity: str, with_: Sequence[str] = ()):
        self.process: subprocess.Popen[bytes] | None = None
        self._paths = paths
        self._identity = identity
        self._log = paths.on_request_output(identity)
        self._names = (*with_, identity)
        self._followers = {name: Follower(paths.service_log(name)) for name in self._names}
        self._lines: deque[str] = deque(maxlen=SHOWN_LINES)

    def spawn(self) -> None:
        """Start the group. Raises OSError, DevproxyError."""
        self._paths.make(self._log.parent)
        self.process = spawn(self._paths, ["up", "--on-request", self._identity], self._log)

    def status(self) -> AttemptStatus:
        """How it stands."""
        code = self.process.poll() if self.process is not None else None
        running = read_groups(self._paths)
        ours = next((group for group in running if self.process is not None and group.pid == self.process.pid), None)
        states = _states(running, self._names)
        leased = any(lease.service == self._identity for lease in read_leases(self._paths))
        runs = leased or states.get(self._identity, "ended") not in OVER
        over = code is not None or (ours is not None and self._state_in(ours) in OVER)
        self._read_logs()
        return AttemptStatus(runs, over and not runs, code, states, self._last_lines(code is not None))

    def _state_in(self, group: GroupFile) -> MemberPhase | None:
        member = group.services.get(self._identity)
        return member.state if member is not None else None

    def _read_logs(self) -> None:
        for name, follower in self._followers.items():
            for entry in follower.read():
                text = plain(entry.text)[:LONGEST_LINE]
                self._lines.append(text if name == self._identity else f"{name} | {text}")

    def _last_lines(self, ended: bool) -> tuple[str, ...]:
        """The last lines; where there are none, what the process itself had to say at its end."""
        if self._lines or not ended:
            return tuple(self._lines)
        try:
            said = self._log.read_text("utf-8", "replace")
        except OSError:
            return ()
        return tuple(plain(line)[:LONGEST_LINE] for line in said.strip().split("\n")[-SHOWN_LINES:] if line)


def _states(running: Sequence[GroupFile], names: Sequence[str]) -> dict[str, MemberPhase]:
    """The state of each in the group that has it now; one that is over in an old group may run in another."""
    found: dict[str, MemberPhase] = {}
    for group in running:
        for name in names:
            member = group.services.get(name)
            if member is not None and (name not in found or member.state not in OVER):
                found[name] = member.state
    return found


def refuse_untrusted(services: Sequence[Service]) -> None:
    """Raises DevproxyError if the command of one of them is not trusted."""
    service = next((service for service in services if not service.trusted), None)
    if service is None:
        return
    raise DevproxyError(
        f"`{service.id}` is not started by a request",
        why="its command is not trusted, or has changed since it was",
        fix=f"read it, then: {trust_command(service.source.file)}",
        where=service.source.where,
        exit_code=Exit.REFUSED,
    )
