"""Whether a command that ended is started again, and when. Pure.

Not here: starting it (`group.py`). A command that is ended by us, or by somebody's SIGTERM or SIGINT, was meant to end.
"""

from typing import Literal

FIRST = 0.25  # seconds before the first new start; twice as long each time
LONGEST = 30.0
MOST = 5  # starts in a row that may fail before it is given up
STABLE = 10.0  # seconds after which a start counts as a success
ASKED = frozenset({130, 143})  # ended by SIGINT, by SIGTERM

Policy = Literal["never", "on-failure", "always"]


def failures_now(failures: int, ran: float) -> int:
    """How many starts in a row have failed, after one more that lasted `ran` seconds."""
    return 1 if ran >= STABLE else failures + 1


def wait_before(policy: Policy, code: int, failures: int) -> float | None:
    """Seconds until the next start after exit code `code`; None where it stays down."""
    if policy == "never" or code in ASKED or (policy == "on-failure" and code == 0) or failures >= MOST:
        return None
    return min(LONGEST, float(FIRST * 2 ** (failures - 1)))
