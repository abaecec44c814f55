"""From a name and a path to a route, beside a plain search through all routes."""

import difflib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.registry.model import Mount, ProxySettings, Registry, Service, Source, Upstream
from devproxy.routing import table as table_module
from devproxy.routing.table import Route, RouteTable

FIXED = settings(max_examples=250, deadline=None, derandomize=True, database=None)


def service(name: str, *hosts: str, mounts: tuple[Mount, ...] = (), protocol: str = "http") -> Service:
    return Service(
        id=name,
        name=name,
        project=None,
        hosts=hosts,
        mounts=mounts,
        upstream=Upstream("http", ("127.0.0.1",), 3000),
        protocol="tcp" if protocol == "tcp" else "http",
        source=Source("/r.toml", 1),
    )


def table(*services: Service, tlds: tuple[str, ...] = ("localhost",)) -> RouteTable:
    return RouteTable.build(Registry(settings=ProxySettings(tlds=tlds), services=services))


def found(routes: RouteTable, host: str, target: bytes = b"/") -> str | None:
    at = routes.lookup(host)
    route = None if at is None else at.match(target)
    return None if route is None else route.service.id


LABELS = st.sampled_from(["a", "b", "c"])
NAMES = st.lists(LABELS, min_size=1, max_size=3).map(lambda labels: ".".join([*labels, "localhost"]))
HOSTS = st.one_of(NAMES, NAMES.map("*.{}".format))
SEGMENTS = st.lists(st.sampled_from(["a", "api", "x", "%41", "..", "", "a b"]), min_size=1, max_size=3)
PATHS = SEGMENTS.map(lambda parts: ("/" + "/".join(parts)).rstrip("/") or "/")
ROUTES = st.lists(st.tuples(HOSTS, st.none() | PATHS), min_size=1, max_size=8, unique=True)
TARGETS = st.tuples(SEGMENTS, st.sampled_from(["", "/", "?q=/api", "/?", "x", "//"])).map(
    lambda pair: ("/" + "/".join(pair[0]) + pair[1]).encode()
)


def naive(routes: list[tuple[str, str | None]], host: str, target: bytes) -> int | None:
    """The place of the best of all routes, by the words of the documentation."""
    path = target.partition(b"?")[0]

    def covers(name: str) -> bool:
        return host.endswith(name[1:]) if name.startswith("*.") else host == name

    names = {name for name, _ in routes if covers(name)}
    if not names:
        return None
    best = max(names, key=lambda name: (not name.startswith("*."), len(name)))
    prefixes = {
        (prefix or "").rstrip("/").encode(): place
        for place, (name, prefix) in reversed([*enumerate(routes)])
        if name == best
    }
    matching = [prefix for prefix in prefixes if path == prefix or path.startswith(prefix + b"/") or not prefix]
    return prefixes[max(matching, key=len)] if matching else None


@FIXED
@given(routes=ROUTES, host=NAMES, target=TARGETS)
def test_the_route_is_the_one_that_a_search_through_all_of_them_finds(
    routes: list[tuple[str, str | None]], host: str, target: bytes
) -> None:
    services = [
        service(str(place), *([name] if prefix is None else []), mounts=(Mount(name, prefix),) if prefix else ())
        for place, (name, prefix) in enumerate(routes)
    ]
    expected = naive(routes, host, target)
    assert found(table(*services), host, target) == (None if expected is None else str(expected))


def test_an_exact_name_beats_a_wildcard_and_a_longer_wildcard_a_shorter_one() -> None:
    routes = table(
        service("all", "*.localhost"), service("shop", "*.shop.localhost"), service("web", "web.shop.localhost")
    )
    for host, name in (
        ("web.shop.localhost", "web"),
        ("x.shop.localhost", "shop"),
        ("x.y.shop.localhost", "shop"),
        ("shop.localhost", "all"),
        ("other.localhost", "all"),
        ("localhost", None),
        ("shop.example", None),
        ("", None),
    ):
        assert found(routes, host) == name


def test_the_name_that_wins_is_not_left_again_where_it_has_no_such_path() -> None:
    routes = table(service("all", "*.localhost"), service("api", mounts=(Mount("web.localhost", "/api"),)))
    assert found(routes, "web.localhost", b"/api") == "api"
    assert found(routes, "web.localhost", b"/other") is None


