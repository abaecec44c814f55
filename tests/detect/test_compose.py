"""What a compose file publishes, how it is started for each checkout, and what a person is told to change."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.detect.compose import look
from devproxy.detect.compose_files import Part, Place, fill, load, split
from devproxy.detect.compose_ports import read_entry
from devproxy.detect.model import gather
from devproxy.detect.render import document
from tests.detect.checkout import write

FILE = """\
services:
  db:
    image: postgres
    ports: ["127.0.0.1:54321:5432"]
  web:
    build: .
    ports:
      - target: 80
        published: "8080"
        host_ip: 127.0.0.1
    depends_on:
      db: {condition: service_healthy}
      queue: {}
  queue:
    image: redis
  open:
    image: nginx
    ports: ["${OPEN:-8081}:80"]
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of whoever runs the tests, and a container engine's program that is there."""
    for name in ("COMPOSE_FILE", "COMPOSE_PROFILES", "PORT", "WEB_PORT", "HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")


def ports(root: Path) -> dict[str, int | None]:
    """Where clients find each service: its port, or the one that the proxy takes for it."""
    return {each.name: each.port or each.listen for each in look(root).services}


def changes(root: Path) -> list[str]:
    """What is said of entries of `ports`: place, and the text to write."""
    found = (re.fullmatch(r"(\S+): .*: write (.*) in place of `.*?`.*", remark) for remark in look(root).remarks)
    return [f"{match[1]} {match[2]}" for match in found if match is not None]


def one(*entries: str) -> str:
    return "services:\n  web:\n    ports:\n" + "".join(f"      - {entry}\n" for entry in entries)


@pytest.mark.parametrize(
    ("entries", "port"),
    [
        (["3000-3005:3000-3005"], 3000),
        (["8080-8080:80"], 8080),
        (["53:53/udp", "8080:80"], 8080),
        (["{target: 53, published: 5353, protocol: udp}", "{target: 80, published: 8080}"], 8080),
        (["{target: 80, published: 8080-8090}", "9000:9000"], 9000),  # of these any may be taken
        (['"[::1]:8080:80"'], 8080),
        (['"${HOST:-127.0.0.1}:${WEB_PORT:-8080}:80"'], 8080),
        (["$WEB_PORT:80", "8081:81"], 8081),
        (['"8080:80/tcp"'], 8080),
        (['"80"', '"80-90"', "8080:80"], 8080),
    ],
)
def test_the_port_that_is_fixed(tmp_path: Path, entries: list[str], port: int) -> None:
    assert ports(write(tmp_path, {"compose.yaml": one(*entries)})) == {"web": port}


def test_variables_come_from_env_beside_the_file_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = 'WEB_PORT="8085" # ours\nEMPTY=\nBASE=80\nexport BOTH=${BASE}86\n'
    text = one('"${WEB_PORT}:80"')
    assert ports(write(tmp_path, {"compose.yaml": text, ".env": env})) == {"web": 8085}
    assert ports(write(tmp_path, {"compose.yaml": one('"${BOTH}:80"')})) == {"web": 8086}
    assert ports(write(tmp_path, {"compose.yaml": one('"${EMPTY:-8087}:80"')})) == {"web": 8087}
    monkeypatch.setenv("WEB_PORT", "8088")
    assert ports(write(tmp_path, {"compose.yaml": text})) == {"web": 8088}


def test_what_is_not_understood_is_listed_with_its_line(tmp_path: Path) -> None:
    seen = look(write(tmp_path, {"compose.yaml": one("${WEB_PORT}:80", "nonsense", "{x: y}")}))
    assert seen.services == ()
    assert seen.remarks[:2] == (
        "compose.yaml:4:9: `WEB_PORT` has no value: neither the environment, .env nor a default gives it one",
        "compose.yaml:5:9: `nonsense` is not understood as a port that is published",
    )


