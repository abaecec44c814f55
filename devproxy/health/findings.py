"""What is wrong with a service besides being down: each finding has a stable code, a sentence and a fix.

Lives here: the findings that the socket table and the registry tell by themselves, for one service or for all.
Not here: the verdict (`exposure.py`), the change of a command (`programs/fixes.py`), when to look and what has changed
since (the monitor). Pure: a scan and plain values come in.

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

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePath

import msgspec

from devproxy.addresses import LOOPBACKS
from devproxy.health.exposure import Judgement, PortJudgement, judge, judge_port, takes
from devproxy.health.model import (
    SEVERITIES,
    Code,
    Finding,
    FindingSeverity,
    JudgedListener,
    Listener,
    Process,
    Reach,
    Scan,
    ServiceOwner,
    Verdict,
)
from devproxy.programs.fixes import propose_fix
from devproxy.programs.recognize import recognize
from devproxy.registry.model import ExposurePolicy, Registry, Service


class RawFinding(msgspec.Struct, frozen=True, kw_only=True):
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


def exposures(port: int, scan: Scan) -> tuple[RawFinding, ...]:
    """One finding for each listener of the port that others can reach, or one that says why that is not known."""
    judged = judge_port(port, scan)
    if judged.verdict == "unknown" and any(listener.port == port for listener in scan.listeners):
        return (RawFinding(code="unknown", message=f"who can reach port {port} is not known: {judged.why}", fix=_LOOK),)
    if judged.verdict == "unknown" and scan.gap:
        return (RawFinding(code="unknown", message=f"who can reach port {port} is not known: {scan.gap}", fix=_LOOK),)
    return tuple(_exposed(listener, judgement) for listener, judgement in judged.exposed)


def shadows(port: int, scan: Scan) -> tuple[RawFinding, ...]:
    """A finding if a connection to 127.0.0.1 and one to ::1 or to another address end at different programs."""
    listeners = [listener for listener in scan.listeners if listener.port == port]
    groups = _programs(listeners)
    if len(groups) < 2:
        return ()
    parts = [f"{who(group[0])} has {' and '.join(one.where for one in group)}" for group in groups]
    message = f"{len(groups)} programs share port {port}, who answers depends on the address asked: {'; '.join(parts)}"
    fix = f"stop one of them, or give it another port ({_stop(groups)})"
    return (RawFinding(code="shadowed", message=message, fix=fix),)


def families(place: Place, scan: Scan) -> tuple[RawFinding, ...]:
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
    return (RawFinding(code="family", message=message, fix=fix, listener=listeners[0]),)


def owner(port: int, scan: Scan) -> ServiceOwner | None:
    """Whose process answers on the port; None where nothing listens, or what does cannot be read."""
    listeners = [one for one in scan.listeners if one.port == port and one.process.argv]
    reached = (one for host in LOOPBACKS for one in listeners if takes(one, host))
    listener = next(reached, listeners[0] if listeners else None)
    if listener is None or listener.process.argv is None:
        return None
    process = listener.process
    folder = process.folder if process.folder != "/" else ""  # a daemon's tells nothing
    return ServiceOwner(recognize(listener.process.argv, process.parents, port).name, folder, listener.user or "")


def owners(port: int, scan: Scan, known: ServiceOwner | None) -> tuple[RawFinding, ...]:
    """A finding if another program listens on the port than the one that was `known`; a restart of it is none."""
    now = owner(port, scan)
    if now is None or known is None or now.is_same(known):
        return ()
    listener = next(one for one in scan.listeners if one.port == port and one.process.argv)
    message = f"port {port} belongs to {now.text} now, and not to {known.text}, which answered there before"
    fix = f"if it took the place of the service, stop it (`kill {listener.pid}`) and start the service again"
    return (RawFinding(code="owner", message=message, fix=fix, listener=listener),)


def conflicts(places: Iterable[Place]) -> dict[str, RawFinding]:
    """By service: a finding for each that shares an address and port with another one."""
    claims: dict[tuple[str, int], list[Place]] = {}
    for place in places:
        for host in place.hosts:
            claims.setdefault((host, place.port), []).append(place)
    found: dict[str, RawFinding] = {}
    for (_, port), sharing in claims.items():
        for place in sharing if len(sharing) > 1 else ():
            others = ", ".join(one.service for one in sharing if not _are_twins(one, place))
            if not others:
                continue
            message = f"port {port} is also that of {others}: both names lead to the same program"
            fix = "give one of them another `port`, or make one a `[[mount]]` or a `hosts` entry of the other"
            found.setdefault(place.service, RawFinding(code="conflict", message=message, fix=fix))
    return found


def _are_twins(one: Place, other: Place) -> bool:
    return one.service == other.service or (one.twins != "" and one.twins == other.twins)


def other_checkouts(place: Place, scan: Scan, checkouts: Checkouts) -> tuple[RawFinding, ...]:
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
            return (RawFinding(code="checkout", message=message, fix=fix, listener=listener),)
    return ()


def points_at_proxy(place: Place, proxy_ports: Collection[int]) -> tuple[RawFinding, ...]:
    """A finding if the service's upstream is one of the proxy's own ports."""
    if place.port not in proxy_ports:
        return ()
    message = f"port {place.port} is devproxy's own: a request to {place.service} would go round in circles"
    return (RawFinding(code="self", message=message, fix=f"give {place.service} the port of its program"),)


def who(listener: Listener) -> str:
    """`node (pid 4242, user anna)`, as much of it as is known."""
    return _process(listener.process, listener.user)


_LOOK = "run `devproxy ports` with more rights (sudo) to see it"


def _exposed(listener: Listener, judgement: Judgement) -> RawFinding:
    message = f"{who(listener)} can be reached from beyond this machine on port {listener.port}: it is {judgement.why}"
    fix = propose_fix(recognize(listener.process.argv or (), listener.process.parents, listener.port))
    text = fix.text if fix else _by_hand(listener)
    return RawFinding(code="exposed", message=message, fix=text, listener=listener)


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


# All that a look at the machine says about one service, apart from whether it is up.


_EXPOSED: Mapping[ExposurePolicy, FindingSeverity] = {"refuse": "error", "warn": "warning", "allow": "note"}
NOTHING = Reach()


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of a service. `owner` is whose process answers now, None where nobody's can be told."""

    exposure: Verdict
    why: str
    listeners: tuple[JudgedListener, ...] = ()
    findings: tuple[Finding, ...] = ()
    owner: ServiceOwner | None = None


