"""What health knows and says of services: what listens, what one check said, what is wrong, the condition now.

Plain values, frozen. Those in the second half (`JudgedListener` to `ServiceOwner`) are shared with the pages and the
commands; their JSON is the API's and that of `devproxy health --json`, and fields are only ever added.
Not here: the rule that makes a state (`state.py`), how any of it is found out, how it looks (`cli/`, `control/`), the
file (`daemon/runtime.py`). Pure.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from devproxy.events import (
    CommandDone,
    CommandExited,
    CommandFailed,
    CommandStarts,
    CommandUp,
    CommandWaits,
    Ended,
    Unanswered,
)
from devproxy.text import host_port

Family = Literal["ipv4", "ipv6"]
# `running` and `done` are a task's.
State = Literal["up", "down", "starting", "running", "done", "ending", "stopped", "failed", "unknown"]
Verdict = Literal["loopback", "exposed", "unknown"]
FindingSeverity = Literal["error", "warning", "note"]
# What can be wrong with a service: `findings.py` says when. Stable: scripts may rely on them.
Code = Literal[
    "exposed",
    "owner",
    "checkout",
    "user",
    "shadowed",
    "conflict",
    "self",
    "family",
    "unknown",
    "insecure",
    "hsts",
    "alt-svc",
]
SEVERITIES: Mapping[Code, FindingSeverity] = {
    "exposed": "warning",  # or what the registry says of it: `exposure`
    "owner": "warning",
    "checkout": "error",
    "user": "error",
    "shadowed": "warning",
    "conflict": "warning",
    "self": "error",
    "family": "note",
    "unknown": "note",
    "insecure": "warning",
    "hsts": "note",
    "alt-svc": "note",
}

NO_PORT = "nothing says which port it has"


class Interface(msgspec.Struct, frozen=True):
    """A network device: its name, its index in the kernel, its addresses without zones, whether it is a loopback."""

    name: str
    index: int
    addresses: tuple[str, ...] = ()
    loopback: bool = False


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a socket: `pids` of all processes that do, the one that the others descend from first.

    `argv` is that first one's command line; `parents` those of the processes above it, the nearest first,
    since many servers rename themselves (`next-server`) and only their parent still shows the flags. `folder` is
    the one it runs in. Where something could not be read, the field is None or empty and `gap` says why in a
    sentence.
    """

    pids: tuple[int, ...] = ()
    argv: tuple[str, ...] | None = None
    folder: str = ""
    parents: tuple[tuple[str, ...], ...] = ()
    gap: str = ""


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A TCP socket that listens.

    `address` is the literal it is bound to, without a zone; `device` the interface it is tied to (a
    link-local address's zone, SO_BINDTODEVICE), None if it is not. `v6only` None: not told (IPv4, or the
    system does not say). `user` None: not told; `is_other_user`: it is neither ours nor root's (`net/users.py`);
    `seen_by_root`: we are root ourselves.
    """

    address: str
    port: int
    family: Family
    v6only: bool | None = None
    device: str | None = None
    user: str | None = None
    is_other_user: bool = False
    seen_by_root: bool = False
    process: Process = Process()

    @property
    def pid(self) -> int | None:
        return self.process.pids[0] if self.process.pids else None

    @property
    def command(self) -> str | None:
        """The command line as a shell would take it, None where it could not be read."""
        if self.process.argv is None:
            return None
        import shlex  # `ls` starts faster without

        return shlex.join(self.process.argv)

    @property
    def where(self) -> str:
        """`127.0.0.1:80`, `[fe80::1%eth0]:80`."""
        zone = f"%{self.device}" if self.device else ""
        return host_port(f"{self.address}{zone}", self.port)


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of the machine: its listeners sorted by port and address, its interfaces.

    `gap` is empty if the table is complete, else a sentence that says which listeners may be missing and why.
    """

    listeners: tuple[Listener, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    gap: str = ""


class Reach(msgspec.Struct, frozen=True):
    """At which addresses a port was tried, and at which of those a connection was accepted."""

    tried: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()


NOT_TRIED = Reach()


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What one check of a service said. `why` is a phrase; `host` the literal that took the connection, if one did.

    `accepted`: something took the connection, or listens where it would, whatever it answered; `silent`: nothing came.
    """

    up: bool
    why: str
    host: str = ""
    accepted: bool = False
    silent: bool = False


class JudgedListener(msgspec.Struct, frozen=True, kw_only=True):
    """A listener on a service's port, as `ls --json` shows it: `address` without zone and port, `command` as a shell
    takes it; None where it could not be read. `interfaces` are those it can be reached on, `why` completes "it is …".
    """

    address: str
    port: int
    family: str
    pid: int | None = None
    command: str | None = None
    user: str | None = None
    verdict: Verdict = "unknown"
    why: str = ""
    interfaces: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a service: a sentence, how we know, whose process it is, and what mends it.

    `code` is stable: scripts may rely on it. `address` is the place concerned (`0.0.0.0:5173`), `fix` one line for a
    person, `command` the whole changed command line as a shell takes it; empty where there is nothing to say.
    """

    code: Code
    severity: FindingSeverity
    message: str
    address: str = ""
    proof: str = ""
    who: str = ""
    fix: str = ""
    command: str = ""


# `running` is a task that has yet to end, `done` one that has ended well; `ending` is what was asked to.
RunPhase = Literal["waiting", "starting", "running", "up", "done", "ending", "ended", "failed"]
RUN_OVER: frozenset[RunPhase] = frozenset({"done", "ended", "failed"})


class CommandRun(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a service's command, as whoever ran it last says: `devproxy up`, or `devproxy run`.

    `since` is when `phase` began, in seconds since 1970. `why` says more in a phrase (what it waits for, how it ended).
    `code` is the exit code of its last end, 128 + N after signal N, None where it has not ended; `restarts` how often
    it was started again by itself; `lines` are the last of its log.
    """

    phase: RunPhase
    since: float
    why: str = ""
    code: int | None = None
    restarts: int = 0
    lines: tuple[str, ...] = ()


RunEvent = CommandWaits | CommandStarts | CommandUp | CommandExited | CommandFailed | CommandDone | Ended


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`state/runs/<id>.json`: the run of a service's command, the process that looks after it, and what happened to it
    lately.
    """

    service: str
    run: CommandRun
    pid: int
    started: float
    events: tuple[RunEvent, ...] = ()


def events_of(records: Mapping[str, RunRecord]) -> list[RunEvent]:
    """What happened to all commands lately, oldest first."""
    return sorted((event for record in records.values() for event in record.events), key=lambda event: event.at)


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one service now. `since` is when `state` began, in seconds since 1970, 0 if never checked.

    `why` says how the state is known, `exposure_why` what the verdict rests on. `dormant`: it does not run, as it
    should until a request comes. `run` is what became of its command, None where devproxy has not run it.
    """

    state: State = "unknown"
    since: float = 0.0
    why: str = "not checked yet"
    exposure: Verdict = "unknown"
    exposure_why: str = "not checked yet"
    listeners: tuple[JudgedListener, ...] = ()
    findings: tuple[Finding, ...] = ()
    dormant: bool = False
    run: CommandRun | None = None

    @property
    def word(self) -> str:
        """The state as a table shows it: what is dormant is not missing."""
        return "on-request" if self.dormant and self.state == "stopped" else self.state


class WaitingRequests(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests have waited long for a service's answer, and since when the oldest has (seconds since 1970).

    `why`: what keeps the service's process from answering, where that is known.
    """

    requests: int
    since: float
    why: str = ""

    def seconds(self, now: float) -> float:
        """How long the oldest has waited at `now`."""
        return max(0.0, now - self.since)

    def text(self, service: str, now: float) -> str:
        """`waiting 75 s for web (2 requests): process 12 is stopped by a signal`."""
        text = Unanswered(service, self.requests, self.seconds(now)).text()
        return f"{text}: {self.why}" if self.why else text


class ServiceOwner(msgspec.Struct, frozen=True):
    """Whose process answers for a service: enough to tell another program from a restart of the same one."""

    program: str
    folder: str = ""
    user: str = ""

    def is_same(self, other: "ServiceOwner") -> bool:
        """Whether both are one program, as far as can be told: what is not known of either does not count."""
        pairs = ((self.program, other.program), (self.folder, other.folder), (self.user, other.user))
        return all(mine == theirs for mine, theirs in pairs if mine and theirs)

    @property
    def text(self) -> str:
        """`vite in /home/ada/shop (ada)`."""
        where = f" in {self.folder}" if self.folder else ""
        return f"{self.program or 'a process'}{where}{f' ({self.user})' if self.user else ''}"
