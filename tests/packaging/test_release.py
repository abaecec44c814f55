"""What a tag would build: the wheels that cibuildwheel is set to make, and the jobs of the workflow that makes them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import require
from tests.packaging.checkout import ROOT, SETTINGS
from tests.waiting import PROGRAM_DEADLINE

PYTHONS = ("cp311", "cp312", "cp313", "cp314")
MACHINES = {
    ("linux", "x86_64"): ("manylinux_x86_64", "musllinux_x86_64"),
    ("linux", "aarch64"): ("manylinux_aarch64", "musllinux_aarch64"),
    ("macos", "x86_64"): ("macosx_x86_64",),
    ("macos", "arm64"): ("macosx_arm64",),
    ("windows", "AMD64"): ("win_amd64",),
}
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    return loaded["jobs"]  # type: ignore[no-any-return]


def identifiers(folder: Path, *argv: str) -> list[str]:
    """What cibuildwheel would build; it runs in `folder`, as it looks there for files of its own."""
    require.module("cibuildwheel")
    command = [sys.executable, "-m", "cibuildwheel", *argv, "--print-build-identifiers", str(ROOT)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PROGRAM_DEADLINE, check=False)
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.split())


@pytest.mark.parametrize("platform", ["linux", "macos", "windows"])
def test_each_platform_gets_a_wheel_a_python(tmp_path: Path, platform: str) -> None:
    tags = [tag for (where, _), found in MACHINES.items() if where == platform for tag in found]
    assert identifiers(tmp_path, "--platform", platform) == sorted(f"{p}-{tag}" for p in PYTHONS for tag in tags)


def test_the_jobs_build_each_of_them_once(jobs: dict[str, Any]) -> None:
    rows = jobs["compiled"]["strategy"]["matrix"]["include"]
    assert sorted((row["platform"], row["archs"]) for row in rows) == sorted(MACHINES)


def test_nothing_is_published_without_a_tag_or_before_all_is_built(jobs: dict[str, Any]) -> None:
    for name in ("release", "publish"):
        assert jobs[name]["if"] == "github.ref_type == 'tag'"
    assert sorted(jobs["release"]["needs"]) == ["compiled", "pure"]
    assert jobs["publish"]["needs"] == "release"


def test_only_the_jobs_that_need_rights_have_them(jobs: dict[str, Any]) -> None:
    """And the one that may publish runs no code of this repository."""
    rights = {name: job.get("permissions", {}) for name, job in jobs.items()}
    release = {"attestations": "write", "contents": "write", "id-token": "write"}
    assert rights == {"compiled": {}, "pure": {}, "release": release, "publish": {"id-token": "write"}}
    assert not [step for step in jobs["publish"]["steps"] if "run" in step or "checkout" in step["uses"]]


def test_a_compiled_wheel_is_asked_for_and_tried() -> None:
    settings = SETTINGS["tool"]["cibuildwheel"]
    assert settings["environment"] == {"DEVPROXY_BUILD": "compiled"}
    said, demo = settings["test-command"]
    assert demo == "devproxy demo"
    code = said.strip().removeprefix('python -c "').removesuffix('"')
    for build, good in (("compiled", True), ("interpreted", False)):
        planted = f"import devproxy.build; devproxy.build.own_build = lambda: {build!r}\n{code}"
        done = subprocess.run([sys.executable, "-c", planted], cwd=ROOT, capture_output=True, check=False, timeout=60)
        assert (done.returncode == 0) == good