def test_files_are_included_and_services_extended(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "compose.yaml": "include:\n  - infra/db.yaml\n  - path: [infra/mail.yaml]\n"
            "services:\n  web:\n    extends: {file: base.yaml, service: app}\n    ports: ['9999:99']\n"
            "  copy: {extends: web}\n",
            "infra/db.yaml": "include: [more/queue.yaml]\nservices:\n  db:\n    ports: ['54321:5432']\n",
            "infra/more/queue.yaml": "include: [../db.yaml]\nservices:\n  queue:\n    ports: ['6380:6379']\n",
            "infra/mail.yaml": one("8025:8025").replace("web", "mail"),
            "base.yaml": "services:\n  app:\n    ports: ['8080:80']\n",
        },
    )
    assert ports(tmp_path) == {"db": 54321, "queue": 6380, "mail": 8025, "web": 8080, "copy": 8080}


def test_several_files_of_one_include_lie_over_each_other(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "compose.yaml": "include:\n  - path: [infra/a.yaml, infra/b.yaml]\n",
            "infra/a.yaml": "services:\n  db:\n    image: postgres\n    ports: ['54321:5432']\n",
            "infra/b.yaml": "services:\n  db:\n    ports: ['9187:9187']\n",
        },
    )
    assert ports(tmp_path) == {"db": 54321}
    assert any("infra/b.yaml:3:13" in remark for remark in look(tmp_path).remarks)


def test_what_is_included_has_variables_of_its_own_below_those_of_whoever_includes_it(tmp_path: Path) -> None:
    text = "services:\n  {}:\n    ports: ['${{PORT:-1}}:80', '${{OWN:-2}}:81']\n"
    write(
        tmp_path,
        {
            "compose.yaml": "include:\n  - beside/a.yaml\n"
            "  - {path: named/b.yaml, env_file: [named/x.env, named/y.env]}\n"
            "  - {path: c.yaml, project_directory: named}\n  - {path: d.yaml, env_file: ../e.env}\n"
            + text.format("root"),
            ".env": "PORT=8000\n",
            "beside/a.yaml": "include: [more/e.yaml]\n" + text.format("a"),
            "beside/more/e.yaml": text.format("e"),
            "beside/.env": "PORT=1\nOWN=8001\n",
            "named/b.yaml": "services:\n  b: {extends: {file: base.yaml, service: b}}\n",
            "named/base.yaml": "services:\n  b:\n    ports: ['${OWN}:81']\n",
            "named/x.env": "OWN=1\nX=8002\n",
            "named/y.env": "OWN=${X}\n",
            "named/.env": "OWN=8003\n",
            "c.yaml": text.format("c"),
            "d.yaml": text.format("d"),
        },
    )
    project = load(tmp_path)
    assert project is not None
    found = {(part.value, name) for name, service in project.services.items() for part in service.ports}
    assert found == {
        *(("8000:80", name) for name in ("root", "a", "c", "d", "e")),
        *{("2:81", "root"), ("8001:81", "a"), ("8001:81", "e"), ("8002:81", "b"), ("8003:81", "c"), ("2:81", "d")},
    }
    assert (
        "compose.yaml:5:5: `env_file`: ../e.env is left out: it is not a file of this project" in look(tmp_path).remarks
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("include:\n  - ../other/compose.yaml\n", "compose.yaml:2:5: `include`: ../other/compose.yaml is left out"),
        ("include: [/etc/x.yaml]\n", "`include`: /etc/x.yaml is left out"),
        ("include: [oci://x/y]\n", "is left out"),
        ("include: [infra.yaml]\n", "compose.yaml:1:11: `include`: there is no infra.yaml"),
        ("services:\n  a:\n    extends: b\n", "compose.yaml:3:14: `extends`: there is no service `b` in compose.yaml"),
        ("services:\n  a:\n    extends: {service: b, file: x.yaml}\n", "`extends`: there is no x.yaml"),
    ],
)
def test_what_cannot_be_followed_is_said_with_its_place(tmp_path: Path, more: str, said: str) -> None:
    remarks = look(write(tmp_path, {"compose.yaml": more})).remarks
    assert any(said in remark for remark in remarks), remarks


