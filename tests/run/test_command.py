"""What is started: placeholders, environment, folder, scripts of package.json, and what is said when it cannot be."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from devproxy.daemon.runtime import Running, ports_for_urls
from devproxy.detect.scripts import package_scripts
from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from devproxy.programs.scripts import ScriptCall
from devproxy.registry.model import (
    HostHeader,
    ListenAddress,
    Project,
    ProxySettings,
    Registry,
    Service,
    Source,
    Upstream,
)
from devproxy.registry.values import fill, placeholders
from devproxy.run.command import SHELL, PreparedCommand, prepare
from devproxy.urls import Ports
from tests.detect.checkout import write

COMMAND = ("server", "--port", "{port}")


def service(name: str, project: str | None = "shop", port: int = 0) -> Service:
    identity = f"{name}.{project}" if project else name
    return Service(
        id=identity,
        name=name,
        project=Project.of(project) if project else None,
        hosts=(f"{identity}.localhost",),
        upstream=Upstream("http", ("127.0.0.1", "::1"), port) if port else None,
        command=COMMAND,
        cwd=Path(__file__).anchor,  # no project is around it
        source=Source("/srv/devproxy.toml", 3),
    )


WEB, API, DB = service("web"), service("api", port=8000), service("db", None, 5432)
REGISTRY = Registry(services=(WEB, API, DB))


def prepared(web: Service = WEB, http_port: int | None = 7080, **more: object) -> PreparedCommand:
    return prepare(web, port=24000, registry=REGISTRY, ports=Ports(http_port), argv=more.get("argv"))  # type: ignore[arg-type]


def test_the_command_gets_its_port_host_and_url() -> None:
    found = prepared()
    assert found.argv == ["server", "--port", "24000"]
    assert found.env["PORT"] == "24000"
    assert found.env["HOST"] == "127.0.0.1"
    assert found.env["DEVPROXY_URL"] == "http://web.shop.localhost:7080"
    assert found.env["__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS"] == "web.shop.localhost"
    assert (found.cwd, found.port, found.notes) == (WEB.cwd, 24000, [])


def test_a_string_runs_in_a_shell() -> None:
    found = prepared(replace(WEB, command="cd web && echo ${HOME} {port}"))
    assert found.argv == [*SHELL, "cd web && echo ${HOME} 24000"]


def test_the_services_own_variables_win_and_are_filled_in() -> None:
    env = (("API", "{url.api}/v1 {host.api} {port.api}"), ("DB", "{port.db}"), ("HOST", "::1"), ("ME", "{url.web}"))
    found = prepared(replace(WEB, env=env)).env
    assert found["API"] == "http://api.shop.localhost:7080/v1 api.shop.localhost 8000"
    assert (found["DB"], found["HOST"]) == ("5432", "::1")
    assert found["ME"] == found["DEVPROXY_URL"]


@pytest.mark.parametrize(
    ("http_port", "setting", "url"),
    [
        (80, None, "http://web.shop.localhost"),
        (80, 9000, "http://web.shop.localhost"),
        (None, 9000, "http://web.shop.localhost:9000"),
    ],
)
def test_the_url_has_the_port_that_the_proxy_has_or_will_take(
    http_port: int | None, setting: int | None, url: str, tmp_path: Path
) -> None:
    registry = replace(REGISTRY, settings=ProxySettings(http=setting))
    running = Running(pid=1, started=1.0, http=http_port) if http_port else None
    ports = ports_for_urls(Paths(tmp_path, tmp_path), running, registry.settings)
    assert prepare(WEB, port=24000, registry=registry, ports=ports).env["DEVPROXY_URL"] == url


def test_a_command_given_runs_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = prepared(argv=["flask", "run"])
    assert found.cwd == str(tmp_path)
    assert found.argv == ["flask", "run", "--port", "24000", "--host", "127.0.0.1"]
    assert found.env["FLASK_RUN_PORT"] == "24000"


def test_a_port_that_a_person_types_is_the_port_everywhere() -> None:
    web = replace(WEB, env=(("MINE", "{port}"),))
    found = prepared(web, argv=["uvicorn", "app:app", "--port", "8080"])
    assert (found.port, found.env["PORT"], found.env["MINE"]) == (8080, "8080", "8080")
    assert found.argv[3] == "8080"


def test_a_port_in_the_files_command_gives_way() -> None:
    found = prepared(replace(WEB, command="uvicorn app:app --port 8080"))
    assert found.argv[-1] == "uvicorn app:app --port 24000 --host 127.0.0.1"
    assert found.port == 24000
    assert found.notes == ["port 8080 in the command becomes 24000: `port = 8080` would keep it"]


def test_scripts_are_read_from_the_commands_folder(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"scripts": {"dev": "vite"}}', "utf-8")
    found = prepared(replace(WEB, command="npm run dev", cwd=str(tmp_path)))
    assert found.argv[-1] == "npm run dev -- --port 24000 --host 127.0.0.1"


@pytest.mark.parametrize(
    ("changed", "what", "why"),
    [
        ({"command": None}, "`web.shop` has no command", "how to start it"),
        ({"cwd": "/nowhere/at/all"}, "is not there: /nowhere/at/all", "runs in it"),
        ({"command": ("run", "{url.nobody}")}, "`{url.nobody}` cannot be filled in", "no service"),
        ({"env": (("A", "{port.late}"),)}, "`{port.late}` cannot be filled in", "gives it no port"),
        ({"env": (("A", "{host.bare}"),)}, "`{host.bare}` cannot be filled in", "no hostname"),
    ],
)
def test_what_is_missing_is_told(changed: dict[str, object], what: str, why: str) -> None:
    registry = Registry(services=(WEB, service("late"), replace(service("bare"), hosts=())))
    with pytest.raises(DevproxyError) as told:
        prepare(replace(WEB, **changed), port=24000, registry=registry, ports=Ports(80))
    assert what in told.value.what
    assert why in told.value.why
    assert told.value.where == "/srv/devproxy.toml:3"
    assert told.value.fix


@given(st.text(alphabet="{}port.urlhos$-a9 \"'\n", max_size=60))
def test_filling_in_changes_placeholders_and_nothing_else(text: str) -> None:
    found = placeholders(text)
    filled = fill(text, lambda _kind, _name: "\0")
    assert filled.count("\0") == len(found)
    assert fill(text, lambda kind, name: f"{{{kind}.{name}}}" if name else f"{{{kind}}}") == text
    if not found:
        assert filled == text


SHELLS_OWN = [
    "$PORT",
    "${PORT}",
    "${PORT:-3000}",
    "${port}",
    "${port:-3000}",
    "${port.db}",
    "$((PORT + 1))",
    "$(cat port)",
]


@given(st.lists(st.sampled_from([*SHELLS_OWN, "{port}", "'${port}'", '"$PORT"', "x", "${PORT}1"]), min_size=1))
def test_what_a_shell_expands_is_left_to_it(words: list[str]) -> None:
    text = f"anything {' '.join(words)}"
    expected = f"anything {' '.join('24000' if word == '{port}' else word for word in words)}"
    assert prepared(replace(WEB, command=text)).argv == [*SHELL, expected]
    assert prepared(replace(WEB, command=("anything", *words))).argv[1:] == [
        "24000" if word == "{port}" else word for word in words
    ]


@pytest.mark.parametrize("value", [*SHELLS_OWN, "${PORT}1", '"$PORT"', "1$PORT"])
def test_a_port_that_a_shell_expands_is_not_replaced(value: str) -> None:
    found = prepared(replace(WEB, command=f"vite --port {value} --host 127.0.0.1 --strictPort"))
    assert f"--port {value} " in f"{found.argv[-1]} "


@given(st.lists(st.sampled_from(["{port}", "{url.api}", "{host.api}", "{port.db}", "${HOME}", '{"a": 1}', "x"])))
def test_any_mix_of_placeholders_is_filled_in(parts: list[str]) -> None:
    values = {
        "{port}": "24000",
        "{url.api}": "http://api.shop.localhost:7080",
        "{host.api}": "api.shop.localhost",
        "{port.db}": "5432",
    }
    found = prepared(replace(WEB, command=("run", " ".join(parts))))
    assert found.argv[1] == " ".join(values.get(part, part) for part in parts)


def test_a_tcp_service_that_the_proxy_listens_for_is_there_for_others_and_binds_its_own_port() -> None:
    listen = ListenAddress(("127.77.1.2",), 6000)
    db = replace(DB, protocol="tcp", listen=listen, scheme="postgresql", path="/shop", upstream=None)
    registry = Registry(services=(WEB, db))
    asked = ("run", "{url.db} {host.db} {port.db}")
    found = prepare(replace(WEB, command=asked), port=24000, registry=registry, ports=Ports(7080))
    assert found.argv[1] == "postgresql://127.77.1.2:6000/shop 127.77.1.2 6000"
    own = replace(db, command=("run", "{port} {port.db} {url.db}"))
    found = prepare(own, port=24001, registry=registry, ports=Ports())
    assert found.argv[1] == "24001 24001 postgresql://127.77.1.2:6000/shop"


@pytest.mark.parametrize(
    ("project", "said"), [("shop", "shop-main  ${project}"), ("fix-ui.shop", "shop-fix-ui fix-ui ${project}")]
)
def test_a_command_and_its_environment_know_the_checkout(project: str, said: str) -> None:
    text = "{project}-{checkout} {worktree} ${project}"
    found = prepared(replace(WEB, project=Project.of(project), command=("run", text), env=(("A", text),)))
    assert (found.argv[1], found.env["A"]) == (said, said)


def test_without_a_project_its_name_cannot_be_filled_in() -> None:
    lonely = replace(DB, command=("run", "{project}"))
    with pytest.raises(DevproxyError, match=r"`\{project\}` cannot be filled in") as told:
        prepared(lonely)
    assert told.value.why == "the service is in no project"
    assert prepared(replace(DB, command=("run", "a{worktree}-{checkout}"))).argv[1] == "a-main"


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
    assert package_scripts(root)(folder, ScriptCall(script, package=workspace)) == text


def test_pnpm_has_a_file_of_its_own(root: Path) -> None:
    package(root)
    (root / "pnpm-workspace.yaml").write_text("# ours\npackages:\n  - 'packages/*' # all\ncatalog: {}\n", "utf-8")
    assert package_scripts(root)("", ScriptCall("dev", package="@acme/web")) == "vite"


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
    assert package_scripts(root)("", ScriptCall("dev", package="@acme/web")) == "vite"


@pytest.mark.parametrize("text", ["packages: [", "packages: 1", "- a", "packages:\n  - [packages/*]\n", "\x00"])
def test_a_broken_workspace_has_no_members(root: Path, text: str) -> None:
    package(root)
    (root / "pnpm-workspace.yaml").write_text(text, "utf-8")
    assert package_scripts(root)("", ScriptCall("dev", package="@acme/web")) is None


DENO = """{
  // what the team runs
  "tasks": {
    "dev": "vite", /* with a comma behind it, and "//" in it */
    "serve": { "description": "x", "command": "deno serve main.ts // not a comment", },
  },
}"""


def test_a_task_of_deno_stands_in_deno_json_before_package_json(tmp_path: Path) -> None:
    package(tmp_path, scripts={"dev": "next dev", "only": "next start"})
    (tmp_path / "deno.jsonc").write_text(DENO, "utf-8")
    texts = [
        package_scripts(tmp_path)("", ScriptCall(name, source="deno.json")) for name in ("dev", "serve", "only", "x")
    ]
    assert texts == ["vite", "deno serve main.ts // not a comment", "next start", None]
    assert package_scripts(tmp_path)("", ScriptCall("dev")) == "next dev"


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ({"executor": "@nx/vite:dev-server"}, "vite dev"),
        ({"executor": "nx:run-commands", "options": {"command": "next dev"}}, "next dev"),
        ({"command": "ng serve"}, "ng serve"),
        ({"executor": "@acme/own:thing", "options": {"command": 1}}, None),
        ([], None),
    ],
)
def test_a_target_of_nx_is_what_its_executor_runs(tmp_path: Path, target: object, text: str | None) -> None:
    folder = tmp_path / "apps/shop"
    folder.mkdir(parents=True)
    (folder / "project.json").write_text(json.dumps({"name": "web", "targets": {"serve": target}}), "utf-8")
    assert package_scripts(tmp_path)("", ScriptCall("serve", package="web", source="project.json")) == text


def test_a_script_is_a_target_of_nx_too(root: Path) -> None:
    for name in ("web", "@acme/web"):
        assert package_scripts(root)("", ScriptCall("dev", package=name, source="project.json")) == "vite"
    assert package_scripts(root)("", ScriptCall("dev", package="nobody", source="project.json")) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"scripts": []}', '{"scripts": {"dev": 1}}', "[" * 100_000, "\xff"])
def test_a_broken_file_has_no_scripts(tmp_path: Path, text: str) -> None:
    (tmp_path / "package.json").write_text(text, "latin-1")
    assert package_scripts(tmp_path)("", ScriptCall("dev")) is None


def test_no_value_in_a_note_makes_a_line(tmp_path: Path) -> None:
    found = prepared(replace(WEB, command=("make", "dev\n::error::fake")))
    assert "is not followed" in found.notes[0]
    assert all("\n" not in note for note in found.notes)


# env_file


def with_files(folder: Path, *names: str, **more: object) -> Service:
    return replace(WEB, env_file=tuple(str(folder / name) for name in names), **more)


def test_variables_of_files_lie_under_everything_else(tmp_path: Path) -> None:
    write(tmp_path, {".env": "A=1\nB=2\nPORT=3000\nHOST=0.0.0.0\nURL=http://${HOST}:${PORT}/\n", "b.env": "B=${A}3\n"})
    found = prepared(with_files(tmp_path, ".env", "b.env", env=(("A", "mine {port}"),))).env
    assert (found["A"], found["B"]) == ("mine 24000", "13")
    assert (found["PORT"], found["HOST"], found["URL"]) == ("24000", "127.0.0.1", "http://127.0.0.1:24000/")


def test_placeholders_of_ours_are_not_filled_in_files(tmp_path: Path) -> None:
    write(tmp_path, {".env": "A={port} {url.nobody}\n"})
    assert prepared(with_files(tmp_path, ".env")).env["A"] == "{port} {url.nobody}"


def test_a_line_that_is_none_is_said_without_what_stands_in_it(tmp_path: Path) -> None:
    write(tmp_path, {".env": "A=1\nhunter2 secret\n"})
    found = prepared(with_files(tmp_path, ".env"))
    assert found.notes == [f"{tmp_path / '.env'}:2: left out: this is no `NAME=value`"]


def test_a_file_that_is_not_there_is_an_error_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DevproxyError) as plain:
        prepared(with_files(tmp_path, ".env"))
    assert plain.value.fix == f"make the file: {tmp_path / '.env'}; or take it out of `env_file`"
    write(tmp_path, {".env.example": ""})
    with pytest.raises(DevproxyError) as sample:
        prepared(with_files(tmp_path, ".env"))
    assert str(sample.value.fix).startswith(f"cp {tmp_path / '.env.example'} {tmp_path / '.env'}, and fill it in")
    assert sample.value.where == "/srv/devproxy.toml:3"


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(DevproxyError, match="folder"):
        prepared(with_files(tmp_path, ".env"))
    (tmp_path / "x.env").write_bytes(b"A=\xff\n")
    with pytest.raises(DevproxyError, match="UTF-8"):
        prepared(with_files(tmp_path, "x.env"))


def test_an_env_file_that_is_none_is_told_as_what_it_is(tmp_path: Path) -> None:
    """Not as a registry: whoever reads one is told to name a TOML file."""
    (tmp_path / "latin").write_bytes(b"A=1\nB=\xe4\n")
    (tmp_path / "folder").mkdir()
    for name, what in (("latin", "latin:2:3: byte 0xe4 is not UTF-8"), ("folder", "folder: this is a folder")):
        with pytest.raises(DevproxyError, match=what) as refused:
            prepared(with_files(tmp_path, name))
        assert "`env_file`" in refused.value.why
        assert "TOML" not in str(refused.value)


@pytest.mark.parametrize(("depends_on", "said"), [((), True), (("starts.shop",), False)])
def test_a_port_that_is_given_at_a_start_asks_for_depends_on(depends_on: tuple[str, ...], said: bool) -> None:
    registry = Registry(services=(WEB, service("starts")))
    asker = replace(WEB, depends_on=depends_on, env=(("A", "{port.starts}"),))
    with pytest.raises(DevproxyError) as told:
        prepare(asker, port=24000, registry=registry, ports=Ports(80))
    assert ('depends_on = ["starts"]' in told.value.fix) == said
    assert "devproxy run starts.shop" in told.value.fix


@pytest.mark.parametrize(
    ("command", "own", "told"),
    [
        ("esbuild --servedir=out", "keep", True),
        ("esbuild --servedir=out", "upstream", False),
        ("esbuild app.js --watch", "keep", False),
        ("vite", "keep", False),
    ],
)
def test_a_program_that_refuses_its_name_is_told_of(command: str, own: HostHeader, told: bool) -> None:
    notes = prepared(replace(WEB, command=command, host_header=own)).notes
    assert any('write `host_header = "upstream"` for `web.shop`' in note for note in notes) == told
