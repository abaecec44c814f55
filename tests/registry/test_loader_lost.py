"""What is in force of a file that is away, half written, empty or unreadable. Mistakes: `test_loader.py`."""

import os

import pytest

from devproxy.registry.loader import GRACE
from tests.registry.home import LINK, Home


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
