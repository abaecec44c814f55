"""What the build backend does where this machine can compile, where it can't, and where it is told what is wanted."""

import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from devproxy import __version__
from tests import require
from tests.packaging.checkout import HOOK, call, files, small

GRAMMAR = "def words(line: str) -> int:\n    return len(line.split())\n"
WRONG = "def words(line: str) -> int:\n    return line.split()\n"
PURE = f"loopback_devproxy-{__version__}-py3-none-any.whl"
NO_COMPILER = {"CC": "/nonexistent/cc"}
NO_HEADERS = "import sysconfig; sysconfig.get_path = lambda *_: '/nonexistent'\n"
NO_MYPY = "import sys; sys.modules['mypy'] = sys.modules['mypyc'] = None\n"
OTHER_PYTHON = "import sys; sys.implementation.name = 'pypy'\n"
NOT_TESTED = "import sys; sys.path.append('packaging'); import build_backend as b; b._PROVEN = ((3, 5), (3, 6))\n"
COSTS = "devproxy is installed as interpreted Python, which works the same and costs more CPU: "
REFUSED = "devproxy can't be compiled here: "

lacking = pytest.mark.parametrize(
    ("before", "environment", "reason"),
    [
        ("", NO_COMPILER, "the C compiler '/nonexistent/cc' is not there or does not work (Debian: gcc and libc6-dev)"),
        ("", {"CC": "false"}, "the C compiler 'false' is not there or does not work (Debian: gcc and libc6-dev)"),
        (NO_HEADERS, {}, "Python's headers are not installed (Debian: python3-dev)"),
        (OTHER_PYTHON, {}, "mypyc compiles for CPython, and this is pypy"),
    ],
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return small(tmp_path, GRAMMAR)


@lacking
def test_where_nothing_can_be_compiled_auto_packs_the_source_and_says_so_in_one_line(
    checkout: Path, before: str, environment: dict[str, str], reason: str
) -> None:
    done = call(checkout, "build_wheel", "out", before=before, **environment)
    assert (done.code, done.returned, done.err) == (0, PURE, f"{COSTS}{reason}\n")


def test_a_python_that_nothing_was_tested_with_compiles_only_if_asked(checkout: Path) -> None:
    done = call(checkout, "build_wheel", "out", before=NOT_TESTED, CC="gcc")
    reason = "what is compiled is tested with CPython 3.5 to 3.6 only (DEVPROXY_BUILD=compiled compiles all the same)"
    assert (done.code, done.returned, done.err) == (0, PURE, f"{COSTS}{reason}\n")


@lacking
def test_and_compiled_fails_in_one_line(checkout: Path, before: str, environment: dict[str, str], reason: str) -> None:
    done = call(checkout, "build_wheel", "out", before=before, DEVPROXY_BUILD="compiled", **environment)
    assert (done.code, done.err) == (1, f"{REFUSED}{reason}\n")
    assert not (checkout / "out").exists()


@pytest.mark.parametrize("hook", ["build_wheel", "get_requires_for_build_wheel"])
@pytest.mark.parametrize("wanted", ["fast", "", "Compiled", "1"])
def test_another_word_is_an_error_that_names_all(checkout: Path, hook: str, wanted: str) -> None:
    arguments = ["out"] if hook == "build_wheel" else []
    done = call(checkout, hook, *arguments, DEVPROXY_BUILD=wanted)
    assert (done.code, done.err) == (1, f"DEVPROXY_BUILD is {wanted!r}; it is one of auto, compiled, interpreted\n")


def test_mypyc_is_needed_only_where_it_will_compile(checkout: Path) -> None:
    require.program("gcc")
    compiles = call(checkout, "get_requires_for_build_wheel", CC="gcc", DEVPROXY_BUILD="compiled").returned
    for needed in (*HOOK["dependencies"], "msgspec>=0.19"):
        assert repr(needed) in compiles
    assert call(checkout, "get_requires_for_build_wheel", DEVPROXY_BUILD="interpreted").returned == "[]"
    assert call(checkout, "get_requires_for_build_wheel", **NO_COMPILER).returned == "[]"


@pytest.mark.parametrize("wanted", ["auto", "compiled", "interpreted"])
def test_an_editable_install_is_never_compiled(checkout: Path, wanted: str) -> None:
    before = files(checkout)
    assert "mypy" not in call(checkout, "get_requires_for_build_editable", DEVPROXY_BUILD=wanted).returned
    done = call(checkout, "build_editable", "out", before=NO_MYPY, DEVPROXY_BUILD=wanted)
    assert (done.code, done.returned, done.err) == (0, PURE, "")
    with zipfile.ZipFile(checkout / "out" / PURE) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".pth"))
        assert archive.read(path).decode().strip() == str(checkout)
    assert files(checkout) - before == {f"out/{PURE}"}


def test_what_is_named_is_compiled_and_nothing_stays_in_the_checkout(checkout: Path) -> None:
    require.program("gcc")
    before = files(checkout)
    done = call(checkout, "build_wheel", str(checkout / "out"), DEVPROXY_BUILD="compiled", CC="gcc")
    assert done.code == 0, done.err
    assert files(checkout) - before == {f"out/{done.returned}"}
    with zipfile.ZipFile(checkout / "out" / done.returned) as archive:
        assert {f"devproxy/http1/grammar{EXTENSION_SUFFIXES[0]}", "devproxy/http1/grammar.py"} < {*archive.namelist()}


def test_a_build_that_fails_in_the_middle_packs_the_source_with_the_reason_in_one_line(tmp_path: Path) -> None:
    require.program("gcc")
    checkout = small(tmp_path, WRONG)
    before = files(checkout)
    done = call(checkout, "build_wheel", str(checkout / "out"), CC="gcc")
    assert (done.code, done.returned) == (0, PURE), done.err
    (line,) = done.err.splitlines()
    assert line.startswith(f"{COSTS}compiling failed: devproxy/http1/grammar.py:2: error: ")
    assert files(checkout) - before == {f"out/{PURE}"}
    wanted = call(checkout, "build_wheel", str(checkout / "out"), DEVPROXY_BUILD="compiled", CC="gcc")
    assert wanted.code == 1
    assert "grammar.py:2: error: " in wanted.err
