"""What the proxy tells clients, or keeps from them, because of what is known: of exposed services by their policy, of
those in whose place another checkout answers.

Not here: finding out (`monitor.py`), telling (`proxy/exposed.py`, `proxy/displaced.py`). Pure.
"""

from collections.abc import Mapping
from typing import NamedTuple

from devproxy.health.model import Condition, Finding
from devproxy.registry.model import Registry

_LONGEST = 300  # bytes of a field's value: enough for a place and a fix


class Warned(NamedTuple):
    """For one exposed service: the value of `Devproxy-Warning` (ASCII, one line; empty: no field), a sentence and its
    fix for a person, and whether requests are refused."""

    warning: bytes
    detail: str
    fix: str
    refuse: bool


def displaced(registry: Registry, conditions: Mapping[str, Condition]) -> dict[str, tuple[str, str]]:
    """By service id: a sentence and its fix for those whose port another checkout's process has."""
    found = {}
    for service in registry.services:
        condition = conditions.get(service.id)
        for finding in condition.findings if condition is not None else ():
            if finding.code == "checkout":
                found[service.id] = (f"{service.id} is not what answers: {finding.message}", finding.fix)
    return found


def warned(registry: Registry, conditions: Mapping[str, Condition]) -> dict[str, Warned]:
    """By service id: those that are exposed and not allowed to be."""
    found = {}
    for service in registry.services:
        condition = conditions.get(service.id)
        if condition is None or condition.exposure != "exposed" or service.exposure == "allow":
            continue
        finding = next((one for one in condition.findings if one.code == "exposed"), None)
        if finding is not None:
            value = field(finding) if registry.settings.exposure_header else b""
            detail = f"{service.id} is exposed: {finding.message}"
            found[service.id] = Warned(value, detail, finding.fix, service.exposure == "refuse")
    return found


def field(finding: Finding) -> bytes:
    """`exposed; 0.0.0.0:5173; fix="Vite: change --host to --host 127.0.0.1"`: nothing but printable ASCII."""
    text = f"exposed; {finding.address}" + (f'; fix="{_quoted(finding.fix)}"' if finding.fix else "")
    if len(text) > _LONGEST:
        text = f"exposed; {finding.address}"
    return "".join(c if " " <= c <= "~" else "?" for c in text[:_LONGEST]).encode("ascii")


def _quoted(text: str) -> str:
    """As a quoted-string of RFC 9110 §5.6.4, without the backticks that are for people."""
    return text.replace("`", "").replace("\\", "\\\\").replace('"', '\\"')
