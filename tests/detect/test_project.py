"""Several sources in one folder."""

from pathlib import Path

from devproxy.detect.project import survey
from devproxy.detect.render import document
from devproxy.registry.decode import decode_project
from tests.detect.checkout import write


def test_a_procfile_stands_for_what_is_at_the_root(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "Procfile": "web: npm run dev\n",
            "package.json": '{"name": "shop", "scripts": {"dev": "vite"}}',
            "compose.yaml": "services:\n  web:\n    ports: ['127.0.0.1:${WEB_PORT:-8080}:80']\n",
        },
    )
    found = survey(tmp_path)
    assert found.project == "shop"
    assert [(service.name, service.origin) for service in found.services] == [
        ("web", "Procfile: web"),
        ("web-2", "compose.yaml: services.web"),
    ]
    assert found.remarks == ("package.json: scripts.dev is left out: the Procfile has it",)


def test_a_procfile_of_workers_does_not_stand_for_the_server_at_the_root(tmp_path: Path) -> None:
    write(tmp_path, {"Procfile": "jobs: celery -A shop worker\n", "manage.py": ""})
    assert {service.name: service.kind for service in survey(tmp_path).services} == {"jobs": "worker", "web": "server"}


def test_a_watcher_is_not_found_twice(tmp_path: Path) -> None:
    package = '{"name": "ui", "scripts": {"dev": "tsc --watch"}}'
    write(tmp_path, {"Procfile": "css: npm run dev\n", "package.json": package})
    assert [service.name for service in survey(tmp_path).services] == ["css"]


def test_a_watcher_beside_a_server_leaves_it_its_name(tmp_path: Path) -> None:
    package = '{"name": "x", "scripts": {"dev": "tailwindcss -i a.css --watch"}}'
    write(tmp_path, {"shop/package.json": package, "shop/manage.py": ""})
    assert [(service.name, service.kind) for service in survey(tmp_path).services] == [
        ("shop", "server"),
        ("shop-2", "worker"),
    ]
    (tmp_path / "package.json").write_text('{"workspaces": ["shop"]}')
    assert [(service.name, service.kind) for service in survey(tmp_path).services] == [
        ("x", "worker"),
        ("shop", "server"),
    ]


def test_an_empty_folder(tmp_path: Path) -> None:
    assert survey(tmp_path).services == ()


def found(root: Path) -> list[tuple[str, str]]:
    return [(service.name, service.cwd) for service in survey(root).services]


def test_parts_without_a_workspace_are_looked_for_one_level_down(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "package.json": '{"scripts": {"dev": "concurrently npm:a npm:b"}}',
            "frontend/package.json": '{"name": "x", "scripts": {"dev": "vite"}}',
            "backend/requirements.txt": "fastapi[standard]\n",
            "backend/main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
            "admin/manage.py": "",
            "node_modules/x/package.json": '{"scripts": {"dev": "vite"}}',
            "docs/readme.md": "",
        },
    )
    assert found(tmp_path) == [("admin", "admin"), ("backend", "backend"), ("frontend", "frontend")]
    said = "package.json: scripts.dev is left out: what it starts was found one by one"
    assert said in survey(tmp_path).remarks


def test_what_a_workspace_has_is_not_found_twice(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "package.json": '{"workspaces": ["web"]}',
            "web/package.json": '{"scripts": {"dev": "vite"}}',
            "api/manage.py": "",
        },
    )
    assert found(tmp_path) == [("web", "web"), ("api", "api")]


def test_a_server_at_the_root_stays_beside_those_below(tmp_path: Path) -> None:
    write(tmp_path, {"manage.py": "", "theme/package.json": '{"scripts": {"dev": "vite"}}'})
    assert found(tmp_path) == [("web", "."), ("theme", "theme")]


def test_what_cannot_be_read_one_level_down_is_said(tmp_path: Path) -> None:
    write(tmp_path, {"api/pyproject.toml": "[", "web/package.json": "{"})
    remarks = survey(tmp_path).remarks
    assert [remark.partition(":")[0] for remark in remarks] == ["api/pyproject.toml", "web/package.json"]


def test_a_server_that_refuses_every_name_but_its_address_gets_that(tmp_path: Path) -> None:
    esbuild = '{"name": "assets", "scripts": {"dev": "esbuild app.js --bundle --outdir=out --servedir=out"}}'
    vite = '{"name": "web", "scripts": {"dev": "vite", "watch": "esbuild app.js --watch"}}'
    write(tmp_path, {"assets/package.json": esbuild, "web/package.json": vite})
    found = survey(tmp_path)
    headers = {service.name: service.host_header for service in found.services if service.serves}
    assert headers == {"assets": "upstream", "web": "keep"}
    decoded = decode_project(document(found), "/shop/devproxy.toml")
    assert decoded.value is not None
    assert decoded.value.services["assets"].host_header == "upstream"
