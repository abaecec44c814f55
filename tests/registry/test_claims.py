"""`registry/claims.py`: who holds which name."""

import pytest

from devproxy.registry.decode import decode_project, decode_user
from devproxy.registry.layers import Linked
from devproxy.registry.merge import merge
from devproxy.registry.model import Lease, Mount, Project
from tests.registry.merging import USER, linked, of, services


def test_hostnames_for_every_tld_and_by_the_template() -> None:
    text = '[proxy]\ntlds = ["localhost", "test"]\nhost_template = "{service}-{project}.{tld}"\n[services.app]\n'
    found = of(text, linked('project = "shop"\n[services.web]\n[services.api]\n'))
    assert found["app"].hosts == ("app.localhost", "app.test")
    assert found["web.shop"].hosts == ("web-shop.localhost", "web-shop.test")


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("[services.web]\n", {"web.shop": ("web.shop.localhost", "shop.localhost")}),
        (
            "[services.shop]\n[services.api]\n",
            {"shop.shop": ("shop.shop.localhost", "shop.localhost"), "api.shop": ("api.shop.localhost",)},
        ),
        (
            "[services.web]\n[services.api]\n",
            {"web.shop": ("web.shop.localhost",), "api.shop": ("api.shop.localhost",)},
        ),
        (
            '[services.web]\n[services.db]\nprotocol = "tcp"\nport = 1\n',
            {"web.shop": ("web.shop.localhost", "shop.localhost"), "db.shop": ("db.shop.localhost",)},
        ),
        (
            '[services.shop]\n[services.web]\nhosts = ["shop.localhost"]\n',
            {"shop.shop": ("shop.shop.localhost",), "web.shop": ("web.shop.localhost", "shop.localhost")},
        ),
    ],
)
def test_who_answers_at_the_name_of_the_project(text: str, hosts: dict[str, tuple[str, ...]]) -> None:
    found = of("", linked('project = "shop"\n' + text))
    assert {name: service.hosts for name, service in found.items()} == hosts


def test_a_lease_never_takes_a_name_from_a_file() -> None:
    lease = Lease(service="b", port=4000, pid=1, hosts=("a.localhost",), file="/l")
    registry = merge(decode_user("[services.a]\nport = 1\n", USER), leases=[lease])
    assert services(registry)["a"].hosts == ("a.localhost",)
    assert services(registry)["b"].hosts == ("b.localhost",)
    assert [problem.code for problem in registry.problems] == ["duplicate-host"]


def test_the_first_holder_keeps_a_name_and_the_rest_of_both_works() -> None:
    text = '[services.a]\nport = 1\nhosts = ["x.localhost"]\n'
    text += '[services.b]\nport = 2\nhosts = ["x.localhost", "y.localhost"]\n'
    found = services(merge(decode_user(text, USER)))
    assert found["a"].hosts == ("a.localhost", "x.localhost")
    assert found["b"].hosts == ("b.localhost", "y.localhost")


def test_the_user_may_divide_every_host() -> None:
    user = '[services.a]\nport = 1\nmount = [{ host = "web.shop.localhost", path = "/a" }]\n'
    found = of(user, linked('project = "shop"\n[services.web]\nport = 2\n'))
    assert found["a"].mounts == (Mount("web.shop.localhost", "/a"),)


def test_a_mount_at_the_name_of_the_project_or_below_a_wildcard_is_no_doubt() -> None:
    text = """\
project = "shop"
[services.web]
hosts = ["*.shop.localhost"]
[services.api]
mount = [{ host = "shop.localhost", path = "/a" }, { host = "x.y.shop.localhost", path = "/a" }]
"""
    assert len(of("", linked(text))["api.shop"].mounts) == 2


def test_a_project_without_a_usable_file_is_no_service_and_holds_its_name() -> None:
    user = '[services.a]\nport = 1\n[projects.shop]\npath = "x"\n[projects.evil]\npath = "y"\n'
    evil = Linked(
        Project("evil"), decode_project('project = "evil"\n[services.web]\nhosts = ["shop.localhost"]\n', "/y")
    )
    registry = merge(decode_user(user, USER), [Linked(Project("shop"), None), evil])
    assert sorted(services(registry)) == ["a", "web.evil"]
    assert [problem.code for problem in registry.problems] == ["foreign-name"]


