"""Scripts are found in the package that a command means, and broken files are no packages."""

import json
from pathlib import Path

import pytest

from devproxy.run.command import reader


def package(folder: Path, **content: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps(content), "utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    package(tmp_path, workspaces=["packages/*", "!x", "/y", "../z"], scripts={"dev": "root"})
    package(tmp_path / "packages/web", name="@acme/web", scripts={"dev": "vite"})
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "workspace", "script", "text"),
    [
        ("", "", "dev", "root"),
        ("", "", "missing", None),
        ("packages/web", "", "dev", "vite"),
        ("", "@acme/web", "dev", "vite"),
        ("", "packages/web", "dev", "vite"),
        ("", "nobody", "dev", None),
        ("missing", "", "dev", None),
    ],
)
def test_the_script_of_the_package_that_is_meant(
    root: Path, folder: str, workspace: str, script: str, text: str | None
) -> None:
    assert reader(root)(folder, workspace, script) == text


def test_pnpm_has_a_file_of_its_own(root: Path) -> None:
    package(root)
    (root / "pnpm-workspace.yaml").write_text("# ours\npackages:\n  - 'packages/*' # all\ncatalog: {}\n", "utf-8")
    assert reader(root)("", "@acme/web", "dev") == "vite"


@pytest.mark.parametrize(
    "text",
    [
        "packages: [\n  'packages/*',\n]\n",
        "catalog: &all\n  - packages/*\npackages: *all\n",
        'packages:\n- "packages/\\u002a"\n',
        "packages:\n  - >-\n    packages/*\n",
    ],
)
def test_every_way_to_write_a_list_in_yaml_is_read(root: Path, text: str) -> None:
    package(root)
    (root / "pnpm-workspace.yaml").write_text(text, "utf-8")
    assert reader(root)("", "@acme/web", "dev") == "vite"


@pytest.mark.parametrize("text", ["packages: [", "packages: 1", "- a", "packages:\n  - [packages/*]\n", "\x00"])
def test_a_broken_workspace_has_no_members(root: Path, text: str) -> None:
    package(root)
    (root / "pnpm-workspace.yaml").write_text(text, "utf-8")
    assert reader(root)("", "@acme/web", "dev") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"scripts": []}', '{"scripts": {"dev": 1}}', "[" * 100_000, "\xff"])
def test_a_broken_file_has_no_scripts(tmp_path: Path, text: str) -> None:
    (tmp_path / "package.json").write_text(text, "latin-1")
    assert reader(tmp_path)("", "", "dev") is None
