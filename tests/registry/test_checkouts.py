"""`registry/hostnames.py`: what two checkouts of one project are called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.registry.decode import decode_project, decode_user
from devproxy.registry.hostnames import header, joined, moved, own_host, split
from devproxy.registry.merge import Linked, merge
from devproxy.registry.model import Mount, Registry, Upstream
from tests.registry.merging import BOTH, USER, services

TLDS = ("localhost", "dev.test")
LABELS = st.from_regex("[a-z]([a-z0-9-]{0,5}[a-z0-9])?", fullmatch=True)

FILE = """\
project = "shop"
[services.web]
port = 5173
command = "npm run dev"
hosts = ["shop.localhost"]
env = { API = "{url.api}", SAME = "{url.api.shop}" }
depends_on = ["api", "db.shop"]
[services.api]
upstream = "http://127.0.0.1:8000"
command = "npm start"
[[services.api.mount]]
host = "shop.localhost"
path = "/api"
[services.db]
protocol = "tcp"
port = 54321
listen = 5432
"""


def both(**local: str) -> Registry:
    user = '[projects.shop]\npath = "/a"\n[projects."fix-ui.shop"]\npath = "/b"\n'
    links = [
        Linked("shop", decode_project(FILE, "/home/you/shop/devproxy.toml")),
        Linked("fix-ui.shop", decode_project(FILE, "/home/you/fix/devproxy.toml")),
    ]
    return merge(decode_user(user, USER), links)


def test_every_name_of_a_checkout_has_its_label() -> None:
    registry = both()
    assert registry.problems == ()
    found = services(registry)
    assert found["web.shop"].hosts == ("web.shop.localhost", "shop.localhost")
    assert found["web.fix-ui.shop"].hosts == ("web.fix-ui.shop.localhost", "fix-ui.shop.localhost")
    assert found["api.shop"].mounts == (Mount("shop.localhost", "/api"),)
    assert found["api.fix-ui.shop"].mounts == (Mount("fix-ui.shop.localhost", "/api"),)
    assert not {host for one in found.values() if one.project == "shop" for host in one.hosts} & {
        host for one in found.values() if one.project == "fix-ui.shop" for host in one.hosts
    }


def test_a_checkout_depends_on_its_own_services() -> None:
    found = services(both())
    assert found["web.fix-ui.shop"].depends_on == ("api.fix-ui.shop", "db.fix-ui.shop")
    assert found["web.shop"].depends_on == ("api.shop", "db.shop")


def test_a_port_with_a_command_belongs_to_the_checkout_without_a_label() -> None:
    found = services(both())
    assert found["web.shop"].upstream == Upstream("http", BOTH, 5173)
    assert found["web.fix-ui.shop"].upstream is None
    assert found["api.fix-ui.shop"].upstream is None
    # what nobody starts here is there for both
    assert found["db.fix-ui.shop"].upstream == found["db.shop"].upstream == Upstream("tcp", BOTH, 54321)
    assert (found["db.shop"].listen, found["db.fix-ui.shop"].listen) == (5432, None)


@pytest.mark.parametrize(
    ("template", "main", "other"),
    [
        ("{service}.{project}.{tld}", "web.shop.localhost", "web.fix-ui.shop.localhost"),
        ("{service}-{project}.{tld}", "web-shop.localhost", "web-fix-ui.shop.localhost"),
        ("{service}-{worktree}.{project}.{tld}", "web.shop.localhost", "web-fix-ui.shop.localhost"),
        ("{worktree}.{service}.{project}.{tld}", "web.shop.localhost", "fix-ui.web.shop.localhost"),
        ("{service}.{project}-{worktree}.{tld}", "web.shop.localhost", "web.shop-fix-ui.localhost"),
        ("{service}.{worktree}.{tld}", "web.localhost", "web.fix-ui.localhost"),
    ],
)
def test_the_template_says_where_the_label_stands(template: str, main: str, other: str) -> None:
    assert own_host(template, "web", "shop", "localhost") == main
    assert own_host(template, "web", "fix-ui.shop", "localhost") == other
    assert own_host(template, "web", None, "localhost") == "web.localhost"


@pytest.mark.parametrize(
    ("host", "there"),
    [
        ("shop.localhost", "fix-ui.shop.localhost"),
        ("*.shop.localhost", "*.fix-ui.shop.localhost"),
        ("a.b.shop.dev.test", "a.b.fix-ui.shop.dev.test"),
        ("*.localhost", "*.fix-ui.localhost"),
        ("shop.example", "shop.example"),
    ],
)
def test_a_host_of_the_file_moves_below_the_label(host: str, there: str) -> None:
    assert moved(host, "fix-ui.shop", TLDS) == there
    assert moved(host, "shop", TLDS) == moved(host, None, TLDS) == host


@given(LABELS, LABELS, LABELS)
def test_no_two_checkouts_move_a_host_to_the_same_place(first: str, second: str, host: str) -> None:
    names = {moved(f"{host}.localhost", project, TLDS) for project in ("shop", f"{first}.shop", f"{second}.shop")}
    assert len(names) == (2 if first == second else 3)


@given(LABELS | st.just(""), LABELS)
def test_split_undoes_joined(label: str, base: str) -> None:
    assert split(joined(label, base)) == (label, base)


def test_headers() -> None:
    assert header("shop") == "[projects.shop]"
    assert header("fix-ui.shop") == '[projects."fix-ui.shop"]'
