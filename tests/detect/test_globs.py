"""`detect/globs.py`: which folders the globs of a workspace mean, and that none of them can hold up a command."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.detect.globs import GlobSet

FOLDERS = ["apps", "apps/web", "apps/api", "apps/web/e2e", "packages/ui", "packages/core", "libs/x/src", "web"]


@pytest.mark.parametrize(
    ("globs", "meant"),
    [
        (["apps/*"], ["apps/web", "apps/api"]),
        (["./apps/*/"], ["apps/web", "apps/api"]),
        (["{apps,packages}/*"], ["apps/web", "apps/api", "packages/ui", "packages/core"]),
        (["{apps/{web,api},packages/ui}"], ["apps/web", "apps/api", "packages/ui"]),
        (["@(apps|packages)/*"], ["apps/web", "apps/api", "packages/ui", "packages/core"]),
        (["+(apps|packages)/*"], ["apps/web", "apps/api", "packages/ui", "packages/core"]),
        (["apps/!(web)"], ["apps/api"]),
        (["?(x)web"], ["web"]),
        (["apps/[aw]*"], ["apps/web", "apps/api"]),
        (["apps/[!a]*"], ["apps/web"]),
        (["a?ps/w*"], ["apps/web"]),
        (["apps/**"], ["apps", "apps/web", "apps/api", "apps/web/e2e"]),
        (["**/web"], ["apps/web", "web"]),
        (["**/src", "libs/**/x"], ["libs/x/src"]),
        (["apps/*", "!apps/web"], ["apps/api"]),
        (["**", "!**/{web,e2e}", "!{libs,packages}/**"], ["apps", "apps/api"]),
        (["!!apps/web"], ["apps/web"]),
        (["APPS/*", "../*", "/etc/*", "apps/../*", "", ".", "!apps/*"], []),
    ],
)
def test_what_is_meant(globs: list[str], meant: list[str]) -> None:
    found = GlobSet(globs)
    assert [folder for folder in FOLDERS if found.fits(folder.split("/"))] == meant
    assert found.refused == []


@pytest.mark.parametrize(
    "glob",
    ["*a*a*a*a*", "+(a|aa)b", "*(*)b", "+(+(a))", "+(a)+(a)", "{1..100000}", "{a,b}" * 30, "a" * 2000, "!*a*a*a*a*"],
)
def test_what_would_cost_too_much_is_refused(glob: str) -> None:
    found = GlobSet([glob, "apps/*"])
    assert found.refused == [glob]
    assert found.fits(["apps", "web"])


@given(
    st.lists(st.text(st.sampled_from("ab*?[]!-{},.()@+|/\\^"), max_size=24), max_size=4),
    st.lists(st.text("ab", min_size=1, max_size=60), min_size=1, max_size=5),
)
def test_any_text_is_a_glob(globs: list[str], path: list[str]) -> None:
    assert GlobSet(globs).fits(path) in {True, False}


@given(st.lists(st.text("abc.-_", min_size=1, max_size=6), min_size=1, max_size=5))
def test_a_path_fits_itself(path: list[str]) -> None:
    if not {".", ".."} & set(path):
        assert GlobSet(["/".join(path)]).fits(path)
        assert GlobSet(["/".join(path)]).fits([*path, "x"]) is False
        assert GlobSet(["**"]).fits(path)
