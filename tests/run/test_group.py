"""The order of starts, dependencies first; and when a command that ended is started again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.registry.model import RestartPolicy, Service, Source
from devproxy.run.group import (
    LONGEST_DELAY,
    MOST_FAILURES,
    STABLE,
    count_failures,
    dependents,
    in_order,
    restart_delay,
)


def service(name: str, *depends_on: str) -> Service:
    return Service(id=name, name=name, project=None, hosts=(), depends_on=depends_on, source=Source("/x", 1))


def test_what_is_depended_on_comes_first_and_along() -> None:
    services = [service("web", "api", "db"), service("api", "db"), service("db"), service("other")]
    assert [one.id for one in in_order(services, ["web"])] == ["db", "api", "web"]
    assert [one.id for one in in_order(services, ["db", "other"])] == ["db", "other"]


def test_dependents_are_found_through_what_is_over_already() -> None:
    services = [service("db"), service("migrate", "db"), service("api", "migrate"), service("web", "api"), service("x")]
    assert sorted(dependents(services, "db")) == ["api", "migrate", "web"]
    assert dependents(services, "web") == []


@given(st.dictionaries(st.integers(0, 8), st.lists(st.integers(0, 8), max_size=4)))
def test_a_dependent_is_whoever_is_started_after(needs: dict[int, list[int]]) -> None:
    services = [service(str(n), *(str(o) for o in others if o < n)) for n, others in needs.items()]
    for one in services:
        found = dependents(services, one.id)
        assert len(found) == len(set(found))
        after = {other.id for other in services if other is not one and one in in_order(services, [other.id])}
        assert set(found) == after


def test_what_nobody_knows_is_left_out() -> None:
    assert [one.id for one in in_order([service("a", "missing")], ["a", "gone"])] == ["a"]


numbers = st.integers(0, 8)


@given(st.dictionaries(numbers, st.lists(numbers, max_size=4)), st.lists(numbers))
def test_every_service_comes_after_its_dependencies(needs: dict[int, list[int]], wanted: list[int]) -> None:
    # an edge to a smaller number only: the registry leaves no cycles
    services = [service(str(n), *(str(o) for o in others if o < n)) for n, others in needs.items()]
    found = [one.id for one in in_order(services, map(str, wanted))]
    assert len(found) == len(set(found))
    known = {one.id: one for one in services}
    for at, name in enumerate(found):
        assert all(other in found[:at] for other in known[name].depends_on if other in known)


def test_a_cycle_ends() -> None:
    assert {one.id for one in in_order([service("a", "b"), service("b", "a")], ["a"])} == {"a", "b"}


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
def test_policies(policy: RestartPolicy, code: int, again: bool) -> None:
    assert (restart_delay(policy, code, 1) is not None) == again


def test_each_wait_is_twice_the_last_until_it_is_given_up() -> None:
    assert [restart_delay("on-failure", 1, failures) for failures in range(1, MOST_FAILURES + 1)] == [
        0.25,
        0.5,
        1,
        2,
        None,
    ]
    assert all((restart_delay("always", 1, failures) or 0) <= LONGEST_DELAY for failures in range(1, 100))


def test_a_start_that_lasted_begins_the_count_again() -> None:
    assert count_failures(3, 0.1) == 4
    assert count_failures(3, STABLE) == 1
