"""`registry/listeners.py`: every TCP service has an address that nobody else has, and that stays."""

import ipaddress
from typing import Any

import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.registry.decode import decode_project, decode_user
from devproxy.registry.layers import Linked
from devproxy.registry.listeners import hashed
from devproxy.registry.merge import merge
from devproxy.registry.model import ListenAddress, Project, Registry
from tests.registry.merging import USER

LOW, HIGH = 10000, 19999
SERVICE = st.fixed_dictionaries(
    {"protocol": st.just("tcp"), "command": st.just("serve")},
    optional={"listen": st.one_of(st.just("auto"), st.integers(5430, 5435)), "scheme": st.just("postgresql")},
)
OWN = SERVICE.map(lambda table: {**table, "address": "own"})
TABLES = st.dictionaries(st.sampled_from([*"abcdefgh"]), st.one_of(SERVICE, OWN), max_size=6)


def registry(user: Any, *projects: tuple[str, Any], range_of: str = f"{LOW}-{HIGH}") -> Registry:
    return merge(
        decode_user(tomli_w.dumps({"proxy": {"listen_ports": range_of}, "services": user}), USER),
        [
            Linked(
                Project.of(name),
                decode_project(
                    tomli_w.dumps({"project": Project.of(name).base, "services": tables}), f"/{name}/devproxy.toml"
                ),
            )
            for name, tables in projects
        ],
    )


def given_out(found: Registry) -> dict[str, ListenAddress]:
    return {one.id: one.listen for one in found.services if one.listen is not None}


@settings(deadline=None)
@given(TABLES, TABLES)
def test_no_two_services_share_an_address_and_all_are_loopback(user: Any, project: Any) -> None:
    found = given_out(registry(user, ("shop", project), ("fix-ui.shop", project)))
    places = [place for address in found.values() for place in address.places]
    assert len(places) == len(set(places))
    for address in found.values():
        assert address.hosts
        assert all(ipaddress.ip_address(host).is_loopback for host in address.hosts)
    own = [address.hosts[0] for address in found.values() if len(address.hosts) == 1]
    assert len(own) == len(set(own))
    assert all(ipaddress.ip_address(host) in ipaddress.ip_network("127.64.0.0/10") for host in own)
    assert not [host for host in own if host.endswith((".0", ".255"))]


@settings(deadline=None)
@given(TABLES, TABLES, st.sampled_from([f"{LOW}-{HIGH}", "10000-10007"]))
def test_what_comes_later_moves_nothing(first: Any, later: Any, range_of: str) -> None:
    before = given_out(registry({}, ("shop", first), range_of=range_of))
    after = given_out(registry({}, ("shop", first), ("other", later), ("fix-ui.shop", first), range_of=range_of))
    assert {name: after.get(name) for name in before} == before


def test_each_checkout_has_its_own_port_and_the_file_number_is_the_main_ones() -> None:
    db = {"db": {"protocol": "tcp", "port": 5433, "listen": 5432}}
    found = given_out(registry({}, ("shop", db), ("fix-ui.shop", db), ("fix-db.shop", db)))
    ports = [found[name].port for name in ("db.shop", "db.fix-ui.shop", "db.fix-db.shop")]
    assert ports[0] == 5432
    assert len(set(ports)) == 3
    assert all(LOW <= port <= HIGH for port in ports[1:])


def test_own_addresses_let_every_checkout_have_the_usual_port() -> None:
    db = {"db": {"protocol": "tcp", "port": 5433, "address": "own", "scheme": "postgresql"}}
    found = given_out(registry({}, ("shop", db), ("fix-ui.shop", db)))
    assert {address.port for address in found.values()} == {5432}
    assert len({address.hosts for address in found.values()}) == 2


def test_one_that_meets_another_gets_the_next_and_says_so() -> None:
    names = [f"s{number}" for number in range(4000)]
    by_place: dict[int, list[str]] = {}
    for name in names:
        by_place.setdefault(hashed("", name, "", span=1 << 22), []).append(name)
    met = next((pair for pair in by_place.values() if len(pair) == 2), None)
    assert met is not None  # of 4000 names in four million places some two meet
    tables = {name: {"protocol": "tcp", "port": 4000, "listen": 5432, "address": "own"} for name in met}
    found = registry(tables)
    (problem,) = [one for one in found.problems if one.code == "duplicate-address"]
    assert problem.severity == "warning"
    assert problem.service == met[1]
    assert len({address.hosts for address in given_out(found).values()}) == 2


@given(st.lists(st.text(max_size=8), max_size=4), st.integers(1, 1 << 32))
def test_a_hash_is_within_its_span(names: list[str], span: int) -> None:
    assert 0 <= hashed(*names, span=span) < span


def test_a_hash_is_the_same_on_every_machine() -> None:
    assert [hashed("shop", "db", "", span=10000), hashed("shop", "db", "fix-ui", span=10000)] == [3379, 2269]