def port_conflicts(registry: Registry) -> dict[str, RawFinding]:
    """By service id: those whose upstream another service has too."""
    return conflicts(
        Place(service.id, service.upstream.hosts, service.upstream.port, _twins(service))
        for service in registry.services
        if service.upstream is not None and service.upstream.port
    )


def _twins(service: Service) -> str:
    return f"{service.name}.{service.project.base}" if service.project else ""


def by_port(scan: Scan) -> dict[int, Scan]:
    """One scan a port, so that looking at a service does not mean looking at all listeners."""
    listeners: dict[int, list[Listener]] = {}
    for listener in scan.listeners:
        listeners.setdefault(listener.port, []).append(listener)
    return {port: msgspec.structs.replace(scan, listeners=tuple(found)) for port, found in listeners.items()}


def examine(
    service: Service,
    scan: Scan,
    reach: Reach = NOTHING,
    known: ServiceOwner | None = None,
    *,
    own_ports: Collection[int] = (),
    conflict: RawFinding | None = None,
    checkouts: Checkouts | None = None,
) -> Examination:
    """Everything about `service`; `scan` holds the listeners of its port, `known` is who answered there before."""
    upstream = service.upstream
    if upstream is None:
        return Examination(exposure="unknown", why="nothing says which port it has")
    if upstream.path:
        return Examination(exposure="loopback", why="a unix socket")
    port = upstream.port
    judged = judge_port(port, scan)
    exposure, why = _verdict(judged, reach, port)
    place = Place(service.id, upstream.hosts, port)
    found = [
        *points_at_proxy(place, own_ports),
        *(exposures(port, scan)),
        *(other_checkouts(place, scan, checkouts) if checkouts else ()),
        *shadows(port, scan),
        *owners(port, scan, known),
        *((conflict,) if conflict else ()),
        *families(place, scan),
    ]
    shown = [_shown(one, service.exposure, reach, port) for one in found]
    if exposure == "exposed" and not judged.exposed:
        shown.insert(0, _published(reach, port, service.exposure))
    return Examination(
        exposure=exposure,
        why=why,
        listeners=_heard_on(port, scan),
        findings=_merged(shown),
        owner=owner(port, scan),
    )


