"""What two checkouts of one project are called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.problems import Wrong
from devproxy.registry.decode import decode_project, decode_user
from devproxy.registry.layers import Linked
from devproxy.registry.merge import merge
from devproxy.registry.model import ListenAddress, Mount, Project, Registry, Upstream, parse_id, service_id, split_id
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
        Linked(Project("shop"), decode_project(FILE, "/home/you/shop/devproxy.toml")),
        Linked(Project("shop", "fix-ui"), decode_project(FILE, "/home/you/fix/devproxy.toml")),
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
    assert not {host for one in found.values() if one.project == Project("shop") for host in one.hosts} & {
        host for one in found.values() if one.project == Project("shop", "fix-ui") for host in one.hosts
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
    own, other = found["db.shop"].listen, found["db.fix-ui.shop"].listen
    assert own == ListenAddress(BOTH, 5432)
    assert other is not None
    assert other.hosts == BOTH
    assert 10000 <= other.port < 20000


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
    assert Project("shop").host("web", template, "localhost") == main
    assert Project("shop", "fix-ui").host("web", template, "localhost") == other
    user = f'[proxy]\nhost_template = "{template}"\n[services.web]\nport = 5173\n'
    assert services(merge(decode_user(user, USER)))["web"].hosts == ("web.localhost",)


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
    assert Project("shop", "fix-ui").moved(host, TLDS) == there
    assert Project("shop").moved(host, TLDS) == host


@given(LABELS, LABELS, LABELS)
def test_no_two_checkouts_move_a_host_to_the_same_place(first: str, second: str, host: str) -> None:
    names = {Project("shop", label).moved(f"{host}.localhost", TLDS) for label in ("", first, second)}
    assert len(names) == (2 if first == second else 3)


@given(LABELS | st.just(""), LABELS)
def test_a_project_is_read_as_it_is_written(label: str, base: str) -> None:
    project = Project(base, label)
    assert Project.of(str(project)) == project
    assert hash(Project.of(str(project))) == hash(project)
    assert split_id(service_id("web", project)) == ("web", project)
    assert split_id(service_id("web", None)) == ("web", None)


@pytest.mark.parametrize("text", ["", ".shop", "fix.", "a.b.shop", "Shop", "fix ui.shop", "devproxy", "devproxy.shop"])
def test_what_is_no_project_is_refused(text: str) -> None:
    with pytest.raises(Wrong):
        Project.parse(text)
    with pytest.raises(Wrong):
        parse_id(f"web.{text}")


def test_what_is_a_project_is_not() -> None:
    assert Project.parse("fix-ui.shop") == Project("shop", "fix-ui")
    assert parse_id("web.fix-ui.shop") == ("web", Project("shop", "fix-ui"))
    assert parse_id("web") == ("web", None)


def test_the_checkouts_of_a_project_stand_together() -> None:
    texts = ["zebra", "shop", "b.shop", "blog", "a.shop"]
    assert [str(project) for project in sorted(map(Project.of, texts))] == ["blog", "shop", "a.shop", "b.shop", "zebra"]


def test_headers() -> None:
    assert Project("shop").header == "[projects.shop]"
    assert Project("shop", "fix-ui").header == '[projects."fix-ui.shop"]'
