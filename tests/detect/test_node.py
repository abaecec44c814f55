"""package.json and the workspaces of the package managers."""

import json
from pathlib import Path

import pytest

from devproxy.detect.node import look
from devproxy.detect.scripts import package_scripts
from devproxy.programs.scripts import ScriptCall
from tests.detect.checkout import write


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program is installed."""
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")


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


def test_a_glob_that_could_hold_us_up_is_said(tmp_path: Path) -> None:
    write(tmp_path, {"package.json": package(workspaces=["*a*a*a*a*/b", "{apps,libs}/*"]), "libs/x/package.json": "{}"})
    assert look(tmp_path).remarks == ("the workspace `*a*a*a*a*/b` is left out: it would take long to match",)


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


def found(root: Path) -> list[tuple[str, str, str]]:
    return [(each.name, each.cwd, str(each.command)) for each in look(root).services]


@pytest.mark.parametrize("glob", ["{apps,packages}/*", "@(apps|packages)/*", "*s/[aw]*"])
def test_every_glob_of_a_workspace(tmp_path: Path, glob: str) -> None:
    text = package(scripts={"dev": "vite"})
    root = package(workspaces=[glob])
    write(tmp_path, {"package.json": root, "apps/web/package.json": text, "packages/api/package.json": text})
    assert {name for name, _, _ in found(tmp_path)} == {"api", "web"}


def test_what_watches_is_a_worker(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "package.json": package(workspaces=["packages/*"], scripts={"dev": "turbo run dev"}),
            "packages/web/package.json": package(scripts={"dev": "vite"}),
            "packages/ui/package.json": package(scripts={"dev": "npm run build -- --watch", "build": "tsc"}),
            "packages/api/package.json": package(scripts={"dev": "tsc --watch", "start": "next start"}),
            "packages/db/package.json": package(scripts={"start": "prisma migrate deploy"}),
        },
    )
    seen = {(each.name, each.kind, each.cwd, each.command) for each in look(tmp_path).services}
    assert seen == {
        ("api", "server", "packages/api", "npm run start"),
        ("db", "task", "packages/db", "npm run start"),
        ("ui", "worker", "packages/ui", "npm run dev"),
        ("web", "server", "packages/web", "npm run dev"),
    }


def test_a_script_that_may_serve_beside_a_watcher_is_a_server(tmp_path: Path) -> None:
    write(tmp_path, {"package.json": package(scripts={"dev": "tsc --watch & node dist/server.js"})})
    assert [each.kind for each in look(tmp_path).services] == ["server"]


def test_watchers_of_the_members_do_not_stand_for_the_server_at_the_root(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "package.json": package(workspaces=["ui"], scripts={"dev": "node ."}),
            "ui/package.json": package(name="ui", scripts={"dev": "tsc --watch -p 3000"}),
        },
    )
    assert [(each.name, each.kind, each.port) for each in look(tmp_path).services] == [
        ("ui", "worker", None),
        ("web", "server", None),
    ]


def test_a_watcher_at_the_root_is_not_called_web(tmp_path: Path) -> None:
    write(tmp_path, {"package.json": package(scripts={"dev": "tsc --watch"})})
    assert [(each.name, each.kind) for each in look(tmp_path).services] == [("watcher", "worker")]


def test_a_server_at_the_root_of_a_workspace_is_one_too(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "package.json": package(workspaces=["docs"], scripts={"dev": "vite"}),
            "docs/package.json": package(scripts={"dev": "vitepress dev"}),
        },
    )
    assert found(tmp_path) == [("docs", "docs", "npm run dev"), ("web", ".", "npm run dev")]


@pytest.mark.parametrize(
    ("needed", "name"),
    [({"express": "5"}, "api"), ({"hono": "4", "vite": "7"}, "web"), ({"storybook": "9"}, "storybook"), ({}, "web")],
)
def test_the_only_package_is_called_what_it_is(tmp_path: Path, needed: dict[str, str], name: str) -> None:
    write(tmp_path, {"package.json": package(dependencies=needed, scripts={"dev": "node ."})})
    assert found(tmp_path)[0][0] == name


def test_deno(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "deno.jsonc": '{ // ours\n "workspace": ["./api"], "tasks": { "dev": "vite", }, }',
            "api/deno.json": '{"name": "@acme/api", "tasks": {"start": {"command": "deno serve main.ts"}}}',
        },
    )
    assert found(tmp_path) == [("api", "api", "deno task start"), ("web", ".", "deno task dev")]


def test_the_projects_of_nx(tmp_path: Path) -> None:
    def project(name: str, **targets: object) -> str:
        return json.dumps({"name": name, "targets": targets})

    write(
        tmp_path,
        {
            "package.json": package(name="mono"),
            "nx.json": "{}",
            "apps/web/project.json": project("web", serve={"executor": "@nx/vite:dev-server"}),
            "apps/api/project.json": project("@mono/api", serve={"executor": "@acme/own:serve"}),
            "libs/ui/project.json": project("ui", build={}),
        },
    )
    assert found(tmp_path) == [("api", ".", "npx nx serve @mono/api"), ("web", ".", "npx nx serve web")]
    said = "apps/api/project.json: targets.serve: its executor is not known here, and gets its port as PORT only"
    assert look(tmp_path).remarks == (said,)


def test_the_targets_that_plugins_of_nx_add(tmp_path: Path) -> None:
    plugins = [
        {"plugin": "@nx/vite/plugin", "options": {"serveTargetName": "vite:serve", "devTargetName": "vite:dev"}},
        "@nx/next/plugin",
        {"plugin": "@acme/own", "options": 3},
        7,
    ]
    write(
        tmp_path,
        {
            "package.json": package(name="mono", workspaces=["apps/*"]),
            "nx.json": json.dumps({"plugins": plugins}),
            "apps/web/project.json": json.dumps({"name": "web", "targets": {}}),
            "apps/web/vite.config.mts": "",
            "apps/site/package.json": package(name="@mono/site"),
            "apps/site/next.config.js": "",
            "apps/both/project.json": json.dumps({"name": "both", "targets": {"serve": {"command": "webpack serve"}}}),
            "apps/both/vite.config.ts": "",
            "apps/ui/project.json": json.dumps({"name": "ui"}),
        },
    )
    assert found(tmp_path) == [
        ("both", ".", "npx nx serve both"),
        ("site", ".", "npx nx dev @mono/site"),
        ("web", ".", "npx nx vite:dev web"),
    ]
    assert look(tmp_path).remarks == ()
    scripts = package_scripts(tmp_path)
    calls = [("vite:dev", "web"), ("vite:serve", "web"), ("dev", "site"), ("serve", "both"), ("dev", "ui")]
    texts = [scripts("", ScriptCall(target, package=name, source="project.json")) for target, name in calls]
    assert texts == ["vite", "vite", "next dev", "webpack serve", None]


def test_a_file_that_is_no_json_is_said_with_the_place(tmp_path: Path) -> None:
    write(tmp_path, {"package.json": '{\n  "scripts": {dev}\n}'})
    (said,) = look(tmp_path).remarks
    assert said.startswith("package.json:2:15: the file is left out: not JSON: ")


def test_a_package_manager_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    write(tmp_path, {"package.json": package(scripts={"dev": "vite"}), "pnpm-lock.yaml": ""})
    assert look(tmp_path).remarks == ("`pnpm` is not installed here: its commands start once it is",)
