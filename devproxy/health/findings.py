"""What is wrong with a service besides being down: each finding has a stable code, a sentence and a fix.

Lives here: the findings that the socket table and the registry tell by themselves, for one service or for all.
Not here: the verdict (`exposure.py`), the change of a command (`programs/fixes.py`), when to look and what has changed since
(the monitor). Pure: a scan and plain values come in.

| code | when |
|---|---|
| exposed | a listener of its port can be reached from beyond loopback |
| unknown | nothing could be read about its port |
| shadowed | two programs share its port: who answers depends on the address asked |
| family | it answers on one of 127.0.0.1 and ::1 only |
| owner | another program listens than the one that was known |
| conflict | another service has the same upstream |
| self | it points at the proxy |
| checkout | what answers runs in another checkout of the same project |
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePath

import msgspec

from devproxy.health.exposure import Judgement, judge_port, takes
from devproxy.health.listener import Listener, Process, Scan
from devproxy.health.model import Code, Owner
from devproxy.programs.fixes import program_of, propose

LOOPBACKS = ("127.0.0.1", "::1")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a person should know: `message` and `fix` are sentences, `listener` is the one concerned, if one is."""

    code: Code
    message: str
    fix: str
    listener: Listener | None = None


class Place(msgspec.Struct, frozen=True):
    """Where a service is reached: its id, and its upstream's loopback literals and TCP port."""

    service: str
    hosts: tuple[str, ...]
    port: int
    twins: str = ""  # the same for the same service of each checkout: they may share what nobody starts


class Checkouts(msgspec.Struct, frozen=True):
    """Where a project's checkout lies, and the others of it, each with what it is called; real paths."""

    own: str
    others: tuple[tuple[str, str], ...] = ()

    def other(self, folder: str) -> str | None:
        """What the other checkout that `folder` is in is called; they may lie inside each other, the deepest counts."""
        roots = [(self.own, None), *self.others]
        around = [(len(root), name) for root, name in roots if PurePath(folder).is_relative_to(root)]
        return max(around, key=lambda one: one[0])[1] if folder and around else None


def exposures(port: int, scan: Scan) -> tuple[Finding, ...]:
    """One finding for each listener of the port that others can reach, or one that says why that is not known."""
    judged = judge_port(port, scan)
    if judged.verdict == "unknown" and any(listener.port == port for listener in scan.listeners):
        return (Finding(code="unknown", message=f"who can reach port {port} is not known: {judged.why}", fix=_LOOK),)
    if judged.verdict == "unknown" and scan.gap:
        return (Finding(code="unknown", message=f"who can reach port {port} is not known: {scan.gap}", fix=_LOOK),)
    return tuple(_exposed(listener, judgement) for listener, judgement in judged.exposed)


def shadows(port: int, scan: Scan) -> tuple[Finding, ...]:
    """A finding if a connection to 127.0.0.1 and one to ::1 or to another address end at different programs."""
    listeners = [listener for listener in scan.listeners if listener.port == port]
    groups = _programs(listeners)
    if len(groups) < 2:
        return ()
    parts = [f"{who(group[0])} has {' and '.join(one.where for one in group)}" for group in groups]
    message = f"{len(groups)} programs share port {port}, who answers depends on the address asked: {'; '.join(parts)}"
    fix = f"stop one of them, or give it another port ({_stop(groups)})"
    return (Finding(code="shadowed", message=message, fix=fix),)


def families(place: Place, scan: Scan) -> tuple[Finding, ...]:
    """A finding if the service should answer on both loopbacks and a listener takes one of them only."""
    listeners = [listener for listener in scan.listeners if listener.port == place.port]
    missing = [host for host in LOOPBACKS if not any(takes(listener, host) for listener in listeners)]
    if not listeners or len(missing) != 1 or not set(LOOPBACKS) <= set(place.hosts):
        return ()
    (lacking,) = missing
    answering = next(host for host in LOOPBACKS if host != lacking)
    message = (
        f"port {place.port} answers on {answering} only: a program that takes localhost for {lacking} cannot reach it"
    )
    fix = f"nothing, as long as it is used by its name: devproxy finds it on {answering}"
    return (Finding(code="family", message=message, fix=fix, listener=listeners[0]),)


def owner(port: int, scan: Scan) -> Owner | None:
    """Whose process answers on the port; None where nothing listens, or what does cannot be read."""
    listeners = [one for one in scan.listeners if one.port == port and one.process.argv]
    reached = (one for host in LOOPBACKS for one in listeners if takes(one, host))
    listener = next(reached, listeners[0] if listeners else None)
    if listener is None or listener.process.argv is None:
        return None
    process = listener.process
    folder = process.folder if process.folder != "/" else ""  # a daemon's tells nothing
    return Owner(program_of(listener.process.argv, process.parents, port), folder, listener.user or "")


