"""`registry/values.py`: what the parsers of single values take, and what they say to the rest."""

import re
from collections.abc import Callable
from os.path import normpath
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from devproxy.problems import Wrong
from devproxy.registry import hostnames, model, values
from devproxy.registry.model import NO_TIME_LIMIT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3s", 3.0), ("500ms", 0.5), ("1.5m", 90.0), ("1h", 3600.0), ("0s", 0.0), ("24h", 86400.0), ("0.001s", 0.001)],
)
def test_durations(text: str, seconds: float) -> None:
    assert values.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["3", "", "s", "3 s", "3S", "-3s", "+3s", "3sec", "1m30s", ".5s", "1.s", "1e3s", "٣s", "3s\n", "25h", "1_0s"],
)
def test_no_durations(text: str) -> None:
    with pytest.raises(Wrong):
        values.duration(text)


def test_a_time_that_must_pass_is_not_zero() -> None:
    assert values.some_time("1ms") == 0.001
    with pytest.raises(Wrong, match="leaves no time"):
        values.some_time("0s")


def test_a_limit_may_be_none_at_all() -> None:
    assert values.time_limit("never") == NO_TIME_LIMIT
    assert values.time_limit("5m") == 300.0
    for text in ("0s", "Never", "none", "inf", ""):
        with pytest.raises(Wrong):
            values.time_limit(text)


@given(st.integers(0, 86400 * 1000), st.sampled_from(["ms", "s", "m", "h"]))
def test_every_duration_within_a_day_is_read(milliseconds: int, unit: str) -> None:
    number = milliseconds / {"ms": 1, "s": 1000, "m": 60000, "h": 3600000}[unit]
    assert values.duration(f"{number:.3f}{unit}") == pytest.approx(milliseconds / 1000, abs=1.8, rel=1e-3)


@pytest.mark.parametrize(("text", "size"), [("1KiB", 1024), ("64KiB", 65536), ("16MiB", 16 * 1024 * 1024)])
def test_sizes(text: str, size: int) -> None:
    assert values.size(text) == size


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("64K", 'write "64KiB"'),
        ("64kb", 'write "64KiB"'),
        ("1 MB", 'write "1MiB"'),
        ("1GiB", 'write a size from "1KiB" to "16MiB"'),
        ("0KiB", 'write a size from "1KiB" to "16MiB"'),
        ("64", 'write it as in "64KiB" or "1MiB"'),
        ("٦KiB", 'write it as in "64KiB" or "1MiB"'),
    ],
)
def test_no_sizes(text: str, fix: str) -> None:
    with pytest.raises(Wrong) as caught:
        values.size(text)
    assert caught.value.fix == fix


def test_port_ranges() -> None:
    assert values.port_range("20000-29999") == (20000, 29999)
    assert values.port_range("1-1") == (1, 1)


@pytest.mark.parametrize("text", ["2-1", "0-5", "1-65536", "5", "1-", "-1", "1 - 2", "1-2-3", ""])
def test_no_port_ranges(text: str) -> None:
    with pytest.raises(Wrong, match="range of ports"):
        values.port_range(text)


@pytest.mark.parametrize("text", ["2xx", "204", "200-399", "2xx,3xx", "2xx, 401", "200-200"])
def test_status_sets(text: str) -> None:
    assert values.status_set(text) == text


@pytest.mark.parametrize("text", ["", "6xx", "20", "2XX", "399-200", "2xx,", "200-", "200–299", "0xx", "2xx;3xx"])
def test_no_status_sets(text: str) -> None:
    with pytest.raises(Wrong, match="status codes"):
        values.status_set(text)


