"""The one rule: what asking a service and its command's run come to."""

import msgspec
import pytest

from devproxy.health.model import Check, CommandRun, RunPhase, State
from devproxy.health.state import AskedState, condition_of, service_state
from tests.health.things import service

NOBODY = AskedState("down", "nothing listens")
SICK = AskedState("down", "answered 500", accepted=True)
UP = AskedState("up", "listens", accepted=True)
UNASKED = AskedState("unknown", "nothing says which port it has")


def run(phase: RunPhase, why: str = "", code: int | None = None) -> CommandRun:
    return CommandRun(phase=phase, since=1.0, why=why, code=code)


@pytest.mark.parametrize(
    ("phase", "asked", "state"),
    [
        ("waiting", NOBODY, "starting"),
        ("starting", UNASKED, "starting"),
        ("starting", UP, "starting"),  # what listens there may be another program
        ("up", UP, "up"),
        ("up", SICK, "down"),
        ("up", NOBODY, "down"),
        ("failed", NOBODY, "failed"),
        ("failed", UNASKED, "failed"),
        ("failed", UP, "up"),  # somebody has started it by hand
        ("failed", SICK, "down"),
        ("ended", NOBODY, "stopped"),
        ("ended", UP, "up"),
        (None, NOBODY, "stopped"),
        (None, UNASKED, "stopped"),
        (None, UP, "up"),
        (None, SICK, "down"),
    ],
)
def test_of_a_service_with_a_command(phase: RunPhase | None, asked: AskedState, state: State) -> None:
    found = service_state(service(command="vite"), asked, run(phase) if phase else None)
    assert (found.state, found.dormant) == (state, False)


@pytest.mark.parametrize("asked", [NOBODY, SICK, UP, UNASKED])
def test_without_a_command_asking_is_all_there_is(asked: AskedState) -> None:
    assert service_state(service(), asked, None) == (asked.state, asked.why, False)


def test_one_that_is_stopped_says_how_it_is_started() -> None:
    assert service_state(service("web.shop", command="vite"), UNASKED, None).why == (
        "it is not started; start it: devproxy up web.shop"
    )


def test_one_that_failed_says_how() -> None:
    assert service_state(service(command="vite"), NOBODY, run("failed", "exit code 3")).why == "exit code 3"


def test_what_a_request_starts_rests_or_has_failed() -> None:
    asleep = service(command="vite", start="on-request", trusted=True)
    refused = Check(up=False, why="refused")
    for ended in (None, run("ended", "it was asked to end")):
        resting = condition_of(asleep, refused, ended)
        assert (resting.state, resting.dormant, resting.why) == ("stopped", True, "it starts at its first request")
    failed = condition_of(asleep, refused, run("failed", "exit code 3"))
    assert (failed.word, failed.dormant, failed.why) == ("failed", True, "exit code 3")
    leased = msgspec.structs.replace(asleep, leased=True)
    assert condition_of(leased, refused, run("starting", "starts")).state == "starting"


def test_one_that_is_leased_and_of_which_nothing_is_known_is_looked_for() -> None:
    assert service_state(service(command="vite", leased=True), NOBODY, None).state == "down"
