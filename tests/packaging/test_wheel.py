"""The wheel that people get: the one that was compiled, in a run on the compiled build, else one that is made here."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import devproxy
from devproxy import __version__
from tests.imported import imported_build
from tests.packaging.checkout import HOOK, ROOT, call, files, whole
from tests.waiting import PROGRAM_DEADLINE

PACKAGE = Path(devproxy.__file__).parent
IMPORT_ALL = (
    "import importlib, pathlib, pkgutil, devproxy\n"
    "for found in pkgutil.walk_packages(devproxy.__path__, 'devproxy.'):\n"
    "    '__main__' in found.name or importlib.import_module(found.name)\n"
    "print(pathlib.Path(devproxy.__file__).parent)"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if imported_build() == "compiled":
        (made,) = (ROOT / ".cache" / "compiled" / "wheel").glob("*.whl")
        return made
    checkout, out = whole(tmp_path_factory.mktemp("checkout")), tmp_path_factory.mktemp("wheel")
    before = files(checkout)
    done = call(checkout, "build_wheel", str(out), DEVPROXY_BUILD="interpreted")
    assert (done.code, done.err) == (0, "")
    assert files(checkout) == before
    return out / done.returned


def said(folder: Path, *command: str) -> str:
    """What a command prints that is run in `folder`, and that has to end well."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("DEVPROXY", "PYTHON"))}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=PROGRAM_DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def compiled_modules() -> set[str]:
    """What the hook's `include` names, as `devproxy/http1/grammar`."""
    found = [path for pattern in HOOK["include"] for path in ROOT.glob(pattern.removeprefix("/"))]
    return {path.relative_to(ROOT).with_suffix("").as_posix() for path in found}


def test_it_contains_all_that_the_package_has_and_nothing_else(wheel: Path) -> None:
    here = {f"devproxy/{name}" for name in files(PACKAGE) if not name.endswith((".so", ".pyd"))}
    assert {"devproxy/py.typed", "devproxy/control/static/dashboard.css"} < here
    info = f"loopback_devproxy-{__version__}.dist-info/"
    parts = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    sources = {name for name in names(wheel) if not name.endswith((".so", ".pyd"))}
    assert sources == here | {info + part for part in parts}


def test_its_name_says_where_it_runs(wheel: Path) -> None:
    tag = wheel.stem.removeprefix(f"loopback_devproxy-{__version__}-")
    if imported_build() == "interpreted":
        assert tag == "py3-none-any"
    else:
        python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
        assert tag.startswith(f"{python}-{python}-{sysconfig.get_platform().partition('-')[0]}")


def test_all_of_the_data_path_is_compiled_or_nothing(wheel: Path) -> None:
    extensions = {name for name in names(wheel) if name.endswith((".so", ".pyd"))}
    if imported_build() == "interpreted":
        assert not extensions
        return
    suffix = EXTENSION_SUFFIXES[0]
    assert extensions == {f"{name}{suffix}" for name in [*compiled_modules(), "devproxy__mypyc"]}


def test_it_says_that_it_has_types_and_what_it_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"loopback_devproxy-{__version__}.dist-info/METADATA").decode()
        scripts = archive.read(f"loopback_devproxy-{__version__}.dist-info/entry_points.txt").decode()
    for line in ("Requires-Python: >=3.11", "License-Expression: MIT", "Requires-Dist: mypy-extensions>=1.0"):
        assert f"\n{line}\n" in metadata
    assert scripts.split() == ["[console_scripts]", "devproxy", "=", "devproxy.__main__:main"]


def test_it_imports_and_serves_from_a_clean_folder(wheel: Path, tmp_path: Path) -> None:
    home, clean = tmp_path / "venv", tmp_path / "clean"
    clean.mkdir()
    venv.create(home, symlinks=os.name != "nt")
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    python = str(scripts / "python")
    said(clean, sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", str(wheel))
    own = said(clean, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    # Where the tests run has all dependencies, and another devproxy that this one goes before.
    Path(own, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    assert Path(said(clean, python, "-c", IMPORT_ALL).strip()) == Path(own, "devproxy")
    command = str(scripts / "devproxy")
    assert said(clean, command, "--version") == f"devproxy {__version__} ({imported_build()})\n"
    assert "It works" in said(clean, command, "demo")
    assert list(clean.iterdir()) == []


def test_the_sdist_builds_again_to_the_same_wheel(tmp_path: Path) -> None:
    checkout, out = whole(tmp_path / "checkout"), tmp_path / "out"
    done = call(checkout, "build_sdist", str(out))
    assert (done.code, done.err) == (0, "")
    with tarfile.open(out / done.returned) as archive:
        archive.extractall(out, filter="data")
    unpacked = out / f"loopback_devproxy-{__version__}"
    assert files(unpacked) - files(checkout) == {"PKG-INFO"}
    assert {
        "packaging/build_backend.py",
        ".github/workflows/release.yml",
        "Makefile",
        "LICENSE",
        "devproxy/py.typed",
    } < files(unpacked)
    shutil.rmtree(checkout)
    done = call(unpacked, "build_wheel", str(out), DEVPROXY_BUILD="interpreted")
    assert (done.code, done.returned) == (0, f"loopback_devproxy-{__version__}-py3-none-any.whl"), done.err
    here = {f"devproxy/{name}" for name in files(PACKAGE) if not name.endswith((".so", ".pyd"))}
    assert {name for name in names(out / done.returned) if name.startswith("devproxy/")} == here