@pytest.mark.parametrize("text", ["/api", "/a/b", "/a%2Fb", "/a;b=c", "/~me", "/a.b", "/...", "/a|b", "/A", "/[x]"])
def test_mount_paths_are_kept_byte_for_byte(text: str) -> None:
    assert values.mount_path(text) == text


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("api", 'write "/api"'),
        ("", 'write "/"'),
        ("/", "add the host to `hosts` instead"),
        ("/api/", 'write "/api"'),
        ("/a//b", 'write "/a/b"'),
        ("//", 'write "/"'),
        ("/a/../b", "write the path without them"),
        ("/a/%2e%2E/b", "write the path without them"),
        ("/.", "write the path without them"),
        ("/café", "write it percent-encoded, as in /caf%C3%A9"),
        ("/a b", "write such characters percent-encoded, as in %20"),
        ("/a\\b", "write such characters percent-encoded, as in %20"),
        ("/a#b", "write such characters percent-encoded, as in %20"),
        ("/a?b", "leave out `?` and what follows"),
        ("/a\n", "write such characters percent-encoded, as in %20"),
    ],
)
def test_no_mount_paths(text: str, fix: str) -> None:
    with pytest.raises(Wrong) as caught:
        values.mount_path(text)
    assert caught.value.fix == fix


def test_a_probe_may_have_a_query_and_may_be_the_root() -> None:
    assert values.probe_path("/") == "/"
    assert values.probe_path("/health?full=1/../") == "/health?full=1/../"
    with pytest.raises(Wrong):
        values.probe_path("health")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("https://login.example.com", "https://login.example.com"),
        ("HTTPS://Login.Example.com:443", "https://login.example.com"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]"),
        ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
        ("http://x:0080", "http://x"),
    ],
)
def test_origins(text: str, value: str) -> None:
    assert values.origin(text) == value


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("https://a.example/", 'write "https://a.example"'),
        ("https://a.example/login?x", 'write "https://a.example"'),
        ("a.example", 'write it as in "https://login.example.com"'),
        ("null", 'write it as in "https://login.example.com"'),
        ("*", 'write it as in "https://login.example.com"'),
        ("https://*.example.com", 'write it as in "https://login.example.com"'),
        ("https://u@a.example", 'write it as in "https://login.example.com"'),
        ("https://a.example:99999", 'write it as in "https://login.example.com"'),
        ("https://a.example:0", 'write it as in "https://login.example.com"'),
    ],
)
def test_no_origins(text: str, fix: str) -> None:
    with pytest.raises(Wrong) as caught:
        values.origin(text)
    assert caught.value.fix == fix


ENV_PART = st.sampled_from([".env", "..", "/", "\\", "{worktree}", "{checkout}", "{project}", "local", ".", "C:"])


def test_placeholders_are_exactly_seven_and_other_braces_are_literal() -> None:
    text = 'run {port} ${HOME} {url.api} {"a":1} {urls.api} {port.db-1} {host.api.shop} {port.} {url.A} {{port}} {Port}'
    assert values.placeholders(text) == [
        ("port", ""),
        ("url", "api"),
        ("port", "db-1"),
        ("host", "api.shop"),
        ("port", ""),
    ]

    text = '{project}-{checkout} {worktree} {projects} {project.a} {checkout.} {"project": 1} {tld} {service}'
    assert values.placeholders(text) == [("project", ""), ("checkout", ""), ("worktree", "")]


def test_what_stands_for_the_placeholders_of_a_project() -> None:
    text = "{project}/{worktree}/{checkout} {port} ${project}"
    assert values.fill_project(text, model.Project("shop")) == "shop//main {port} ${project}"
    assert values.fill_project(text, model.Project("shop", "fix-ui")) == "shop/fix-ui/fix-ui {port} ${project}"
    assert values.fill_project(text, None) == "//main {port} ${project}"


@given(st.lists(st.from_regex(hostnames.LABEL, fullmatch=True) | st.sampled_from(["", "main"]), unique=True))
def test_the_checkouts_of_a_project_have_different_names_that_compose_takes(labels: list[str]) -> None:
    names = [values.project_value("checkout", model.Project("shop", label)) for label in labels]
    assert len(set(names)) == len(labels)
    assert all(re.fullmatch("[a-z0-9][a-z0-9_-]*", name) for name in names)