HOLDERS = (
    "[services.shop]\nport = 1\n",
    '[services.a]\nport = 1\nhosts = ["shop.localhost"]\n',
    '[services.a]\nport = 1\nhosts = ["a.example.localhost", "shop.localhost"]\n',
)
BELOW = (
    'project = "shop"\n[services.web]\nport = 2\n',
    'project = "shop"\n[services.web]\nport = 2\n[services.api]\nport = 3\n',
    'project = "evil"\n[services.web]\nport = 2\nhosts = ["web.shop.localhost"]\n',
    'project = "evil"\n[services.web]\nport = 2\nhosts = ["*.shop.localhost"]\n',
    'project = "evil"\n[services.web]\nport = 2\nhosts = ["a.b.shop.localhost"]\n',
    'project = "evil"\n[services.web]\nport = 2\nmount = [{ host = "web.shop.localhost", path = "/a" }]\n',
    'project = "evil"\n[services.web]\nport = 2\nmount = [{ host = "shop.localhost", path = "/a" }]\n',
)


@pytest.mark.parametrize("user", HOLDERS)
@pytest.mark.parametrize("project", BELOW)
def test_a_project_gets_nothing_below_a_service_of_the_users_whatever_it_is_called(user: str, project: str) -> None:
    """It could plant cookies there, and clear them. Each name that it is denied is a problem that names both places."""
    decoded = decode_project(project, "/p/devproxy.toml")
    name = project.split('"')[1]
    registry = merge(decode_user(f'{user}[projects.{name}]\npath = "/p/devproxy.toml"\n', USER), [
        Linked(Project(name), decoded)
    ])  # fmt: skip
    for service in registry.services:
        if service.project is not None:
            assert not [host for host in service.hosts if host.endswith("shop.localhost")]
            assert not [mount for mount in service.mounts if mount.host.endswith("shop.localhost")]
    told = [problem for problem in registry.problems if problem.code in {"foreign-name", "duplicate-host"}]
    assert told
    for problem in told:
        assert problem.file == "/p/devproxy.toml"
        assert f"{USER}:" in problem.message + problem.why


@pytest.mark.parametrize(
    "project",
    [
        'project = "shop"\n[services.web]\nport = 2\n',
        'project = "evil"\n[services.web]\nport = 2\nhosts = ["web.shop.localhost"]\n',
        'project = "evil"\n[services.web]\nport = 2\nhosts = ["*.web.shop.localhost"]\n',
        'project = "evil"\n[services.web]\nport = 2\nmount = [{ host = "web.shop.localhost", path = "/a" }]\n',
    ],
)
def test_a_project_gets_nothing_out_of_a_wildcard_of_the_users(project: str) -> None:
    """A longer name goes before a wildcard, and so would take requests from the one that has it."""
    user = '[services.a]\nport = 1\nhosts = ["*.shop.localhost"]\n'
    name = project.split('"')[1]
    registry = merge(
        decode_user(f'{user}[projects.{name}]\npath = "/p/devproxy.toml"\n', USER),
        [Linked(Project(name), decode_project(project, "/p/devproxy.toml"))],
    )
    for service in registry.services:
        if service.project is not None:
            taken = (*service.hosts, *(mount.host for mount in service.mounts))
            assert not [host for host in taken if host.endswith(".shop.localhost")]
    (problem,) = [problem for problem in registry.problems if problem.code == "foreign-name"]
    assert problem.file == "/p/devproxy.toml"
    assert f"{USER}:3" in problem.message


def test_names_that_do_not_lie_below_it_stay() -> None:
    """And what a user has below a project is theirs to say."""
    user = '[proxy]\nhost_template = "{service}-{project}.{tld}"\n[services.shop]\nport = 1\n'
    found = of(user, linked('project = "shop"\n[services.web]\nport = 2\n[services.api]\nport = 3\n'))
    assert found["web.shop"].hosts == ("web-shop.localhost",)
    found = of(
        '[services.a]\nport = 1\nhosts = ["x.web.shop.localhost"]\n', linked('project = "shop"\n[services.web]\n')
    )
    assert found["a"].hosts == ("a.localhost", "x.web.shop.localhost")
    assert found["web.shop"].hosts == ("web.shop.localhost", "shop.localhost")
