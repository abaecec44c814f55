"""What the running proxy knows of services, as `state/health.json` tells it.

Lives here: the file's type, and reading it so that a file left behind by an earlier proxy is not taken for the present.
Not here: writing it (`daemon/health_publisher.py`).
"""

import msgspec

from devproxy.daemon.runtime import Running
from devproxy.health.model import Condition, Owner
from devproxy.paths import Paths


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`state/health.json`: what the monitor of proxy `pid` knew at `time`; `owners` outlive the proxy."""

    pid: int
    time: float
    services: dict[str, Condition] = {}
    owners: dict[str, Owner] = {}


def read_health(paths: Paths) -> Health | None:
    """`state/health.json`, or None where there is none that can be read. Whoever wrote it may have ended since."""
    try:
        return msgspec.json.decode(paths.health.read_bytes(), type=Health)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def watched(paths: Paths, running: Running | None) -> dict[str, Condition] | None:
    """The conditions as the proxy that runs now knows them; None where none runs, or it has not looked yet."""
    health = read_health(paths) if running is not None else None
    return health.services if health is not None and running is not None and health.pid == running.pid else None
