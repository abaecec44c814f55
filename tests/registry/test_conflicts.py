"""`registry/conflicts.py`: ports and dependencies, checked against all services."""

from graphlib import TopologicalSorter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.registry.conflicts import circles
from devproxy.registry.decode import decode_user
from devproxy.registry.merge import merge
from tests.registry.merging import USER, linked, of, services


def test_the_ports_that_the_proxy_really_has_are_its_own() -> None:
    registry = merge(decode_user("[services.a]\nport = 7080\n", USER), own_ports=[7080])
    assert [(problem.code, problem.severity) for problem in registry.problems] == [("own-port", "error")]
    assert services(registry)["a"].upstream is None


def test_a_circle_is_cut_once_and_a_long_chain_is_no_circle() -> None:
    circle = '[services.a]\ndepends_on = ["b"]\n[services.b]\ndepends_on = ["a"]\n'
    registry = merge(decode_user(circle, USER))
    assert [problem.code for problem in registry.problems] == ["circular-dependency"]
    assert {name: service.depends_on for name, service in services(registry).items()} == {"a": ("b",), "b": ()}
    chain = "".join(f'[services.s{index}]\ndepends_on = ["s{index + 1}"]\n' for index in range(3000))
    assert len(of(chain + "[services.s3000]\n")) == 3001


def test_a_service_on_another_loopback_address_is_not_the_proxy() -> None:
    assert of('[proxy]\nhttp = 8080\n[services.a]\nupstream = "http://127.0.0.2:8080"\n')["a"].upstream is not None


def test_a_service_of_the_same_project_is_found_first_and_others_by_their_id() -> None:
    user = "[services.api]\nport = 1\n"
    project = 'project = "shop"\n[services.web]\ndepends_on = ["api", "db"]\n[services.api]\n'
    found = of(user + "[services.db]\nport = 2\n", linked(project))
    assert found["web.shop"].depends_on == ("api.shop", "db")


LAZY = '[services.api]\ncommand = "a"\nstart = "on-request"\n[services.web]\ncommand = "a"\nstart = "on-request"\n'


def test_an_ending_without_sec_fetch_is_told_of_where_a_request_starts_a_service() -> None:
    for tlds, bad in ((["localhost"], []), (["dev.localhost"], []), (["localhost", "test"], [22]), (["test"], [9])):
        quoted = ", ".join(f'"{tld}"' for tld in tlds)
        user = f"[proxy]\ntlds = [{quoted}]\n"
        registry = merge(decode_user(user + LAZY, USER))
        assert [(problem.code, problem.severity) for problem in registry.problems] == [
            ("unguarded-tld", "warning")
        ] * len(bad)
        assert [(problem.line, problem.column) for problem in registry.problems] == [(2, column) for column in bad]
        for problem in registry.problems:
            assert (
                problem.message == '"test" has a weaker cross-site guard, and the first request starts `api` and 1 more'
            )
        assert merge(decode_user(user + '[services.web]\ncommand = "a"\n', USER)).problems == ()


def test_one_of_a_project_counts_whether_its_command_is_trusted_yet_or_not() -> None:
    user = decode_user('[proxy]\ntlds = ["test"]\n', USER)
    registry = merge(user, [linked(f'project = "shop"\n{LAZY}')])
    told = [problem.message for problem in registry.problems if problem.code == "unguarded-tld"]
    assert told == ['"test" has a weaker cross-site guard, and the first request starts `api.shop` and 1 more']


GRAPHS = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=4, unique=True).map(tuple), max_size=6
)


@settings(deadline=None, max_examples=300)
@given(GRAPHS)
def test_without_the_edges_that_close_circles_there_is_none(graph: dict[str, tuple[str, ...]]) -> None:
    whole = {name: tuple(other for other in others if other in graph) for name, others in graph.items()}
    found = circles(whole)
    for circle in found:
        assert all(there in whole[here] for here, there in pairwise([*circle, circle[0]]))
        whole[circle[-1]] = tuple(name for name in whole[circle[-1]] if name != circle[0])
    assert circles(whole) == []
    tuple(TopologicalSorter(whole).static_order())  # raises CycleError where one is left
