"""How the condition of services looks on the dashboard."""

from devproxy.control import pages as html
from devproxy.control.pages import MOST_FINDINGS, cell, counts, findings
from devproxy.health.model import Condition, Finding, FindingSeverity
from tests.control.sample import Pages

NASTY = "<script>alert(1)</script>"


def finding(severity: FindingSeverity = "warning", message: str = "it is open", **more: str) -> Finding:
    return Finding(code="exposed", severity=severity, message=message, **more)


def exposed(*found: Finding) -> Condition:
    return Condition(state="up", exposure="exposed", exposure_why="bound to 0.0.0.0", findings=found)


def test_a_cell_says_state_and_exposure_and_why_to_whoever_points_at_it() -> None:
    text = cell(Condition(state="down", since=1_700_000_000.0, why="nothing listens"))
    assert 'class="state down"' in text
    assert ": nothing listens" in text
    assert "exposed" not in text
    assert 'title="bound to 0.0.0.0">exposed<' in cell(exposed())
    assert "not checked yet" in cell(Condition())
    asleep = cell(Condition(state="down", dormant=True))
    assert 'class="state on-request"' in asleep
    assert ">on request<" in asleep


def test_a_finding_has_proof_fix_command_and_who() -> None:
    text = findings({"web": exposed(finding(proof="accepted", fix="--host", command="vite --host", who="pid 1"))})
    for part in ('href="#web"', "it is open", "Proof: accepted", "--host", "vite --host", "pid 1", 'class="warning"'):
        assert part in text


def test_the_gravest_come_first_and_notes_do_not_come() -> None:
    text = findings(
        {
            "a": exposed(finding("warning", "first")),
            "b": exposed(finding("error", "second")),
            "c": exposed(finding("note", "third")),
        }
    )
    assert text.index("second") < text.index("first")
    assert "third" not in text
    assert findings({"c": exposed(finding("note"))}) == findings({}) == ""


def test_however_many_there_are_the_page_stays_readable() -> None:
    text = findings({f"s{number}": exposed(finding()) for number in range(MOST_FINDINGS + 7)})
    assert text.count("<li") == MOST_FINDINGS
    assert "And 7 more" in text


def test_everything_is_escaped() -> None:
    nasty = finding(message=NASTY, proof=NASTY, fix=NASTY, command=NASTY, who=NASTY)
    text = findings({NASTY: exposed(nasty)}) + cell(Condition(state="up", why=NASTY))
    assert "<script" not in text


def test_counts_name_only_what_there_is() -> None:
    down = Condition(state="down")
    assert counts({"a": exposed(), "b": down, "c": down}) == ["1 up", "2 down", "1 exposed"]
    assert counts({"a": Condition()}) == []


def test_the_page_shows_all_of_it() -> None:
    made = Pages(conditions={"app": exposed(finding())})
    text = html.dashboard(made.view())
    assert "1 up" in text
    assert "it is open" in text
    assert text.count('class="exposed"') == 1
    assert made.view().status()["exposed"] == 1
