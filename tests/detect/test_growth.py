"""What looking at a repository costs, counted in calls, not in seconds: it grows no faster than what is looked at."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from devproxy.detect import files, globs, python
from devproxy.detect.compose import look as look_at_compose
from devproxy.detect.files import members
from devproxy.detect.scripts import package_scripts
from devproxy.programs.scripts import ScriptCall
from tests.detect.checkout import write
from tests.operations import operations


def test_a_dotted_key_of_any_length_is_refused_after_the_same_few_steps(tmp_path: Path) -> None:
    """tomllib's time grows with the square of it: it is not asked at all."""
    counted = []
    for parts in (100, 100_000):
        write(tmp_path, {"pyproject.toml": f"[{'.'.join(['a'] * parts)}]\n"})
        counted.append(operations(lambda: python.look(tmp_path)))
    assert counted[0] == pytest.approx(counted[1], rel=0.05)


def test_links_to_the_folder_itself_are_not_followed(tmp_path: Path) -> None:
    """Three of them make 3^20 ways to the same place; to a walk that follows links each is another."""
    write(tmp_path, {"package.json": '{"workspaces": ["' + "/".join("*" * 20) + '", "**"]}', "apps/web/x": ""})
    counted = []
    for name in ("none", "a", "b", "c"):
        if name != "none":
            (tmp_path / name).symlink_to(".")
        read = package_scripts(tmp_path)
        counted.append(operations(lambda: read("", ScriptCall("dev", package="evil"))))  # noqa: B023  (called at once)
    one, two, three = (after - before for before, after in pairwise(counted))
    assert three <= 1.2 * one
    assert two <= 1.2 * one


def test_a_glob_tries_no_way_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def counted(part: re.Pattern[str], name: str) -> bool:
        compared.append(name)
        return part.fullmatch(name) is not None

    monkeypatch.setattr(globs, "_matches", counted)
    deep = "/".join(["a" * 100] * files.DEEPEST)
    write(tmp_path, {f"{deep}/package.json": "{}"})
    patterns = ["**/a*/**/a*/b", "**/**/**/b", "*a*a*b", "a" * 100 + "/*a*a*b"] * 100
    assert members(tmp_path, patterns, "package.json") == []
    assert len(compared) <= globs.MOST_GLOBS * files.DEEPEST * (files.DEEPEST + 1) * 6


def test_members_are_bounded_in_number_and_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {f"p/{name}/package.json": "x" * 100 for name in "abcdef"})
    monkeypatch.setattr(files, "MOST_MEMBERS", 4)
    assert len(members(tmp_path, ["p/*"], "package.json")) == 4
    monkeypatch.setattr(files, "MOST_BYTES", 250)
    assert len(members(tmp_path, ["p/*"], "package.json")) == 2


def test_a_command_names_no_more_services_than_a_person_reads(tmp_path: Path) -> None:
    chain = "".join(f"  s{n}: {{depends_on: [s{n + 1}, db]}}\n" for n in range(3000))
    web = "".join(f"  w{n}: {{ports: ['${{P:-80}}:80'], depends_on: [s0]}}\n" for n in range(1000))
    write(tmp_path, {"compose.yaml": f"services:\n  db: {{ports: ['5432:5432']}}\n{web}{chain}"})
    services = look_at_compose(tmp_path).services
    assert len(services) == 1001
    assert {len(service.command or ()) for service in services} == {5}


def test_an_entry_of_ports_is_not_searched_from_each_of_its_beginnings(tmp_path: Path) -> None:
    """It is too long for a port: no expression looks at it."""
    write(tmp_path, {"compose.yaml": "services:\n  a:\n    ports:\n    - '" + "${a-" * 100_000 + "'\n"})
    assert look_at_compose(tmp_path).services == ()
