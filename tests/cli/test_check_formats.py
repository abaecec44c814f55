"""Problems as text, JSON, GitHub workflow commands and SARIF 2.1.0."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.cli.check import FORMATS, as_github, as_json, as_sarif, as_text
from devproxy.problems import Problem

BASE = Path("/repo")
TYPO = Problem(
    code="unknown-key",
    message="unknown key `prot`",
    file="/repo/dev,proxy.toml",
    line=4,
    column=1,
    why="a service has no such key",
    fix="did you mean `port`?",
)
ELSEWHERE = Problem(code="too-large", message="100 % too\nlarge", file="/else where/x.toml", severity="warning")


def test_text_is_what_a_compiler_prints_relative_to_here() -> None:
    assert as_text([TYPO, ELSEWHERE], BASE) == (
        "dev,proxy.toml:4:1: error: unknown key `prot` [unknown-key]\n"
        "  why: a service has no such key\n"
        "  fix: did you mean `port`?\n"
        "/else where/x.toml: warning: 100 % too\nlarge [too-large]"
    )


def test_json_has_absolute_files() -> None:
    assert json.loads(as_json([TYPO], BASE)) == [
        {
            "code": "unknown-key",
            "severity": "error",
            "file": "/repo/dev,proxy.toml",
            "line": 4,
            "column": 1,
            "message": "unknown key `prot`",
            "why": "a service has no such key",
            "fix": "did you mean `port`?",
            "service": "",
        }
    ]


def test_github_escapes_what_would_end_a_property_or_a_line() -> None:
    assert as_github([TYPO, ELSEWHERE], BASE).split("\n") == [
        "::error file=dev%2Cproxy.toml,line=4,col=1,title=devproxy%3A unknown-key"
        "::unknown key `prot`%0Awhy: a service has no such key%0Afix: did you mean `port`?",
        "::warning file=/else where/x.toml,title=devproxy%3A too-large::100 %25 too%0Alarge",
    ]


def test_sarif_has_rules_results_and_regions() -> None:
    log = json.loads(as_sarif([TYPO, ELSEWHERE, TYPO], BASE))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["unknown-key", "too-large"]
    assert [result["ruleIndex"] for result in run["results"]] == [0, 1, 0]
    assert run["originalUriBaseIds"]["SRCROOT"]["uri"] == "file:///repo/"
    first, second, _ = (result["locations"][0]["physicalLocation"] for result in run["results"])
    assert first == {
        "artifactLocation": {"uri": "dev%2Cproxy.toml", "uriBaseId": "SRCROOT"},
        "region": {"startLine": 4, "startColumn": 1},
    }
    assert second == {"artifactLocation": {"uri": "file:///else%20where/x.toml"}}


def test_sarif_without_problems_still_has_its_results() -> None:
    """`results: []` says "looked and found nothing"; without it a CI system keeps the old findings (§3.14.23)."""
    run = json.loads(as_sarif([], BASE))["runs"][0]
    assert run["results"] == []
    assert run["tool"]["driver"]["rules"] == []


def test_no_problems_are_no_text() -> None:
    assert as_text([], BASE) == ""
    assert as_github([], BASE) == ""
    assert json.loads(as_json([], BASE)) == []


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
PROBLEMS = st.builds(
    Problem,
    code=st.sampled_from(["a-b", "c"]),
    message=TEXTS,
    file=TEXTS.map(lambda name: "/repo/" + name.replace("\0", "")),
    line=st.integers(0, 9),
    column=st.integers(0, 9),
    why=TEXTS,
    fix=TEXTS,
    severity=st.sampled_from(["error", "warning"]),
)


@given(st.lists(PROBLEMS, max_size=4))
@settings(deadline=None)
def test_github_is_one_line_a_problem_whatever_the_file_says(problems: list[Problem]) -> None:
    lines = [line for line in as_github(problems, BASE).split("\n") if line]
    assert len(lines) == len(problems)
    assert all(line.startswith(("::error file=", "::warning file=")) and "\r" not in line for line in lines)
    for line, problem in zip(lines, problems, strict=True):
        # Read it as GitHub's runner does: a value ends at the next comma, the properties at the next "::".
        properties, _, message = line.split(" ", 1)[1].partition("::")
        file = properties.split(",")[0].removeprefix("file=")
        unescaped = file.replace("%2C", ",").replace("%3A", ":").replace("%0D", "\r").replace("%0A", "\n")
        assert Path(unescaped.replace("%25", "%")) == Path(problem.file).relative_to(BASE)
        assert message.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%").startswith(problem.message)


@given(st.lists(PROBLEMS, max_size=4))
@settings(deadline=None)
def test_sarif_holds_to_the_schema_where_it_is_strict(problems: list[Problem]) -> None:
    log: dict[str, Any] = json.loads(as_sarif(problems, BASE))
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in log["runs"][0]["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"none", "note", "warning", "error"}
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"].isascii()
        assert not set(place["artifactLocation"]["uri"]) & set(' "<>\\^`{|}')
        assert all(number >= 1 for number in place.get("region", {}).values())


def test_every_format_is_offered() -> None:
    assert set(FORMATS) == {"text", "json", "github", "sarif"}
