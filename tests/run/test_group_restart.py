"""When a command that ended is started again."""

import pytest

from devproxy.run.group import LONGEST, MOST, STABLE, Policy, failures_now, wait_before


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("never", 1, False),
        ("on-failure", 0, False),
        ("on-failure", 1, True),
        ("on-failure", 137, True),
        ("on-failure", 143, False),
        ("always", 0, True),
        ("always", 130, False),
    ],
)
def test_policies(policy: Policy, code: int, again: bool) -> None:
    assert (wait_before(policy, code, 1) is not None) == again


def test_each_wait_is_twice_the_last_until_it_is_given_up() -> None:
    assert [wait_before("on-failure", 1, failures) for failures in range(1, MOST + 1)] == [0.25, 0.5, 1, 2, None]
    assert all((wait_before("always", 1, failures) or 0) <= LONGEST for failures in range(1, 100))


def test_a_start_that_lasted_begins_the_count_again() -> None:
    assert failures_now(3, 0.1) == 4
    assert failures_now(3, STABLE) == 1
