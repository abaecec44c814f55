"""What something costs, counted: a test of growth has no clock to be wrong with."""

import sys
from collections.abc import Callable
from types import FrameType


def operations(act: Callable[[], object]) -> int:
    """How many functions `act` calls, of Python and of C; it is done once before, so that nothing is imported then."""
    act()
    count = 0

    def on_event(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(on_event)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count
