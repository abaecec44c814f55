"""`registry/resolve.py`: what a file says, with every default filled in and every spelling resolved."""

from devproxy.registry.decode import decode_user
from devproxy.registry.merge import merge
from devproxy.registry.model import Health, Mount, Project, ProxySettings, Service, Source, Upstream
from tests.registry.merging import BOTH, SHOP, USER, linked, of


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
response_timeout = "2m"
hold = "500ms"
cross_site = ["https://Login.example.com:443"]
exposure = "refuse"
health = { path = "/healthz", timeout = "1s" }
command = ["npm", "run", "{port}"]
cwd = "web"
env = { B = "{url.api}", A = "1" }
depends_on = ["api", "api.shop"]
start = "on-request"
restart = "always"
idle_stop = "30m"
[[services.web.mount]]
host = "shop.localhost"
path = "/web"
strip = true
[services.api]
"""


def test_every_key_of_a_service_arrives() -> None:
    found = of("", linked(WHOLE_SERVICE, trusted=True))["web.shop"]
    assert found == Service(
        id="web.shop",
        name="web",
        project=Project("shop"),
        hosts=("web.shop.localhost", "shop-2.localhost", "*.shop.localhost"),
        mounts=(Mount("shop.localhost", "/web", True),),
        upstream=Upstream("http", path="/home/you/shop/run/web.sock"),
        host_header="upstream",
        response_timeout=120.0,
        hold=0.5,
        cross_site=("https://login.example.com",),
        exposure="refuse",
        health=Health("/healthz", "2xx", 10.0, 1.0),
        command=("npm", "run", "{port}"),
        cwd="/home/you/shop/web",
        env=(("A", "1"), ("B", "{url.api}")),
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
tlds = ["Test", "localhost", "test"]
host_template = "{service}-{project}.{tld}"
hold = "1s"
response_timeout = "2s"
header_timeout = "3s"
idle_timeout = "4s"
grace = "0s"
max_header = "128KiB"
max_headers = 100
max_connections = 10
cross_site = "allow"
exposure = "allow"
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
        tlds=("test", "localhost"),
        host_template="{service}-{project}.{tld}",
        hold=1.0,
        response_timeout=2.0,
        header_timeout=3.0,
        idle_timeout=4.0,
        grace=0.0,
        max_header=131072,
        max_headers=100,
        max_connections=10,
        cross_site="allow",
        exposure="allow",
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
