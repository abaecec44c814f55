"""What stands in the system's hosts file for our services, and what else there speaks of their names. Pure.

How it works: hosts(5): an address and names a line, a `#` begins a comment; the first line that has a name decides.
We write one name a line: glibc and Windows take few names of a longer one. A name whose service has an address of its
own gets that line alone. ::1 is the only loopback address of IPv6, so it would lead to another service; a resolver that
finds a name in this file asks nobody else for the other family (getaddrinfo(3) of glibc and musl, systemd-resolved).

`*.localhost` is synthesised as 127.0.0.1 by systemd-resolved and nss-myhostname, which is the wrong address for such a
name: the block wins where nsswitch.conf(5) asks `files` before them. It may ask `resolve` first, since systemd-resolved
reads this file itself before it synthesises anything (systemd-resolved.service(8)). `order_fault` finds the rest.

Not here: the file (`cli/hosts.py` writes it), where in its text our lines stand (`storage/marked_block.py`), what the
resolver answers (`name_lookup.py`).
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from devproxy.addresses import LOOPBACKS, ip_literal, is_loopback
from devproxy.problems import Wrong
from devproxy.registry.hostnames import LABEL, LONGEST
from devproxy.registry.model import Registry, Service
from devproxy.text import shown
from devproxy.urls import control_hosts

NOTE: Final = "# Names of services; what writes them: devproxy hosts --apply"

_NAME = re.compile(rf"{LABEL}(?:\.{LABEL})*")


class HostsLine(NamedTuple):
    """A name and its address; `line` is where they stand, 0 where they stand nowhere yet."""

    address: str
    name: str
    line: int = 0

    @property
    def text(self) -> str:
        return f"{self.address} {self.name}"


def own_lines(services: Iterable[Service]) -> list[HostsLine]:
    """Those of the services that have an address of their own."""
    return _distinct(
        HostsLine(service.listen.own, name)
        for service in services
        if service.listen is not None and service.listen.own
        for name in service.hosts
    )


def all_lines(registry: Registry) -> list[HostsLine]:
    """Those of every registered name, and of our own pages."""
    own = own_lines(registry.services)
    taken = {line.name for line in own}
    names = [
        *sorted(control_hosts(registry.settings.tlds)),
        *(name for service in registry.services for name in (*service.hosts, *(one.host for one in service.mounts))),
    ]
    shared = (HostsLine(address, name) for name in names if name not in taken for address in LOOPBACKS)
    return _distinct([*own, *shared])


def wildcards(registry: Registry) -> list[str]:
    """The names that no hosts file can have."""
    return list(dict.fromkeys(name for service in registry.services for name in service.hosts if not _is_name(name)))


def _distinct(lines: Iterable[HostsLine]) -> list[HostsLine]:
    return list(dict.fromkeys(line for line in lines if _is_name(line.name)))


def _is_name(text: str) -> bool:
    return len(text) <= LONGEST and _NAME.fullmatch(text) is not None


def read_lines(text: str) -> list[HostsLine]:
    """What a hosts file says, a name each, in its order."""
    return list(_read(text))


def _read(text: str) -> Iterator[HostsLine]:
    for number, line in enumerate(text.split("\n"), 1):
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            yield HostsLine(address.lower(), name.lower().rstrip("."), number)


def outside_lines(text: str, begin: str, end: str) -> list[HostsLine]:
    """What a hosts file says outside of the block between the lines `begin` and `end`, if there is one."""
    marks = [number for number, line in enumerate(text.split("\n"), 1) if line.strip() in (begin, end)]
    return [line for line in _read(text) if not marks or not marks[0] < line.line < marks[-1]]


def checked_lines(text: str) -> list[HostsLine]:
    """Those of a text that another process has written: loopback addresses and plain names. Raises Wrong."""
    lines = [line._replace(line=0) for line in _read(text)]
    for line in lines:
        if ip_literal(line.address) != line.address or not is_loopback(line.address) or not _is_name(line.name):
            raise Wrong(
                f'"{shown(line.text)}" is not a line of devproxy\'s',
                why="only names on addresses of this machine alone are written: 127.0.0.0/8 and ::1",
                fix="pipe what `devproxy hosts` prints, as it is",
                code="bad-host",
            )
    return list(dict.fromkeys(lines))


def block_lines(lines: Iterable[HostsLine]) -> list[str]:
    """What stands between the markers; nothing without lines."""
    body = [line.text for line in lines]
    return [NOTE, *body] if body else []


def has_shared(lines: Iterable[HostsLine]) -> bool:
    """Whether a block has been made of every registered name: it has one of an address that services share."""
    return any(line.address in LOOPBACKS for line in lines)


class BlockChange(NamedTuple):
    """What is to be added to a block, and what is too much in it."""

    missing: list[HostsLine]
    surplus: list[HostsLine]


def difference(present: Iterable[HostsLine], wanted: Iterable[HostsLine]) -> BlockChange:
    here, there = (dict.fromkeys(line._replace(line=0) for line in lines) for lines in (present, wanted))
    return BlockChange([one for one in there if one not in here], [one for one in here if one not in there])


def conflicts(outside: Iterable[HostsLine], wanted: Iterable[HostsLine]) -> list[HostsLine]:
    """Lines of other hands, with their places, that lead a name of ours somewhere else."""
    addresses: dict[str, set[str]] = {}
    for line in wanted:
        addresses.setdefault(line.name, set()).add(line.address)
    return [line for line in outside if line.name in addresses and line.address not in addresses[line.name]]


# Who else is asked for a name: nsswitch.conf(5).

_READS_HOSTS = ("files", "resolve")  # systemd-resolved reads the hosts file itself
_ANSWERS = ("myhostname", "dns")


def order_fault(nsswitch: str) -> str:
    """Why what the hosts file says is not what programs get, by nsswitch.conf; "" where it is.

    What stands first without answering names below `.localhost` does no harm, and is passed over. Where nothing is said
    glibc asks `files` after `dns` or alone, which its builders choose, so nothing is claimed of it.
    """
    for line in nsswitch.splitlines():
        database, _, sources = line.partition("#")[0].partition(":")
        if database.strip() == "hosts":
            return _fault(re.sub(r"\[[^]]*\]", " ", sources).split())
    return ""


def _fault(sources: Iterable[str]) -> str:
    for source in sources:
        if source in _READS_HOSTS:
            return ""
        if source in _ANSWERS:
            return f"nsswitch.conf asks `{source}` for names before it asks `files`"
    return "nsswitch.conf does not ask `files` for names"
