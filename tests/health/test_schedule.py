"""What the table tells without asking, and when the next check is due."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.health.model import Check, Listener
from devproxy.health.schedule import check_by_table, next_check
from devproxy.registry.model import Health
from tests.health.things import at, scan, service

UP = Check(up=True, why="")
REFUSED = Check(up=False, why="refused")
SICK = Check(up=False, why="500", accepted=True)


@pytest.mark.parametrize(
    ("listener", "place"),
    [
        (at("127.0.0.1"), "127.0.0.1:3000"),
        (at("::1", v6only=True), "[::1]:3000"),
        (at("0.0.0.0"), "127.0.0.1:3000"),
        (at("::", v6only=True), "[::1]:3000"),
    ],
)
def test_what_a_connect_would_find_is_up(listener: Listener, place: str) -> None:
    check = check_by_table(service(), scan(listener))
    assert check == Check(up=True, why=f"listens on {place}", host=place.rpartition(":")[0].strip("[]"), accepted=True)


@pytest.mark.parametrize(
    "listeners",
    [(), (at("192.168.1.20"),), (at("127.0.0.2"),)],
    ids=["nothing", "another address", "another loopback address"],
)
def test_where_no_listener_takes_it_somebody_must_be_asked(listeners: tuple[Listener, ...]) -> None:
    assert check_by_table(service(), scan(*listeners)) is None


def test_a_health_path_must_be_asked() -> None:
    assert check_by_table(service(health=Health(path="/healthz")), scan(at("127.0.0.1"))) is None


def test_without_an_address_or_with_a_socket_file_there_is_nothing_in_the_table() -> None:
    assert check_by_table(service(port=None), scan()) is None
    assert check_by_table(service(path="/run/x.sock"), scan()) is None


def delay(check: Check, failures: int, *, doubtful: bool = False, complete: bool = True, id_: str = "web") -> float:
    return next_check(service(id_), check, failures, doubtful=doubtful, complete=complete)


@given(st.text("abcdefgh", min_size=1, max_size=8))
def test_delays_are_spread_a_little(id_: str) -> None:
    assert 9 <= delay(UP, 0, id_=id_) <= 11


def test_what_still_counts_as_up_is_confirmed_at_once() -> None:
    assert delay(REFUSED, 1, doubtful=True) == delay(SICK, 5, doubtful=True) == 1.0


@pytest.mark.parametrize(("check", "complete", "most"), [(SICK, True, 33), (REFUSED, True, 132), (REFUSED, False, 11)])
def test_what_fails_is_asked_ever_less_up_to_a_bound(check: Check, complete: bool, most: float) -> None:
    delays = [delay(check, failures, complete=complete) for failures in range(1, 60)]
    assert delays == sorted(delays)
    assert delays[0] < delays[-1] <= most


def test_a_port_that_the_table_watches_is_hardly_asked() -> None:
    assert delay(REFUSED, 1) > 20
    assert delay(REFUSED, 1, complete=False) < 2