def test_files_that_extend_and_include_each_other_end(tmp_path: Path) -> None:
    text = "include: [compose.yaml, b.yaml, b.yaml]\nservices:\n  a: {extends: {service: a, file: b.yaml}}\n"
    write(tmp_path, {"compose.yaml": text, "b.yaml": text.replace("b.yaml", "compose.yaml")})
    assert look(tmp_path).services == ()


def test_an_override_is_laid_over_the_first(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "compose.yaml": "services:\n  a: {ports: ['8001:80']}\n  b: {ports: ['8002:80']}\n"
            "  c: {ports: ['8003:80']}\n  d: {ports: ['8004:80']}\n",
            "compose.override.yaml": "services:\n  a: {ports: ['9001:80']}\n  b: {ports: !override ['9002:80']}\n"
            "  c: {ports: !reset []}\n  d: !reset null\n",
        },
    )
    assert ports(tmp_path) == {"a": 8001, "b": 9002}
    write(tmp_path, {".env": "COMPOSE_FILE=compose.yaml\n"})
    assert ports(tmp_path) == {"a": 8001, "b": 8002, "c": 8003, "d": 8004}


def test_what_belongs_to_a_profile_waits_for_it(tmp_path: Path) -> None:
    text = "services:\n  web: {ports: ['8001:80']}\n  adminer:\n    profiles: [debug]\n    ports: ['8002:80']\n"
    seen = look(write(tmp_path, {"compose.yaml": text}))
    assert [each.name for each in seen.services] == ["web"]
    assert "compose.yaml:4:5: `adminer` is left out: it belongs to `debug`, which is not switched on" in seen.remarks
    write(tmp_path, {".env": "COMPOSE_PROFILES=x, debug\n"})
    assert ports(tmp_path) == {"web": 8001, "adminer": 8002}


def test_without_the_engines_program_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    remarks = look(write(tmp_path, {"compose.yaml": one("127.0.0.1:${WEB_PORT:-8080}:80")})).remarks
    assert remarks == ("`docker` is not installed here: its commands start once it is",)


@pytest.mark.parametrize(
    ("text", "filled", "missing"),
    [
        ("$A ${A} ${A:-x} ${A-x} ${A:+y} ${A+y} ${A:?no}", "1 1 1 1 y y 1", []),
        ("${E:-x}|${E-x}|${E:+y}|${E+y}", "x|||y", []),
        ("${N:-${E:-${A}}}$N", "1", ["N"]),
        ("${N:?must be set}${N}", "", ["N", "N"]),
        ("$$A $${A} 1$ ${", "$A ${A} 1$ ${", []),
        ("${A:-", "${A:-", []),
    ],
)
def test_references(text: str, filled: str, missing: list[str]) -> None:
    assert fill(text, {"A": "1", "E": ""}) == (filled, missing)


@given(st.text("${}:-?+AN ", max_size=60))
def test_any_text_has_references_or_none(text: str) -> None:
    filled, missing = fill(text, {"A": "1"})
    assert "$" in text or filled == text
    assert set(missing) <= set(re.findall("[AN]+", text)) - {"A"}


