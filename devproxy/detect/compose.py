"""A compose file (the Compose Specification): the services that publish a port on this machine.

Lives here: published ports in both syntaxes, `${NAME:-default}`, and which ports do not speak HTTP.
Not here: YAML (`storage/yaml.py`), asking a container engine.
"""

import re
from pathlib import Path

from devproxy.addresses import ip_literal, is_loopback_host
from devproxy.detect.files import text_of
from devproxy.detect.model import Candidate, Seen
from devproxy.storage.yaml import Value, YamlError, parse_yaml
from devproxy.text import shown

FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
# by the port inside the container: databases, queues and caches, mail
_TCP = frozenset({25, 1025, 1433, 1521, 3306, 5432, 5672, 6379, 9042, 9092, 11211, 26257, 27017, 33060})
_LONGEST = 200  # characters of an entry of `ports`
_SHORT = re.compile(r"(?:(?P<address>\S+):)?(?P<port>\d+):(?P<target>\d+)(?:/tcp)?")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_VARIABLE = re.compile(r"\$\{[A-Za-z_]\w*:?-([^}]*)\}")


def look(root: Path) -> Seen:
    """What the first compose file there is publishes."""
    file = next((name for name in FILES if (root / name).is_file()), None)
    if file is None:
        return Seen()
    try:
        document = parse_yaml(text_of(root / file), file)
    except YamlError as error:
        return Seen(remarks=(f"{error.where}: the file is left out: {error.what}",))
    services = document.get("services") if isinstance(document, dict) else None
    found, remarks = [], []
    for name, table in services.items() if isinstance(services, dict) else ():
        if not _NAME.fullmatch(name):
            remarks.append(f"{file}: `{shown(name)}` is left out: it is not a name for a service")
            continue
        candidate = _candidate(file, name, table)
        if candidate is None:
            remarks.append(f"{file}: `{name}` is left out: it publishes no port that is fixed")
        else:
            found.append(candidate)
            remarks += _exposed(file, name, table)
    return Seen(services=tuple(found), remarks=tuple(remarks))


def _candidate(file: str, name: str, table: Value) -> Candidate | None:
    if not isinstance(table, dict):
        return None
    published = _published(table)
    if not published:
        return None
    port, target, _ = published[0]
    needed = table.get("depends_on")
    return Candidate(
        name=name,
        origin=f"{file}: services.{name}",
        command=("docker", "compose", "up", "--no-log-prefix", name),
        port=port,
        protocol="tcp" if target in _TCP else "http",
        depends_on=tuple(str(other) for other in needed) if isinstance(needed, list | dict) else (),
    )


def _exposed(file: str, name: str, table: Value) -> list[str]:
    """A remark for a port that everybody in the network reaches."""
    ports = [entry for entry in _published(table) if not is_loopback_host(entry[2])]
    if not ports:
        return []
    port, target, _ = ports[0]
    return [f'{file}: `{name}` is published to the whole network; for this machine alone: "127.0.0.1:{port}:{target}"']


def _published(table: Value) -> list[tuple[int, int, str]]:
    """(port on this machine, port in the container, address) of each entry of `ports` that names one."""
    ports = table.get("ports") if isinstance(table, dict) else None
    found = []
    for entry in ports if isinstance(ports, list) else ():
        if isinstance(entry, dict):
            address = f"{entry['host_ip']}:" if entry.get("host_ip") else ""
            entry = f"{address}{entry.get('published')}:{entry.get('target')}"  # noqa: PLW2901
        text = str(entry)
        if len(text) > _LONGEST:  # before an expression looks at it: each `${` would have it look for a `}`
            continue
        match = _SHORT.fullmatch(_VARIABLE.sub(lambda default: default[1], text))
        address = (match["address"] or "") if match else ""
        if address and ip_literal(address) is None and not is_loopback_host(address):
            continue
        if match and 0 < int(match["port"][:6]) < 65536 and 0 < int(match["target"][:6]) < 65536:
            found.append((int(match["port"]), int(match["target"]), address))
    return found
