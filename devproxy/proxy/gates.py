"""What the data path must know of services that do not run and that a request starts, and what it answers meanwhile.

Lives here: the value that stands at the gate of such a service (`server.py`, `Proxy.gates`); pure.
Not here: starting it (`daemon/activation.py`), requests that wait for it (`exchange.py`), how answers look
(`error_pages.py`).

A person who navigates gets a page at once, which loads again by itself; everything else waits: nothing but a browser's
top-level navigation can show a page, and only a GET can be made again without asking.
"""

import sys
from collections.abc import Mapping
from typing import NamedTuple

from devproxy.health.model import Condition, Finding
from devproxy.http1.fields import Section
from devproxy.proxy import answers
from devproxy.proxy.answers import Respond
from devproxy.proxy.decide import Reading
from devproxy.registry.model import Registry, Service


class Dormant(NamedTuple):
    """A service at whose gate requests wait until it is up.

    `about` says more about the start that is under way, `lines` are the last of its log. `instead` is the answer where
    no request starts it now.
    """

    service: Service
    about: str = ""
    lines: tuple[str, ...] = ()
    instead: Respond | None = None

    @classmethod
    def of(cls, service: Service) -> "Dormant":
        """One that nobody has asked for yet."""
        return cls(service, instead=_unable(service) if sys.platform == "win32" else None)

    @property
    def page(self) -> Respond:
        """The answer to somebody who looks."""
        about = f": {self.about}" if self.about else ""
        return Respond(503, "starting", f"{self.service.id} is starting{about}", reload=True, lines=self.lines)

    @property
    def late(self) -> Respond:
        """The answer to a request that has waited for too long, or that cannot wait."""
        service, about = self.service, f", {self.about}" if self.about else ""
        return Respond(
            503,
            "starting",
            f"{service.id} is starting: it was not up within {service.response_timeout:g} s{about}",
            f"ask again; what it prints: devproxy logs {service.id}",
            reload=True,
            lines=self.lines,
        )


def failed(service: Service, why: str, lines: tuple[str, ...]) -> Respond:
    """The answer where a start has failed; `why` is a sentence without its capital."""
    return Respond(
        502,
        "start-failed",
        f"{service.id} did not start: {why}",
        f"mend that, and load the page again, which starts it anew; all that it printed: devproxy logs {service.id}",
        lines=lines,
    )


def _unable(service: Service) -> Respond:
    return Respond(
        502,
        "not-running",
        f"{service.id} is not running: a request cannot start a service on Windows yet",
        answers.start(service),
        reload=True,
    )


def shows_page(method: bytes, reading: Reading, fields: Section) -> bool:
    """Whether a person is about to see the answer: a navigation to the page itself, not a part of it or a poll."""
    if method != b"GET" or reading.length or reading.upgrade:
        return False
    accept = fields.any(b"accept")
    return accept is not None and b"text/html" in accept.lower() and fields.get(b"sec-fetch-dest") in _LOOKING


_LOOKING = frozenset((None, b"document"))


# What the proxy tells clients, or keeps from them, because of what is known: of exposed services by their policy, of
# those in whose place another checkout answers.


_LONGEST = 300  # bytes of a field's value: enough for a place and a fix


class Warned(NamedTuple):
    """For one exposed service: the value of `Devproxy-Warning` (ASCII, one line; empty: no field), a sentence and its
    fix for a person, and whether requests are refused."""

    warning: bytes
    detail: str
    fix: str
    refuse: bool


def wrong_checkouts(registry: Registry, conditions: Mapping[str, Condition]) -> dict[str, tuple[str, str]]:
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


# What the data path must know of services whose port another checkout's process has: they are closed meanwhile.
#
# To pass requests on would show the wrong program under the right name, which nobody notices. There is no setting for
# it: a service that both checkouts are to share is one that runs in neither.


class WrongCheckout(NamedTuple):
    """A service in whose place another checkout answers; `detail` and `fix` are for a person."""

    detail: str
    fix: str

    @property
    def refuse(self) -> bool:
        """As of an exposed one: nothing passes."""
        return True

    @property
    def field(self) -> bytes:
        """No response to add anything to."""
        return b""

    @property
    def refusal(self) -> Respond:
        """The answer until it is mended."""
        return Respond(503, "other-checkout", self.detail, self.fix, reload=True)


# What the data path must know of services that others can reach.


class ExposureGate(NamedTuple):
    """A service that listens beyond loopback, and what the policy says.

    `warning` is the value of Devproxy-Warning, one line of ASCII, empty for none; `detail` and `fix` are for a person;
    `refuse` closes the service to everyone until it is mended.
    """

    warning: bytes
    detail: str
    fix: str
    refuse: bool

    @property
    def field(self) -> bytes:
        """The line that responses gain, with its end; empty where nothing is added."""
        return b"Devproxy-Warning: %b\r\n" % self.warning if self.warning else b""

    @property
    def refusal(self) -> Respond:
        """The answer under `exposure = "refuse"`."""
        return Respond(503, "exposed", self.detail, self.fix, reload=True)