def test_a_file(tmp_path: Path) -> None:
    seen = look(write(tmp_path, {"compose.yaml": FILE}))
    found = [(each.name, each.listen, each.port, each.protocol, each.depends_on) for each in seen.services]
    assert found == [
        ("db", 54321, None, "tcp", ()),
        ("web", None, 8080, "http", ("db", "queue")),
        ("open", None, 8081, "http", ()),
    ]
    up = ("docker", "compose", "up", "--no-log-prefix")
    commands = [(*up, "db"), (*up, "--no-deps", "web", "queue"), (*up, "open")]
    assert [each.command for each in seen.services] == commands
    named = {"COMPOSE_PROJECT_NAME": "{project}-{checkout}"}
    assert [each.env for each in seen.services] == [
        named | {"DB_PORT": "{port}"},
        named | {"WEB_PORT": "{port}"},
        named | {"OPEN": "{port}"},
    ]
    assert seen.remarks == (
        'compose.yaml:4:13: `db` is published always at 54321: write "127.0.0.1:${DB_PORT:-54321}:5432"'
        " in place of `127.0.0.1:54321:5432`",
        'compose.yaml:9:20: `web` is published always at 8080: write `published: "${WEB_PORT:-8080}"`'
        " in place of `target: 80, published: 8080, host_ip: 127.0.0.1`",
        "compose.yaml:15:5: `queue` is left out: it publishes no port that is fixed",
        'compose.yaml:18:13: `open` is published on every interface: write "127.0.0.1:${OPEN:-8081}:80"'
        " in place of `${OPEN:-8081}:80`",
    )
    assert [each.notes for each in seen.services] == [(seen.remarks[0],), (seen.remarks[1],), (seen.remarks[3],)]


@pytest.mark.parametrize("port", ["80", "8000-8010:80", "53:53/udp", "0:80", "99999:80", "${PORT}:80", "x:y"])
def test_a_port_that_is_not_one_fixed_tcp_port_is_none(tmp_path: Path, port: str) -> None:
    write(tmp_path, {"docker-compose.yml": f'services:\n  a:\n    ports: ["{port}"]\n'})
    assert look(tmp_path).services == ()


def test_what_people_write_in_compose_files(tmp_path: Path) -> None:
    """Merges, anchors, tags of compose, escapes, flow over lines, numbers that YAML 1.1 takes for times."""
    text = """\
x-common: &common
  restart: always
  ports: &ports ["127.0.0.1:8022:22"]
services:
  "caf\\u00e9-1": {ports: *ports}
  a: {<<: *common}
  b:
    ports: !override
      [
        22:22,
      ]
  c:
    ports: !reset []
"""
    seen = look(write(tmp_path, {"compose.yaml": text}))
    assert [(each.name, each.listen) for each in seen.services] == [("a", 8022), ("b", 22)]
    assert seen.remarks == (
        "compose.yaml:5:18: `café-1` is left out: it is not a name for a service",
        # where the text of `*common` and `*ports` stands, which is the one to change
        'compose.yaml:3:18: `a` is published always at 8022: write "127.0.0.1:${A_PORT:-8022}:22"'
        " in place of `127.0.0.1:8022:22`",
        'compose.yaml:10:9: `b` is published on every interface and always at 22: write "127.0.0.1:${B_PORT:-22}:22"'
        " in place of `22:22`",
        "compose.yaml:13:5: `c` is left out: it publishes no port that is fixed",
    )


def test_a_file_that_cannot_be_read_is_said_with_the_place(tmp_path: Path) -> None:
    text = "services:\n  a: {ports: ['1:1']}\n  a: {}\n"
    seen = look(write(tmp_path, {"compose.yaml": text}))
    assert seen.services == ()
    assert seen.remarks == ("compose.yaml:3:3: the file is left out: `a` is there twice",)


@pytest.mark.parametrize("text", ["", "services:\n", "services: [a]\n", "- a\n", "services:\n  a: b\n"])
def test_a_file_without_services(tmp_path: Path, text: str) -> None:
    assert look(write(tmp_path, {"compose.yml": text})).services == ()


