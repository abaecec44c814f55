"""`devproxy check`: which files it reads as what, how it prints, and its exit code."""

import json
from pathlib import Path

import pytest

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
    assert done == (1, "nowhere.toml: error: there is no such file [no-such-file]\n", "1 error in 1 file\n")
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
