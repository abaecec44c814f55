"""What a compose file publishes."""

from pathlib import Path

import pytest

from devproxy.detect.compose import look
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


def test_a_file(tmp_path: Path) -> None:
    seen = look(write(tmp_path, {"compose.yaml": FILE}))
    found = [(each.name, each.port, each.protocol, each.depends_on) for each in seen.services]
    assert found == [("db", 54321, "tcp", ()), ("web", 8080, "http", ("db", "queue")), ("open", 8081, "http", ())]
    assert seen.services[0].command == ("docker", "compose", "up", "--no-log-prefix", "db")
    assert seen.remarks == (
        "compose.yaml: `queue` is left out: it publishes no port that is fixed",
        'compose.yaml: `open` is published to the whole network; for this machine alone: "127.0.0.1:8081:80"',
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
        "compose.yaml: `café-1` is left out: it is not a name for a service",
        'compose.yaml: `b` is published to the whole network; for this machine alone: "127.0.0.1:22:22"',
        "compose.yaml: `c` is left out: it publishes no port that is fixed",
    )


def test_a_file_that_cannot_be_read_is_said_with_the_place(tmp_path: Path) -> None:
    text = "services:\n  a: {ports: ['1:1']}\n  a: {}\n"
    seen = look(write(tmp_path, {"compose.yaml": text}))
    assert seen.services == ()
    assert seen.remarks == ("compose.yaml:3:3: the file is left out: `a` is there twice",)


@pytest.mark.parametrize("text", ["", "services:\n", "services: [a]\n", "- a\n", "services:\n  a: b\n"])
def test_a_file_without_services(tmp_path: Path, text: str) -> None:
    assert look(write(tmp_path, {"compose.yml": text})).services == ()