def _heard_on(port: int, scan: Scan) -> tuple[JudgedListener, ...]:
    return tuple(judged_listener(listener, scan) for listener in scan.listeners if listener.port == port)


def judged_listener(listener: Listener, scan: Scan) -> JudgedListener:
    """A listener with its verdict."""
    judgement = judge(listener, scan.interfaces)
    return JudgedListener(
        address=listener.address,
        port=listener.port,
        family=listener.family,
        pid=listener.pid,
        command=listener.command,
        user=listener.user,
        verdict=judgement.verdict,
        why=judgement.why,
        interfaces=judgement.interfaces,
    )


def _verdict(judged: PortJudgement, reach: Reach, port: int) -> tuple[Verdict, str]:
    if reach.accepted and judged.verdict != "exposed":
        return "exposed", f"reached at {_join(reach.accepted, port)}, by a rule that forwards it"
    if judged.verdict == "loopback" and reach.tried:
        return "loopback", f"{judged.why}; no connection to {_join(reach.tried, port)} was accepted"
    return judged.verdict, judged.why


def _shown(finding: RawFinding, policy: ExposurePolicy, reach: Reach, port: int) -> Finding:
    listener = finding.listener
    fix = None
    if finding.code == "exposed" and listener is not None and listener.process.argv:
        fix = propose_fix(recognize(listener.process.argv, listener.process.parents, listener.port))
    return Finding(
        code=finding.code,
        severity=_EXPOSED[policy] if finding.code == "exposed" else SEVERITIES[finding.code],
        message=finding.message,
        address=listener.where if listener else "",
        proof=_proof(reach, port) if finding.code == "exposed" else "",
        who=_who(listener) if listener else "",
        fix=finding.fix,
        command=shlex.join(fix.command) if fix and fix.command else "",
    )


def _published(reach: Reach, port: int, policy: ExposurePolicy) -> Finding:
    """Reached from outside although nothing here listens so widely: a container engine's NAT rule, as a rule."""
    return Finding(
        code="exposed",
        severity=_EXPOSED[policy],
        message=(
            f"port {port} can be reached from beyond this machine, and no process here listens that widely: "
            "a NAT rule forwards it, as container engines set them for published ports"
        ),
        address=_join(reach.accepted[:1], port),
        proof=_proof(reach, port),
        fix=(
            f"publish it on loopback only: `docker run -p 127.0.0.1:{port}:PORT …`, "
            f'or `ports: ["127.0.0.1:{port}:PORT"]` in compose.yaml'
        ),
    )


def _proof(reach: Reach, port: int) -> str:
    if reach.accepted:
        return f"a connection to {_join(reach.accepted, port)} was accepted"
    if reach.tried:
        return f"the socket table; yet no connection to {_join(reach.tried, port)} was accepted: a firewall, perhaps"
    return "the socket table"


def _who(listener: Listener) -> str:
    """`pid 4242 (anna): node …/vite --host`, as much of it as is known."""
    process: Process = listener.process
    user = f" ({listener.user})" if listener.user else ""
    if listener.pid is None:
        return f"a process{f' of {listener.user}' if listener.user else ''} that cannot be read: {process.gap}"
    return f"pid {listener.pid}{user}: {listener.command or process.gap}"


def _merged(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """A process that is exposed by several sockets (IPv4 and IPv6) is one finding."""
    kept: list[Finding] = []
    for finding in found:
        index = next((i for i, one in enumerate(kept) if _same(one, finding)), None)
        if index is None:
            kept.append(finding)
        else:
            replace = msgspec.structs.replace
            kept[index] = replace(kept[index], address=f"{kept[index].address}, {finding.address}")
    return tuple(kept)


def _same(one: Finding, other: Finding) -> bool:
    return one.code == other.code == "exposed" and (one.who, one.fix) == (other.who, other.fix)


def _join(addresses: Iterable[str], port: int) -> str:
    texts = [f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address in addresses]
    return " and ".join(texts) if len(texts) < 3 else f"{', '.join(texts[:-1])} and {texts[-1]}"
