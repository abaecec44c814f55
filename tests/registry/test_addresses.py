"""`registry/addresses.py`: an upstream is on this machine, in whatever spelling, or it is refused."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.problems import Wrong
from devproxy.registry.addresses import upstream
from devproxy.registry.model import Upstream

BOTH = ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://127.0.0.1:9000", Upstream("http", ("127.0.0.1",), 9000)),
        ("http://127.0.0.1:9000/", Upstream("http", ("127.0.0.1",), 9000)),
        ("HTTP://LOCALHOST:9000", Upstream("http", BOTH, 9000)),
        ("https://[::1]:9443", Upstream("https", ("::1",), 9443)),
        ("h2c://127.0.0.1:50051", Upstream("h2c", ("127.0.0.1",), 50051)),
        ("tcp://localhost:5432", Upstream("tcp", BOTH, 5432)),
        ("http://localhost", Upstream("http", BOTH, 80)),
        ("https://localhost", Upstream("https", BOTH, 443)),
        ("unix:run/admin.sock", Upstream("http", path="run/admin.sock")),
        ("unix:/run/a b.sock", Upstream("http", path="/run/a b.sock")),
        ("unix:///run/a.sock", Upstream("http", path="/run/a.sock")),
        ("http://127.1:80", Upstream("http", ("127.0.0.1",), 80)),
        ("http://127.0.0.53:80", Upstream("http", ("127.0.0.53",), 80)),
        ("http://2130706433:80", Upstream("http", ("127.0.0.1",), 80)),
        ("http://0x7f000001:80", Upstream("http", ("127.0.0.1",), 80)),
        ("http://0X7F.1:80", Upstream("http", ("127.0.0.1",), 80)),
        ("http://0177.0.0.1:80", Upstream("http", ("127.0.0.1",), 80)),
        ("http://017700000001:80", Upstream("http", ("127.0.0.1",), 80)),
        ("http://127.0.0.1.:80", Upstream("http", ("127.0.0.1",), 80)),
        ("http://[::ffff:127.0.0.1]:80", Upstream("http", ("127.0.0.1",), 80)),
        ("http://[::ffff:7f00:1]:80", Upstream("http", ("127.0.0.1",), 80)),
        ("http://[0:0:0:0:0:0:0:1]:80", Upstream("http", ("::1",), 80)),
    ],
)
def test_addresses_on_this_machine(text: str, address: Upstream) -> None:
    assert upstream(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "http://192.168.1.10:3000",
        "http://10.0.0.1:3000",
        "http://8.8.8.8:53",
        "http://3232235786:80",
        "http://0xc0a8010a:80",
        "http://0300.0250.1.10:80",
        "http://[::ffff:192.168.1.10]:80",
        "http://[::ffff:c0a8:10a]:80",
        "http://[fe80::1]:80",
        "http://[::127.0.0.1]:80",
        "http://[64:ff9b::7f00:1]:80",
        "http://[2001:db8::1]:80",
        "http://example.com:80",
        "http://foo.localhost:80",
        "http://localhost.evil.example:80",
        "http://127.0.0.1.nip.io:80",
        "http://localhost.:80",
        "http://128.0.0.1:80",
        "http://126.255.255.255:80",
        "http://0.0.0.0:3000",
        "http://0:3000",
        "http://0x0:3000",
        "http://[::]:3000",
        "http://[::ffff:0.0.0.0]:3000",
        "http://:80",
    ],
)
def test_every_other_address_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(Wrong) as caught:
        upstream(text)
    assert caught.value.code == "not-this-machine"
    assert caught.value.why
    assert caught.value.fix


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("9000", "write `port = 9000`"),
        ("localhost:9000", 'write "http://localhost:9000"'),
        ("127.0.0.1:9000/", 'write "http://127.0.0.1:9000"'),
        ("/run/app.sock", 'write "unix:/run/app.sock"'),
        ("run/app.sock", 'write "unix:run/app.sock"'),
        ("ws://localhost:1", 'write "http://localhost:1"'),
        ("wss://localhost:1", 'write "https://localhost:1"'),
        ("grpc://localhost:1", 'write "h2c://localhost:1"'),
        ("http://localhost:1/base", 'write "http://localhost:1"'),
        ("http://localhost:1?x", 'write "http://localhost:1"'),
        ("http://u:p@localhost:1", 'write "http://localhost:1"'),
        ("http://127.0.0.1:80@evil.example", 'write "http://evil.example"'),
        ("http://127.0.0.1\\@evil.example:80", 'write "http://127.0.0.1"'),
        ("http://::1:80", 'write it as in "http://[::1]:9000"'),
        ("http://localhost:0", 'write it as in "http://127.0.0.1:9000"'),
        ("http://localhost:65536", 'write it as in "http://127.0.0.1:9000"'),
        ("http://localhost:", 'write it as in "http://127.0.0.1:9000"'),
        ("tcp://localhost", 'write it as in "http://127.0.0.1:9000"'),
        ("unix:", 'write it as in "unix:run/app.sock"'),
        ("unix:~/a.sock", "write the path in full, or relative to this file"),
        ("http://[::1%lo]:80", 'write "[::1]"'),
        ("http://[::1:80", 'write it as in "http://127.0.0.1:9000"'),
        ("nonsense", 'write it as in "http://127.0.0.1:9000" or "unix:run/app.sock"'),
    ],
)
def test_no_addresses(text: str, fix: str) -> None:
    with pytest.raises(Wrong) as caught:
        upstream(text)
    assert (caught.value.code, caught.value.fix) == ("bad-upstream", fix)


@pytest.mark.parametrize(
    "text",
    [
        "http://%31%32%37.0.0.1:80",
        "http://127.0.0.256:1",
        "http://08:1",
        "http://1.2.3.4.5:1",
        "http://127.0.0.1.2.3:1",
    ],
)
def test_numbers_that_are_no_ipv4_address(text: str) -> None:
    with pytest.raises(Wrong, match="is not an address"):
        upstream(text)


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.integers(0, 2**128 - 1), st.integers(0, 2**32 - 1).map(lambda n: 0xFFFF << 32 | n), st.just(1)))
def test_an_ipv6_address_that_is_taken_is_loopback(number: int) -> None:
    address = ipaddress.IPv6Address(number)
    try:
        found = upstream(f"http://[{address}]:80")
    except Wrong:
        mapped = address.ipv4_mapped
        assert address != ipaddress.IPv6Address("::1")
        assert mapped is None or not mapped.is_loopback
    else:
        assert all(ipaddress.ip_address(host).is_loopback for host in found.hosts)


@settings(deadline=None, max_examples=500)
@given(
    st.one_of(
        st.text(max_size=60),
        st.text("htp:/[]127.0x@%\\localhost\x1b?#", max_size=30).map(lambda text: "http://" + text),
    )
)
def test_whatever_is_taken_leads_to_this_machine(text: str) -> None:
    try:
        found = upstream(text)
    except Wrong as wrong:
        said = wrong.what + wrong.why + wrong.fix
        assert said.isprintable()
        return
    assert found.path or all(ipaddress.ip_address(host).is_loopback for host in found.hosts)
    assert found.path or 1 <= found.port <= 65535
