"""Which build runs: told by what lies in the folder, and so as Python imports it."""

from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import Path

import pytest

from devproxy import __version__
from devproxy.build import build_of, own_build, own_version, version_and_build
from tests.imported import imported_build

SOURCE = ("grammar.py",)


def test_it_is_what_was_imported_here() -> None:
    assert own_build() == imported_build()
    assert own_version() == f"{__version__} ({imported_build()})"


@pytest.mark.parametrize(
    ("names", "build"),
    [
        (SOURCE, "interpreted"),
        *(((*SOURCE, f"grammar{suffix}"), "compiled") for suffix in EXTENSION_SUFFIXES),
        ((*SOURCE, f"other{EXTENSION_SUFFIXES[0]}"), "interpreted"),
        ((*SOURCE, "grammar.cpython-27-pdp11.so"), "interpreted"),  # another Python's
    ],
)
def test_an_extension_goes_before_a_source_as_in_an_import(tmp_path: Path, names: tuple[str, ...], build: str) -> None:
    (tmp_path / "http1").mkdir()
    for name in names:
        (tmp_path / "http1" / name).touch()
    assert build_of(tmp_path) == build
    spec = PathFinder.find_spec("grammar", [str(tmp_path / "http1")])
    assert spec is not None
    assert spec.origin is not None
    assert ("interpreted" if spec.origin.endswith(".py") else "compiled") == build


def test_a_proxy_that_does_not_say_its_build_has_a_version_alone() -> None:
    assert version_and_build("0.1.0", "") == version_and_build("0.1.0", None) == "0.1.0"
