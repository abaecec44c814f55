"""Each shape an address takes on a command line, and what it becomes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.programs import options
from devproxy.programs.catalog.program import Form, Option


def changed(option: Option, *args: str) -> tuple[str, ...]:
    return options.apply_edits(args, list(options.loopback_edits(option, args)))


def value(form: Form, text: str) -> str:
    safe = {"url": "tcp://127.0.0.1:{port}"}.get(form, "127.0.0.1")
    return changed(Option(("-x",), form, safe), "-x", text)[1]


@pytest.mark.parametrize(
    ("form", "old", "new"),
    [
        ("host", "0.0.0.0", "127.0.0.1"),
        ("host", "::", "127.0.0.1"),
        ("host", "*", "127.0.0.1"),
        ("host", "192.168.1.20", "127.0.0.1"),
        ("host", "my-laptop.local", "127.0.0.1"),
        ("host", "localhost,0.0.0.0", "127.0.0.1"),
        ("address", "0.0.0.0:80", "127.0.0.1:80"),
        ("address", ":80", "127.0.0.1:80"),
        ("address", "[::]:80", "127.0.0.1:80"),
        ("address", "*:80", "127.0.0.1:80"),
        ("address", "0.0.0.0", "127.0.0.1"),
        ("address", "0.0.0.0:$PORT", "127.0.0.1:$PORT"),
        ("address", ":${PORT:-80}", "127.0.0.1:${PORT:-80}"),
        ("address", "[::]:%PORT%", "127.0.0.1:%PORT%"),
        ("url", "tcp://0.0.0.0:$PORT", "tcp://127.0.0.1:$PORT"),
        ("url", "tcp://0.0.0.0:80", "tcp://127.0.0.1:80"),
        ("url", "ssl://[::]:80?key=a", "ssl://127.0.0.1:80?key=a"),
        ("url", "80", "tcp://127.0.0.1:80"),
        ("url", "http://+:80;http://localhost:81", "http://127.0.0.1:80;http://localhost:81"),
        ("publish", "80", "127.0.0.1::80"),
        ("publish", "8080:80", "127.0.0.1:8080:80"),
        ("publish", "8080:80/udp", "127.0.0.1:8080:80/udp"),
        ("publish", "0.0.0.0:8080:80", "127.0.0.1:8080:80"),
        ("publish", "[::]:8080:80", "127.0.0.1:8080:80"),
        ("publish", "8000-8009:8000-8009", "127.0.0.1:8000-8009:8000-8009"),
    ],
)
def test_exposing_value_becomes_safe(form: Form, old: str, new: str) -> None:
    assert value(form, old) == new


@pytest.mark.parametrize(
    ("form", "text"),
    [
        *[("host", text) for text in ("localhost", "127.0.0.1", "127.1", "::1", "[::1]", "LOCALHOST", "false")],
        *[("address", text) for text in ("127.0.0.1:80", "[::1]:80", "localhost:80", "unix:/x", "fd://3", "8000")],
        *[("address", text) for text in ("localhost:$PORT", "[::1]:${PORT}", "$PORT", "${WEB_PORT:-80}", "%PORT%")],
        *[("url", text) for text in ("tcp://127.0.0.1:80", "unix:///x", "http://[::1]:80/x")],
        *[("publish", text) for text in ("127.0.0.1:8080:80", "[::1]:8080:80", "127.0.0.1::80", "nonsense")],
    ],
)
def test_safe_value_stays(form: Form, text: str) -> None:
    assert value(form, text) == text


@pytest.mark.parametrize(
    ("args", "new"),
    [
        (("--host", "0.0.0.0"), ("--host", "127.0.0.1")),
        (("--host=0.0.0.0",), ("--host=127.0.0.1",)),
        (("--host",), ("--host", "127.0.0.1")),
        (("--host", "--port", "1"), ("--host", "127.0.0.1", "--port", "1")),
        (("--hostname", "0.0.0.0"), ("--hostname", "0.0.0.0")),
        (("-H", "0.0.0.0"), ("-H", "127.0.0.1")),
        (("-H0.0.0.0",), ("-H127.0.0.1",)),
        (("-H=0.0.0.0",), ("-H=127.0.0.1",)),
        (("--", "--host"), ("--", "--host")),
    ],
)
def test_spelling_is_kept(args: tuple[str, ...], new: tuple[str, ...]) -> None:
    assert changed(Option(("--host", "-H")), *args) == new


def test_two_tokens_before_the_value() -> None:
    option = Option(("-c listen_addresses=",), safe="localhost")
    assert changed(option, "-c", "port=1", "-c", "listen_addresses=*") == (
        "-c",
        "port=1",
        "-c",
        "listen_addresses=localhost",
    )
    assert options.option_tokens(option, 1) == ("-c", "listen_addresses=localhost")
    assert changed(option, "-c") == ("-c",)


def test_several_values() -> None:
    option = Option(("--bind",), many=True)
    assert changed(option, "--bind", "10.0.0.1", "::1", "--port", "1") == ("--bind", "127.0.0.1", "::1", "--port", "1")
    assert changed(option, "--bind", "127.0.0.1", "-::1") == ("--bind", "127.0.0.1", "-::1")


def test_a_port_that_means_everywhere_is_replaced_flag_and_all() -> None:
    option = Option(("-p", "--port"), "port", "-b tcp://127.0.0.1:{port}")
    assert changed(option, "-p", "80", "x") == ("-b", "tcp://127.0.0.1:80", "x")
    assert changed(option, "--port=80") == ("-b", "tcp://127.0.0.1:80")
    assert changed(option, "-p", "auto") == ("-p", "auto")


@pytest.mark.parametrize(
    ("arg", "new"),
    [
        (":80", ":80"),
        (":8080", "127.0.0.1:8080"),
        ("0.0.0.0:80", "127.0.0.1:80"),
        ("-http=:8080", "-http=127.0.0.1:8080"),
        ("--url=http://0.0.0.0:80/", "--url=http://127.0.0.1:80/"),
        ("--listen=0.0.0.0", "--listen=127.0.0.1"),
        ("::", "127.0.0.1"),
        ("[::]:80", "127.0.0.1:80"),
        ("a:80", "a:80"),
        ("http://x/?a=0.0.0.0:80", "http://x/?a=0.0.0.0:80"),
        ("10.0.0.0:80", "10.0.0.0:80"),
    ],
)
def test_wildcard_in_any_argument(arg: str, new: str) -> None:
    assert options.apply_edits((arg,), options.wildcard_edits((arg,), 8080)) == (new,)


def test_shown_as_a_shell_takes_it() -> None:
    assert options.shell_text(["--bind", "*:80", "a b", "x;y"]) == "--bind *:80 'a b' 'x;y'"


@given(
    st.sampled_from(["host", "address", "positional", "url", "publish"]),
    st.lists(st.one_of(st.text(max_size=20), st.sampled_from(["-x", "0.0.0.0:80", "[::]:1:2", "x://y:9"])), max_size=5),
)
def test_a_change_leaves_nothing_to_change(form: Form, args: list[str]) -> None:
    option = Option(() if form == "positional" else ("-x",), form)
    once = changed(option, *args)
    assert changed(option, *once) == once
