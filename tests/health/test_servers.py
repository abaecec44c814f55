"""Real servers: each is started exposed, the finding is seen, the proposed change is applied, the finding is gone.

All of it happens on a machine of the test's own (a network namespace); a neighbour on the same wire tells whether the
verdict is true.
"""

import os
import shlex
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from devproxy.health.exposure import PortJudgement, judge_port
from devproxy.health.fixes import Fix, propose
from devproxy.health.sockets import Scanner
from tests import require
from tests.health.netns import Machine, neighbours
from tests.health.packages import node_modules

pytestmark = [pytest.mark.netns, pytest.mark.timeout(400)]

T = TypeVar("T")
HTTP = b"GET / HTTP/1.0\r\n\r\n"
WSGI = "def app(environ, start):\n    start('200 OK', [])\n    return [b'hello']\n"
ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})
"""
DJANGO = """
import sys
from django.conf import settings
from django.core.management import execute_from_command_line
settings.configure(DEBUG=True, SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
urlpatterns = []
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
"""


@dataclass
class Server:
    """A program that is exposed as started by `command`; `said` is what must be proposed.

    `{bin}` is where Python's scripts are, `{modules}` the npm packages, `{here}` the folder with `files`. `hello` makes
    it answer something, None: an accepted connection will do. `user` is who runs it if root must not.
    """

    command: str
    port: int
    said: str
    files: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    hello: bytes | None = HTTP
    user: int | None = None
    needs: Callable[[], object] = lambda: None


def python(name: str) -> Callable[[], object]:
    return lambda: require.module(name)


def program(name: str) -> Callable[[], object]:
    return lambda: require.program(name)


SERVERS = {
    "http.server": Server(
        "{bin}/python -m http.server 8101", 8101, "python -m http.server: add `--bind 127.0.0.1` to its command"
    ),
    "Django": Server(
        "{bin}/python manage.py runserver 0:8102",
        8102,
        "Django: change `0:8102` to `127.0.0.1:8102`",
        {"manage.py": DJANGO},
        needs=python("django"),
    ),
    "Flask": Server(
        "{bin}/python -m flask --app web run --debug --host=0.0.0.0 --port 8103",
        8103,
        "Flask: change `--host=0.0.0.0` to `--host=127.0.0.1`",
        {"web.py": "from flask import Flask\napp = Flask(__name__)\n"},
        needs=python("flask"),
    ),
    "uvicorn": Server(
        "{bin}/uvicorn web:app --reload --host :: --port 8104",
        8104,
        "uvicorn: change `--host ::` to `--host 127.0.0.1`",
        {"web.py": ASGI},
        needs=python("uvicorn"),
    ),
    "gunicorn": Server(
        "{bin}/gunicorn web:app -w 2 -b 0.0.0.0:8105",
        8105,
        "gunicorn: change `-b 0.0.0.0:8105` to `-b 127.0.0.1:8105`",
        {"web.py": WSGI},
        needs=python("gunicorn"),
    ),
    "gunicorn by PORT": Server(
        "{bin}/gunicorn web:app",
        8106,
        'gunicorn: add `-b 127.0.0.1:8106` to its command, or set `bind = "127.0.0.1:8106"` in gunicorn.conf.py',
        {"web.py": WSGI},
        {"PORT": "8106"},
        needs=python("gunicorn"),
    ),
    "hypercorn": Server(
        "{bin}/hypercorn web:app --bind [::]:8107",
        8107,
        "hypercorn: change `--bind [::]:8107` to `--bind 127.0.0.1:8107`",
        {"web.py": ASGI},
        needs=python("hypercorn"),
    ),
    "waitress": Server(
        "{bin}/waitress-serve --port=8108 web:app",
        8108,
        "waitress: add `--host=127.0.0.1` to its command",
        {"web.py": WSGI},
        needs=python("waitress"),
    ),
    "Vite": Server(
        "node {modules}/.bin/vite --port 8109 --host",
        8109,
        "Vite: change `--host` to `--host 127.0.0.1`",
        {"index.html": "hello"},
        needs=node_modules,
    ),
    "Vite by its configuration": Server(
        "sh -c '{modules}/.bin/vite --port 8110; exit'",
        8110,
        'Vite: add `--host 127.0.0.1` to its command, or set `server: { host: "127.0.0.1" }` in vite.config.js',
        {"index.html": "hello", "vite.config.js": "export default { server: { host: true } }"},
        needs=node_modules,
    ),
    "webpack-dev-server": Server(
        "sh -c '{modules}/.bin/webpack serve --port 8111; exit'",
        8111,
        "webpack-dev-server: add `--host 127.0.0.1` to its command, or set `devServer: { host: "
        '"127.0.0.1" }` in webpack.config.js',
        {"src/index.js": "", "webpack.config.js": 'module.exports = { mode: "development" }'},
        needs=node_modules,
    ),
    "Next.js": Server(
        "{modules}/.bin/next dev -p 8112",
        8112,
        "Next.js: add `-H 127.0.0.1` to its command",
        {"pages/index.js": "export default () => null", "package.json": '{"private": true}'},
        hello=None,
        needs=node_modules,
    ),
    "http-server": Server(
        "{modules}/.bin/http-server . -p 8113",
        8113,
        "http-server: add `-a 127.0.0.1` to its command",
        needs=node_modules,
    ),
    "serve": Server(
        "{modules}/.bin/serve -p 8114", 8114, "serve: change `-p 8114` to `-l tcp://127.0.0.1:8114`", needs=node_modules
    ),
    "Redis": Server(
        "redis-server --port 8115 --save '' --protected-mode no",
        8115,
        "Redis: add `--bind 127.0.0.1` to its command, or set `bind 127.0.0.1 -::1` in redis.conf",
        hello=b"PING\r\n",
        needs=program("redis-server"),
    ),
    "PostgreSQL": Server(
        "{postgres}/postgres -D {here}/data -p 8116 -k {here} -c listen_addresses=*",
        8116,
        "PostgreSQL: change `-c listen_addresses=*` to `-c listen_addresses=localhost`",
        hello=b"\0\0\0\x08\x04\xd2\x16\x2f",  # SSLRequest
        user=65534,
        needs=lambda: require.program("setpriv") and postgres(),
    ),
    "PHP": Server(
        "php -S 0.0.0.0:8117", 8117, "PHP: change `-S 0.0.0.0:8117` to `-S 127.0.0.1:8117`", needs=program("php")
    ),
    "memcached": Server(
        "memcached -u root -p 8118",
        8118,
        "memcached: add `-l 127.0.0.1` to its command, or set `-l 127.0.0.1` in memcached.conf",
        hello=b"version\r\n",
        needs=program("memcached"),
    ),
}


@pytest.fixture(scope="module")
def wire() -> Iterator[tuple[Machine, Machine]]:
    with neighbours() as machines:
        yield machines


@pytest.fixture
def here() -> Iterator[Path]:
    """A folder that another user may enter, unlike tmp_path."""
    folder = Path(tempfile.mkdtemp(prefix="devproxy-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def postgres() -> str:
    """The folder of PostgreSQL's programs; Debian keeps them out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return str(found[-1].parent) if found else str(Path(require.program("postgres")).parent)


@pytest.mark.parametrize("name", SERVERS)
def test_exposed_then_mended(name: str, wire: tuple[Machine, Machine], here: Path) -> None:
    server = SERVERS[name]
    server.needs()
    argv = _prepared(server, here)
    machine, neighbour = wire
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin",
        "HOME": str(here),
        "NEXT_TELEMETRY_DISABLED": "1",
        **server.env,
    }
    log = here / "log"
    if name == "PostgreSQL":
        _initialised(server, machine, here, env)
    with machine.running(_as_user(server, argv), here, env, log):
        fix = eventually(log, lambda: _finding(machine, neighbour, server))
    assert fix.text == server.said

    # A server's workers may outlive it for a moment, and must not answer for the next one.
    eventually(log, lambda: None if _heard(machine, server.port) else True)
    command = fix.command or (*argv, *shlex.split(fix.after))
    with machine.running(_as_user(server, command), here, env, log):
        eventually(log, lambda: _answers(machine, "127.0.0.1", server) or None)
        judged = _judged(machine, server.port)
        assert judged.verdict == "loopback", judged.why
        assert not neighbour.reaches("192.0.2.1", server.port)
        assert not neighbour.reaches("2001:db8::1", server.port)


