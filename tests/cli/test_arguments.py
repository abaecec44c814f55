"""NAME: an id, a unique bare name, or a hostname; and what a wrong one gets."""

import pytest

from devproxy.cli.arguments import find_service
from devproxy.errors import DevproxyError, Exit
from devproxy.registry.model import Project, Registry, Service, Source


def service(name: str, project: str | None = None, *hosts: str) -> Service:
    identity = f"{name}.{project}" if project else name
    return Service(
        id=identity,
        name=name,
        project=Project.of(project) if project else None,
        hosts=(f"{identity}.localhost", *hosts),
        source=Source("/registry.toml", 1),
    )


REGISTRY = Registry(
    services=(
        service("aaa", None, "*.localhost", "*.y.shop.localhost"),
        service("admin"),
        service("api", "blog"),
        service("api", "shop"),
        service("web", "shop", "shop.localhost", "*.shop.localhost"),
    )
)

SMALL = Registry(services=REGISTRY.services[1:])


@pytest.mark.parametrize(
    ("name", "identity", "host"),
    [
        ("admin", "admin", "admin.localhost"),
        ("web.shop", "web.shop", "web.shop.localhost"),
        ("web", "web.shop", "web.shop.localhost"),
        ("WEB", "web.shop", "web.shop.localhost"),
        ("api.blog", "api.blog", "api.blog.localhost"),
        ("api.blog.localhost", "api.blog", "api.blog.localhost"),
        ("shop.localhost", "web.shop", "shop.localhost"),
        ("shop.localhost.", "web.shop", "shop.localhost"),
        ("shop", "web.shop", "shop.localhost"),
        ("x.y.shop.localhost", "aaa", "x.y.shop.localhost"),
        ("x.z.shop.localhost", "web.shop", "x.z.shop.localhost"),
        ("other.localhost", "aaa", "other.localhost"),
        ("api.shop.localhost", "api.shop", "api.shop.localhost"),
    ],
)
def test_what_a_name_means(name: str, identity: str, host: str) -> None:
    found = find_service(REGISTRY, name)
    assert (found.service.id, found.host) == (identity, host)


@pytest.mark.parametrize(
    ("registry", "name", "message"),
    [
        (SMALL, "api", "`api` is the name of 2 services\n  fix: say which: api.blog, api.shop"),
        (SMALL, "wbe", "nothing is called `wbe`\n  fix: did you mean `web.shop`?"),
        (SMALL, "zzz", "nothing is called `zzz`\n  fix: devproxy ls shows all 4 services"),
        (
            Registry(),
            "web",
            "nothing is called `web`\n  why: no service is registered yet\n"
            "  fix: devproxy add web PORT (or, in a project's folder, devproxy link)",
        ),
    ],
)
def test_a_wrong_name_is_told_what_there_is(registry: Registry, name: str, message: str) -> None:
    with pytest.raises(DevproxyError) as raised:
        find_service(registry, name)
    assert str(raised.value) == message
    assert raised.value.exit_code == Exit.BAD_NEWS


def test_a_service_that_lost_all_its_hostnames_is_still_found() -> None:
    bare = Service(id="web", name="web", project=None, hosts=(), source=Source("/registry.toml", 1))
    assert find_service(Registry(services=(bare,)), "web").host == ""