@pytest.mark.parametrize(
    ("entry", "written", "variable"),
    [
        ("5432:5432", '"127.0.0.1:${WEB_PORT:-5432}:5432"', "WEB_PORT"),
        ('"0.0.0.0:5432:5432/tcp"', '"127.0.0.1:${WEB_PORT:-5432}:5432/tcp"', "WEB_PORT"),
        ('"[::]:5432:5432"', '"127.0.0.1:${WEB_PORT:-5432}:5432"', "WEB_PORT"),
        ('"192.168.1.5:5432:5432"', '"127.0.0.1:${WEB_PORT:-5432}:5432"', "WEB_PORT"),
        ('"[::1]:5432:5432"', '"[::1]:${WEB_PORT:-5432}:5432"', "WEB_PORT"),
        ('"${A:-5432}:5432"', '"127.0.0.1:${A:-5432}:5432"', "A"),
        ('"${IP:-0.0.0.0}:${A:-5432}:${TO:-5432}"', '"127.0.0.1:${A:-5432}:${TO:-5432}"', "A"),
        ('"${IP-127.0.0.1}:5432:${TO:-5432}"', '"${IP-127.0.0.1}:${WEB_PORT:-5432}:${TO:-5432}"', "WEB_PORT"),
        ('"${A:-${B:-5432}}:5432"', '"127.0.0.1:${A:-${B:-5432}}:5432"', "A"),
        ('"${SAME:-5432}:${SAME:-5432}"', '"127.0.0.1:${WEB_PORT:-5432}:${SAME:-5432}"', "WEB_PORT"),
        ('"${SET}:5432"', '"127.0.0.1:${SET}:5432"', "SET"),
        ('"${WHOLE:-5432:5432}"', '"127.0.0.1:${WEB_PORT:-5432}:5432"', "WEB_PORT"),
        ("{target: 5432, published: 5432}", '`published: "${WEB_PORT:-5432}"` and `host_ip: 127.0.0.1`', "WEB_PORT"),
        ('{target: 5432, published: "${A:-5432}"}', "`host_ip: 127.0.0.1`", "A"),
        ("{target: 5432, published: 5432, host_ip: 127.0.0.1}", '`published: "${WEB_PORT:-5432}"`', "WEB_PORT"),
        (
            '{target: 5432, published: 5432, host_ip: "::"}',
            '`published: "${WEB_PORT:-5432}"` and `host_ip: 127.0.0.1` (line 4)',
            "WEB_PORT",
        ),
        ("5432-5433:5432-5433", '"127.0.0.1:5432-5433:5432-5433"', None),
        ('"${WHOLE:-5432-5433:5432-5433}"', '"127.0.0.1:5432-5433:5432-5433"', None),
    ],
)
def test_the_text_that_mends_an_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, written: str, variable: str | None
) -> None:
    """One port of its own for each checkout, on loopback alone, and whatever else the entry says as it was."""
    monkeypatch.setenv("SET", "5432")
    (change,) = changes(write(tmp_path, {"compose.yaml": one(entry)}))
    place, _, text = change.partition(" ")
    assert (place.rpartition(":")[0], text) == ("compose.yaml:4", written)
    (service,) = look(tmp_path).services
    assert (service.listen or service.port, service.scheme) == (5432, "postgresql")
    assert (service.listen is None) == (variable is None)
    assert [name for name in service.env if name != "COMPOSE_PROJECT_NAME"] == ([variable] if variable else [])


@pytest.mark.parametrize("entry", ["127.0.0.1:${DB:-5432}:5432", "localhost:$SET:5432", "[::1]:${DB-5432}:5432"])
def test_nothing_is_asked_for_where_nothing_has_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    monkeypatch.setenv("SET", "5432")
    seen = look(write(tmp_path, {"compose.yaml": one(f'"{entry}"')}))
    assert (seen.remarks, seen.services[0].notes, seen.services[0].listen) == ((), (), 5432)


@pytest.mark.parametrize(
    ("entry", "written"),
    [
        ("8000-8010:80", '"127.0.0.1:8000-8010:80"'),
        ('"80"', '"127.0.0.1::80"'),
        ('"53:53/udp"', '"127.0.0.1:53:53/udp"'),
        ('"$NONE:80"', '"127.0.0.1:$NONE:80"'),
        ("{target: 80}", "`host_ip: 127.0.0.1`"),
        ("{target: 53, published: 53, protocol: udp}", "`host_ip: 127.0.0.1`"),
    ],
)
def test_what_is_no_service_here_is_mended_too_where_others_reach_it(tmp_path: Path, entry: str, written: str) -> None:
    (change,) = changes(write(tmp_path, {"compose.yaml": one(entry)}))
    assert change.partition(" ")[2] == written
    assert look(tmp_path).services == ()


