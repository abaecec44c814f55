"""One entry of a service's `ports` in a compose file: what it publishes, and the text that mends it. Pure.

How it works: both syntaxes come to one (the Compose Specification, "ports"), once as Compose reads it, variables filled
in, and once as it is written, so that what a person is told to write keeps their variables. Which variable moves the
port is found out by trying: the entry is filled in again with another value for it.
Not here: which entries there are (`compose_files.py`), what becomes of them (`compose.py`).
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from devproxy.addresses import LOOPBACKS, ip_literal, is_loopback_host
from devproxy.detect.compose_files import Part, Place, fill, references, split
from devproxy.storage.yaml import Value

_SHORT = re.compile(
    r"(?:(?:\[(?P<six>[^\]]*)\]|(?P<address>[^\[\]]*?)):)?(?:(?P<port>\d{1,5})(?:-(?P<last>\d{1,5}))?)?:"
    r"(?P<target>\d{1,5})(?:-(?P<target_last>\d{1,5}))?(?:/(?P<protocol>\w+))?"
)
_ALONE = re.compile(r"(?P<target>\d{1,5})(?:-(?P<target_last>\d{1,5}))?(?:/(?P<protocol>\w+))?")


class PublishedPort(NamedTuple):
    """What an entry publishes: the port on this machine, 0 for one that the engine chooses, the port in the container,
    the address, "" for every one, and whether several ports stand in it."""

    part: Part
    port: int
    target: int
    address: str
    protocol: str
    is_range: bool

    @property
    def is_fixed(self) -> bool:
        """Whether it is a TCP port that is the same each time."""
        return self.port > 0 and self.protocol == "tcp"

    @property
    def is_exposed(self) -> bool:
        """Whether others in the network reach it."""
        return not is_loopback_host(self.address)

    @property
    def text(self) -> str:
        """The entry as it is written."""
        raw = self.part.raw
        if isinstance(raw, dict):
            return ", ".join(f"{key}: {value}" for key, value in raw.items() if isinstance(value, str))
        return str(raw)

    @property
    def place(self) -> Place:
        """Where the line is that is to be changed."""
        keys = self.part.keys
        return keys.get("published") or keys.get("target") or self.part.place

    def variable(self, variables: Mapping[str, str]) -> str:
        """The variable that moves the port and nothing else; "" where there is none."""
        if not self.is_fixed or self.is_range:
            return ""
        raw = self.part.raw
        other = 54321 if self.port != 54321 else 54322
        moved = (self.port, self.target, self.address, self.protocol)
        for name in references(_joined(raw)):
            again = read_entry(Part(_filled(raw, {**variables, name: str(other)}), raw, self.part.place, {}))
            if again is not None and (again.port, again.target, again.address, again.protocol) == (other, *moved[1:]):
                return name
        return ""

    def mended(self, variables: Mapping[str, str], variable: str = "") -> str:
        """What to write instead, on loopback alone; with `variable` for the port, and the port it has now without."""
        port = f"${{{variable}:-{self.port}}}" if variable else ""
        if isinstance(self.part.raw, dict):
            return self._mended_keys(port)
        known = {name: value for name, value in variables.items() if name != variable}
        written = self._mended(str(self.part.raw), port)
        again = read_entry(Part(fill(written, known)[0], written, self.part.place, {}))
        is_same = again is not None and not again.is_exposed and again[1:3] + again[4:] == self[1:3] + self[4:]
        return f'"{written if is_same else self._mended(str(self.part.value), port)}"'

    def _mended(self, text: str, port: str) -> str:
        *before, target = split(text)
        address, old = ":".join(before[:-1]), before[-1] if before else ""
        return ":".join((LOOPBACKS[0] if self.is_exposed else address, port or old, target))

    def _mended_keys(self, port: str) -> str:
        keys = [f'`published: "{port}"`'] if port else []
        if self.is_exposed:
            old = self.part.keys.get("host_ip")
            keys.append(f"`host_ip: {LOOPBACKS[0]}`" + (f" (line {old.line})" if old is not None and keys else ""))
        return " and ".join(keys)


def read_entry(part: Part) -> PublishedPort | None:
    """What an entry publishes; None where it is not understood."""
    text, protocol = _as_short(part.value)
    match = _SHORT.fullmatch(text) or _ALONE.fullmatch(text)
    if match is None:
        return None
    found = match.groupdict()
    address = found.get("six") or found.get("address") or ""
    if address and ip_literal(address) is None and not is_loopback_host(address):
        return None
    port, last = int(found.get("port") or 0), int(found.get("last") or 0)
    target, target_last = int(found["target"]), int(found["target_last"] or 0)
    if not 0 < target < 65536 or port > 65535:
        return None
    if last and last != port and not target_last:  # of a range for one port, any may be taken
        port = 0
    return PublishedPort(
        part,
        port,
        target,
        address,
        (protocol or found["protocol"] or "tcp").lower(),
        is_range=last not in {0, port} or target_last not in {0, target},
    )


def _as_short(entry: Value) -> tuple[str, str]:
    """An entry in the short syntax, and the protocol that the long one names."""
    if not isinstance(entry, dict):
        return str(entry), ""
    address = str(entry.get("host_ip") or "")
    address = f"[{address}]:" if ":" in address else f"{address}:" if address else ""
    return f"{address}{entry.get('published') or ''}:{entry.get('target') or ''}", str(entry.get("protocol") or "tcp")


def _joined(raw: Value) -> str:
    return "".join(value for value in raw.values() if isinstance(value, str)) if isinstance(raw, dict) else str(raw)


def _filled(raw: Value, variables: Mapping[str, str]) -> Value:
    if isinstance(raw, dict):
        return {key: fill(value, variables)[0] if isinstance(value, str) else value for key, value in raw.items()}
    return fill(str(raw), variables)[0]
