"""Programs that are exposed unless told otherwise, each with how it is started and what must be proposed.

Lives here: the table. Not here: starting them (`test_servers.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests import require
from tests.health.packages import node_modules

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


def postgres() -> str:
    """The folder of PostgreSQL's programs; Debian keeps them out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return str(found[-1].parent) if found else str(Path(require.program("postgres")).parent)


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