@pytest.mark.parametrize(
    ("target", "name"),
    [
        *((b"/api", "api"), (b"/api/", "api"), (b"/api/x", "api"), (b"/api?x", "api"), (b"/api/?x", "api")),
        *((b"/apix", "web"), (b"/API", "web"), (b"/%61pi", "web"), (b"/./api", "web"), (b"/x/../api", "web")),
        *((b"//api", "web"), (b"/api//", "api"), (b"/api/v2", "v2"), (b"/api/v2/x", "v2"), (b"/api/v2x", "api")),
        *((b"/api/../v2", "api"), (b"/?/api", "web"), (b"/", "web"), (b"*", "web"), (b"/api%2Fv2", "web")),
        *((b"/a/b/c", "deep"), (b"/a/b/c/d/e", "deep"), (b"/a/b", "web"), (b"/caf%C3%A9", "web")),
        ("/café".encode(), "cafe"),
    ],
)
def test_the_longest_prefix_on_a_segment_boundary_wins_by_raw_bytes(target: bytes, name: str) -> None:
    def mount(path: str) -> tuple[Mount, ...]:
        return (Mount("web.localhost", path),)

    routes = table(
        service("web", "web.localhost"),
        service("api", mounts=mount("/api")),
        service("v2", mounts=mount("/api/v2")),
        service("deep", mounts=mount("/a/b/c")),
        service("cafe", mounts=mount("/café")),
    )
    assert found(routes, "web.localhost", target) == name


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        *((b"/api", b"/"), (b"/api/", b"/"), (b"/api/x/y?z", b"/x/y?z"), (b"/api?x", b"/?x"), (b"/api//x", b"//x")),
        *((b"/api/%2e%2E/x", b"/%2e%2E/x"), (b"/api/api", b"/api")),
    ],
)
def test_a_mount_that_strips_leaves_at_least_a_slash(target: bytes, expected: bytes) -> None:
    web = service("web", "web.localhost")
    assert Route(web, "web.localhost", b"/api", True).target(target) == expected
    assert Route(web, "web.localhost", b"/api", False).target(target) == target


@FIXED
@given(target=TARGETS)
def test_what_is_left_is_the_end_of_what_came(target: bytes) -> None:
    routes = table(service("api", mounts=(Mount("web.localhost", "/api", strip=True),)))
    at = routes.lookup("web.localhost")
    assert at is not None
    route = at.match(target)
    assert (route is not None) is bool(re.match(rb"/api(?:/|\?|$)", target))
    if route is not None:
        left = route.target(target)
        assert left.startswith(b"/")
        assert (b"/api" + left) in (target, target.replace(b"/api?", b"/api/?", 1), target + b"/")


def test_the_first_of_two_at_one_place_stays() -> None:
    mounts = (Mount("web.localhost", "/api"),)
    routes = table(
        service("first", "web.localhost", mounts=mounts),
        service("second", "web.localhost", mounts=(*mounts, Mount("web.localhost", "/"))),
    )
    assert found(routes, "web.localhost") == "first"
    assert found(routes, "web.localhost", b"/api") == "first"


def test_tcp_services_have_no_routes_but_are_known() -> None:
    routes = table(service("db", "db.localhost", protocol="tcp"), service("web", "web.localhost", "*.web.localhost"))
    assert routes.lookup("db.localhost") is None
    assert set(routes.services) == {"db", "web"}
    assert sorted(routes.hosts()) == ["*.web.localhost", "web.localhost"]


def test_a_table_knows_its_own_names_and_what_it_covers() -> None:
    routes = table(service("web", "web.localhost"), tlds=("localhost", "test"))
    assert routes.control == {"devproxy.localhost", "devproxy.test"}
    assert routes.covers("any.test")
    assert not routes.covers("any.example")


def test_near_names_are_near_few_and_neither_wildcards_nor_our_own() -> None:
    hosts = [f"web{number}.shop.localhost" for number in range(9)]
    routes = table(service("web", *hosts, "*.shop.localhost", "devproxy.localhost"))
    assert routes.near("web1.shp.localhost")[0] == "web1.shop.localhost"
    assert len(routes.near("web.shop.localhost")) == 3
    assert routes.near("devproxi.localhost", 9).count("devproxy.localhost") == 0
    assert routes.near("zzzzzzzzzzzzzzzzzzzzzzzzzz") == []


def test_near_names_are_found_among_ten_thousand_by_comparing_few_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = table(
        *(service(f"s{number}", f"service-{number}.localhost") for number in range(10_000)),
        service("w", "web.shop.localhost"),
    )
    compared: list[int] = []
    whole = difflib.get_close_matches

    def counted(host: str, names: list[str], limit: int, cutoff: float) -> list[str]:
        compared.append(len(names))
        return whole(host, names, limit, cutoff)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    assert routes.near("web.shp.localhost")[0] == "web.shop.localhost"
    assert len(routes.near("service-77.localhost")) == 3
    assert max(compared) <= 8


class Counted(dict[str, object]):
    asked = 0

    def get(self, key: str, default: object = None) -> object:
        Counted.asked += 1
        return super().get(key, default)


class Key(str):
    """A registered name that counts what it is compared with."""

    __slots__ = ()
    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Key.compared += 1
        return str.__eq__(self, other)


def test_a_look_up_costs_the_same_with_ten_and_with_ten_thousand_services() -> None:
    """By counting look-ups in the dictionaries, not by timing. Compiled code asks a dictionary without its `get`."""
    asked = 8 if str(table_module.__file__).endswith(".py") else 0
    costs = set()
    for count in (10, 10_000):
        routes = table(
            *(service(f"s{number}", f"s{number}.localhost", f"*.w{number}.localhost") for number in range(count))
        )
        for name in ("_exact", "_wildcards"):
            setattr(routes, name, Counted({Key(host): found for host, found in getattr(routes, name).items()}))
        Counted.asked = Key.compared = 0
        for host in ("s5.localhost", "a.b.w5.localhost", "nobody.at.all.localhost"):
            routes.lookup(host)
        costs.add((Counted.asked, Key.compared))
    assert costs == {(asked, 2)}