def _prepared(server: Server, here: Path) -> list[str]:
    for file, text in server.files.items():
        (here / file).parent.mkdir(parents=True, exist_ok=True)
        (here / file).write_text(text, "utf-8")
    values = {"{bin}": str(Path(sys.executable).parent), "{here}": str(here)}
    if "{modules}" in server.command:
        (here / "node_modules").symlink_to(node_modules())
        values["{modules}"] = "node_modules"
    if "{postgres}" in server.command:
        values["{postgres}"] = postgres()
    command = server.command
    for place, value in values.items():
        command = command.replace(place, value)
    return shlex.split(command)


def _as_user(server: Server, argv: Sequence[str]) -> list[str]:
    user = str(server.user)
    return list(argv) if server.user is None else ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", *argv]


def _initialised(server: Server, machine: Machine, here: Path, env: Mapping[str, str]) -> None:
    os.chown(here, server.user or 0, -1)
    argv = _as_user(server, [f"{postgres()}/initdb", "-D", f"{here}/data", "-U", "postgres", "-N"])
    with machine.running(argv, here, env, here / "log") as process:
        assert process.wait(60) == 0, (here / "log").read_text("utf-8")


def _judged(machine: Machine, port: int) -> PortJudgement:
    return judge_port(port, machine.call(Scanner().scan))


def _heard(machine: Machine, port: int) -> bool:
    return any(listener.port == port for listener in machine.call(Scanner().scan).listeners)


def _finding(machine: Machine, neighbour: Machine, server: Server) -> Fix | None:
    """The fix, once the server is exposed and the neighbour can use it."""
    if not _answers(neighbour, "192.0.2.1", server):
        return None
    judged = _judged(machine, server.port)
    assert judged.verdict == "exposed", judged.why
    listener, judgement = judged.exposed[0]
    assert judgement.interfaces == ("wire0",)
    assert listener.process.argv, listener.process.gap
    return propose(listener.process.argv, listener.process.parents, server.port)


def _answers(machine: Machine, address: str, server: Server) -> bool:
    def ask() -> bool:
        try:
            with socket.create_connection((address, server.port), timeout=10) as connection:
                connection.settimeout(10)
                if server.hello is None:
                    return True
                connection.sendall(server.hello)
                return connection.recv(1) != b""
        except OSError:
            return False

    return machine.call(ask)


def eventually(log: Path, look: Callable[[], T | None]) -> T:
    """What `look` finds, asked until there is something; the server's output if there never is."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.05)
    pytest.fail(f"nothing after 60 s; the server said:\n{log.read_text('utf-8', 'replace')[-3000:]}")
