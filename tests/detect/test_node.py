"""package.json and the workspaces of the package managers."""

import json
from pathlib import Path

import pytest

from devproxy.detect.node import look
from tests.detect.checkout import write


def package(**keys: object) -> str:
    return json.dumps(keys)


def test_a_single_package(tmp_path: Path) -> None:
    write(tmp_path, {"package.json": package(name="@acme/shop", scripts={"build": "x", "start": "y", "dev": "vite"})})
    seen = look(tmp_path)
    (web,) = seen.services
    assert (seen.project, web.name, web.command, web.cwd, web.port) == ("shop", "web", "npm run dev", ".", None)
    assert web.origin == "package.json: scripts.dev"


@pytest.mark.parametrize(
    ("files", "manager"),
    [
        ({"pnpm-lock.yaml": ""}, "pnpm"),
        ({"yarn.lock": ""}, "yarn"),
        ({"bun.lock": ""}, "bun"),
        ({"package-lock.json": ""}, "npm"),
        ({}, "npm"),
    ],
)
def test_the_package_manager_is_the_one_with_a_lock_file(tmp_path: Path, files: dict[str, str], manager: str) -> None:
    write(tmp_path, {"package.json": package(scripts={"dev": "vite"}), **files})
    assert look(tmp_path).services[0].command == f"{manager} run dev"


def test_corepacks_word_comes_first(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"package.json": package(packageManager="yarn@4.1.0", scripts={"dev": "vite"}), "package-lock.json": "{}"},
    )
    assert look(tmp_path).services[0].command == "yarn run dev"


@pytest.mark.parametrize("declared", [["apps/*", "packages/*"], {"packages": ["apps/*", "packages/*"]}])
def test_workspaces_of_npm_and_yarn(tmp_path: Path, declared: object) -> None:
    write(
        tmp_path,
        {
            "package.json": package(name="mono", workspaces=declared, scripts={"dev": "turbo dev"}),
            "apps/web/package.json": package(name="@mono/web", scripts={"dev": "next dev -p 4100"}),
            "apps/api/package.json": package(scripts={"start": "PORT=4200 node ."}),
            "packages/ui/package.json": package(name="ui", scripts={"build": "tsc"}),
        },
    )
    seen = look(tmp_path)
    assert [(service.name, service.cwd, service.port) for service in seen.services] == [
        ("api", "apps/api", 4200),
        ("web", "apps/web", 4100),
    ]
    assert seen.remarks == (
        "package.json: scripts.dev at the root is left out: the members of the workspace have their own",
    )


def test_workspaces_of_pnpm(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "package.json": package(name="mono"),
            "pnpm-workspace.yaml": "packages:\n  - 'apps/*'\n  - '!apps/old'\n",
            "apps/web/package.json": package(scripts={"dev": "vite"}),
            "apps/old/package.json": package(scripts={"dev": "vite"}),
        },
    )
    assert [(service.name, service.command) for service in look(tmp_path).services] == [("web", "pnpm run dev")]


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"scripts": [1]}', '{"scripts": {"dev": ""}}', "[" * 100_000])
def test_what_is_no_package_has_no_server(tmp_path: Path, text: str) -> None:
    assert look(write(tmp_path, {"package.json": text})).services == ()


def test_yaml_that_is_not_read_is_said(tmp_path: Path) -> None:
    write(tmp_path, {"package.json": "{}", "pnpm-workspace.yaml": "packages: [a]\npackages: [b]\n"})
    said = "pnpm-workspace.yaml:2:1: the file is left out: `packages` is there twice"
    assert look(tmp_path).remarks == (said,)
