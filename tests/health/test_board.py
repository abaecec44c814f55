"""The board: thresholds, since when, one event a change, who answered before; what a request starts is not missing."""

import msgspec

from devproxy import events
from devproxy.health.board import ADOPTED, STARTING, Board, ServiceRecord
from devproxy.health.findings import examine, find_in_answers
from devproxy.health.model import Check, CommandRun, Listener, RunEvent, RunPhase, RunRecord, ServiceOwner
from devproxy.registry.model import ExposurePolicy, Upstream
from tests.health.things import PYTHON, VITE, at, scan, service

UP = Check(up=True, why="listens", accepted=True)
REFUSED = Check(up=False, why="refused")
SICK = Check(up=False, why="answered 500", accepted=True)


def board(**owners: ServiceOwner) -> tuple[Board, ServiceRecord]:
    made = Board(owners)
    made.follow([service()])
    made.take_events()
    return made, made.records["web"]


def see(made: Board, record: ServiceRecord, *listeners: Listener, now: float = 0.0) -> None:
    made.record_examination(record, examine(record.service, scan(*listeners), known=record.owner), now)


def settled(state: Check) -> tuple[Board, ServiceRecord]:
    """After a first look, whose event is taken."""
    made, record = board()
    made.record_check(record, state, 100.0)
    made.take_events()
    return made, record


class TestState:
    def test_unknown_until_checked(self) -> None:
        _, record = board()
        assert (record.condition.state, record.condition.since) == ("unknown", 0.0)

    def test_the_first_look_at_all_is_one_event(self) -> None:
        made = Board()
        made.follow([service("a"), service("b"), service("c")])
        for name, check in (("c", UP), ("a", UP), ("b", REFUSED)):
            made.record_check(made.records[name], check, 1.0)
        assert made.take_events() == [events.Checked(("a", "c"), ("b",))]
        assert made.take_events() == []

    def test_one_lost_probe_flips_nothing(self) -> None:
        made, record = settled(UP)
        made.record_check(record, REFUSED, 101.0)
        assert (record.condition.state, made.changed) == ("up", False)
        made.record_check(record, UP, 102.0)
        made.record_check(record, REFUSED, 103.0)
        assert record.condition.state == "up"
        assert made.take_events() == []

    def test_a_command_of_ours_that_does_not_listen_yet_is_starting_for_a_while(self) -> None:
        made, record = settled(REFUSED)
        made.follow([service(leased=True)])
        states = []
        for moment in (101.0, 101.0 + STARTING):
            made.record_check(record, REFUSED, moment)
            states.append(record.condition.state)
        made.follow([service()])
        made.record_check(record, REFUSED, 200.0)
        made.follow([service(leased=True)])  # another start
        for check in (REFUSED, UP):
            made.record_check(record, check, 201.0)
            states.append(record.condition.state)
        assert states == ["starting", "down", "starting", "up"]

    def test_two_in_a_row_do_and_say_since_when_and_why(self) -> None:
        made, record = settled(UP)
        made.record_check(record, REFUSED, 101.0)
        made.record_check(record, REFUSED, 102.0)
        assert (record.condition.state, record.condition.since, record.condition.why) == ("down", 102.0, "refused")
        assert made.take_events() == [events.Down("web", "refused")]

    def test_one_event_a_change_however_often_it_is_checked(self) -> None:
        made, record = settled(UP)
        for moment in range(101, 120):
            made.record_check(record, REFUSED, float(moment))
        made.record_check(record, UP, 130.0)
        made.record_check(record, UP, 131.0)
        assert made.take_events() == [events.Down("web", "refused"), events.Up("web", "listens", 28.0)]
        assert record.condition.since == 130.0

    def test_another_reason_is_news_for_readers_but_no_event(self) -> None:
        made, record = settled(REFUSED)
        made.record_check(record, Check(up=False, why="timeout"), 200.0)
        assert made.changed
        assert (record.condition.why, record.condition.since) == ("timeout", 100.0)
        assert made.take_events() == []

    def test_what_listens_and_does_not_answer_well_is_starting_for_a_while(self) -> None:
        made, record = settled(REFUSED)
        states = []
        for moment in (200.0, 200.0 + STARTING - 1, 200.0 + STARTING):
            made.record_check(record, SICK, moment)
            states.append(record.condition.state)
        assert states == ["starting", "starting", "down"]
        assert made.take_events() == []  # it was down before, and is still

    def test_from_starting_to_up(self) -> None:
        made, record = settled(REFUSED)
        made.record_check(record, SICK, 200.0)
        made.record_check(record, UP, 203.0)
        assert made.take_events() == [events.Up("web", "listens", 103.0)]

    def test_a_service_that_listened_all_along_is_down_when_it_sickens(self) -> None:
        made, record = settled(UP)
        for moment in (200.0, 201.0):
            made.record_check(record, SICK, moment)
        assert record.condition.state == "down"


