"""What is in force of each file, through mistakes, disappearances and returns."""

import os
import subprocess
import sys

import pytest

from devproxy.registry.decode import decode_user
from devproxy.registry.loader import GRACE, read, read_as
from devproxy.registry.model import Registry
from tests.registry.home import LINK, Home, ports
from tests.waiting import DEADLINE


def test_nothing_there_is_an_empty_registry(home: Home) -> None:
    assert home.loader.load() == Registry()
    assert home.loader.files == (home.paths.registry,)
    assert home.loader.again_in is None


def test_the_files_that_matter_are_there_or_not(shop: Home) -> None:
    linked = shop.paths.config / ".." / "shop" / "devproxy.toml"
    assert [os.path.realpath(file) for file in shop.loader.files] == [
        str(shop.paths.registry),
        str(shop.shop),
        str(shop.local),
    ]
    assert linked.exists()
    assert not shop.local.exists()


def test_the_local_file_overrides_the_one_beside_it(shop: Home) -> None:
    shop.local.write_text("[services.web]\nport = 5001\n")
    assert shop.load()["web.shop"] == 5001
    shop.local.unlink()
    shop.load()
    shop.clock.now += GRACE
    assert shop.load()["web.shop"] == 5000


def test_links_from_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home.shop.parent.parent))
    monkeypatch.setenv("USERPROFILE", str(home.shop.parent.parent))
    home.write('[projects.shop]\npath = "~/shop/devproxy.toml"\n')
    home.shop.write_text('project = "shop"\n[services.web]\nport = 5000\n')
    assert home.load() == {"web.shop": 5000}


def test_a_home_that_nobody_has_is_a_missing_file(home: Home) -> None:
    home.write('[projects.shop]\npath = "~nobody-has-this-name/devproxy.toml"\n')
    assert home.codes == ["missing-project-file"]


# Mistakes


@pytest.mark.parametrize("mistake", ["[services.app\n", "[services.app]\nport = 70000\n", "[services.app]\nprot = 1\n"])
def test_a_mistake_leaves_the_last_good_content_of_that_file_alone(shop: Home, mistake: str) -> None:
    shop.write(mistake)
    shop.shop.write_text('project = "shop"\n[services.web]\nport = 5001\n')
    assert shop.load() == {"app": 3000, "web.shop": 5001}
    [problem] = shop.loader.load().problems
    assert problem.file == str(shop.paths.registry)
    assert problem.line in (1, 2)
    shop.write("[services.app]\nport = 3001\n" + LINK)
    assert shop.load() == {"app": 3001, "web.shop": 5001}
    assert shop.codes == []


def test_a_mistake_in_a_project_leaves_the_others_alone(shop: Home) -> None:
    shop.shop.write_text("project = 1\n")
    shop.write("[services.app]\nport = 3001\n" + LINK)
    assert shop.load() == {"app": 3001, "web.shop": 5000}
    assert {problem.file for problem in shop.loader.load().problems} == {shop.loader.files[1].as_posix()}


def test_a_file_that_was_never_right_is_in_force_as_far_as_it_is_valid(home: Home) -> None:
    home.write("[services.a]\nport = 1000\n[services.b]\nport = 0\n")
    assert home.load() == {"a": 1000}
    assert len(home.codes) == 1
    home.write("[services.a]\nport = 1001\n[services.c]\nport = 0\n[services.d]\nport = 0\n")
    assert home.load() == {"a": 1001}
    assert len(home.codes) == 2
    home.write("[services.a")
    assert home.load() == {"a": 1001}
    assert len(home.codes) == 1
    home.write("[services.b]\nport = 0\n[services.e]\nport = 1002\n")
    assert home.load() == {"e": 1002}
    home.write("")
    home.clock.now += GRACE
    home.load()
    home.clock.now += GRACE
    assert home.load() == {}


def test_a_warning_does_not_hold_a_file_back(shop: Home) -> None:
    shop.write('[proxy]\ntlds = ["localhost", "dev"]\n[services.app]\nport = 3001\n' + LINK)
    assert shop.load()["app"] == 3001
    assert [problem.severity for problem in shop.loader.load().problems] == ["warning"]


def test_a_link_taken_out_and_put_back_starts_anew(shop: Home) -> None:
    shop.write("[services.app]\nport = 3000\n")
    assert shop.load() == {"app": 3000}
    shop.shop.write_text("[")
    shop.write("[services.app]\nport = 3000\n" + LINK)
    assert shop.load() == {"app": 3000}


# Gone for a moment, and gone for good


def test_the_same_files_give_the_same_registry(shop: Home) -> None:
    first = shop.loader.load()
    shop.shop.write_text(shop.shop.read_text())
    assert shop.loader.load() is first
    shop.shop.write_text(shop.shop.read_text() + "# more\n")
    assert shop.loader.load() == first


def test_a_registry_is_made_anew_for_other_own_ports(shop: Home) -> None:
    shop.loader.own_ports = (3000,)
    assert shop.codes


def test_ten_thousand_services(home: Home) -> None:
    home.write("".join(f"[services.s{number}]\nport = {10_000 + number}\n" for number in range(10_000)))
    loaded = home.load()
    assert len(loaded) == 10_000
    assert loaded["s9999"] == 19_999


# For commands