def owners(port: int, scan: Scan, known: Owner | None) -> tuple[Finding, ...]:
    """A finding if another program listens on the port than the one that was `known`; a restart of it is none."""
    now = owner(port, scan)
    if now is None or known is None or now.is_same(known):
        return ()
    listener = next(one for one in scan.listeners if one.port == port and one.process.argv)
    message = f"port {port} belongs to {now.text} now, and not to {known.text}, which answered there before"
    fix = f"if it took the place of the service, stop it (`kill {listener.pid}`) and start the service again"
    return (Finding(code="owner", message=message, fix=fix, listener=listener),)


def conflicts(places: Iterable[Place]) -> dict[str, Finding]:
    """By service: a finding for each that shares an address and port with another one."""
    claims: dict[tuple[str, int], list[Place]] = {}
    for place in places:
        for host in place.hosts:
            claims.setdefault((host, place.port), []).append(place)
    found: dict[str, Finding] = {}
    for (_, port), sharing in claims.items():
        for place in sharing if len(sharing) > 1 else ():
            others = ", ".join(one.service for one in sharing if not _are_twins(one, place))
            if not others:
                continue
            message = f"port {port} is also that of {others}: both names lead to the same program"
            fix = "give one of them another `port`, or make one a `[[mount]]` or a `hosts` entry of the other"
            found.setdefault(place.service, Finding(code="conflict", message=message, fix=fix))
    return found


def _are_twins(one: Place, other: Place) -> bool:
    return one.service == other.service or (one.twins != "" and one.twins == other.twins)


def strangers(place: Place, scan: Scan, checkouts: Checkouts) -> tuple[Finding, ...]:
    """A finding if a process that answers on the port runs in another checkout of the service's project."""
    listeners = [one for one in scan.listeners if one.port == place.port]
    answering = (next((one for one in listeners if takes(one, host)), None) for host in LOOPBACKS)
    for listener in dict.fromkeys(one for one in answering if one is not None):
        name = checkouts.other(listener.process.folder)
        if name is not None:
            message = (
                f"port {place.port} is held by {who(listener)}, which runs in another checkout, {name}: "
                f"{listener.process.folder}"
            )
            fix = f"end that process and start {place.service} itself (devproxy up, in {checkouts.own})"
            return (Finding(code="checkout", message=message, fix=fix, listener=listener),)
    return ()


def selves(place: Place, proxy_ports: Collection[int]) -> tuple[Finding, ...]:
    """A finding if the service's upstream is one of the proxy's own ports."""
    if place.port not in proxy_ports:
        return ()
    message = f"port {place.port} is devproxy's own: a request to {place.service} would go round in circles"
    return (Finding(code="self", message=message, fix=f"give {place.service} the port of its program"),)


def who(listener: Listener) -> str:
    """`node (pid 4242, user anna)`, as much of it as is known."""
    return _process(listener.process, listener.user)


_LOOK = "run `devproxy ports` with more rights (sudo) to see it"


def _exposed(listener: Listener, judgement: Judgement) -> Finding:
    message = f"{who(listener)} can be reached from beyond this machine on port {listener.port}: it is {judgement.why}"
    fix = propose(listener.process.argv or (), listener.process.parents, listener.port)
    text = fix.text if fix else _by_hand(listener)
    return Finding(code="exposed", message=message, fix=text, listener=listener)


def _by_hand(listener: Listener) -> str:
    if listener.process.argv is None:
        return f"make it listen on 127.0.0.1 instead of {listener.address}; {listener.process.gap or _LOOK}"
    return f"make it listen on 127.0.0.1 instead of {listener.address}: look for a host or bind option, or for the port"


def _programs(listeners: Sequence[Listener]) -> list[list[Listener]]:
    """Listeners grouped by the processes that hold them; one whose process is not known goes with nobody."""
    groups: list[list[Listener]] = []
    for listener in listeners:
        pids = set(listener.process.pids)
        same = next((group for group in groups if pids & set(group[0].process.pids)), None)
        if same is not None:
            same.append(listener)
        else:
            groups.append([listener])
    unread = [group for group in groups if not group[0].process.pids]
    return groups if len(unread) < len(groups) else unread[:1]


def _stop(groups: Sequence[Sequence[Listener]]) -> str:
    pids = [str(group[0].pid) for group in groups if group[0].pid]
    return " or ".join(f"`kill {pid}`" for pid in pids) or _LOOK


def _process(process: Process, user: str | None) -> str:
    if not process.pids:
        return f"a process of {user} that cannot be read" if user else "a process that cannot be read"
    name = process.argv[0].split(" ")[0].replace("\\", "/").rpartition("/")[2] if process.argv else "a process"
    return f"{name} (pid {process.pids[0]}{f', user {user}' if user else ''})"