class TestFollow:
    def test_what_is_untouched_keeps_its_record(self) -> None:
        made, record = settled(UP)
        made.follow([service(hosts=("other.localhost",)), service("new")])
        assert made.records["web"] is record
        assert record.service.hosts == ("other.localhost",)
        assert made.changed

    def test_another_upstream_begins_anew(self) -> None:
        made, record = settled(UP)
        made.follow([msgspec.structs.replace(service(), upstream=Upstream("http", ("127.0.0.1",), 3001))])
        assert made.records["web"] is not record
        assert made.conditions["web"].state == "unknown"

    def test_what_is_gone_is_forgotten(self) -> None:
        made, _ = settled(UP)
        made.follow([])
        assert made.conditions == {}
        assert made.changed

    def test_the_same_again_changes_nothing(self) -> None:
        made, _ = settled(UP)
        made.follow([service()])
        assert not made.changed

    def test_without_a_port_it_says_so(self) -> None:
        made = Board()
        made.follow([service(port=None)])
        assert "which port" in made.conditions["web"].why


class TestExposure:
    def test_one_event_when_exposed_and_one_when_mended(self) -> None:
        made, record = settled(UP)
        for _ in range(3):
            see(made, record, at("0.0.0.0"))
        (event,) = made.take_events()
        assert isinstance(event, events.Exposed)
        assert event.fix == "Vite: change `--host` to `--host 127.0.0.1`"
        assert record.condition.exposure == "exposed"
        for _ in range(3):
            see(made, record, at("127.0.0.1"))
        (event,) = made.take_events()
        assert (type(event), getattr(event, "code", "")) == (events.Mended, "exposed")

    def test_what_is_allowed_or_a_mere_note_is_no_event(self) -> None:
        made = Board()
        allow: ExposurePolicy = "allow"
        made.follow([service(exposure=allow)])
        made.take_events()
        see(made, made.records["web"], at("0.0.0.0"))  # exposed, allowed; answers on one family: a note
        assert made.conditions["web"].exposure == "exposed"
        assert made.take_events() == []

    def test_permission_is_no_mend(self) -> None:
        made, record = settled(UP)
        see(made, record, at("0.0.0.0"))
        made.take_events()
        allow: ExposurePolicy = "allow"
        made.follow([service(exposure=allow)])
        see(made, record, at("0.0.0.0"))
        assert made.take_events() == []
        made.follow([service()])
        see(made, record, at("0.0.0.0"))
        assert [type(event) for event in made.take_events()] == [events.Exposed]

    def test_another_finding(self) -> None:
        made, record = settled(UP)
        see(made, record, at("127.0.0.1"), at("::1", PYTHON, True))
        (event,) = made.take_events()
        assert isinstance(event, events.Found)
        assert event.code == "shadowed"


class TestOwner:
    def up(self, *listeners: Listener, now: float = 0.0, **owners: ServiceOwner) -> tuple[Board, ServiceRecord]:
        made, record = board(**owners)
        made.record_check(record, UP, now)
        see(made, record, *listeners, now=now)
        return made, record

    def test_who_answers_when_it_is_up_is_known(self) -> None:
        made, _ = self.up(at("127.0.0.1", VITE))
        assert made.owners == {"web": ServiceOwner("Vite", "/shop", "anna")}

    def test_nobody_is_known_while_it_is_not_up(self) -> None:
        made, record = board()
        see(made, record, at("127.0.0.1", VITE))
        assert made.owners == {}

    def test_another_one_is_a_finding_and_an_event_that_say_both(self) -> None:
        made, record = self.up(at("127.0.0.1", VITE))
        made.take_events()
        for moment in (1.0, 2.0):
            see(made, record, at("127.0.0.1", PYTHON), now=moment)
        assert made.take_events() == [
            events.Owner("web", "Vite in /shop (anna)", "python -m http.server in /other (anna)")
        ]
        assert [finding.code for finding in record.condition.findings] == ["owner", "family"]
        assert made.owners["web"].program == "Vite"

    def test_after_a_while_it_is_the_one_known(self) -> None:
        made, record = self.up(at("127.0.0.1", VITE))
        for moment in (10.0, 10.0 + ADOPTED, 11.0 + ADOPTED):
            see(made, record, at("127.0.0.1", PYTHON), now=moment)
        assert made.owners["web"].program == "python -m http.server"
        assert [finding.code for finding in record.condition.findings] == ["family"]

    def test_the_old_one_back_is_mended(self) -> None:
        made, record = self.up(at("127.0.0.1", VITE))
        see(made, record, at("127.0.0.1", PYTHON), now=1.0)
        made.take_events()
        see(made, record, at("127.0.0.1", VITE), now=2.0)
        assert [type(event) for event in made.take_events()] == [events.Mended]

    def test_what_an_earlier_run_knew_counts(self) -> None:
        made, _ = self.up(at("127.0.0.1", PYTHON), web=ServiceOwner("Vite", "/shop", "anna"))
        assert events.Owner in [type(event) for event in made.take_events()]


