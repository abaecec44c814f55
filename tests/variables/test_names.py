"""`variables/names.py`: which variables a service has, what a client finds in them, and who gets a name."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from devproxy.registry.model import EnvNames, ListenAddress, Project, Service, Source, Upstream
from devproxy.urls import Ports
from devproxy.variables.names import ServiceVariables, variables

PORTS = Ports(7080)
BOTH = ("127.0.0.1", "::1")
UPSTREAM = Upstream("tcp", BOTH, 54321)
NAME = st.from_regex("[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)


def service(name: str, project: str | None = "shop", **more: Any) -> Service:
    of = None if project is None else Project.of(project)
    identity = name if of is None else f"{name}.{of}"
    more = {"hosts": (f"{identity}.localhost",), "source": Source("", 1), **more}
    return Service(id=identity, name=name, project=of, **more)


def tcp(name: str = "db", project: str | None = "shop", **more: Any) -> Service:
    return service(name, project, **{"protocol": "tcp", "upstream": UPSTREAM, **more})


def found(*services: Service, ports: Ports = PORTS) -> ServiceVariables:
    return variables(services, ports)


def test_a_web_service_is_at_its_name_and_the_proxys_port() -> None:
    assert found(service("web")).values == {
        "WEB_HOST": "web.shop.localhost",
        "WEB_PORT": "7080",
        "WEB_URL": "http://web.shop.localhost:7080",
        "SHOP_WEB_HOST": "web.shop.localhost",
        "SHOP_WEB_PORT": "7080",
        "SHOP_WEB_URL": "http://web.shop.localhost:7080",
    }
    standard = found(service("web"), ports=Ports(80)).values
    assert (standard["WEB_PORT"], standard["WEB_URL"]) == ("80", "http://web.shop.localhost")


def test_a_tcp_service_is_where_the_proxy_listens_for_it_else_where_it_is() -> None:
    at = ListenAddress(BOTH, 5432)
    listened = found(tcp(listen=at, scheme="postgresql", path="/shop")).values
    assert listened["DB_HOST"] == "127.0.0.1"
    assert listened["DB_PORT"] == "5432"
    assert listened["DB_URL"] == "postgresql://127.0.0.1:5432/shop"
    own = found(tcp(listen=ListenAddress(("127.77.1.2",), 5432))).values
    assert (own["DB_HOST"], own["DB_PORT"]) == ("127.77.1.2", "5432")
    direct = found(tcp()).values
    assert (direct["DB_HOST"], direct["DB_PORT"], direct["DB_URL"]) == ("127.0.0.1", "54321", "tcp://127.0.0.1:54321")
    assert found(tcp(upstream=Upstream("tcp", path="/run/db.sock"))).values == {
        "DB_URL": "unix:/run/db.sock",
        "SHOP_DB_URL": "unix:/run/db.sock",
    }


def test_the_label_of_a_checkout_is_in_no_name() -> None:
    assert found(service("web", "fix-ui.shop")).values.keys() == found(service("web")).values.keys()
    assert found(service("web", None)).values.keys() == {"WEB_HOST", "WEB_PORT", "WEB_URL"}


def test_names_of_a_file_are_there_besides() -> None:
    names = EnvNames(url="DATABASE_URL", port="PGPORT")
    values = found(tcp(env_names=names)).values
    assert values["DATABASE_URL"] == values["DB_URL"]
    assert values["PGPORT"] == values["SHOP_DB_PORT"] == "54321"
    assert len(values) == 8


def test_what_has_no_address_is_left_out_and_told_and_what_listens_nowhere_is_not() -> None:
    nowhere, worker = tcp("cache", upstream=None), service("queue", kind="worker", hosts=())
    result = found(nowhere, worker)
    assert (result.values, result.without) == ({}, (nowhere,))
    assert result.remarks == ["left out, because nothing says yet where to reach it: `cache.shop`"]


def test_a_name_that_two_would_have_is_the_shorter_ones_and_told() -> None:
    db, other = tcp(), tcp("shop-db", listen=ListenAddress(BOTH, 7000))
    for services in ((db, other), (other, db)):
        result = found(*services)
        assert result.values["SHOP_DB_PORT"] == "7000"
        assert result.values["DB_PORT"] == "54321"
        (told,) = result.remarks
        assert told == (
            "SHOP_DB_HOST, SHOP_DB_PORT and SHOP_DB_URL are of `shop-db.shop`, not of `db.shop`, which would have the"
            " same: `env_names` in the table of `db.shop` adds others"
        )


def test_what_a_file_says_goes_before_what_is_made() -> None:
    db, other = tcp(), tcp("other", env_names=EnvNames(port="DB_PORT"), listen=ListenAddress(BOTH, 7000))
    result = found(db, other)
    assert result.values["DB_PORT"] == "7000"
    assert [(clash.holder.id, clash.other.id, clash.names) for clash in result.clashes] == [
        ("other.shop", "db.shop", ("DB_PORT",))
    ]


@given(st.lists(st.tuples(NAME, NAME), max_size=8))
def test_every_name_is_one_for_shells_and_has_one_owner_or_is_told(pairs: list[tuple[str, str]]) -> None:
    services = [
        tcp(name, project, listen=ListenAddress(BOTH, port))
        for port, (name, project) in enumerate(dict.fromkeys(pairs), 1)
    ]
    result = found(*services)
    assert all(re.fullmatch("[A-Z_][A-Z0-9_]*", name) for name in result.values)
    told = {(clash.other.id, name) for clash in result.clashes for name in clash.names}
    for one in services:
        assert one.listen is not None
        assert one.project is not None
        for words in ((one.name,), (one.project.base, one.name)):
            name = "_".join([*words, "port"]).upper().replace("-", "_")
            name = f"_{name}" if name[0].isdigit() else name
            assert (result.values[name] == str(one.listen.port)) != ((one.id, name) in told)
