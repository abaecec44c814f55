"""A compose file (the Compose Specification): the services that publish a port on this machine.

Lives here: published ports in both syntaxes, and which ports do not speak HTTP.
Not here: the files and what they come to (`compose_files.py`), asking a container engine.
"""

import re
from pathlib import Path
from typing import NamedTuple

from devproxy.addresses import ip_literal, is_loopback_host
from devproxy.detect.compose_files import ComposeService, Part, load
from devproxy.detect.files import remark_missing
from devproxy.detect.model import Candidate, Seen
from devproxy.text import shown

# by the port inside the container: databases, queues and caches, mail
_TCP = frozenset({25, 1025, 1433, 1521, 3306, 5432, 5672, 6379, 9042, 9092, 11211, 26257, 27017, 33060})
_SHORT = re.compile(
    r"(?:(?:\[(?P<six>[^\]]*)\]|(?P<address>[^\[\]]*?)):)?(?:(?P<port>\d{1,5})(?:-(?P<last>\d{1,5}))?)?:"
    r"(?P<target>\d{1,5})(?:-(?P<target_last>\d{1,5}))?(?:/(?P<protocol>\w+))?"
)
_ALONE = re.compile(r"\d{1,5}(?:-\d{1,5})?(?:/\w+)?")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


class _Published(NamedTuple):
    """A port on this machine, the port in the container, and the address, "" for every one."""

    port: int
    target: int
    address: str


def look(root: Path) -> Seen:
    """What the compose files in `root` publish."""
    project = load(root)
    if project is None:
        return Seen()
    found: list[Candidate] = []
    remarks = list(dict.fromkeys(project.remarks))
    for name, service in project.services.items():
        if not _NAME.fullmatch(name):
            remarks.append(f"{service.place}: `{shown(name)}` is left out: it is not a name for a service")
            continue
        if service.profiles and project.profiles.isdisjoint(service.profiles):
            profiles = ", ".join(f"`{shown(profile)}`" for profile in service.profiles)
            remarks.append(f"{service.place}: `{name}` is left out: it belongs to {profiles}, which is not switched on")
            continue
        published, said = _ports(service)
        remarks += said
        if not published:
            remarks.append(f"{service.place}: `{name}` is left out: it publishes no port that is fixed")
            continue
        found.append(_candidate(service, published[0]))
        remarks += _exposed(service, published)
    return Seen(services=tuple(found), remarks=(*remarks, *(remark_missing("docker") if found else ())))


def _candidate(service: ComposeService, published: _Published) -> Candidate:
    return Candidate(
        name=service.name,
        origin=f"{service.place.file}: services.{service.name}",
        command=("docker", "compose", "up", "--no-log-prefix", service.name),
        port=published.port,
        protocol="tcp" if published.target in _TCP else "http",
        depends_on=tuple(service.depends_on),
    )


def _exposed(service: ComposeService, published: list[_Published]) -> list[str]:
    """A remark for a port that everybody in the network reaches."""
    ports = [entry for entry in published if not is_loopback_host(entry.address)]
    if not ports:
        return []
    alone = f'"127.0.0.1:{ports[0].port}:{ports[0].target}"'
    return [f"{service.place}: `{service.name}` is published to the whole network; for this machine alone: {alone}"]


def _ports(service: ComposeService) -> tuple[list[_Published], list[str]]:
    """The TCP ports of a service that are fixed, and what to say of entries that cannot be read."""
    found, remarks = [], []
    for part in service.ports:
        text, protocol = _as_short(part)
        match = _SHORT.fullmatch(text)
        if match is None:
            if not _ALONE.fullmatch(text):
                remarks.append(f"{part.place}: `{shown(text)}` is not understood as a port that is published")
            continue
        if (protocol or match["protocol"] or "tcp") != "tcp" or not match["port"]:
            continue
        address = match["six"] or match["address"] or ""
        if address and ip_literal(address) is None and not is_loopback_host(address):
            continue
        is_chosen = match["last"] and not match["target_last"] and match["last"] != match["port"]
        port, target = int(match["port"]), int(match["target"])
        if 0 < port < 65536 and 0 < target < 65536 and not is_chosen:  # of a range for one port, any may be taken
            found.append(_Published(port, target, address))
    return found, remarks


def _as_short(part: Part) -> tuple[str, str]:
    """An entry in the short syntax, and the protocol that the long one names."""
    entry = part.value
    if not isinstance(entry, dict):
        return str(entry), ""
    address = str(entry.get("host_ip") or "")
    address = f"[{address}]:" if ":" in address else f"{address}:" if address else ""
    return f"{address}{entry.get('published') or ''}:{entry.get('target') or ''}", str(entry.get("protocol") or "tcp")
