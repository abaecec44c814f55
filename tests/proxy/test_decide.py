"""What to do with a request: the table of answers, as values."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.http1.grammar import Fault
from devproxy.proxy.answers import Respond
from devproxy.proxy.decide import CONTROL, Control, Reading, absolute, decide, read, target_fault
from devproxy.proxy.forward import chain_entry
from devproxy.registry.model import Mount, ServiceKind, Upstream
from devproxy.routing.table import Route
from tests.proxy.values import CLIENT, fault, fields, lines, reading, service, table

HOST = b"Host: web.localhost"
SHOP = table(
    service("web.shop", hosts=("web.shop.localhost", "shop.localhost")),
    service("api.shop", mounts=(Mount("shop.localhost", "/api", strip=True),), host_header="upstream"),
    service("any", hosts=("*.any.localhost",)),
    service("off", upstream=None),
    service("grpc", upstream=Upstream("h2c", ("127.0.0.1",), 50051)),
    service("db", upstream=Upstream("tcp", ("127.0.0.1",), 5432)),
    service("open", cross_site="allow"),
    service("some", cross_site=("https://idp.example",)),
    tlds=("localhost", "test"),
)


def decided(found: Reading, method: bytes = b"GET", target: bytes = b"/") -> Route | Respond | Control:
    return decide(found, found.fields, method, target)


def answer(host: bytes, target: bytes = b"/", *each: bytes, method: bytes = b"GET") -> Route | Respond | Control:
    return decided(reading(b"Host: " + host, *each, routes=SHOP), method, target)


def responds(decision: Route | Respond | Control) -> Respond:
    assert isinstance(decision, Respond), decision
    return decision


@pytest.mark.parametrize(
    ("host", "target", "name"),
    [
        (b"web.shop.localhost", b"/", "web.shop"),
        (b"WEB.Shop.LocalHost.:7080", b"/api", "web.shop"),
        (b"shop.localhost", b"/apix", "web.shop"),
        (b"shop.localhost", b"/api?x", "api.shop"),
        (b"shop.localhost", b"*", "web.shop"),
        (b"api.shop.localhost", b"/", "api.shop"),
        (b"x.y.any.localhost", b"//", "any"),
    ],
)
def test_a_name_of_the_registry_is_forwarded(host: bytes, target: bytes, name: str) -> None:
    decision = answer(host, target)
    assert isinstance(decision, Route)
    assert decision.service.id == name


@pytest.mark.parametrize("host", [b"devproxy.localhost", b"DEVPROXY.test:80", b"devproxy.localhost."])
def test_devproxys_own_name_is_its_own_pages(host: bytes) -> None:
    assert answer(host, b"/any", b"Origin: http://evil.example", method=b"POST") is CONTROL


@pytest.mark.parametrize(
    "host",
    [
        *(b"evil.example", b"127.0.0.1", b"127.0.0.1:80", b"[::1]", b"[::1]:7080", b"localhost.evil.example"),
        *(b"10.0.0.1", b"xlocalhost", b"web", b"."),
    ],
)
def test_any_other_name_and_every_literal_is_misdirected_and_learns_nothing(host: bytes) -> None:
    found = responds(answer(host, b"/web"))
    assert (found.status, found.code, found.names) == (421, "misdirected", ())
    assert "shop" not in found.detail + found.fix
    assert found.fix == "use a name that ends in .localhost"


def test_an_unknown_name_of_ours_gets_near_ones_only_where_no_page_from_elsewhere_asks() -> None:
    near = responds(answer(b"web.shp.localhost"))
    assert (near.status, near.code) == (404, "unknown-host")
    assert near.names[0] == "web.shop.localhost"
    assert near.fix == "register it: devproxy add web PORT"
    assert near.port is None
    assert responds(answer(b"web.shp.localhost:7080")).port == 7080
    for direct in (b"none", b"same-origin"):
        assert responds(answer(b"web.shp.localhost", b"/", b"Sec-Fetch-Site: " + direct)).names == near.names
    for foreign in (b"Sec-Fetch-Site: same-site", b"Sec-Fetch-Site: cross-site", b"Origin: x", b"Referer: x"):
        found = responds(answer(b"web.shp.localhost", b"/", foreign))
        assert (found.status, found.names) == (404, ())
        assert "shop" not in found.detail + found.fix


def test_the_name_of_a_tcp_service_says_what_it_is_where_no_page_from_elsewhere_asks() -> None:
    database = service("db.shop", protocol="tcp", upstream=Upstream("tcp", ("127.0.0.1",), 5432))
    routes = table(database, service("pipe", protocol="tcp", upstream=None), tlds=("localhost", "test"))
    for host in (b"db.shop.localhost:7080", b"db.shop.test"):
        found = responds(decided(reading(b"Host: " + host, routes=routes)))
        assert (found.status, found.code, found.service) == (404, "unknown-host", "db.shop")
        assert "is a TCP service" in found.detail
        assert found.fix.endswith("tcp://127.0.0.1:5432")
    assert "port" in responds(decided(reading(b"Host: pipe.localhost", routes=routes))).fix
    for foreign in (b"Sec-Fetch-Site: cross-site", b"Origin: x", b"Referer: x"):
        found = responds(decided(reading(b"Host: db.shop.localhost", foreign, routes=routes)))
        assert (found.detail, found.service) == ("no service is registered as db.shop.localhost", "")


@pytest.mark.parametrize("kind", ["worker", "task"])
def test_the_name_that_a_service_without_a_port_would_have_says_what_it_is(kind: ServiceKind) -> None:
    routes = table(service("jobs.shop", kind=kind, hosts=(), upstream=None))
    found = responds(decided(reading(b"Host: jobs.shop.localhost:7080", routes=routes)))
    assert (found.status, found.code, found.service) == (404, "unknown-host", "jobs.shop")
    assert f"jobs.shop is a {kind}" in found.detail
    assert "devproxy health jobs.shop" in found.fix
    foreign = responds(decided(reading(b"Host: jobs.shop.localhost", b"Origin: x", routes=routes)))
    assert "no service is registered" in foreign.detail


def test_near_names_are_kept_from_a_page_that_shows_only_in_referer_and_comes_later_on_the_connection() -> None:
    first = reading(b"Host: web.shp.localhost", routes=SHOP)
    later = fields(b"Host: web.shp.localhost", b"Referer: http://evil.example/")
    assert first.holds_for(later, 1, SHOP)
    assert responds(decide(first, later, b"GET", b"/")).names == ()
    assert responds(decided(first)).names


@pytest.mark.parametrize("host", [b"a;reboot.localhost", b"$(reboot).localhost", b"a&b.localhost", b"-h.localhost"])
def test_a_name_that_a_shell_would_act_upon_stands_in_no_command(host: bytes) -> None:
    assert responds(answer(host)).fix.endswith("devproxy add NAME PORT")


def test_a_path_that_no_service_has_is_not_found() -> None:
    only = table(service("api", hosts=(), mounts=(Mount("shop.localhost", "/api"),)))
    found = decided(reading(b"Host: shop.localhost", routes=only), b"GET", b"/other?secret=1")
    assert isinstance(found, Respond)
    assert (found.status, found.code) == (404, "unknown-path")
    assert "'/other' of shop.localhost" in found.detail
    assert "secret" not in found.detail


def test_a_service_without_a_port_or_of_a_protocol_not_spoken_is_not_reached() -> None:
    off, db = responds(answer(b"off.localhost")), responds(answer(b"db.localhost"))
    assert (off.status, off.code, off.reload) == (502, "no-upstream", True)
    assert "port = 3000 under [services.off], /team/devproxy.toml:7" in off.fix
    assert (db.status, db.code) == (502, "unsupported-upstream")
    assert "tcp" in db.detail
    assert isinstance(answer(b"grpc.localhost"), Route)


def test_a_page_from_elsewhere_is_refused_with_the_line_that_allows_it() -> None:
    evil = b"Origin: https://idp.example"
    found = responds(answer(b"shop.localhost", b"/", evil, method=b"POST"))
    assert (found.status, found.code) == (403, "cross-site")
    assert 'cross_site = ["https://idp.example"]' in found.fix
    assert "[services.web], /team/devproxy.toml" in found.fix
    assert isinstance(answer(b"open.localhost", b"/", evil, method=b"POST"), Route)
    assert isinstance(answer(b"some.localhost", b"/", evil, method=b"POST"), Route)


CROSS, IMAGE = b"Sec-Fetch-Site: cross-site", (b"Sec-Fetch-Mode: no-cors", b"Sec-Fetch-Dest: image")


@pytest.mark.parametrize(
    ("each", "method", "says", "mends"),
    [
        ((b"Origin: null",), b"POST", "no Origin but null", "Referrer-Policy"),
        ((CROSS, *IMAGE), b"GET", "neither Origin nor Referer", "Referrer-Policy"),
        ((CROSS, b"Origin: null", b"Referer: http://web.shop.localhost/"), b"POST", "no Origin but null", "sandbox"),
        ((CROSS, *IMAGE, b"Referer: http://x.any.localhost/"), b"GET", "without an Origin", "crossorigin"),
        ((CROSS, *IMAGE, b"Referer: http://x.any.localhost/"), b"GET", "Referer", '["http://x.any.localhost"]'),
        ((b"Sec-Fetch-Site: none", b"Sec-Purpose: prefetch"), b"GET", "in advance", "who opens the page gets it"),
        ((b"Origin: chrome-extension://abc",), b"GET", "chrome-extension://abc", "allow"),
        ((CROSS, b"Origin: https://idp.example"), b"POST", "https://idp.example", '["https://idp.example"]'),
    ],
)
def test_a_refusal_names_what_is_missing_and_what_works(
    each: tuple[bytes, ...], method: bytes, says: str, mends: str
) -> None:
    found = responds(answer(b"shop.localhost", b"/", *each, method=method))
    assert (found.status, found.code) == (403, "cross-site")
    assert says in found.detail
    assert mends in found.fix
    assert '"allow"' in found.fix
    assert "the-origin.example" not in found.fix
    listed = '["' in found.fix
    assert listed == ('["http' in found.fix)


@pytest.mark.parametrize("other", [b"Origin: http://web.localhost", b"origin: https://evil.example", b"Origin: null"])
@pytest.mark.parametrize("host", [b"shop.localhost", b"open.localhost", b"devproxy.localhost", b"evil.example"])
def test_two_origins_are_a_fault_whoever_is_asked(host: bytes, other: bytes) -> None:
    for site in ((), (b"Sec-Fetch-Site: same-origin",), (b"Sec-Fetch-Site: none",)):
        found = fault(read(fields(b"Host: " + host, *site, b"Origin: http://web.localhost", other), 1, SHOP))
        assert (found.status, found.code, found.detail) == (400, "bad-request", "2 Origin fields")


def test_the_guard_looks_at_each_method_and_each_route_anew() -> None:
    link = (b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document")
    mounts = (Mount("web.localhost", "/api"),)
    routes = table(service("web", cross_site="allow"), service("api", mounts=mounts))
    found = reading(HOST, *link, routes=routes)
    assert isinstance(decided(found, b"GET", b"/api"), Route)
    assert isinstance(decided(found, b"GET", b"/api"), Route)
    assert isinstance(decided(found, b"POST", b"/api"), Respond)
    assert isinstance(decided(found, b"POST", b"/"), Route)
    assert isinstance(decided(found, b"POST", b"/api"), Respond)


def test_who_has_passed_by_its_origin_passes_again_there_and_is_looked_at_elsewhere() -> None:
    routes = table(
        service("web"), service("api", mounts=(Mount("web.localhost", "/api"),), cross_site=("http://a.example",))
    )
    found = reading(HOST, b"Origin: http://a.example", b"Sec-Fetch-Site: cross-site", routes=routes)
    for _ in range(2):
        assert isinstance(decided(found, b"POST", b"/api"), Route)
        assert isinstance(decided(found, b"POST", b"/"), Respond)
    named = reading(HOST, b"Origin: http://web.localhost", b"Sec-Fetch-Site: cross-site", routes=routes)
    for method in (b"POST", b"GET"):
        assert isinstance(decided(named, method, b"/"), Route)
        assert isinstance(decided(named, method, b"/api"), Route)


def test_origins_of_devproxys_own_pages_and_of_every_service_are_known() -> None:
    for origin in (b"http://devproxy.localhost", b"http://x.any.localhost:1", b"https://web.shop.localhost"):
        assert isinstance(answer(b"shop.localhost", b"/", b"Origin: " + origin, method=b"POST"), Route)


def test_a_loop_is_named() -> None:
    first = answer(b"shop.localhost", b"/a")
    assert isinstance(first, Route)
    passed = b"Devproxy-Chain: api.shop;0, " + chain_entry(first, b"GET", b"/a")
    found = responds(answer(b"shop.localhost", b"/a", passed))
    assert (found.status, found.code) == (508, "loop")
    assert "api.shop → web.shop → web.shop" in found.detail
    assert isinstance(answer(b"shop.localhost", b"/b", passed), Route)


@pytest.mark.parametrize(
    ("each", "minor", "status", "words"),
    [
        ((), 1, 400, "no Host"),
        ((), 0, 400, "no Host"),
        ((HOST, HOST), 1, 400, "2 Host fields"),
        ((HOST, b"host: x", b"HOST: y"), 0, 400, "3 Host fields"),
        ((b"Host:",), 1, 400, "it is empty"),
        ((b"Host: a b",), 1, 400, "is malformed"),
        ((b"Host: a@web.localhost",), 1, 400, "is malformed"),
        ((b"Host: web.localhost, x",), 1, 400, "is malformed"),
        ((b"Host: web.localhost/x",), 1, 400, "is malformed"),
        ((b"Host: web.localhost:99999",), 1, 400, "65535"),
        ((b"Host: [::1",), 1, 400, "is malformed"),
        ((HOST, b"Content-Length: x"), 1, 400, "Content-Length"),
        ((HOST, b"Transfer-Encoding: br"), 1, 501, "coding"),
    ],
)
def test_a_section_that_cannot_be_trusted_is_refused(
    each: tuple[bytes, ...], minor: int, status: int, words: str
) -> None:
    found = fault(read(fields(*each), minor, SHOP))
    assert found.status == status
    assert words in found.detail


def test_an_absolute_target_counts_instead_of_host_which_must_be_good_all_the_same() -> None:
    found = reading(b"Host: web.shop.localhost", routes=SHOP, authority=b"api.shop.localhost:80")
    assert (found.host, found.authority) == ("api.shop.localhost", b"api.shop.localhost:80")
    assert fault(read(fields(HOST, HOST), 1, SHOP, b"x")).detail == "2 Host fields"
    assert "no Host" in fault(read(fields(), 1, SHOP, b"x")).detail
    assert "malformed" in fault(read(fields(b"Host: a b"), 1, SHOP, b"x")).detail
    assert "'a b' is malformed" in fault(read(fields(HOST), 1, SHOP, b"a b")).detail
    assert reading(routes=SHOP, minor=0, authority=b"any.localhost").host == "any.localhost"


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        (b"GET", b"http://a/b?c", (b"a", b"/b?c")),
        (b"GET", b"HTTPS://a:1", (b"a:1", b"/")),
        (b"GET", b"http://a?c", (b"a", b"/?c")),
        (b"GET", b"http:///b", (b"", b"/b")),
        (b"GET", b"http://u@a/b", (b"u@a", b"/b")),
        (b"OPTIONS", b"http://a", (b"a", b"*")),
        (b"OPTIONS", b"http://a/", (b"a", b"/")),
        (b"CONNECT", b"http://a/", None),
        (b"GET", b"/http://a/", None),
        (b"GET", b"ws://a/", None),
        (b"GET", b"http:/a", None),
        (b"GET", b"a:80", None),
        (b"OPTIONS", b"*", None),
    ],
)
def test_a_target_in_absolute_form_is_taken_apart(
    method: bytes, target: bytes, expected: tuple[bytes, bytes] | None
) -> None:
    assert absolute(method, target) == expected


@pytest.mark.parametrize(
    ("method", "target", "good"),
    [
        *((b"GET", b"/", True), (b"GET", b"//x", True), (b"OPTIONS", b"*", True), (b"OPTIONS", b"/", True)),
        *((b"GET", b"*", False), (b"GET", b"a:80", False), (b"GET", b"ftp://a/", False), (b"GET", b"?a", False)),
        *((b"CONNECT", b"a:80", False), (b"CONNECT", b"/", False), (b"CONNECT", b"http://a/", False)),
    ],
)
def test_only_paths_and_the_asterisk_of_options_are_forwarded(method: bytes, target: bytes, good: bool) -> None:
    found = target_fault(method, target)
    assert (found is None) is good
    assert found is None or found.status == 400


def test_keep_alive_and_upgrade_follow_the_version_and_connection() -> None:
    keep, close = b"Connection: Keep-Alive", b"Connection: keep-alive, Close"
    upgrade = (b"Connection: upgrade", b"Upgrade: websocket")
    assert reading(HOST).keep_alive
    assert not reading(HOST, close).keep_alive
    assert not reading(HOST, minor=0).keep_alive
    assert reading(HOST, keep, minor=0).keep_alive
    assert not reading(HOST, close, minor=0).keep_alive
    assert reading(HOST, *upgrade).upgrade == b"websocket"
    assert reading(HOST, *upgrade, minor=0).upgrade == b""


def test_a_reading_holds_for_sections_that_differ_in_plain_fields_only() -> None:
    routes = table()
    found = reading(HOST, b"Cookie: a", routes=routes)
    assert found.holds_for(fields(HOST, b"Cookie: b", b"Accept: x"), 1, routes)
    for other in ((b"host: web.localhost",), (HOST, b"Origin: x"), (HOST, b"Content-Length: 5"), (HOST, b"TE: x"), ()):
        assert not found.holds_for(fields(*other), 1, routes)
    assert not found.holds_for(fields(HOST), 0, routes)
    assert not found.holds_for(fields(HOST), 1, table())
    whole = reading(HOST, routes=routes, authority=b"web.localhost")
    assert not whole.holds_for(fields(HOST), 1, routes)


def forwarded(found: Reading, *, trusted: bool = False) -> bytes:
    decision = decided(found)
    assert isinstance(decision, Route)
    return found.lines(found.fields, decision, b"GET") + found.added(decision, CLIENT, trusted)


def test_host_passes_as_it_came_or_is_the_services_own_or_the_targets() -> None:
    kept = forwarded(reading(b"hOsT:\tWEB.localhost", routes=table()))
    assert kept.startswith(b"hOsT:\tWEB.localhost\r\n")
    assert b"X-Forwarded-Host: WEB.localhost\r\n" in kept
    told = forwarded(reading(b"Host: api.shop.localhost:7080", routes=SHOP))
    assert told.startswith(b"Host: localhost:5173\r\n")
    assert b"X-Forwarded-Host: api.shop.localhost:7080\r\n" in told
    whole = forwarded(reading(b"Host: other.example", b"A: 1", authority=b"web.localhost:1"))
    assert whole.startswith(lines(b"Host: web.localhost:1", b"A: 1"))
    assert b"X-Forwarded-Host: web.localhost:1\r\n" in whole


def test_an_answer_to_a_fault_closes_and_says_what_mends_it() -> None:
    found = Respond.to(Fault(431, "header-too-large", "too much"))
    assert found.close
    assert "max_header" in found.fix
    assert Respond.to(Fault(400, "bad-request", "x")).fix == ""


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(host=st.text("webshop.-_~localhst:1[]%$", max_size=30), target=st.binary(min_size=1, max_size=20))
def test_every_host_and_target_has_an_answer(host: str, target: bytes) -> None:
    found = read(fields(b"Host: " + host.encode()), 1, SHOP)
    if isinstance(found, Reading):
        decision = decided(found, b"GET", b"/" + target)
        assert not isinstance(decision, Respond) or decision.status in {404, 421, 502}
