"""What the data path must know of services that others can reach.

Lives here: the value that the health monitor hands over, a whole dict at a time; pure.
Not here: finding out (`health/`), how the refusal looks (`error_pages.py`).
"""

from typing import NamedTuple

from devproxy.proxy.decide import Respond


class Exposed(NamedTuple):
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
