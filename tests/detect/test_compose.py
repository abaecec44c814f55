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


@pytest.mark.parametrize("text", ["", "services:\n", "services: [a]\n", "- a\n", "services:\n  a: b\n"])
def test_a_file_without_services(tmp_path: Path, text: str) -> None:
    assert look(write(tmp_path, {"compose.yml": text})).services == ()
