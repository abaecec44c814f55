"""What trying a port at this machine's other addresses gave: a value, pure.

Not here: trying (`reachability.py`), what it means (`examine.py`).
"""

import msgspec


class Reach(msgspec.Struct, frozen=True):
    """At which addresses a port was tried, and at which of those a connection was accepted."""

    tried: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
