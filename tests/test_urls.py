"""`urls.py`: what a person opens, with the port that the proxy really has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from devproxy.registry.model import Mount, Service, Source
from devproxy.urls import (
    Ports,
    UrlScheme,
    client_address,
    control_hosts,
    control_url,
    host_url,
    mount_url,
    service_url,
    url,
    url_scheme,
)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (url("tcp", "127.0.0.1:54321"), "tcp://127.0.0.1:54321"),
        (url("http", "web.localhost", "/a?b"), "http://web.localhost/a?b"),
        (host_url("http", "web.localhost", None), "http://web.localhost"),
        (host_url("http", "web.localhost", 80), "http://web.localhost"),
        (host_url("http", "web.localhost", 443), "http://web.localhost:443"),
        (host_url("https", "web.localhost", 443), "https://web.localhost"),
        (host_url("http", "::1", 7080, "/"), "http://[::1]:7080/"),
        (host_url("http", "::1", 80), "http://[::1]"),
        (host_url("", "web.localhost", 7080, "/"), "//web.localhost:7080/"),
        (mount_url(Mount("shop.localhost", "/api"), Ports(7080)), "http://shop.localhost:7080/api"),
        (control_url(("test", "localhost"), Ports(7080)), "http://devproxy.test:7080"),
    ],
)
def test_a_url_is_made_of_its_parts(made: str, said: str) -> None:
    assert made == said


def test_our_own_pages_have_a_name_below_every_tld() -> None:
    assert control_hosts(("localhost", "test")) == {"devproxy.localhost", "devproxy.test"}


@given(
    st.sampled_from(["http", "https"]),
    st.sampled_from(["web.localhost", "127.0.0.1", "::1", "fe80::1"]),
    st.integers(1, 65535),
    st.sampled_from(["", "/", "/a/b"]),
)
def test_a_url_is_read_back_as_what_it_was_made_of(scheme: str, host: str, port: int, path: str) -> None:
    read = URL(host_url(scheme, host, port, path), encoded=True)
    assert (read.scheme, read.host, read.port, read.raw_path) == (scheme, host, port, path or "/")


@pytest.mark.parametrize(
    ("wanted", "https", "trusted", "scheme"),
    [
        ("auto", 443, True, "https"),
        ("auto", 443, False, "http"),
        ("auto", None, True, "http"),
        ("https", 7443, False, "https"),
        ("http", 443, True, "http"),
    ],
)
def test_the_scheme_of_urls_is_chosen_by_one_rule(
    wanted: UrlScheme, https: int | None, trusted: bool, scheme: str
) -> None:
    assert url_scheme(wanted, https, trusted=trusted) == scheme


def test_whoever_has_the_ports_has_the_scheme() -> None:
    ports = Ports(80, 7443, "https")
    assert (ports.known, ports.port) == ((80, 7443), 7443)
    web = Service(id="web", name="web", project=None, hosts=("web.localhost",), source=Source("", 0))
    assert service_url(web, ports) == "https://web.localhost:7443"
    assert client_address(web, ports) == ("web.localhost", 7443, "https://web.localhost:7443")
    assert client_address(web, Ports(scheme="https")) == ("web.localhost", 443, "https://web.localhost")
    assert mount_url(Mount("shop.localhost", "/api"), ports) == "https://shop.localhost:7443/api"
    assert control_url(("localhost",), Ports(80, 443, "https")) == "https://devproxy.localhost"
