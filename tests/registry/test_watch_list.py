"""The entries and folders that lead to a file."""

import os
from pathlib import Path

import pytest

from devproxy.registry.watch import MOST_LINKS, signature, watch_list


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return Path(os.path.realpath(tmp_path))  # a temporary folder may itself be behind a symlink


def test_a_file_is_an_entry_of_its_folder(base: Path) -> None:
    (base / "a").mkdir()
    file = base / "a" / "registry.toml"
    for _ in range(2):
        wanted = watch_list([file])
        assert wanted.entries == {file}
        assert list(wanted.folders) == [base / "a"]
        file.write_text("")


def test_what_is_missing_is_an_entry_of_the_nearest_folder(base: Path) -> None:
    wanted = watch_list([base / "a" / "b" / "c.toml"])
    assert wanted.entries == {base / "a"}
    assert list(wanted.folders) == [base]


def test_a_file_where_a_folder_should_be(base: Path) -> None:
    (base / "a").write_text("")
    assert watch_list([base / "a" / "b.toml"]).entries == {base / "a"}


def test_every_symlink_of_a_chain_and_every_folder_that_is_one(base: Path) -> None:
    for name in ("real", "links", "other"):
        (base / name).mkdir()
    (base / "real" / "registry.toml").write_text("")
    (base / "links" / "one").symlink_to("../two")
    (base / "two").symlink_to(base / "folder" / "registry.toml")
    (base / "folder").symlink_to("other/../real")
    wanted = watch_list([base / "links" / "one"])
    assert wanted.entries == {
        base / "links" / "one",
        base / "two",
        base / "folder",
        base / "real" / "registry.toml",
    }
    assert set(wanted.folders) == {base, base / "links", base / "real"}


def test_dots_go_up_from_where_a_symlink_leads(base: Path) -> None:
    (base / "deep" / "er").mkdir(parents=True)
    (base / "link").symlink_to("deep/er")
    assert watch_list([base / "link" / ".." / "x.toml"]).entries == {base / "link", base / "deep" / "x.toml"}


def test_a_circle_comes_to_an_end(base: Path) -> None:
    (base / "a").symlink_to("b")
    (base / "b").symlink_to("a")
    assert watch_list([base / "a"]).entries == {base / "a", base / "b"}


def test_a_chain_that_is_too_long_comes_to_an_end(base: Path) -> None:
    for number in range(MOST_LINKS + 10):
        (base / f"l{number}").symlink_to(f"l{number + 1}")
    assert len(watch_list([base / "l0"]).entries) == MOST_LINKS + 1


def test_names_that_no_file_can_have(base: Path) -> None:
    wanted = watch_list([base / "a\0b"])
    assert wanted.signatures() == {base / "a\0b": None}


def test_a_folder_matters_with_what_is_in_it(base: Path) -> None:
    wanted = watch_list([base])
    assert base in wanted.folders
    assert wanted.has_any_of([base / "new.toml"])
    assert not wanted.has_any_of([base / "deep" / "er"])
    assert not watch_list([base / "file"]).has_any_of([base / "other"])


def test_a_folder_in_the_place_of_another(base: Path) -> None:
    (base / "a").mkdir()
    wanted = watch_list([base / "a" / "x"])
    assert not wanted.has_moved()
    (base / "a").rename(base / "b")
    assert wanted.has_moved()
    (base / "a").mkdir()
    assert wanted.has_moved()


def test_a_signature_tells_one_file_from_the_next(base: Path) -> None:
    (base / "a").write_text("1")
    (base / "b").write_text("1")
    assert signature(base / "a") == signature(base / "a")
    assert len({signature(base / name) for name in "abc"}) == 3
