"""`registry/resolve.py`: a project's file names sockets of its own folder only."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.registry.decode import decode_user
from devproxy.registry.merge import merge
from devproxy.registry.resolve import LONGEST, fault
from tests.registry.merging import SHOP, USER, linked, services

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="paths as POSIX has them")

FOLDER = "/home/you/shop"


@pytest.mark.parametrize(
    "path",
    [
        "app.sock",
        "run/app.sock",
        "./run/../app.sock",
        "../shop/app.sock",
        f"{FOLDER}/app.sock",
        "...sock",
        "..a/b.sock",
    ],
)
def test_sockets_of_the_project(path: str) -> None:
    assert fault(path, SHOP, is_shared=True) is None


@pytest.mark.parametrize(
    "path",
    [
        "/var/run/docker.sock",
        "../app.sock",
        "run/../../app.sock",
        "../shop-2/app.sock",
        f"{FOLDER}-2/app.sock",
        f"{FOLDER}/../other/app.sock",
        f"{FOLDER}/run/../../../../../var/run/docker.sock",
        "../../../../../../../../var/run/docker.sock",
        "/" + "../" * 3 + "var/run/docker.sock",
    ],
)
def test_sockets_elsewhere_are_the_users_to_name(path: str) -> None:
    wrong = fault(path, SHOP, is_shared=True)
    assert wrong is not None
    assert wrong.code == "socket-outside"
    assert fault(path, SHOP, is_shared=False) is None


def test_a_link_with_dots_has_a_folder_all_the_same() -> None:
    assert fault("run/app.sock", "/home/you/.config/devproxy/../../shop/devproxy.toml", is_shared=True) is None
    assert fault(f"{FOLDER}/app.sock", "/home/you/x/../shop/devproxy.toml", is_shared=True) is None


@settings(deadline=None)
@given(st.lists(st.sampled_from(["..", ".", "a", "shop", "home", "you"]), min_size=1, max_size=9), st.booleans())
def test_it_is_where_the_steps_lead(steps: list[str], absolute: bool) -> None:
    """Walked by hand, one step after the other."""
    here = [] if absolute else ["home", "you", "shop"]
    for step in steps:
        if step == "..":
            here = here[:-1]
        elif step != ".":
            here.append(step)
    path = "/" * absolute + "/".join(steps)
    assert (fault(path, SHOP, is_shared=True) is None) == (here[:3] == ["home", "you", "shop"])


def test_it_is_not_dialled_and_the_service_keeps_its_name() -> None:
    shop = linked('project = "shop"\n[services.web]\nupstream = "unix:/var/run/docker.sock"\n')
    registry = merge(decode_user("", USER), [shop])
    assert [problem.code for problem in registry.problems] == ["socket-outside"]
    assert services(registry)["web.shop"].upstream is None
    assert "web.shop.localhost" in services(registry)["web.shop"].hosts


def test_a_local_line_takes_its_place() -> None:
    text = 'project = "shop"\n[services.web]\nupstream = "unix:/var/run/docker.sock"\n'
    found = merge(None, [linked(text, "[services.web]\nport = 3000\n")])
    assert found.problems == ()
    own = merge(None, [linked('project = "shop"\n', '[services.web]\nupstream = "unix:/run/web.sock"\n')])
    assert own.problems == ()
    assert services(own)["web.shop"].upstream is not None


def test_a_path_is_as_long_as_the_system_takes() -> None:
    room = LONGEST - len(FOLDER) - 1
    assert fault("a" * room, SHOP, is_shared=True) is None
    wrong = fault("a" * (room + 1), SHOP, is_shared=True)
    assert wrong is not None
    assert wrong.code == "bad-upstream"
