"""`registry/resolve.py`: every default filled in, every spelling resolved; sockets of a project's own folder only."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.registry.decode import decode_user
from devproxy.registry.merge import merge
from devproxy.registry.model import HeaderEdits, Health, Mount, Project, ProxySettings, Service, Source, Upstream
from devproxy.registry.resolve import LONGEST_SOCKET, socket_fault
from tests.registry.merging import BOTH, SHOP, USER, linked, of, services


def test_a_service_of_the_user_registry() -> None:
    found = of("[services.app]\nport = 3000\n")["app"]
    assert found == Service(
        id="app",
        name="app",
        project=None,
        hosts=("app.localhost",),
        upstream=Upstream("http", BOTH, 3000),
        cwd="/home/you/.config/devproxy",
        trusted=True,
        source=Source(USER, 1),
    )


WHOLE_SERVICE = """\
project = "shop"
[services.web]
upstream = "unix:run/web.sock"
hosts = ["Shop-2.localhost", "*.shop.localhost"]
host_header = "upstream"
origin_header = "upstream"
request_headers = { set = { X-Debug = "1" }, remove = ["Cookie"] }
response_headers.add = { Set-Cookie = "a=1; Path=/", X-B = "é" }
response_timeout = "2m"
hold = "500ms"
cross_site = ["https://Login.example.com:443"]
exposure = "refuse"
other_user = "allow"
health = { path = "/healthz", timeout = "1s" }
command = ["npm", "run", "{port}"]
cwd = "web"
env = { B = "{url.api}", A = "1" }
env_file = [".env", "../more.env"]
depends_on = ["api", "api.shop"]
start = "on-request"
restart = "always"
idle_stop = "30m"
[[services.web.mount]]
host = "shop.localhost"
path = "/web"
strip = true
strip_rewrite = true
request_headers.set = { X-Mount = "web" }
response_headers.remove = ["Server"]
[services.api]
"""


def test_every_key_of_a_service_arrives() -> None:
    found = of("", linked(WHOLE_SERVICE, trusted=True))["web.shop"]
    assert found == Service(
        id="web.shop",
        name="web",
        project=Project("shop"),
        hosts=("web.shop.localhost", "shop-2.localhost", "*.shop.localhost"),
        mounts=(
            Mount(
                "shop.localhost",
                "/web",
                True,
                True,
                HeaderEdits(set=(("X-Mount", "web"),)),
                HeaderEdits(remove=("Server",)),
            ),
        ),
        upstream=Upstream("http", path="/home/you/shop/run/web.sock", any_user=True),
        host_header="upstream",
        origin_header="upstream",
        request_headers=HeaderEdits(("Cookie",), (("X-Debug", "1"),)),
        response_headers=HeaderEdits(add=(("Set-Cookie", "a=1; Path=/"), ("X-B", "é"))),
        response_timeout=120.0,
        hold=0.5,
        cross_site=("https://login.example.com",),
        exposure="refuse",
        other_user="allow",
        health=Health("/healthz", "2xx", 10.0, 1.0),
        command=("npm", "run", "{port}"),
        cwd="/home/you/shop/web",
        env=(("A", "1"), ("B", "{url.api}")),
        env_file=("/home/you/shop/.env", "/home/you/shop/../more.env"),
        depends_on=("api.shop",),
        start="on-request",
        restart="always",
        idle_stop=1800.0,
        trusted=True,
        source=Source(SHOP, 2),
    )


ALL_SETTINGS = """\
[proxy]
http = 8080
https = 8443
url_scheme = "https"
redirect = true
hsts = "pass"
alt_svc = "pass"
tlds = ["Test", "localhost", "test"]
host_template = "{service}-{project}.{tld}"
hold = "1s"
response_timeout = "2s"
header_timeout = "3s"
idle_timeout = "4s"
grace = "0s"
max_header = "128KiB"
max_response_header = "1MiB"
max_headers = 100
max_connections = 10
cross_site = "allow"
exposure = "allow"
other_user = "allow"
exposure_header = false
exposure_proof = false
ports = "3000-3999"
access_log = true
trusted_forwarded = true
"""


def test_every_setting_arrives() -> None:
    registry = merge(decode_user(ALL_SETTINGS, USER))
    assert registry.problems == ()
    assert registry.settings == ProxySettings(
        http=8080,
        https=8443,
        url_scheme="https",
        redirect=True,
        hsts="pass",
        alt_svc="pass",
        tlds=("test", "localhost"),
        host_template="{service}-{project}.{tld}",
        hold=1.0,
        response_timeout=2.0,
        header_timeout=3.0,
        idle_timeout=4.0,
        grace=0.0,
        max_header=131072,
        max_response_header=1048576,
        max_headers=100,
        max_connections=10,
        cross_site="allow",
        exposure="allow",
        other_user="allow",
        exposure_header=False,
        exposure_proof=False,
        ports=(3000, 3999),
        access_log=True,
        trusted_forwarded=True,
    )


def test_settings_of_the_proxy_are_the_defaults_of_services() -> None:
    text = '[proxy]\nhold = "1s"\ncross_site = "allow"\n[services.a]\nport = 1\n[services.b]\nport = 2\nhold = "2s"\n'
    found = of(text)
    assert (found["a"].hold, found["a"].cross_site) == (1.0, "allow")
    assert found["b"].hold == 2.0


# A project's file names sockets of its own folder only


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
    assert socket_fault(path, SHOP, is_shared=True) is None


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
    wrong = socket_fault(path, SHOP, is_shared=True)
    assert wrong is not None
    assert wrong.code == "socket-outside"
    assert socket_fault(path, SHOP, is_shared=False) is None


def test_a_link_with_dots_has_a_folder_all_the_same() -> None:
    assert socket_fault("run/app.sock", "/home/you/.config/devproxy/../../shop/devproxy.toml", is_shared=True) is None
    assert socket_fault(f"{FOLDER}/app.sock", "/home/you/x/../shop/devproxy.toml", is_shared=True) is None


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
    assert (socket_fault(path, SHOP, is_shared=True) is None) == (here[:3] == ["home", "you", "shop"])


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
    room = LONGEST_SOCKET - len(FOLDER) - 1
    assert socket_fault("a" * room, SHOP, is_shared=True) is None
    wrong = socket_fault("a" * (room + 1), SHOP, is_shared=True)
    assert wrong is not None
    assert wrong.code == "bad-upstream"


# The checkout


@pytest.mark.parametrize(
    ("name", "health", "path"), [("shop", "/shop-main?", "/shop_main"), ("a.shop", "/shop-a?a", "/shop_a")]
)
def test_paths_know_the_checkout(name: str, health: str, path: str) -> None:
    text = (
        'project = "shop"\n[services.web]\nport = 1\nhealth = { path = "/{project}-{checkout}?{worktree}" }\n'
        '[services.db]\nport = 2\nprotocol = "tcp"\npath = "/{project}_{checkout}"\n'
    )
    found = of("", linked(text, name=name))
    assert found[f"web.{name}"].health.path == health
    assert found[f"db.{name}"].path == path
