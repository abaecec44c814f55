"""All that a look at the machine says about one service, apart from whether it is up.

Lives here: listeners, verdict and findings of a service put together, with what was proved and how grave it is.
Not here: the findings (`findings.py`), looking (`scanner.py`, `reachability.py`), remembering (`board.py`). Pure.
"""

import shlex
from collections.abc import Collection, Iterable, Mapping

import msgspec

from devproxy.health import findings
from devproxy.health.exposure import PortJudgement, judge, judge_port
from devproxy.health.listener import Listener, Process, Scan
from devproxy.health.model import Finding, Heard, Owner, Severity, Verdict
from devproxy.health.reach import Reach
from devproxy.programs.fixes import propose
from devproxy.registry.checkout import split
from devproxy.registry.model import ExposurePolicy, Registry, Service

_SEVERITY: Mapping[str, Severity] = {
    "unknown": "note",
    "shadowed": "warning",
    "family": "note",
    "owner": "warning",
    "conflict": "warning",
    "self": "error",
    "checkout": "error",
}
_EXPOSED: Mapping[ExposurePolicy, Severity] = {"refuse": "error", "warn": "warning", "allow": "note"}
NOTHING = Reach()


class Exam(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of a service. `owner` is whose process answers now, None where nobody's can be told."""

    exposure: Verdict
    why: str
    listeners: tuple[Heard, ...] = ()
    findings: tuple[Finding, ...] = ()
    owner: Owner | None = None


def conflicts(registry: Registry) -> dict[str, findings.Finding]:
    """By service id: those whose upstream another service has too."""
    return findings.conflicts(
        findings.Place(service.id, service.upstream.hosts, service.upstream.port, _twins(service))
        for service in registry.services
        if service.upstream is not None and service.upstream.port
    )


def _twins(service: Service) -> str:
    return f"{service.name}.{split(service.project)[1]}" if service.project else ""


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
    known: Owner | None = None,
    *,
    own_ports: Collection[int] = (),
    conflict: findings.Finding | None = None,
    checkouts: findings.Checkouts | None = None,
) -> Exam:
    """Everything about `service`; `scan` holds the listeners of its port, `known` is who answered there before."""
    upstream = service.upstream
    if upstream is None:
        return Exam(exposure="unknown", why="nothing says which port it has")
    if upstream.path:
        return Exam(exposure="loopback", why="a unix socket")
    port = upstream.port
    judged = judge_port(port, scan)
    exposure, why = _verdict(judged, reach, port)
    place = findings.Place(service.id, upstream.hosts, port)
    found = [
        *findings.selves(place, own_ports),
        *(findings.exposures(port, scan)),
        *(findings.strangers(place, scan, checkouts) if checkouts else ()),
        *findings.shadows(port, scan),
        *findings.owners(port, scan, known),
        *((conflict,) if conflict else ()),
        *findings.families(place, scan),
    ]
    shown = [_shown(one, service.exposure, reach, port) for one in found]
    if exposure == "exposed" and not judged.exposed:
        shown.insert(0, _published(reach, port, service.exposure))
    return Exam(
        exposure=exposure,
        why=why,
        listeners=_heard_on(port, scan),
        findings=_merged(shown),
        owner=findings.owner(port, scan),
    )


def _heard_on(port: int, scan: Scan) -> tuple[Heard, ...]:
    return tuple(heard(listener, scan) for listener in scan.listeners if listener.port == port)


def heard(listener: Listener, scan: Scan) -> Heard:
    """A listener with its verdict."""
    judgement = judge(listener, scan.interfaces)
    return Heard(
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


def _shown(finding: findings.Finding, policy: ExposurePolicy, reach: Reach, port: int) -> Finding:
    listener = finding.listener
    fix = None
    if finding.code == "exposed" and listener is not None and listener.process.argv:
        fix = propose(listener.process.argv, listener.process.parents, listener.port)
    return Finding(
        code=finding.code,
        severity=_EXPOSED[policy] if finding.code == "exposed" else _SEVERITY[finding.code],
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
