"""What is said of a service that is not up: what became of the start before, and what it may be instead of a server."""

import pytest

from devproxy.run.group_state import MemberPhase
from devproxy.run.waiting import SLOW_AFTER, final_state, not_up_text, printed_text, unmet_text, waiting_text
from tests.health.things import service

HINT = 'kind = "worker"'


@pytest.mark.parametrize(
    ("failures", "code", "ran", "said", "hint"),
    [
        (0, None, 0.0, "is not up yet", False),
        (0, None, SLOW_AFTER, "is not up", True),
        (2, 1, SLOW_AFTER, "ended with exit code 1, and is not up again", False),
        (1, 137, 0.0, "ended with signal 9 (SIGKILL), and is not up again", False),
        (0, 143, SLOW_AFTER, "is not up", True),  # it was asked to end, and started anew
    ],
)
def test_a_server_may_be_a_worker_only_where_it_has_run_for_a_while(
    failures: int, code: int | None, ran: float, said: str, hint: bool
) -> None:
    why = f"{not_up_text(failures, code, ran)}: nothing listens on port 1"
    text = waiting_text(service("web"), "starting", why)
    assert text.startswith(f"{said}: ")
    assert (HINT in text) == hint


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize("kind", ["server", "worker"])
def test_how_it_ended_can_be_told_behind_what_became_of_it(kind: str, served: bool) -> None:
    _, why = final_state(service("web", kind=kind), 0, served=served)
    assert why.startswith("it ended ")  # as in "web has failed: it ended …"


def test_an_end_by_a_signal_is_called_so_wherever_it_is_told() -> None:
    assert final_state(service("web"), 137, served=True) == ("failed", "ended with signal 9 (SIGKILL)")


@pytest.mark.parametrize(
    ("state", "why", "code", "lines", "said"),
    [
        (
            "failed",
            "ended with exit code 3",
            3,
            ["connects", "no database"],
            "which has failed: exit code 3; it last printed: no database",
        ),
        ("failed", "mig could not be started", None, [], "which has failed: mig could not be started"),
        ("ended", "", 143, [], "which has ended"),
        (
            "starting",
            "ended with exit code 3, and starts again",
            3,
            [],
            "which does not run: ended with exit code 3, and starts again",
        ),
    ],
)
def test_what_became_of_a_dependency_is_said(
    state: MemberPhase, why: str, code: int | None, lines: list[str], said: str
) -> None:
    assert unmet_text("mig", state, why, code, lines) == f"it depends on `mig`, {said}"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["one", "  \x1b[31mtwo\x1b[0m ", "", "\x1b[2m \x1b[22m"], "; it last printed: two"),
        (["", " "], ""),
        ([], ""),
    ],
)
def test_what_it_last_printed_is_no_empty_line(lines: list[str], said: str) -> None:
    assert printed_text(lines) == said
    assert unmet_text("web", "failed", "", 1, lines).endswith(f"exit code 1{said}")
