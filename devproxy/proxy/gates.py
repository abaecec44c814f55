"""What stands before a service, by what is known of it: requests are refused, wait, or gain a field; pure.

Lives here: `Gate`, the one type of `Proxy.gates`, and the gates that follow from the conditions of services.
Not here: what a request does at a gate (`dispatch.py`), starting a service (`daemon/activation.py`).

- A service that its first request starts, and that does not run, is `Dormant`. What may start it says the cross-site
  rule (`Waking`); what may not is told so, and a page has a link, for a person to click. A person who navigates gets a
  page at once, which loads again by itself; everything else waits: nothing but a browser's top-level navigation can
  show a page, and only a GET can be made again without asking.
- One that is exposed beyond loopback is closed, or its responses bear a warning, as its policy says.
- One whose command has failed, or starts, has an excuse: the answer where nothing takes the connection. It closes
  nothing: whoever starts it by hand needs no leave.
- One in whose place another checkout answers is closed: to pass requests on would show the wrong program under the
  right name, which nobody notices. There is no setting for it: a service that both checkouts are to share is one that
  runs in neither.
"""

import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

from devproxy.health.model import Condition, Finding
from devproxy.http1.fields import Section
from devproxy.proxy import answers
from devproxy.proxy.answers import Respond
from devproxy.proxy.decide import Reading, waking
from devproxy.registry.model import NO_TIME_LIMIT, Registry, Service
from devproxy.routing.table import Route
from devproxy.text import devproxy_command

START_TIMEOUT: Final = 60.0  # seconds that a request waits for a service to be started where nothing sets a time
_LONGEST: Final = 300  # bytes of a field's value: enough for a place and a fix


class Dormant(NamedTuple):
    """A service at whose gate requests wait until it is up.

    `about` says more about the start that is under way, which began at `since`; `lines` are the last of its log.
    `instead` is the answer where no request starts it now.
    """

    service: Service
    about: str = ""
    lines: tuple[str, ...] = ()
    instead: Respond | None = None
    since: float = 0.0

    @classmethod
    def of(cls, service: Service) -> "Dormant":
        """One that nobody has asked for yet."""
        return cls(service, instead=_unable(service) if sys.platform == "win32" else None)

    def resting(self, route: Route, method: bytes, reading: Reading, fields: Section) -> Respond | None:
        """The answer to a request that does not start it, None to one that does.

        By the page: what it answers asks again from a tab, and is known by its Referer. A frame does not show it.
        """
        if self.instead is not None:
            return self.instead
        may = waking(reading, fields, route, method)
        if may == "now":
            return None
        return self.page if may == "by-page" and shows_page(method, reading, fields) else self._unasked

    @property
    def _unasked(self) -> Respond:
        return Respond(
            503,
            "not-running",
            f"{self.service.id} is not running: nothing shows that a person, or a page of this machine, asks for it",
            "open its address yourself, which starts it",
            again=True,
        )

    @property
    def page(self) -> Respond:
        """The answer to somebody who looks."""
        about = f": {self.about}" if self.about else ""
        return _running(
            self.service,
            Respond(503, "starting", f"{self.service.id} is starting{about}", reload=True, lines=self.lines),
            self.since,
        )

    @property
    def late(self) -> Respond:
        """The answer to a request that has waited for too long, or that cannot wait."""
        service, about = self.service, f", {self.about}" if self.about else ""
        late = Respond(
            503,
            "starting",
            f"{service.id} is starting: it was not up within {start_timeout(service):g} s{about}",
            f"ask again; what it prints: {devproxy_command('logs', service.id)}",
            reload=True,
            lines=self.lines,
        )
        return _running(service, late, self.since)


def _running(service: Service, starting: Respond, since: float) -> Respond:
    """`starting`, with the command that is to bring the service up, and since when."""
    return starting._replace(command=service.command_line, since=since)


def start_timeout(service: Service) -> float:
    """How long a request waits for a service to be started: as long as for an answer, but never without an end."""
    return START_TIMEOUT if service.response_timeout == NO_TIME_LIMIT else service.response_timeout


