"""Field lines and sections: what is found in them, what passes either way; remembering lines changes nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.http1 import fields as module
from devproxy.http1.fields import FRAMING, HOP_BY_HOP, LOOKED_AT, OURS, PLAIN, Section, section
from tests.http1.oracles import naive
from tests.proxy.values import fault, fields, lines

FIXED = settings(max_examples=150, deadline=None, derandomize=True, database=None)

SPECIAL = [
    *(b"Connection", b"Keep-Alive", b"TE", b"Upgrade", b"Proxy-Connection", b"Host", b"Origin", b"Referer"),
    *(b"Content-Length", b"Transfer-Encoding", b"Sec-Fetch-Site", b"X-Forwarded-For", b"X_Real_IP", b"Forwarded"),
    *(b"Devproxy-Chain", b"HTTP2-Settings", b"Sec-WebSocket-Key", b"Content_Length", b"transfer_Encoding"),
]
NAMES = st.sampled_from([*SPECIAL, b"Accept", b"Cookie", b"X-A", b"Set-Cookie"]).flatmap(
    lambda name: st.sampled_from([name, name.lower(), name.upper(), name.swapcase()])
)
VALUES = st.text('ab,;= \t"\xe9:1', max_size=10).map(lambda text: text.encode("latin-1"))
SECTIONS = st.lists(st.tuples(NAMES, st.sampled_from([b":", b": ", b":\t "]), VALUES).map(b"".join), max_size=10)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (b"Connection Keep-Alive TE Upgrade Proxy-Connection Proxy-Authenticate Proxy-Authorization", HOP_BY_HOP),
        (b"Content-Length Transfer-Encoding", FRAMING),
        (b"Host Origin Sec-WebSocket-Key Sec-WebSocket-Accept", LOOKED_AT),
        (b"Referer", PLAIN),
        (b"Sec-Fetch-Site Sec-Fetch-Mode Sec-Fetch-Dest Sec-Fetch-User User-Agent", LOOKED_AT),
        (b"Sec-Purpose Purpose X-Purpose X-Moz", LOOKED_AT),
        (b"X-Forwarded-For X_Forwarded_For X-Forwarded_Proto X.Forwarded.Host X-Real-IP X_Real-IP Forwarded", OURS),
        (b"X-Forwarded-Port X-Forwarded-Prefix Devproxy-Chain devproxy_chain Devproxy-Error HTTP2-Settings", OURS),
        (b"Content_Length Transfer_Encoding Transfer.Encoding Keep_Alive Proxy_Connection Sec_Fetch_Site", OURS),
        (b"Cookie Set-Cookie Accept X-Forwarded X-Forward-For Forwarded-For X-Real-IPs Devproxy Via Trailer", PLAIN),
        (b"X-Forwarded-User X-Forwarded-Email X_Forwarded_Groups X-Forwarded-Access-Token X-Forwarded-Ssl", PLAIN),
        (b"Expect Accept-Encoding Sec-WebSocket-Protocol Content_Type Date Server Proxy-Status", PLAIN),
    ],
)
def test_a_line_is_of_the_kind_that_its_name_says_in_any_case(names: bytes, kind: int) -> None:
    for name in names.split():
        for written in (name, name.lower(), name.upper()):
            (field,) = fields(written + b":\t 5 ").fields
            assert (field.name, field.value, field.kind) == (name.lower(), b"5", kind)


@FIXED
@given(each=SECTIONS)
def test_a_section_says_the_same_as_a_naive_reading(each: list[bytes]) -> None:
    found = fields(*each)
    expected = [(name.lower(), value) for name, value in naive(b"\r\n".join(each))]
    assert [(field.name, field.value) for field in found.fields] == expected
    for name in {name for name, _ in expected} | {b"host", b"absent"}:
        values = [value for other, value in expected if other == name]
        special = [field.kind for field in found.fields if field.name == name and field.kind != PLAIN]
        assert found.any(name) == (values[0] if values else None)
        if name == b"referer":
            assert found.referer == values[0]
            continue
        assert found.all(name) == (values if special else [])
        assert found.get(name) == (values[-1] if special else None)
    options = {option.strip() for name, v in expected if name == b"connection" for option in v.lower().split(b",")}
    assert found.connection == options - {b""}


@FIXED
@given(each=SECTIONS)
def test_plain_lines_pass_to_the_byte_in_order_and_both_ways(each: list[bytes]) -> None:
    found = fields(*each)
    kept = [line for line, field in zip(each, found.fields, strict=True) if field.kind in (PLAIN, LOOKED_AT)]
    whose = [line for line, field in zip(each, found.fields, strict=True) if field.kind == OURS]
    ours = [line for line in whose if not line.lower().startswith(b"devproxy")]  # no service speaks for devproxy
    up, down = found.up.split(b"\r\n")[:-1], found.down.split(b"\r\n")[:-1]
    assert [line for line in up if line in kept] == kept
    assert [line for line in down if line in kept or line in ours] == [line for line in each if line in kept + ours]
    assert not any(line.lower().startswith((b"connection:", b"te:", b"keep-alive:")) for line in up + down)
    assert not set(up) & set(whose)
    assert not any(line.lower().startswith(b"devproxy") for line in up + down)


@FIXED
@given(each=SECTIONS)
def test_a_remembered_line_means_what_it_meant_when_it_was_new(each: list[bytes]) -> None:
    raw = b"\r\n".join(each)
    module.forget()
    new = section(raw, 100)
    again = section(raw, 100)
    assert isinstance(new, Section)
    assert isinstance(again, Section)
    assert new.fields == again.fields


def test_framing_is_written_anew_in_the_case_it_came_in() -> None:
    assert fields(b"content-LENGTH:  \t007 ", b"Transfer-encoding:CHUNKED").up == lines(
        b"content-LENGTH: 7", b"Transfer-encoding: chunked"
    )
    assert fields(b"Content-Length: 5").down == b"Content-Length: 5\r\n"


@pytest.mark.parametrize("value", [b"", b"5, 5", b"+5", b"0x5", b"-1", b"5 5", b"1" * 19])
def test_a_length_that_is_none_is_never_passed_on(value: bytes) -> None:
    assert fields(b"Content-Length: " + value).up == b""


def test_what_is_remembered_is_bounded() -> None:
    module.forget()
    for number in range(module._KNOWN_LINES + 10):
        fields(b"X-Number: %d" % number)
    assert len(module._known) == 10
    fields(b"X-Long: " + b"a" * module._KNOWN_LENGTH)
    assert len(module._known) == 10
    module.forget()
    for number in range(module._KNOWN_NAMES + 10):
        fields(b"X-%d: 1" % number)
    assert len(module._names) == 10
    fields(b"X" * (module._KNOWN_LENGTH + 1) + b": 1")
    assert len(module._names) == 10


def test_a_section_may_be_empty() -> None:
    found = section(b"", 0)
    assert isinstance(found, Section)
    assert (found.fields, found.up, found.down, found.found) == ([], b"", b"", {})


def test_more_fields_than_the_limit_are_too_many() -> None:
    raw = b"\r\n".join([b"A: b"] * 5)
    assert isinstance(section(raw, 5), Section)
    found = fault(section(raw, 4))
    assert (found.status, found.code) == (431, "header-too-large")
    assert "5 fields, and the limit is 4" in found.detail


@FIXED
@given(raw=st.binary(max_size=60))
def test_no_bytes_crash_it_and_what_is_taken_has_no_control_characters(raw: bytes) -> None:
    found = section(raw, 100)
    if isinstance(found, Section) and raw:
        assert not set(raw.replace(b"\r\n", b"")) & {*range(9), *range(10, 32), 127}
        assert all(b":" in line for line in raw.split(b"\r\n"))
    elif raw:
        assert fault(found).status == 400


FOLDS = ["content-length", "transfer-encoding", "keep-alive", "proxy-connection", "x-forwarded-for", "x-real-ip"]
MARKS = st.sampled_from(list("-_.!#$%&'*+^`|~"))


@FIXED
@given(
    name=st.sampled_from([*FOLDS, "http2-settings", "sec-fetch-site", "devproxy-chain", "sec-websocket-key"]),
    marks=st.lists(MARKS, min_size=3, max_size=3),
    upper=st.booleans(),
)
def test_no_spelling_that_cgi_folds_into_a_field_with_a_meaning_reaches_a_service(
    name: str, marks: list[str], upper: bool
) -> None:
    """RFC 3875 §4.1.18: `-` becomes `_`, and some servers make one of any mark."""
    written = "".join(mark + part for mark, part in zip(["", *marks], name.split("-"), strict=False))
    found = fields((written.upper() if upper else written).encode() + b": 5", b"A: 1")
    if written != name or name not in ("content-length", "sec-fetch-site", "sec-websocket-key", "transfer-encoding"):
        assert found.up == b"A: 1\r\n"