def test_what_others_reach_is_named_once_in_the_file_where_it_stands(tmp_path: Path) -> None:
    """Included, extended twice, laid over, brought by an alias, and of a profile that is not switched on."""
    write(
        tmp_path,
        {
            "compose.yaml": "include: [infra/db.yaml]\nx-ports: &ports\n  - 8081:80\nservices:\n"
            "  web: {extends: {file: base.yaml, service: app}}\n"
            "  copy: {extends: {file: base.yaml, service: app}}\n"
            "  alias: {ports: *ports}\n  tool: {profiles: [debug], ports: ['8082:80']}\n",
            "compose.override.yaml": "services:\n  web:\n    ports:\n      - 8083:81\n",
            "infra/db.yaml": "services:\n  db:\n    ports:\n      - 5432:5432\n",
            "base.yaml": "services:\n  app:\n    ports:\n      - '8080:80'\n",
        },
    )
    assert changes(tmp_path) == [
        'infra/db.yaml:4:9 "127.0.0.1:${DB_PORT:-5432}:5432"',
        'base.yaml:4:9 "127.0.0.1:${WEB_PORT:-8080}:80"',
        'compose.override.yaml:4:9 "127.0.0.1:8083:81"',
        'compose.yaml:3:5 "127.0.0.1:${ALIAS_PORT:-8081}:80"',
        'compose.yaml:8:37 "127.0.0.1:8082:80"',
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ports: ['127.0.0.1:53:53/udp']", "compose.yaml:3:13: `a` publishes 53/udp, and devproxy leads to TCP"),
        ("ports: ['127.0.0.1:80-81:80-81']", "compose.yaml:3:13: `a` publishes a range of ports"),
        (
            "ports: ['127.0.0.1:${A:-1}:80', '127.0.0.1:2:81']",
            "compose.yaml:3:37: `a` publishes 2 too, which stays as it is: one checkout at a time has it",
        ),
        ("network_mode: host", "compose.yaml:3:19: `a` is left out: with `network_mode: host` it listens"),
        (
            "ports: ['${A:-1}:80']\n    container_name: shop-a",
            "compose.yaml:4:21: `container_name: shop-a` is one for all checkouts, which cannot run at once: remove",
        ),
        (
            "ports: ['${A:-1}:80']\nvolumes:\n  data:\n",
            "compose.yaml:5:8: each checkout has volumes of its own now (`data`)",
        ),
        (
            "ports: ['${A:-1}:80']\nvolumes:\n  data: {external: true}\n",
            "compose.yaml:5:9: the volume `data` is one for all checkouts",
        ),
    ],
)
def test_what_a_second_checkout_cannot_have_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    remarks = look(write(tmp_path, {"compose.yaml": f"services:\n  a:\n    {text}\n"})).remarks
    assert any(remark.startswith(said) for remark in remarks), remarks


def test_what_a_service_depends_on_through_others_is_started_once(tmp_path: Path) -> None:
    """What publishes a port is a service of devproxy's, which starts it first; the rest goes with who needs it."""
    text = (
        "services:\n  web: {ports: ['127.0.0.1:${A:-1}:80'], depends_on: [one]}\n"
        "  one: {depends_on: {two: {}, web: {}}}\n  two: {depends_on: [db, one, gone]}\n"
        "  db: {ports: ['127.0.0.1:${B:-2}:5432'], depends_on: [three]}\n  three: {}\n"
    )
    web, db = look(write(tmp_path, {"compose.yaml": text})).services
    assert web.command == ("docker", "compose", "up", "--no-log-prefix", "--no-deps", "web", "one", "two")
    assert web.depends_on == ("one", "db")
    assert db.command == ("docker", "compose", "up", "--no-log-prefix", "db")


