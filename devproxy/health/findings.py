"""What is wrong with a service besides being down: each finding has a stable code, a sentence and a fix.

How it works: `examine` puts together all that a scan of the machine says of one service, apart from whether it is up.
The listeners of its port are read once (`PortListeners`): what their addresses mean, and which programs they are. Each
`find_…` looks for one kind of finding in that.
Not here: the verdict (`exposure.py`), the change of a command (`programs/fixes.py`), when to scan and what has changed
since (`monitor.py`, `board.py`). Pure: a scan and plain values come in.

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
| user | only another user of this machine answers on its port: it gets no requests |
| insecure | its answer to a request by https names a URL of ours by http:// |
| hsts, alt-svc | it sends the field, which is not passed on |
"""

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Final

import msgspec

from devproxy.addresses import LOOPBACKS
from devproxy.health.exposure import (
    Judgement,
    PortJudgement,
    judge_port,
    judged_listener,
    other_user_listening,
    taker,
)
from devproxy.health.model import (
    NOT_TRIED,
    SEVERITIES,
    Code,
    Condition,
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
from devproxy.health.state import nowhere
from devproxy.programs.fixes import Fix, propose_fix
from devproxy.programs.recognize import RecognizedProgram, recognize
from devproxy.registry.model import ExposurePolicy, Registry, Service
from devproxy.text import host_port, listed

SUDO = "run `devproxy ports` with more rights (sudo) to see it"

_EXPOSED: Mapping[ExposurePolicy, FindingSeverity] = {"refuse": "error", "warn": "warning", "allow": "note"}


class Checkouts(msgspec.Struct, frozen=True):
    """Where a project's checkout lies, and the others of it, each with what it is called; real paths."""

    own: str
    others: tuple[tuple[str, str], ...] = ()

    def other(self, folder: str) -> str | None:
        """What the other checkout that `folder` is in is called; they may lie inside each other, the deepest counts."""
        roots = [(self.own, None), *self.others]
        around = [(len(root), name) for root, name in roots if PurePath(folder).is_relative_to(root)]
        return max(around, key=lambda one: one[0])[1] if folder and around else None


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of a service. `owner` is whose process answers now, None where nobody's can be told."""

    exposure: Verdict
    why: str
    listeners: tuple[JudgedListener, ...] = ()
    findings: tuple[Finding, ...] = ()
    owner: ServiceOwner | None = None


class PortListeners(msgspec.Struct, frozen=True, kw_only=True):
    """The listeners of one port: what they come to, and the program of each process whose command line can be read.

    `gap` is the scan's: which listeners may be missing, and why.
    """

    port: int
    listeners: tuple[Listener, ...]
    judged: PortJudgement
    programs: dict[Process, RecognizedProgram]
    gap: str

    def at(self, host: str) -> Listener | None:
        """The listener that a connection to `host` ends at."""
        return taker(self.listeners, host)

    @property
    def answering(self) -> Listener | None:
        """The one that is known to answer: what devproxy may dial before another user's, then what loopback leads to,
        then what can be read; None where nothing is known of any."""
        reached = [one for host in LOOPBACKS if (one := self.at(host))]
        known = [one for one in self.listeners if one.process in self.programs or one.user]
        return min(
            known,
            key=lambda one: (one.is_other_user, one not in reached, one.process not in self.programs),
            default=None,
        )


def examine(
    service: Service,
    scan: Scan,
    reach: Reach = NOT_TRIED,
    known: ServiceOwner | None = None,
    *,
    own_ports: Collection[int] = (),
    conflict: Finding | None = None,
    checkouts: Checkouts | None = None,
) -> Examination:
    """Everything about `service`; `scan` holds the listeners of its port, `known` is who answered there before."""
    upstream = service.upstream
    if upstream is None:
        return Examination(exposure="unknown", why=nowhere(service))
    if upstream.path:
        return Examination(exposure="loopback", why="a unix socket")
    on_port = listeners_on(upstream.port, _without_ours(scan, service))
    exposure, why = _verdict(on_port, reach)
    owner = owner_of(on_port)
    findings = (
        *find_forwarded(on_port, service.exposure, reach),
        *find_own_port(service, own_ports),
        *find_exposed(on_port, service.exposure, reach),
        *(find_other_checkout(on_port, service, checkouts) if checkouts else ()),
        *find_other_user(on_port, service),
        *find_shadowed(on_port, service, known),
        *find_other_owner(on_port, owner, known),
        *((conflict,) if conflict else ()),
        *find_one_family(on_port, upstream.hosts),
    )
    listeners = tuple(judged_listener(one, scan.interfaces) for one in on_port.listeners)
    return Examination(exposure=exposure, why=why, listeners=listeners, findings=findings, owner=owner)


def scans_by_port(scan: Scan) -> dict[int, Scan]:
    """One scan a port, so that examining a service does not mean going through all listeners."""
    listeners: dict[int, list[Listener]] = {}
    for listener in scan.listeners:
        listeners.setdefault(listener.port, []).append(listener)
    return {port: msgspec.structs.replace(scan, listeners=tuple(found)) for port, found in listeners.items()}


def listeners_on(port: int, scan: Scan) -> PortListeners:
    """Those of a port, each process looked up in the catalogue once."""
    listeners = tuple(listener for listener in scan.listeners if listener.port == port)
    processes = dict.fromkeys(listener.process for listener in listeners)
    programs = {one: recognize(one.argv, one.parents, port) for one in processes if one.argv}
    return PortListeners(port=port, listeners=listeners, judged=judge_port(port, scan), programs=programs, gap=scan.gap)


def _without_ours(scan: Scan, service: Service) -> Scan:
    """Without where the proxy itself listens for the service: an address of its own may have the service's port."""
    listen, upstream = service.listen, service.upstream
    if listen is None or upstream is None or listen.port != upstream.port:
        return scan
    others = tuple(one for one in scan.listeners if one.address not in listen.hosts)
    return msgspec.structs.replace(scan, listeners=others)


def _verdict(on_port: PortListeners, reach: Reach) -> tuple[Verdict, str]:
    judged = on_port.judged
    if reach.accepted and judged.verdict != "exposed":
        return "exposed", f"reached at {_joined(reach.accepted, on_port.port)}, by a rule that forwards it"
    if judged.verdict == "loopback" and reach.tried:
        return "loopback", f"{judged.why}; no connection to {_joined(reach.tried, on_port.port)} was accepted"
    return judged.verdict, judged.why


# Who can reach it


def find_exposed(on_port: PortListeners, policy: ExposurePolicy, reach: Reach = NOT_TRIED) -> tuple[Finding, ...]:
    """A finding for each process of the port that others can reach, or one that says why that is not known."""
    gap = on_port.judged.why if on_port.listeners else on_port.gap
    if on_port.judged.verdict == "unknown" and gap:
        fix = "" if any(listener.seen_by_root for listener in on_port.listeners) else SUDO
        return (_finding("unknown", f"who can reach port {on_port.port} is not known: {gap}", fix),)
    found: list[Finding] = []
    for listener, judgement in on_port.judged.exposed:
        finding = _exposed(on_port, listener, judgement, policy, reach)
        index = next((i for i, one in enumerate(found) if (one.who, one.fix) == (finding.who, finding.fix)), None)
        if index is None:
            found.append(finding)
        else:  # one process by several sockets, IPv4 and IPv6
            address = f"{found[index].address}, {finding.address}"
            found[index] = msgspec.structs.replace(found[index], address=address)
    return tuple(found)


def _exposed(
    on_port: PortListeners, listener: Listener, judgement: Judgement, policy: ExposurePolicy, reach: Reach
) -> Finding:
    who = _process_phrase(listener)
    program = on_port.programs.get(listener.process)
    fix = propose_fix(program) if program else None
    return Finding(
        code="exposed",
        severity=_EXPOSED[policy],
        message=f"{who} can be reached from beyond this machine on port {listener.port}: it is {judgement.why}",
        address=listener.where,
        proof=_proof(reach, on_port.port),
        who=_process_line(listener),
        fix=fix_in_words(listener, fix),
        command=shlex.join(fix.command) if fix and fix.command else "",
    )


def fix_in_words(listener: Listener, fix: Fix | None) -> str:
    """How to make an exposed listener safe: by a change of its command, or, where none is known, by hand."""
    if fix is not None:
        return fix.text
    if listener.process.argv is None:
        return f"make it listen on 127.0.0.1 instead of {listener.address}; {listener.process.gap or SUDO}"
    return f"make it listen on 127.0.0.1 instead of {listener.address}: look for a host or bind option, or for the port"


def find_forwarded(on_port: PortListeners, policy: ExposurePolicy, reach: Reach) -> tuple[Finding, ...]:
    """A finding if it is reached from outside although nothing here listens so widely: by a container engine's rule."""
    port = on_port.port
    if not reach.accepted or on_port.judged.verdict == "exposed":
        return ()
    return (
        Finding(
            code="exposed",
            severity=_EXPOSED[policy],
            message=(
                f"port {port} can be reached from beyond this machine, and no process here listens that widely: "
                "a NAT rule forwards it, as container engines set them for published ports"
            ),
            address=_joined(reach.accepted[:1], port),
            proof=_proof(reach, port),
            fix=(
                f"publish it on loopback only: `docker run -p 127.0.0.1:{port}:PORT …`, "
                f'or `ports: ["127.0.0.1:{port}:PORT"]` in compose.yaml, whose line `devproxy init --dry-run` names'
            ),
        ),
    )


def _proof(reach: Reach, port: int) -> str:
    if reach.accepted:
        return f"a connection to {_joined(reach.accepted, port)} was accepted"
    if reach.tried:
        return f"the socket table; yet no connection to {_joined(reach.tried, port)} was accepted: a firewall, perhaps"
    return "the socket table"


# Whose process it is


def owner_of(on_port: PortListeners) -> ServiceOwner | None:
    """Whose process answers on the port; None where nothing listens, or what does cannot be read."""
    listener = on_port.answering
    if listener is None:
        return None
    return _owner(on_port, listener)


def _owner(on_port: PortListeners, listener: Listener) -> ServiceOwner:
    folder = listener.process.folder if listener.process.folder != "/" else ""  # a daemon's tells nothing
    program = on_port.programs.get(listener.process)
    return ServiceOwner(program.name if program else "", folder, listener.user or "")


def find_other_owner(
    on_port: PortListeners, owner: ServiceOwner | None, known: ServiceOwner | None
) -> tuple[Finding, ...]:
    """A finding if `owner` is another program than the one that was `known`; a restart of it is none."""
    listener = on_port.answering
    if listener is None or owner is None or known is None or owner.is_same(known):
        return ()
    message = f"port {on_port.port} belongs to {owner.text} now, and not to {known.text}, which answered there before"
    fix = f"if it took the place of the service, stop it ({_stop(listener)}) and start the service again"
    return (_finding("owner", message, fix, listener),)


def find_other_checkout(on_port: PortListeners, service: Service, checkouts: Checkouts) -> tuple[Finding, ...]:
    """A finding if a process that answers on the port runs in another checkout of the service's project."""
    answering = [on_port.at(host) for host in LOOPBACKS]
    for listener in dict.fromkeys(one for one in answering if one is not None):
        name = checkouts.other(listener.process.folder)
        if name is not None:
            message = (
                f"port {on_port.port} is held by {_process_phrase(listener)}, which runs in another checkout, {name}: "
                f"{listener.process.folder}"
            )
            fix = f"end that process and start {service.id} itself (devproxy up, in {checkouts.own})"
            return (_finding("checkout", message, fix, listener),)
    return ()


def find_other_user(on_port: PortListeners, service: Service) -> tuple[Finding, ...]:
    """A finding if nobody answers for the service but another user of this machine, who gets no requests."""
    other = other_user_listening(service.upstream, on_port.listeners) if service.upstream else None
    if other is None:
        return ()
    who = f"{_process_phrase(other)}, another user of this machine"
    message = f"port {on_port.port} is held by {who}: devproxy sends it nothing"
    fix = (
        f"stop it ({_stop(other)}) and start {service.id}, or give {service.id} another port; if it is to answer for"
        f' {service.id}: other_user = "allow" under [services.{service.name}], {service.source.file}'
    )
    return (_finding("user", message, fix, other),)


def find_shadowed(on_port: PortListeners, service: Service, known: ServiceOwner | None = None) -> tuple[Finding, ...]:
    """A finding if a connection to 127.0.0.1 and one to ::1 or to another address end at different programs."""
    groups = _by_program(on_port.listeners)
    if len(groups) < 2:
        return ()
    parts = [f"{_process_phrase(group[0])} has {' and '.join(one.where for one in group)}" for group in groups]
    message = (
        f"{len(groups)} programs share port {on_port.port}, who answers depends on the address asked: "
        f"{'; '.join(parts)}"
    )
    strangers = _strangers(on_port, [group[0] for group in groups], known)
    if strangers:
        stop = " or ".join(dict.fromkeys(map(_stop, strangers)))
        fix = f"stop what is not {service.id} ({stop}), or give {service.id} another port"
    else:
        fix = f"stop the one that is not {service.id}, or give {service.id} another port"
    return (_finding("shadowed", message, fix, strangers[0] if strangers else None),)


def _strangers(on_port: PortListeners, sharing: Sequence[Listener], known: ServiceOwner | None) -> list[Listener]:
    """Of those that share a port the ones that are surely not the service: other users', or not whom it was known by.
    Empty where that cannot be told, lest somebody is told to end the service itself."""
    others = [one for one in sharing if one.is_other_user]
    ours = [one for one in sharing if not one.is_other_user]
    if others or known is None:
        return others if ours else []
    same = [one for one in ours if one.process in on_port.programs and _owner(on_port, one).is_same(known)]
    return [one for one in ours if one not in same] if len(same) == 1 else []


def _stop(listener: Listener) -> str:
    """The command that ends a listener's process, or how to come by it."""
    if listener.pid is None:
        return listener.process.gap if listener.seen_by_root else SUDO
    needs_sudo = listener.is_other_user and not listener.seen_by_root
    return f"`{'sudo ' if needs_sudo else ''}kill {listener.pid}`"


def _by_program(listeners: Sequence[Listener]) -> list[list[Listener]]:
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


# Where it points


def find_one_family(on_port: PortListeners, hosts: Collection[str]) -> tuple[Finding, ...]:
    """A finding if a service that should answer on both loopbacks has a listener on one of them only."""
    answering = [host for host in LOOPBACKS if on_port.at(host)]
    if len(answering) != 1 or not set(LOOPBACKS) <= set(hosts):
        return ()
    (only,) = answering
    (lacking,) = (host for host in LOOPBACKS if host != only)
    message = (
        f"port {on_port.port} answers on {only} only: a program that takes localhost for {lacking} cannot reach it"
    )
    fix = f"nothing, as long as it is used by its name: devproxy finds it on {only}"
    return (_finding("family", message, fix, on_port.listeners[0]),)


def find_own_port(service: Service, own_ports: Collection[int]) -> tuple[Finding, ...]:
    """A finding if the service's upstream is one of the proxy's own ports."""
    port = service.upstream.port if service.upstream else 0
    if port not in own_ports:
        return ()
    message = f"port {port} is devproxy's own: a request to {service.id} would go round in circles"
    return (_finding("self", message, f"give {service.id} the port of its program"),)


def find_conflicts(registry: Registry) -> dict[str, Finding]:
    """By service id: a finding for each that shares an address and port of its upstream with another one."""
    claims: dict[tuple[str, int], list[Service]] = {}
    for service in registry.services:
        if service.upstream is not None and service.upstream.port:
            for host in service.upstream.hosts:
                claims.setdefault((host, service.upstream.port), []).append(service)
    found: dict[str, Finding] = {}
    for (_, port), sharing in claims.items():
        for service in sharing if len(sharing) > 1 else ():
            others = ", ".join(one.id for one in sharing if one is not service and not _are_twins(one, service))
            if not others:
                continue
            message = f"port {port} is also that of {others}: both names lead to the same program"
            fix = "give one of them another `port`"
            if service.protocol == "http":
                fix += ", or make one a `[[mount]]` or a `hosts` entry of the other"
            found.setdefault(service.id, _finding("conflict", message, fix))
    return found


def _are_twins(one: Service, other: Service) -> bool:
    """Whether both are one service in two checkouts of a project: they may share what nobody starts."""
    if not one.project or not other.project:
        return False
    return one.name == other.name and one.project.base == other.project.base


# What it answers


def find_in_answers(service: Service, seen: Mapping[str, str]) -> tuple[Finding, ...]:
    """Findings for what the proxy has seen in its answers (`proxy/pitfalls.py`), by code."""
    found = []
    if "insecure" in seen:
        message = f"its answer to a request by https names an address by http ({seen['insecure']})"
        fix = (
            "let it believe X-Forwarded-Proto (its framework's setting for proxies), or take the scheme out of its URLs"
        )
        found.append(_finding("insecure", message, fix))
    if "hsts" in seen and service.hsts == "drop":
        message = (
            "it sends Strict-Transport-Security, which devproxy does not pass on: browsers would insist on https for"
            " every port of its name, for months"
        )
        found.append(
            _finding("hsts", message, f"leave it out in development; to pass it on: {_setting(service, 'hsts')}")
        )
    if "alt-svc" in seen and service.alt_svc == "drop":
        message = "it sends Alt-Svc, which devproxy does not pass on: browsers would go past devproxy to another port"
        fix = f"leave it out in development; to pass it on: {_setting(service, 'alt_svc')}"
        found.append(_finding("alt-svc", message, fix))
    return tuple(found)


_OF_ANSWERS: Final = frozenset[Code](("insecure", "hsts", "alt-svc"))


def with_answers(found: Mapping[str, Condition], seen: Mapping[str, Condition]) -> dict[str, Condition]:
    """Conditions, by service id, with what the running proxy has `seen` of answers: no check can tell."""
    together = {}
    for identity, condition in found.items():
        known = seen[identity].findings if identity in seen else ()
        answers = tuple(finding for finding in known if finding.code in _OF_ANSWERS)
        together[identity] = msgspec.structs.replace(condition, findings=(*condition.findings, *answers))
    return together


def _setting(service: Service, name: str) -> str:
    return f'{name} = "pass" under [services.{service.name}], {service.source.file}'


# How it reads


def _finding(code: Code, message: str, fix: str, listener: Listener | None = None) -> Finding:
    return Finding(
        code=code,
        severity=SEVERITIES[code],
        message=message,
        address=listener.where if listener else "",
        who=_process_line(listener) if listener else "",
        fix=fix,
    )


def _process_phrase(listener: Listener) -> str:
    """`node (pid 4242, user anna)`, as much of it as is known."""
    process, user = listener.process, listener.user
    if not process.pids:
        return f"a process of {user} that cannot be read" if user else "a process that cannot be read"
    name = process.argv[0].split(" ")[0].replace("\\", "/").rpartition("/")[2] if process.argv else "a process"
    return f"{name} (pid {process.pids[0]}{f', user {user}' if user else ''})"


def _process_line(listener: Listener) -> str:
    """`pid 4242 (anna): node …/vite --host`, as much of it as is known."""
    process, user = listener.process, listener.user
    if listener.pid is None:
        return f"a process{f' of {user}' if user else ''} that cannot be read: {process.gap}"
    return f"pid {listener.pid}{f' ({user})' if user else ''}: {listener.command or process.gap}"


def _joined(addresses: Iterable[str], port: int) -> str:
    return listed([host_port(address, port) for address in addresses])
