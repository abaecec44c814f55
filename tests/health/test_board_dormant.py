"""The board and services that a request starts: they are not missing while they are down."""

import msgspec

from devproxy import events
from devproxy.health.board import STARTING, Board, ServiceRecord
from tests.health.test_board import REFUSED, SICK, UP, settled
from tests.health.things import service


def waiting(port: int | None = 3000) -> tuple[Board, ServiceRecord]:
    """The record of a service that its first request starts."""
    made = Board()
    made.follow([service(port=port, command="vite", start="on-request", trusted=True)])
    return made, made.records["web"]


class TestDormant:
    def test_without_a_port_it_is_so_before_any_check(self) -> None:
        made, record = waiting(None)
        assert (record.condition.state, record.condition.dormant, record.condition.word) == ("down", True, "on-request")
        assert record.condition.why == "it starts at its first request"
        assert made.take() == []

    def test_with_a_port_somebody_may_run_it_by_hand_so_it_is_looked_at_first(self) -> None:
        made, record = waiting()
        assert (record.condition.state, record.condition.dormant) == ("unknown", False)
        made.check(record, REFUSED, 1.0)
        assert (record.condition.state, record.condition.dormant, record.condition.since) == ("down", True, 1.0)
        assert made.take() == []

    def test_one_that_listens_and_is_sick_is_not(self) -> None:
        made, record = waiting()
        made.check(record, SICK, 1.0)
        made.check(record, SICK, 2.0 + STARTING)
        assert (record.condition.state, record.condition.dormant) == ("down", False)
        assert made.take() == [events.Checked((), ("web",))]

    def test_one_whose_command_runs_is_starting_however_long_it_takes(self) -> None:
        made, record = waiting()
        made.follow([msgspec.structs.replace(record.service, leased=True)])
        for moment in (1.0, 2.0 + STARTING):
            made.check(record, REFUSED, moment)
            condition = record.condition
            assert (condition.state, condition.dormant, condition.word) == ("starting", True, "starting")
            assert condition.why == "refused"

    def test_that_it_ends_and_comes_again_is_no_alarm(self) -> None:
        made, record = waiting()
        made.check(record, UP, 1.0)
        assert made.take() == [events.Checked(("web",), ())]
        for moment in (2.0, 3.0):
            made.check(record, REFUSED, moment)
        assert record.condition.dormant
        made.check(record, UP, 9.0)
        assert (record.condition.state, record.condition.dormant, made.take()) == ("up", False, [])

    def test_one_that_was_ended_in_order_is_so_at_once(self) -> None:
        made, record = waiting()
        made.check(record, UP, 1.0)
        made.rest("web", 5.0)
        assert (record.condition.state, record.condition.dormant, record.condition.since) == ("down", True, 5.0)
        made.check(record, REFUSED, 6.0)
        assert (record.condition.dormant, record.condition.since) == (True, 5.0)
        made.check(record, UP, 7.0)
        assert record.condition.state == "up"

    def test_only_what_a_request_starts_can_rest(self) -> None:
        made, record = settled(UP)
        made.rest("web", 5.0)
        made.rest("nobody", 5.0)
        assert record.condition.state == "up"

    def test_trust_makes_another_service_of_it(self) -> None:
        made = Board()
        untrusted = service(port=None, command="vite", start="on-request")
        made.follow([untrusted])
        assert (made.records["web"].condition.state, made.records["web"].condition.dormant) == ("unknown", False)
        made.follow([msgspec.structs.replace(untrusted, trusted=True)])
        assert made.records["web"].condition.dormant

    def test_trust_changes_nothing_about_one_that_is_up(self) -> None:
        made, record = waiting()
        made.check(record, UP, 1.0)
        made.take()
        made.follow([msgspec.structs.replace(record.service, trusted=False)])
        assert (made.records["web"].condition.state, made.records["web"] is record) == ("up", True)