def test_with_the_machines_own_network_ports_say_nothing(tmp_path: Path) -> None:
    text = "services:\n  a:\n    network_mode: ${MODE:-host}\n    ports: ['5432:5432']\n"
    seen = look(write(tmp_path, {"compose.yaml": text}))
    assert (seen.services, len(seen.remarks)) == ((), 1)


def test_a_container_name_with_a_variable_may_differ(tmp_path: Path) -> None:
    text = one("'127.0.0.1:${A:-1}:80'") + "    container_name: ${COMPOSE_PROJECT_NAME:-x}-web\n"
    assert look(write(tmp_path, {"compose.yaml": text})).remarks == ()


@pytest.mark.parametrize(
    ("image", "target", "scheme"),
    [
        ("postgres", 5432, "postgresql"),
        ("docker.io/library/postgres:16-alpine", 6000, "postgresql"),
        ("registry.example.com:5000/team/postgis@sha256:0", 5432, "postgresql"),
        ("${IMAGE:-mariadb}:11", 3306, "mysql"),
        ("redis", 6379, "redis"),
        ("mongo", 27017, "mongodb"),
        ("rabbitmq:management", 5672, "amqp"),
        ("rabbitmq:management", 15672, None),
        ("clickhouse/clickhouse-server", 9000, "clickhouse"),
        ("clickhouse/clickhouse-server", 8123, None),
        ("minio/minio", 9000, None),
        ("axllent/mailpit", 1025, "smtp"),
        ("axllent/mailpit", 8025, None),
        ("gvenzl/oracle-free", 1521, ""),
        ("", 5432, "postgresql"),
        ("nginx", 80, None),
    ],
)
def test_the_scheme(tmp_path: Path, image: str, target: int, scheme: str | None) -> None:
    """What does not speak HTTP, and what its URLs begin with; None: the web."""
    text = f"services:\n  a:\n    image: '{image}'\n    ports: ['127.0.0.1:${{A:-7000}}:{target}']\n"
    (service,) = look(write(tmp_path, {"compose.yaml": text})).services
    assert service.protocol == ("http" if scheme is None else "tcp")
    assert service.scheme == (scheme or "")
    assert (service.port, service.listen) == ((7000, None) if scheme is None else (None, 7000))


@pytest.mark.parametrize(("target", "key"), [(80, "port = 7000"), (443, 'upstream = "https://localhost:7000"')])
def test_the_web_with_tls(tmp_path: Path, target: int, key: str) -> None:
    text = f"services:\n  a:\n    image: nginx\n    ports: ['127.0.0.1:${{A:-7000}}:{target}']\n"
    survey = gather([look(write(tmp_path, {"compose.yaml": text}))], "shop")
    assert f"\n{key}\n" in document(survey)


@given(entry=st.text("0125:-[]/.{}$A\"'udp", min_size=1, max_size=40))
def test_a_mended_text_reads_as_the_same_ports_on_loopback(entry: str) -> None:
    part = Part(fill(entry, {"A": "5"})[0], entry, Place("compose.yaml", 1, 1), {})
    old = read_entry(part)
    if old is None:
        return
    for variable in ("", "NEW") if old.port and not old.is_range else ("",):
        written = old.mended({"A": "5"}, variable)
        assert written[0] == written[-1] == '"'
        new = read_entry(part._replace(value=fill(written[1:-1], {"A": "5"})[0], raw=written[1:-1]))
        assert new is not None
        assert not new.is_exposed
        assert (new.port, new.target, new.protocol, new.is_range) == (old.port, old.target, old.protocol, old.is_range)
        assert not variable or new.variable({"A": "5"}) in {"A", "NEW"}


@given(st.text("a:${}[]-", max_size=40))
def test_a_text_is_split_at_its_colons(text: str) -> None:
    assert ":".join(split(text)) == text
    if "$" not in text and "[" not in text:
        assert split(text) == text.split(":")
