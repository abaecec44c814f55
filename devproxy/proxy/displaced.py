"""What the data path must know of services whose port another checkout's process has: they are closed meanwhile.

Lives here: the value that stands at the gate of such a service (`server.py`, `Proxy.gates`); pure.
Not here: finding out (`health/findings.py`, `strangers`), how the refusal looks (`error_pages.py`).

To pass requests on would show the wrong program under the right name, which nobody notices. There is no setting for it:
a service that both checkouts are to share is one that runs in neither.
"""

from typing import NamedTuple

from devproxy.proxy.decide import Respond


class Displaced(NamedTuple):
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