def waiting(port: int | None = 3000) -> tuple[Board, ServiceRecord]:
    """The record of a service that its first request starts."""
    made = Board()
    made.follow([service(port=port, command="vite", start="on-request", trusted=True)])
    return made, made.records["web"]


class TestDormant:
    def test_without_a_port_it_is_so_before_any_check(self) -> None:
        made, record = waiting(None)
        assert (record.condition.state, record.condition.dormant, record.condition.word) == (
            "stopped",
            True,
            "on-request",
        )
        assert record.condition.why == "it starts at its first request"
        assert made.take_events() == []

    def test_with_a_port_somebody_may_run_it_by_hand_so_it_is_looked_at_first(self) -> None:
        made, record = waiting()
        assert (record.condition.state, record.condition.dormant) == ("unknown", False)
        made.record_check(record, REFUSED, 1.0)
        assert (record.condition.state, record.condition.dormant, record.condition.since) == ("stopped", True, 1.0)
        assert made.take_events() == []

    def test_one_that_listens_and_is_sick_is_not(self) -> None:
        made, record = waiting()
        made.record_check(record, SICK, 1.0)
        made.record_check(record, SICK, 2.0 + STARTING)
        assert (record.condition.state, record.condition.dormant) == ("down", False)
        assert made.take_events() == [events.Checked((), ("web",))]

    def test_one_whose_command_runs_is_starting_however_long_it_takes(self) -> None:
        made, record = waiting()
        made.follow([msgspec.structs.replace(record.service, leased=True)])
        for moment in (1.0, 2.0 + STARTING):
            made.record_check(record, REFUSED, moment)
            condition = record.condition
            assert (condition.state, condition.dormant, condition.word) == ("starting", True, "starting")
            assert condition.why == "refused"

    def test_that_it_ends_and_comes_again_is_no_alarm(self) -> None:
        made, record = waiting()
        made.record_check(record, UP, 1.0)
        assert made.take_events() == [events.Checked(("web",), ())]
        for moment in (2.0, 3.0):
            made.record_check(record, REFUSED, moment)
        assert record.condition.dormant
        made.record_check(record, UP, 9.0)
        assert (record.condition.state, record.condition.dormant, made.take_events()) == ("up", False, [])

    def test_one_that_was_ended_in_order_is_so_at_once(self) -> None:
        made, record = waiting()
        made.record_check(record, UP, 1.0)
        made.mark_dormant("web", 5.0)
        assert (record.condition.state, record.condition.dormant, record.condition.since) == ("stopped", True, 5.0)
        made.record_check(record, REFUSED, 6.0)
        assert (record.condition.dormant, record.condition.since) == (True, 5.0)
        made.record_check(record, UP, 7.0)
        assert record.condition.state == "up"

    def test_only_what_a_request_starts_can_rest(self) -> None:
        made, record = settled(UP)
        made.mark_dormant("web", 5.0)
        made.mark_dormant("nobody", 5.0)
        assert record.condition.state == "up"

    def test_trust_makes_another_service_of_it(self) -> None:
        made = Board()
        untrusted = service(port=None, command="vite", start="on-request")
        made.follow([untrusted])
        assert (made.records["web"].condition.state, made.records["web"].condition.dormant) == ("stopped", False)
        made.follow([msgspec.structs.replace(untrusted, trusted=True)])
        assert made.records["web"].condition.dormant

    def test_trust_changes_nothing_about_one_that_is_up(self) -> None:
        made, record = waiting()
        made.record_check(record, UP, 1.0)
        made.take_events()
        made.follow([msgspec.structs.replace(record.service, trusted=False)])
        assert (made.records["web"].condition.state, made.records["web"] is record) == ("up", True)


