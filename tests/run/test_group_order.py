"""The order of starts: dependencies first, each once, whatever was asked for."""

from hypothesis import given
from hypothesis import strategies as st

from devproxy.registry.model import Service, Source
from devproxy.run.group import in_order


def service(name: str, *depends_on: str) -> Service:
    return Service(id=name, name=name, project=None, hosts=(), depends_on=depends_on, source=Source("/x", 1))


def test_what_is_depended_on_comes_first_and_along() -> None:
    services = [service("web", "api", "db"), service("api", "db"), service("db"), service("other")]
    assert [one.id for one in in_order(services, ["web"])] == ["db", "api", "web"]
    assert [one.id for one in in_order(services, ["db", "other"])] == ["db", "other"]


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
