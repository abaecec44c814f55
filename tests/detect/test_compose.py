"""What a compose file publishes."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.detect.compose import look
from devproxy.detect.compose_files import fill
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
    return {each.name: each.port for each in look(root).services}


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
    remarks = look(write(tmp_path, {"compose.yaml": one("127.0.0.1:8080:80")})).remarks
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
    found = [(each.name, each.port, each.protocol, each.depends_on) for each in seen.services]
    assert found == [("db", 54321, "tcp", ()), ("web", 8080, "http", ("db", "queue")), ("open", 8081, "http", ())]
    assert seen.services[0].command == ("docker", "compose", "up", "--no-log-prefix", "db")
    assert seen.remarks == (
        "compose.yaml:15:5: `queue` is left out: it publishes no port that is fixed",
        'compose.yaml:17:5: `open` is published to the whole network; for this machine alone: "127.0.0.1:8081:80"',
    )


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
    assert [(each.name, each.port) for each in seen.services] == [("a", 8022), ("b", 22)]
    assert seen.remarks == (
        "compose.yaml:5:18: `café-1` is left out: it is not a name for a service",
        'compose.yaml:8:5: `b` is published to the whole network; for this machine alone: "127.0.0.1:22:22"',
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
