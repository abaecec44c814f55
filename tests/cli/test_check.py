"""`devproxy check`: which files it reads as what, how it prints in each format, and its exit code."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.cli.check import as_github, as_json, as_sarif, as_text
from devproxy.problems import Problem
from tests.cli.command import Home

GOOD = 'project = "shop"\n\n[services.web]\nport = 5173\n'
BAD = 'project = "shop"\n\n[services.web]\nprot = 5173\nport = 99999\n'


def write(home: Home, name: str, text: str) -> Path:
    file = home.folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file


def test_a_good_file_is_quiet_on_stdout(home: Home) -> None:
    write(home, "devproxy.toml", GOOD)
    assert home.run("check", "devproxy.toml") == (0, "", "no problems in 1 file\n")


def test_every_problem_is_printed_as_a_compiler_does(home: Home) -> None:
    write(home, "devproxy.toml", BAD)
    done = home.run("check", "devproxy.toml")
    assert done.code == 1
    assert done.out.startswith("devproxy.toml:4:1: error: ")
    assert "\ndevproxy.toml:5:1: error: " in done.out
    assert done.err == "2 errors in 1 file\n"


def test_a_folder_stands_for_its_project_and_local_file(home: Home) -> None:
    write(home, "repo/devproxy.toml", GOOD)
    write(home, "repo/devproxy.local.toml", "[services.web]\nport = 0\n")
    done = home.run("check", "repo")
    assert (done.code, done.err) == (1, "1 error in 2 files\n")
    assert done.out.startswith("repo/devproxy.local.toml:2:1: error: ")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("registry.toml", "[proxy]\nhttp = 7080\n", ""),
        ("mine.toml", "[proxy]\nhttp = 7080\n\n[services.web]\nport = 1\n", ""),
        ("theirs.toml", GOOD, ""),
        ("devproxy.toml", "[proxy]\nhttp = 7080\n", "proxy"),
        ("devproxy.local.toml", "[services.web]\nport = 1\n", ""),
        ("other.local.toml", "[proxy]\nhttp = 7080\n", "proxy"),
        ("registry.toml", GOOD, "project"),
        ("broken.toml", "[services.web\n", "broken.toml:1:"),
        ("latin.toml", "", "latin.toml"),
    ],
)
def test_name_and_content_say_which_kind_of_file_it_is(home: Home, name: str, text: str, says: str) -> None:
    file = write(home, name, text)
    if name == "latin.toml":
        file.write_bytes(b"# caf\xe9\n[services.web]\nport = 1\n")
    done = home.run("check", name)
    assert done.code == (1 if says else 0)
    assert says in done.out


def test_a_missing_file_is_an_error_in_every_format(home: Home) -> None:
    done = home.run("check", "nowhere.toml")
    assert done == (
        1,
        "nowhere.toml: error: there is no such file [no-such-file]\n"
        "  fix: name one that is there, or a folder that has one; devproxy init writes a devproxy.toml\n",
        "1 error in 1 file\n",
    )
    assert json.loads(home.run("check", "--json", "nowhere.toml").out)[0]["code"] == "no-such-file"


def test_a_project_is_checked_for_conflicts_within_it(home: Home) -> None:
    write(home, "devproxy.toml", GOOD + '\n[services.api]\nport = 1\nhosts = ["web.shop.localhost"]\n')
    done = home.run("check", "devproxy.toml")
    assert done.code == 1
    assert "web.shop.localhost" in done.out


def test_without_a_file_everything_in_force_is_checked(home: Home) -> None:
    shop = write(home, "shop/devproxy.toml", BAD)
    home.write(f'[services.web]\nport = 0\n\n[projects.shop]\npath = "{shop}"\n')
    done = home.run("check")
    assert done.code == 1
    assert "config/registry.toml:2:1: error: " in done.out
    assert "shop/devproxy.toml:4:1: error: " in done.out
    assert done.err == "3 errors in 2 files\n"


def test_nothing_registered_is_no_problem(home: Home) -> None:
    assert home.run("check") == (0, "", "no problems in 0 files\n")


def test_json_is_a_list_on_stdout_alone(home: Home) -> None:
    file = write(home, "devproxy.toml", BAD)
    done = home.run("check", "--json", "devproxy.toml")
    assert (done.code, done.err) == (1, "")
    assert [(row["file"], row["line"], row["column"]) for row in json.loads(done.out)] == [
        (str(file), 4, 1),
        (str(file), 5, 1),
    ]
    assert done.out == home.run("check", "--format", "json", "devproxy.toml").out


def test_github_annotates_the_lines(home: Home) -> None:
    write(home, "devproxy.toml", BAD)
    done = home.run("check", "--format", "github", "devproxy.toml")
    assert done.code == 1
    assert [line.partition(",title")[0] for line in done.out.splitlines()] == [
        "::error file=devproxy.toml,line=4,col=1",
        "::error file=devproxy.toml,line=5,col=1",
    ]


def test_sarif_names_the_place(home: Home) -> None:
    write(home, "devproxy.toml", BAD)
    done = home.run("check", "--format", "sarif", "devproxy.toml")
    assert done.code == 1
    result = json.loads(done.out)["runs"][0]["results"][0]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "devproxy.toml", "uriBaseId": "SRCROOT"},
        "region": {"startLine": 4, "startColumn": 1},
    }


def test_the_same_file_twice_is_checked_once(home: Home) -> None:
    write(home, "devproxy.toml", BAD)
    assert home.run("check", "devproxy.toml", ".", "./devproxy.toml").err == "2 errors in 1 file\n"


# Problems as text, JSON, GitHub workflow commands and SARIF 2.1.0


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
