"""A workspace of three npm packages, from `devproxy init` to `devproxy down`: two servers and what they share.

Lives here: what a person types and edits, in order, with real packages linked by npm.
Not here: how the services are found (`tests/survey/`), other programs (`test_programs_by_name.py`).
"""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import require
from tests.e2e.project import Project, project_in
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

SHARED = "exports.greeting = (name) => `hello from ${name}`\n"
SERVER = """
const { createServer, get } = require('node:http')
const { greeting } = require('@shop/shared')
const { PORT, HOST, API_PORT, API_URL } = process.env

createServer((request, response) => {
  console.log('NAME is asked for', request.url)
  ANSWER
}).listen(PORT, HOST, () => console.log('NAME listens', API_URL || ''))
"""
API = "response.end(greeting('api'))"
WEB = """
  get({ host: '127.0.0.1', port: API_PORT, path: '/items' }, (answer) => {
    response.write(greeting('web') + ', ')
    answer.pipe(response)
  })
"""


def package(name: str, **more: object) -> str:
    return json.dumps({"name": f"@shop/{name}", "version": "1.0.0", "private": True, **more})


def files() -> dict[str, str]:
    uses = {"dependencies": {"@shop/shared": "*"}}
    return {
        "package.json": json.dumps({"name": "shop", "private": True, "workspaces": ["packages/*"]}),
        "packages/shared/package.json": package("shared", main="index.js", scripts={"build": "echo nothing to do"}),
        "packages/shared/index.js": SHARED,
        "packages/api/package.json": package("api", scripts={"start": "node server.js"}, **uses),
        "packages/api/server.js": SERVER.replace("NAME", "api").replace("ANSWER", API),
        "packages/web/package.json": package("web", scripts={"dev": "node server.js"}, **uses),
        "packages/web/server.js": SERVER.replace("NAME", "web").replace("ANSWER", WEB),
    }


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Project]:
    require.linux()
    require.program("node")
    npm = require.program("npm")
    with project_in(tmp_path, {"npm_config_update_notifier": "false"}) as made:
        made.put(files())
        assert made.run_program(npm, "install", "--offline", "--no-audit", "--no-fund") == 0
        yield made


def test_from_init_to_down(workspace: Project) -> None:
    found = workspace.do("init")
    assert re.findall(r"^(\w+) +npm run (\w+)", found, re.M) == [("api", "start"), ("web", "dev")]

    # as it was written
    shown = workspace.do("up", "--detach")
    url = f"http://web.shop.localhost:{workspace.port}"
    assert re.search(rf"^web\.shop +up +{url}$", shown, re.M), shown
    workspace.wait_answer("api.shop.localhost", body=b"hello from api")
    ended = workspace.do("down").splitlines()  # neither waits for the other
    assert sorted(ended) == ["`api.shop` has ended", "`web.shop` has ended"]
    workspace.wait_nothing_left()

    # with what a person adds to it
    file = workspace.folder / "devproxy.toml"
    api = 'env = { API_PORT = "{port.api}", API_URL = "{url.api}" }'
    file.write_text(f'{file.read_text()}depends_on = ["api"]\n{api}\n')
    assert list(tomllib.loads(file.read_text())["services"]) == ["api", "web"]
    workspace.do("up", "--detach")
    workspace.wait_answer("web.shop.localhost", body=b"hello from web, hello from api")

    asked = ("web is asked for /\n", "api is asked for /items\n")
    wait_until(lambda: all(line in workspace.do("logs") for line in asked), "what they printed to be in the logs")
    said = workspace.do("logs")
    api_url = f"http://api.shop.localhost:{workspace.port}"
    assert said.rindex("api listens") < said.rindex(f"web listens {api_url}"), said
    assert re.search(r"^web\.shop \| web is asked for /$", workspace.do("logs", "web"), re.M)

    workspace.do("down")
    workspace.wait_nothing_left()
    assert (workspace.leases(), workspace.groups()) == ([], [])
    assert workspace.get("web.shop.localhost").status == 502


def test_one_service_brings_what_it_depends_on_and_can_be_ended_alone(workspace: Project) -> None:
    workspace.do("init")
    file = workspace.folder / "devproxy.toml"
    file.write_text(f'{file.read_text()}depends_on = ["api"]\nenv = {{ API_PORT = "{{port.api}}" }}\n')
    workspace.do("up", "--detach", "web")
    workspace.wait_answer("web.shop.localhost", body=b"hello from web, hello from api")
    assert workspace.do("down", "web") == "`web.shop` has ended\n"
    assert workspace.leases() == ["api.shop"]
    workspace.wait_answer("api.shop.localhost", body=b"hello from api")
    assert workspace.do("down") == "`api.shop` has ended\n"
    workspace.wait_nothing_left()
