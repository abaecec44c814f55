"""A request that waits for its service to be started.

Lives here: what takes the place of an exchange meanwhile, and the ends of waiting.
Not here: when which request waits (`h1.py`), what is answered where the wait was in vain (`gates.py`).

How it works: nothing of the request is passed on or taken apart. Its bytes, and those behind it, stay in the
connection's buffer from its first one on, and are read as if they came just now once its service is up: by then its
port may be another one, and the registry too. To its connection it looks like an exchange whose request is whole, so
that nothing more is expected of the client, and one that has gone is noticed.
"""

from typing import TYPE_CHECKING, ClassVar, Final, Literal

from devproxy.proxy.decide import Reading, Respond
from devproxy.proxy.fields import Section
from devproxy.proxy.gates import Dormant
from devproxy.proxy.grammar import RequestHead
from devproxy.routing.table import Route

if TYPE_CHECKING:
    from devproxy.proxy.connection import ClientConnection


class Held:
    """One request of `front`, whose head takes `size` bytes of what waits there."""

    __slots__ = ("fields", "front", "method", "reading", "route", "size", "started", "status", "target")

    # As an exchange would have them:
    request_done: Final[Literal[True]] = True
    responded: Final[Literal[False]] = False
    bytes_out: Final = 0
    upstream: ClassVar[None] = None
    splice: ClassVar[None] = None

    def __init__(self, front: "ClientConnection", reading: Reading, fields: Section, route: Route, head: RequestHead):
        self.front = front
        self.reading = reading
        self.fields = fields
        self.route = route
        self.method, self.target, _, _, self.size = head
        self.status = 0
        self.started = 0.0

    def wait(self) -> None:
        """Begin to wait, for as long as a request may."""
        proxy = self.front.proxy
        self.started = proxy.loop.time()
        self.front.deadline = proxy.clock + self.route.service.response_timeout
        proxy.held.add(self)

    def look(self) -> None:
        """The gates have changed: go on, or end, if this one's has."""
        gate = self.front.proxy.gates.get(self.route.service.id)
        if not isinstance(gate, Dormant):
            self.release()
            self.front.begin_again()
        elif gate.instead is not None:
            self.answer(gate.instead)

    def answer(self, respond: Respond) -> None:
        """Wait no longer."""
        self.release()
        self.front.skip(self.size, has_body=self.reading.length != 0)
        self.front.answer(respond, self)

    def expired(self) -> Respond:
        """It has waited for as long as a request may; returns the answer for it."""
        self.release()
        self.front.skip(self.size, has_body=self.reading.length != 0)
        return self.late()

    def late(self) -> Respond:
        """The answer to a request that can wait no longer."""
        gate = self.front.proxy.gates.get(self.route.service.id)
        return gate.late if isinstance(gate, Dormant) else Dormant(self.route.service).late

    def release(self) -> None:
        """Nobody waits any more."""
        self.front.proxy.held.discard(self)
