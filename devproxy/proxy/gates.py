"""What the data path must know of services that do not run and that a request starts, and what it answers meanwhile.

Lives here: the value that stands at the gate of such a service (`server.py`, `Proxy.gates`); pure.
Not here: starting it (`daemon/activation.py`), requests that wait for it (`held.py`), how answers look (`error_pages.py`).

A person who navigates gets a page at once, which loads again by itself; everything else waits: nothing but a browser's
top-level navigation can show a page, and only a GET can be made again without asking.
"""

import sys
from typing import NamedTuple

from devproxy.proxy import remedy
from devproxy.proxy.decide import Reading, Respond
from devproxy.proxy.fields import Section
from devproxy.registry.model import Service


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
        remedy.start(service),
        reload=True,
    )


def shows_page(method: bytes, reading: Reading, fields: Section) -> bool:
    """Whether a person is about to see the answer: a navigation to the page itself, not a part of it or a poll."""
    if method != b"GET" or reading.length or reading.upgrade:
        return False
    accept = fields.any(b"accept")
    return accept is not None and b"text/html" in accept.lower() and fields.get(b"sec-fetch-dest") in _LOOKING


_LOOKING = frozenset((None, b"document"))