def failed(service: Service, why: str, lines: tuple[str, ...]) -> Respond:
    """The answer where a start has failed; `why` is a sentence without its capital."""
    logs = devproxy_command("logs", service.id)
    again = "load the page" if service.protocol == "http" else "connect"
    return Respond(
        502,
        "start-failed",
        f"{service.id} did not start: {why}",
        f"mend that, and {again} again, which starts it anew; all that it printed: {logs}",
        lines=lines,
    )


def _unable(service: Service) -> Respond:
    return Respond(
        502,
        "not-running",
        f"{service.id} is not running: a {service.asked_by} cannot start a service on Windows yet",
        answers.start(service),
        reload=True,
    )


def shows_page(method: bytes, reading: Reading, fields: Section) -> bool:
    """Whether a person is about to see the answer: a navigation to the page itself, not a part of it or a poll."""
    if method != b"GET" or reading.length or reading.upgrade:
        return False
    accept = fields.any(b"accept")
    return accept is not None and b"text/html" in accept.lower() and fields.get(b"sec-fetch-dest") in _LOOKING


_LOOKING: Final = frozenset((None, b"document"))


class Gate(NamedTuple):
    """What stands before one service.

    `refusal` is what everybody gets who asks for it; `field` the line, with its end, that responses gain; `dormant`: it
    does not run, and a request starts it; `excuse`: what is said where nothing takes the connection.
    """

    refusal: Respond | None = None
    field: bytes = b""
    dormant: Dormant | None = None
    excuse: Respond | None = None


def health_gates(registry: Registry, conditions: Mapping[str, Condition]) -> dict[str, Gate]:
    """By service id, the gates that the conditions of services lead to; the worst one of each service."""
    gates: dict[str, Gate] = {}
    for service in registry.services:
        condition = conditions.get(service.id)
        gate = None if condition is None else _gate(registry, service, condition)
        if gate is not None:
            gates[service.id] = gate
    return gates


def _gate(registry: Registry, service: Service, condition: Condition) -> Gate | None:
    taken = _finding(condition, "checkout")
    if taken is not None:
        detail = f"{service.id} is not what answers: {taken.message}"
        return Gate(Respond(503, "other-checkout", detail, taken.fix, reload=True))
    exposed = _finding(condition, "exposed")
    if condition.exposure == "exposed" and service.exposure != "allow" and exposed is not None:
        if service.exposure == "refuse":
            detail = f'{service.id} is exposed: {exposed.message}; it is closed by exposure = "refuse"'
            return Gate(Respond(503, "exposed", detail, exposed.fix, reload=True, run=exposed.command))
        if registry.settings.exposure_header:
            return Gate(field=warning_field(exposed))
    if condition.dormant:
        return Gate(dormant=Dormant.of(service))
    excuse = _excuse(service, condition)
    return Gate(excuse=excuse) if excuse is not None else None


def _excuse(service: Service, condition: Condition) -> Respond | None:
    """What its command says for itself, where devproxy has run that."""
    run = condition.run
    if run is None or condition.state not in {"failed", "starting"}:
        return None
    identity, why, logs = service.id, condition.why, devproxy_command("logs", service.id)
    if condition.state == "starting":
        detail, fix = f"{identity} is starting: {why}", f"what it prints: {logs}"
        return _running(service, Respond(503, "starting", detail, fix, reload=True, lines=run.lines), run.since)
    again = f"mend that, then: {devproxy_command('up', identity)}"
    return Respond(502, "failed", f"{identity} has failed: {why}", again, reload=True, lines=run.lines)


def _finding(condition: Condition, code: str) -> Finding | None:
    return next((one for one in condition.findings if one.code == code), None)


def warning_field(finding: Finding) -> bytes:
    """`Devproxy-Warning: exposed; 0.0.0.0:5173; fix="…"` and CRLF: nothing but printable ASCII, one line."""
    text = f"exposed; {finding.address}" + (f'; fix="{_quoted(finding.fix)}"' if finding.fix else "")
    if len(text) > _LONGEST:
        text = f"exposed; {finding.address}"
    value = "".join(c if " " <= c <= "~" else "?" for c in text[:_LONGEST])
    return f"Devproxy-Warning: {value}\r\n".encode("ascii")


def _quoted(text: str) -> str:
    """As a quoted-string of RFC 9110 §5.6.4, without the backticks that are for people."""
    return text.replace("`", "").replace("\\", "\\\\").replace('"', '\\"')
