"""Which service a request reaches: hosts, wildcards, mounts; and what a name that is no route is told.

Lives here: routing as it shows on the wire.
Not here: the table by itself (`tests/routing/`), malformed hosts (`test_bad_head.py`).
"""

import pytest

from devproxy.registry.model import Mount
from tests.wire.harness import OK, Origin, Stage, crlf, get, service

HTML = b"Accept: text/html"
DIRECT = [b"Sec-Fetch-Site: none", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document"]


async def shop(stage: Stage) -> dict[str, Origin]:
    """A project with wildcards and mounts, each service at an origin of its own."""
    stripped, only = Mount("shop.localhost", "/api", strip=True), Mount("only.localhost", "/x")
    origins = {name: stage.another() for name in ("web", "any", "eu", "api", "v2", "plain")}
    await stage.start(
        service("web", origins["web"], hosts=("web.shop.localhost", "shop.localhost")),
        service("any", origins["any"], hosts=("*.shop.localhost",)),
        service("eu", origins["eu"], hosts=("*.eu.shop.localhost",)),
        service("api", origins["api"], hosts=("api.shop.localhost",), mounts=(stripped,)),
        service("v2", origins["v2"], hosts=(), mounts=(Mount("shop.localhost", "/api/v2"), only)),
        service("plain", origins["plain"], hosts=("plain.localhost",)),
    )
    return origins


HOSTS = [
    (b"shop.localhost", "web"),
    (b"web.shop.localhost", "web"),
    (b"WEB.SHOP.LOCALHOST:99", "web"),
    (b"other.shop.localhost", "any"),
    (b"a.b.shop.localhost", "any"),
    (b"x.eu.shop.localhost", "eu"),
    (b"a.b.eu.shop.localhost", "eu"),
    (b"eu.shop.localhost", "any"),
    (b"api.shop.localhost", "api"),
    (b"plain.localhost.", "plain"),
]


@pytest.mark.parametrize(("host", "name"), HOSTS)
async def test_hosts(stage: Stage, host: bytes, name: str) -> None:
    origins = await shop(stage)
    client = await stage.connect()
    await client.send(get(b"/where", host=host))
    up = await origins[name].accept()
    assert (await up.head()).target == b"/where"
    await up.send(OK)
    await client.expect(OK)


PATHS = [
    (b"/", "web", b"/", False),
    (b"/apix", "web", b"/apix", False),
    (b"/ap", "web", b"/ap", False),
    (b"/API", "web", b"/API", False),
    (b"//api", "web", b"//api", False),
    (b"/%61pi/x", "web", b"/%61pi/x", False),
    (b"/x/api", "web", b"/x/api", False),
    (b"/x/../api", "web", b"/x/../api", False),
    (b"/?/api", "web", b"/?/api", False),
    (b"/api%2fx", "web", b"/api%2fx", False),
    (b"/api;x", "web", b"/api;x", False),
    (b"/api", "api", b"/", True),
    (b"/api/", "api", b"/", True),
    (b"/api?q=1", "api", b"/?q=1", True),
    (b"/api/x?a=/b", "api", b"/x?a=/b", True),
    (b"/api/%41%2f", "api", b"/%41%2f", True),
    (b"/api//x", "api", b"//x", True),
    (b"/api/../x", "api", b"/../x", True),
    (b"/api/v2x", "api", b"/v2x", True),
    (b"/api/v2", "v2", b"/api/v2", False),
    (b"/api/v2/x", "v2", b"/api/v2/x", False),
    (b"/api/v2?x", "v2", b"/api/v2?x", False),
]


@pytest.mark.parametrize(("target", "name", "seen", "stripped"), PATHS)
async def test_mounts(stage: Stage, target: bytes, name: str, seen: bytes, stripped: bool) -> None:
    origins = await shop(stage)
    client = await stage.connect()
    await client.send(get(target, b"X-Forwarded-Prefix: /forged", host=b"shop.localhost"))
    up = await origins[name].accept()
    head = await up.head()
    assert (head.target, head.one(b"Host")) == (seen, b"shop.localhost")
    assert head.all(b"X-Forwarded-Prefix") == ([b"/api"] if stripped else [])


@pytest.mark.http1
async def test_absolute_form_is_routed_by_its_own_authority(stage: Stage) -> None:
    origins = await shop(stage)
    client = await stage.connect()
    await client.send(get(b"http://shop.localhost/api/x", host=b"plain.localhost"))
    head = await (await origins["api"].accept()).head()
    assert (head.target, head.one(b"Host")) == (b"/x", b"shop.localhost")


async def test_host_without_a_service_at_this_path_is_404(stage: Stage) -> None:
    origins = await shop(stage)
    client = await stage.connect()
    await client.send(get(b"/", host=b"only.localhost"))
    message = await client.response()
    assert (message.status, message.error) == (404, "unknown-path")
    assert all(origin.untouched() for origin in origins.values())


@pytest.mark.parametrize(
    "host", [b"nobody.localhost", b"a.web.localhost", b"localhost.localhost", b"wweb.localhost:80"]
)
async def test_unregistered_name_is_404(wire: Stage, host: bytes) -> None:
    message = await wire.refuses(get(host=host), 404, "unknown-host")
    assert host.split(b":")[0] in message.body


@pytest.mark.parametrize(
    ("fields", "suggests"),
    [
        ([*DIRECT, HTML], True),
        ([b"Sec-Fetch-Site: same-origin", HTML], True),
        ([b"Sec-Fetch-Site: none"], True),
        ([b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document", HTML], False),
        ([b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: no-cors", b"Origin: https://evil.example"], False),
        ([b"Origin: https://evil.example", HTML], False),
        ([b"Referer: https://evil.example/", HTML], False),
        ([b"Sec-Fetch-Site: same-site", b"Origin: http://other.localhost"], False),
    ],
)
async def test_near_names_are_told_to_a_person_only(stage: Stage, fields: list[bytes], suggests: bool) -> None:
    await stage.start(service("backend-of-shop", stage.origin, hosts=("backend.shop.localhost",)))
    client = await stage.connect()
    await client.send(get(b"/", *fields, host=b"bakend.shop.localhost"))
    message = await client.response()
    assert (message.status, message.error) == (404, "unknown-host")
    assert (b"backend.shop.localhost" in message.body) is suggests


FOREIGN = [
    b"evil.example",
    b"web.localhost.evil.example",
    b"127.0.0.1",
    b"127.0.0.1:7080",
    b"[::1]",
    b"[::1]:7080",
    b"[::ffff:127.0.0.1]",
    b"0.0.0.0",
    b"192.168.1.5",
    b"notlocalhost",
    b"web.local",
    b"weblocalhost",
]


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("accept", [b"text/html", b"application/json"])
async def test_any_other_host_is_421_and_learns_nothing(wire: Stage, host: bytes, accept: bytes) -> None:
    data = get(b"/", b"Accept: " + accept, *DIRECT, host=host)
    message = await wire.refuses(data, 421, "misdirected")
    told = message.body.replace(host, b"")
    assert b"web.localhost" not in told
    assert b"/registry.toml" not in told


@pytest.mark.http1
async def test_absolute_form_with_a_foreign_authority_is_421(wire: Stage) -> None:
    await wire.refuses(get(b"http://evil.example/"), 421, "misdirected")


async def test_rebinding_does_not_pass_by_a_good_origin(wire: Stage) -> None:
    same = [b"Sec-Fetch-Site: same-origin", b"Origin: http://evil.example"]
    await wire.refuses(get(b"/", *same, host=b"evil.example"), 421, "misdirected")


@pytest.mark.http1
async def test_own_name_is_not_a_service(wire: Stage) -> None:
    client = await wire.connect()
    await client.send(crlf(b"GET / HTTP/1.1", b"Host: devproxy.localhost", b"Connection: close"))
    await client.gone()
    assert wire.origin.untouched()