class TestCommands:
    """What whoever runs a command tells."""

    def followed(self, phase: RunPhase, *happened: RunEvent, since: float = 1.0) -> dict[str, RunRecord]:
        run = CommandRun(phase=phase, since=since, why="exit code 3" if phase == "failed" else "")
        return {"web": RunRecord(service="web", run=run, pid=1, started=0.0, events=happened)}

    def made(self) -> tuple[Board, ServiceRecord]:
        made = Board()
        made.follow([service(command="vite")])
        return made, made.records["web"]

    def test_its_events_are_told_once_and_those_of_an_earlier_life_not_again(self) -> None:
        made, _ = self.made()
        old = events.CommandStarts("web", "devproxy up", at=1.0)
        new = events.CommandFailed("web", "exit code 3", 3, at=2.0)
        made.tell_no_more([old, events.Down("web", "x")])
        assert made.record_runs(self.followed("failed", old, new), 3.0) == {"web"}
        assert made.take_events() == [new]
        assert made.record_runs(self.followed("failed", old, new), 3.0) == set()
        assert made.take_events() == []

    def test_the_board_adds_no_event_of_its_own_to_them(self) -> None:
        made, record = self.made()
        made.record_runs(self.followed("starting"), 1.0)
        made.record_check(record, REFUSED, 2.0)
        assert record.condition.state == "starting"
        made.record_check(record, UP, 3.0)
        assert record.condition.state == "starting"  # until whoever runs it says so
        made.record_runs(self.followed("up"), 4.0)
        assert (record.condition.state, record.condition.since) == ("up", 4.0)
        made.record_runs(self.followed("failed"), 5.0)
        made.record_check(record, REFUSED, 6.0)  # one is enough
        assert (record.condition.state, record.condition.why) == ("failed", "exit code 3")
        assert made.take_events() == []

    def test_that_it_is_unwell_meanwhile_is_an_event(self) -> None:
        made, record = self.made()
        made.record_runs(self.followed("up"), 1.0)
        made.record_check(record, UP, 1.0)
        for moment in (2.0 + STARTING, 3.0 + STARTING):
            made.record_check(record, SICK, moment)
        assert made.take_events() == [events.Down("web", "answered 500")]
        made.record_check(record, UP, 9.0 + STARTING)
        assert made.take_events() == [events.Up("web", "listens", 6.0)]

    def test_one_that_was_ended_by_hand_has_nobody_else_to_tell(self) -> None:
        made, record = self.made()
        made.record_check(record, UP, 1.0)
        made.take_events()
        for moment in (2.0, 3.0):
            made.record_check(record, REFUSED, moment)
        assert record.condition.state == "stopped"
        assert made.take_events() == [events.Down("web", "refused")]

    def test_another_port_keeps_what_its_command_says(self) -> None:
        made, _ = self.made()
        made.record_runs(self.followed("failed"), 1.0)
        made.follow([service(port=None, command="vite")])
        assert made.records["web"].condition.state == "failed"


# What it answers


def test_what_is_seen_in_its_answers_is_told_once_and_stays_until_it_is_no_more() -> None:
    made, record = board()
    seen = find_in_answers(record.service, {"hsts": "", "insecure": "Location: http://web.localhost/"})
    for _ in range(2):
        made.record_answers("web", seen)
    told = [event for event in made.take_events() if isinstance(event, events.Found)]
    assert [event.code for event in told] == ["insecure", "hsts"]
    see(made, record, at("127.0.0.1"))
    assert [one.code for one in record.condition.findings if one in seen] == ["insecure", "hsts"]
    made.record_answers("web", seen[:1])
    assert [one.code for one in record.condition.findings if one in seen] == ["insecure"]
    assert [type(event) for event in made.take_events()] == []
    made.record_answers("nobody", seen)


def test_what_a_setting_passes_on_is_no_finding() -> None:
    _, record = board()
    passing = msgspec.structs.replace(record.service, hsts="pass", alt_svc="pass")
    seen = {"hsts": "", "alt-svc": ""}
    assert [(one.code, one.severity) for one in find_in_answers(record.service, seen)] == [
        ("hsts", "note"),
        ("alt-svc", "note"),
    ]
    assert all('= "pass" under [services.web]' in one.fix for one in find_in_answers(record.service, seen))
    assert find_in_answers(passing, seen) == ()
