"""What a hosts file says, and what is to stand in it for services: decisions alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.net.hosts_file import (
    HostsLine,
    all_lines,
    block_lines,
    checked_lines,
    conflicts,
    difference,
    has_shared,
    order_fault,
    outside_lines,
    own_lines,
    read_lines,
    wildcards,
)
from devproxy.problems import Wrong
from devproxy.registry.model import ListenAddress, Mount, Registry, Service, Source

OWN = "127.80.1.2"
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
LINES = st.builds(HostsLine, st.sampled_from(("127.0.0.1", "::1", OWN, "127.127.255.254")), NAMES, st.just(0))


def service(name: str, *hosts: str, own: str = "", mounts: tuple[Mount, ...] = ()) -> Service:
    return Service(
        id=name,
        name=name,
        project=None,
        hosts=hosts,
        mounts=mounts,
        protocol="tcp" if own else "http",
        listen=ListenAddress((own,), 5432) if own else None,
        source=Source("", 0),
    )


REGISTRY = Registry(
    services=(
        service("db", "db.localhost", "data.localhost", own=OWN),
        service("web", "web.localhost", "*.web.localhost", mounts=(Mount("shop.localhost", "/web"),)),
    )
)


def test_an_address_of_its_own_is_ipv4_alone() -> None:
    assert own_lines(REGISTRY.services) == [HostsLine(OWN, "db.localhost"), HostsLine(OWN, "data.localhost")]


def test_every_name_is_on_both_loopbacks_but_for_those_with_their_own() -> None:
    found = [line.text for line in all_lines(REGISTRY)]
    assert found == [
        *(f"{OWN} db.localhost", f"{OWN} data.localhost"),
        *("127.0.0.1 devproxy.localhost", "::1 devproxy.localhost"),
        *("127.0.0.1 web.localhost", "::1 web.localhost"),
        *("127.0.0.1 shop.localhost", "::1 shop.localhost"),
    ]
    assert wildcards(REGISTRY) == ["*.web.localhost"]


def test_a_service_that_listens_where_all_do_has_no_line_of_its_own() -> None:
    shared = service("db", "db.localhost", own="127.0.0.1")
    assert own_lines([shared]) == []
    assert not has_shared(own_lines(REGISTRY.services))
    assert has_shared(all_lines(REGISTRY))


@given(st.lists(LINES))
def test_what_is_written_is_read_back(lines: list[HostsLine]) -> None:
    text = "\n".join(block_lines(lines))
    assert [line._replace(line=0) for line in read_lines(text)] == lines
    assert checked_lines(text) == list(dict.fromkeys(lines))
    assert bool(text) == bool(lines)
    assert all(len(line) < 400 for line in text.split("\n"))


@given(st.text())
def test_any_text_is_read_and_nothing_but_our_kind_of_line_passes_the_check(text: str) -> None:
    read_lines(text)
    try:
        lines = checked_lines(text)
    except Wrong:
        return
    for line in lines:
        assert line.text.isascii()
        assert set(line.text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.: ")
        assert line.address.startswith("127.") or line.address == "::1"


@pytest.mark.parametrize(
    "line",
    [
        *("::ffff:127.0.0.1 db.localhost", "::1%lo db.localhost", "127.1 db.localhost", "127.0.0.01 db.localhost"),
        *("93.184.216.34 db.localhost", "0.0.0.0 db.localhost", "10.0.0.1 db.localhost", "localhost db.localhost"),
        *("127.0.0.1 a_b.localhost", "127.0.0.1 -a.localhost", "127.0.0.1 *.localhost", "127.0.0.1 büro.localhost"),
        f"127.0.0.1 {'a' * 64}.localhost",
        f"127.0.0.1 {'.'.join(['a' * 60] * 5)}",
    ],
)
def test_what_is_no_line_of_ours_is_refused(line: str) -> None:
    with pytest.raises(Wrong):
        checked_lines(f"127.0.0.1 web.localhost\n{line}\n")


def test_comments_tabs_several_names_and_capitals_are_read() -> None:
    text = "# 1.2.3.4 not\r\n127.0.0.1\tlocalhost  Web.Localhost # and so on\r\n\r\n::1 localhost.\r\n10.0.0.1"
    assert read_lines(text) == [
        HostsLine("127.0.0.1", "localhost", 2),
        HostsLine("127.0.0.1", "web.localhost", 2),
        HostsLine("::1", "localhost", 4),
    ]


def test_a_line_elsewhere_that_leads_a_name_astray_is_found_with_its_place() -> None:
    text = f"127.0.0.1 db.localhost\n# >>> x >>>\n{OWN} db.localhost\n# <<< x <<<\n{OWN} data.localhost\n"
    outside = outside_lines(text, "# >>> x >>>", "# <<< x <<<")
    assert [line.line for line in outside] == [1, 5]
    assert conflicts(outside, own_lines(REGISTRY.services)) == [HostsLine("127.0.0.1", "db.localhost", 1)]
    assert conflicts([HostsLine("::1", "web.localhost", 1)], all_lines(REGISTRY)) == []
    assert outside_lines(text, "no", "block") == read_lines(text)


def test_what_is_missing_and_what_is_too_much() -> None:
    old, kept, new = (HostsLine(OWN, name, line) for line, name in enumerate(("old", "kept", "new"), 1))
    missing, surplus = difference([old, kept], [kept._replace(line=0), new])
    assert [line.name for line in missing] == ["new"]
    assert [line.name for line in surplus] == ["old"]


@pytest.mark.parametrize(
    ("hosts", "fault"),
    [
        *(("files", ""), ("files dns", ""), ("files myhostname resolve [!UNAVAIL=return] dns", "")),
        *(
            ("mymachines resolve [!UNAVAIL=return] files myhostname dns", ""),
            ("mdns4_minimal [NOTFOUND=return] files", ""),
        ),
        *(("myhostname files", "`myhostname` for names before"), ("dns files", "`dns` for names before")),
        *(("", "does not ask `files`"), ("nis # files", "does not ask `files`")),
    ],
)
def test_where_the_hosts_file_is_not_asked_first(hosts: str, fault: str) -> None:
    found = order_fault(f"passwd: files\n# hosts: dns\nhosts:\t{hosts}\n")
    assert fault in found if fault else not found


def test_without_a_line_for_hosts_nothing_is_claimed() -> None:
    assert order_fault("") == order_fault("passwd: files") == ""
