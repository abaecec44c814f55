"""The condition of services: whether each is up, who can reach it, and what is wrong with it.

Lives here: the values that health, the pages and the commands share. Plain and frozen; their JSON is the API's and
that of `devproxy health --json` (fields are only ever added).
Not here: how any of it is found out (`health/`), how it looks (`cli/`, `control/`), the file (`watched.py`). Pure.
"""

from typing import Literal

import msgspec

State = Literal["up", "down", "starting", "unknown"]
Verdict = Literal["loopback", "exposed", "unknown"]
Code = Literal["exposed", "unknown", "owner", "shadowed", "family", "conflict", "self", "checkout"]
Severity = Literal["error", "warning", "note"]

DORMANT = "it starts at its first request"


class Heard(msgspec.Struct, frozen=True, kw_only=True):
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
    severity: Severity
    message: str
    address: str = ""
    proof: str = ""
    who: str = ""
    fix: str = ""
    command: str = ""


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one service now. `since` is when `state` began, in seconds since 1970, 0 if never checked.

    `why` says how the state is known, `exposure_why` what the verdict rests on. `dormant`: it is down, as it should be
    until a request comes.
    """

    state: State = "unknown"
    since: float = 0.0
    why: str = "not checked yet"
    exposure: Verdict = "unknown"
    exposure_why: str = "not checked yet"
    listeners: tuple[Heard, ...] = ()
    findings: tuple[Finding, ...] = ()
    dormant: bool = False

    @property
    def word(self) -> str:
        """The state as a table shows it: what is dormant is not missing."""
        return "on-request" if self.dormant and self.state == "down" else self.state


class Owner(msgspec.Struct, frozen=True):
    """Whose process answers for a service: enough to tell another program from a restart of the same one."""

    program: str
    folder: str = ""
    user: str = ""

    def is_same(self, other: "Owner") -> bool:
        """Whether both are one program, as far as can be told: what is not known of either does not count."""
        pairs = ((self.program, other.program), (self.folder, other.folder), (self.user, other.user))
        return all(mine == theirs for mine, theirs in pairs if mine and theirs)

    @property
    def text(self) -> str:
        """`vite in /home/ada/shop (ada)`."""
        where = f" in {self.folder}" if self.folder else ""
        return f"{self.program or 'a process'}{where}{f' ({self.user})' if self.user else ''}"