def test_reading_once(shop: Home) -> None:
    assert ports(read(shop.paths)) == {"app": 3000, "web.shop": 5000}


def test_the_registry_as_it_would_be(shop: Home) -> None:
    assert ports(read_as(shop.paths, decode_user(LINK, str(shop.paths.registry)))) == {"web.shop": 5000}
    assert read_as(shop.paths, decode_user("[", str(shop.paths.registry))).problems[0].file == str(shop.paths.registry)
    assert ports(read(shop.paths)) == {"app": 3000, "web.shop": 5000}


def test_loading_needs_none_of_the_slow_imports() -> None:
    code = """
import sys
from devproxy.registry import edit, loader
from devproxy.storage import files
slow = {"asyncio", "aiohttp", "tomlkit", "watchfiles", "psutil", "rich", "click"} & set(sys.modules)
sys.exit(str(slow) if slow else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=DEADLINE)


# What is in force of a file that is away, half written, empty or unreadable. Mistakes: `test_loader.py`


def test_a_project_file_that_vanishes_for_a_moment_loses_nothing(shop: Home) -> None:
    text = shop.shop.read_text()
    shop.shop.unlink()
    assert shop.load() == {"app": 3000, "web.shop": 5000}
    assert shop.loader.again_in == pytest.approx(GRACE)
    shop.clock.now += GRACE * 0.9
    assert shop.load() == {"app": 3000, "web.shop": 5000}
    assert shop.loader.again_in == pytest.approx(GRACE * 0.1)
    assert shop.codes == []
    shop.shop.write_text(text)
    shop.clock.now += GRACE
    assert shop.load() == {"app": 3000, "web.shop": 5000}
    assert shop.loader.again_in is None


def test_a_project_file_that_stays_away_is_a_problem_of_its_link(shop: Home) -> None:
    shop.shop.unlink()
    shop.load()
    shop.clock.now += GRACE
    assert shop.load() == {"app": 3000}
    [problem] = shop.loader.load().problems
    assert (problem.code, problem.file, problem.line) == ("missing-project-file", str(shop.paths.registry), 4)
    assert "devproxy unlink shop" in problem.fix
    assert shop.loader.again_in is None
    shop.shop.write_text('project = "shop"\n[services.web]\nport = 5001\n')
    assert shop.load() == {"app": 3000, "web.shop": 5001}
    assert shop.codes == []


def test_a_link_to_nothing_is_a_problem_at_once(home: Home) -> None:
    home.write(LINK)
    assert home.load() == {}
    assert home.codes == ["missing-project-file"]
    assert home.loader.again_in is None


def test_the_user_registry_deleted_and_restored(shop: Home) -> None:
    text = shop.paths.registry.read_text()
    shop.paths.registry.unlink()
    assert shop.load() == {"app": 3000, "web.shop": 5000}
    shop.clock.now += GRACE
    assert shop.load() == {}
    assert shop.codes == []
    shop.write(text)
    assert shop.load() == {"app": 3000, "web.shop": 5000}


@pytest.mark.parametrize("rest", ["", "\n \n"])
def test_a_file_in_the_middle_of_being_written_loses_nothing(shop: Home, rest: str) -> None:
    shop.write(rest)
    assert shop.load() == {"app": 3000, "web.shop": 5000}
    assert shop.loader.again_in == pytest.approx(GRACE)
    shop.write("[services.app]\nport = 3001\n")
    assert shop.load() == {"app": 3001}
    assert shop.loader.again_in is None


def test_a_user_registry_emptied_on_purpose_is_empty(shop: Home) -> None:
    shop.write("")
    shop.load()
    shop.clock.now += GRACE
    assert shop.load() == {}
    assert shop.loader.again_in is None


def test_an_empty_project_file_is_a_mistake_and_changes_nothing(shop: Home) -> None:
    shop.shop.write_text("")
    shop.load()
    shop.clock.now += GRACE
    assert shop.load() == {"app": 3000, "web.shop": 5000}
    assert shop.codes


def test_a_file_that_never_held_anything_is_not_waited_for(home: Home) -> None:
    home.write("")
    assert home.load() == {}
    home.paths.registry.unlink()
    assert home.load() == {}
    assert home.loader.again_in is None


# What is no file


@pytest.mark.parametrize(
    ("kind", "code"), [("folder", "not-a-file"), ("pipe", "not-a-file"), ("bytes", "not-utf-8"), ("huge", "too-large")]
)
def test_what_cannot_be_read_leaves_the_last_good_content(shop: Home, kind: str, code: str) -> None:
    text = shop.shop.read_text()
    shop.shop.unlink()
    if kind == "folder":
        shop.shop.mkdir()
    elif kind == "pipe":
        os.mkfifo(shop.shop)
    else:
        shop.shop.write_bytes(b"\xff" if kind == "bytes" else b"#" * 5_000_000)
    assert shop.load() == {"app": 3000, "web.shop": 5000}
    assert shop.codes == [code]
    shop.shop.rmdir() if kind == "folder" else shop.shop.unlink()
    shop.shop.write_text(text)
    assert shop.load() == {"app": 3000, "web.shop": 5000}
    assert shop.codes == []


def test_what_could_never_be_read_is_no_missing_file(home: Home) -> None:
    home.write(LINK)
    home.shop.mkdir()
    assert home.codes == ["not-a-file"]


# Cheap when nothing changed