@given(st.text("./\\ax{}C:", max_size=8).map(lambda text: f"{text}.env") | st.lists(ENV_PART).map("".join))
@example("{worktree}/.env")
@example("{worktree}../.env")
@example("a/..{worktree}/.env")
@example(".env\\.env..")
def test_a_file_of_variables_is_below_the_project_in_every_checkout(text: str) -> None:
    try:
        values.env_file_path(text)
    except Wrong:
        return
    for label in ("", "fix-ui"):
        path = values.fill_project(text, model.Project("shop", label))
        below = PurePosixPath(normpath(PurePosixPath("/home/shop") / path))
        assert below.is_relative_to("/home/shop")
        assert values.is_env_file(below.name)


@pytest.mark.parametrize(
    "name", ["DATABASE_URL", "PGHOST", "PGPORT", "PGHOSTADDR", "MYSQL_TCP_PORT", "VITE_API", "port"]
)
def test_names_of_variables_that_hold_addresses(name: str) -> None:
    assert values.variable_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "LD_PRELOAD", "PROMPT_COMMAND", "BASH_ENV", "CURL_HOME", "CURL", "PS1", "ENV", "GIT_SSH_COMMAND"),
        *("NODE_OPTIONS", "PYTHONPATH", "HTTP_PROXY", "EDITOR", "BROWSER", "SUPPORT"),
        *("A-URL", "1URL", "", "DATABASE_URL ", "DATABASE_URL\n", "ÜRL"),
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(Wrong) as caught:
        values.variable_name(name)
    assert "DATABASE_URL" in caught.value.fix


def test_what_a_shell_expands_is_no_placeholder() -> None:
    assert values.placeholders("${project} ${checkout} ${worktree}") == []
    assert values.placeholders("${port} ${url.api} $PORT ${PORT:-3000} $${port}") == []
    assert values.placeholders("${PORT:-{port}}") == [("port", "")]


def test_host_templates() -> None:
    for text in ("{service}.{project}.{tld}", "{service}-{project}.{tld}", "{service}.{tld}", "x.{service}.{tld}"):
        assert values.host_template(text) == text


@pytest.mark.parametrize(
    "text",
    ["{project}.{tld}", "{service}", "{service}{tld}", "{service}.{tld}.", "{Service}.{tld}", "{service} .{tld}", ""],
)
def test_no_host_templates(text: str) -> None:
    with pytest.raises(Wrong, match="template"):
        values.host_template(text)


PARSERS: list[Callable[[str], Any]] = [
    values.duration,
    values.some_time,
    values.size,
    values.port_range,
    values.status_set,
    values.mount_path,
    values.probe_path,
    values.origin,
    values.placeholders,
    values.host_template,
    values.plain_path,
]


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=80), st.text("0123456789msh./-:[]{}%?#x, KiBG\x1b", max_size=30)))
@example("\x1b[2J")
@example("\u202e")
def test_a_parser_reads_a_text_or_says_why_not_in_printable_words(text: str) -> None:
    for parse in PARSERS:
        try:
            parse(text)
        except Wrong as wrong:
            said = wrong.what + wrong.why + wrong.fix
            assert said.isprintable()
            assert len(said) < 600


@settings(deadline=None, max_examples=200)
@given(st.from_regex(r"/[\x21-\x7e]{0,20}", fullmatch=True))
def test_a_path_that_is_taken_is_one_that_browsers_send(text: str) -> None:
    try:
        values.mount_path(text)
    except Wrong:
        return
    assert not text.endswith("/")
    assert re.fullmatch(r'(?:/[^\x00-\x20/?#"<>\\^`{}\x7f]+)+', text)
    assert not re.search(r"(?:^|/)\.{1,2}(?:/|$)", text)
