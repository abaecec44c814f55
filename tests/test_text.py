"""`text.py`: nothing that is shown drives a terminal, turns a line round or hides, and what people write stays."""

import json
import re
import shlex
from html import unescape
from pathlib import PurePath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from devproxy import text
from devproxy.text import LONGEST, port_number
from tests.hostile import HOSTILE, hidden, hides
from tests.operations import operations

FIXED = settings(deadline=None)

TEXTS = st.text(
    st.one_of(
        st.characters(),
        st.characters(categories=["Cc", "Cf", "Zl", "Zp"]),
        st.sampled_from(HOSTILE),
        st.characters(categories=["Cs"]),
    ),
    max_size=200,
)


@FIXED
@given(TEXTS)
@example(HOSTILE)
def test_nothing_that_is_safe_hides_or_drives_a_terminal(raw: str) -> None:
    for safe in (text.safe(raw), text.shown(raw), text.safe_bytes(raw.encode(errors="replace"))):
        assert not hidden(safe)
    for lines in (text.safe_lines(raw), text.without_unsafe(raw), text.safe_html(raw)):
        assert not hidden(lines, "\n\t")
    assert "\n" not in text.without_unsafe(raw)


@pytest.mark.parametrize("char", HOSTILE)
def test_what_a_person_must_not_meet_raw_is_spelt_out(char: str) -> None:
    assert text.safe(f"a{char}b") == f"a{text.spelt_out(char)}b"
    assert re.fullmatch(r"\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}", text.spelt_out(char))
    assert text.without_unsafe(f"a{char}b") == "ab"


@pytest.mark.parametrize(
    "readable",
    ["", "plain", "äöü é", "漢字　かな", "עברית", "العربية", "🙂 ⚠️ ❤️", "a\u00a0b", "➜ │ ⠋ \ue0b0", "a\\x1bb"],
)
def test_what_people_write_stays_as_it_is(readable: str) -> None:
    assert text.safe(readable) == text.safe_lines(readable) == text.without_unsafe(readable) == readable


@FIXED
@given(TEXTS)
def test_what_is_safe_already_is_left_alone(raw: str) -> None:
    for make in (text.safe, text.safe_lines, text.without_unsafe):
        assert make(make(raw)) == make(raw)


def test_lines_and_tabs_stay_only_where_there_may_be_several_lines() -> None:
    assert text.safe("a\n\tb\r\n") == "a\\x0a\\x09b\\x0d\\x0a"
    assert text.safe_lines("a\n\tb\r\n") == "a\n\tb\\x0d\n"
    assert text.without_unsafe("a\n\tb\r\n") == "a\tb"


@FIXED
@given(TEXTS)
def test_a_page_says_what_was_meant_and_has_no_markup_of_it(raw: str) -> None:
    page = text.safe_html(raw)
    assert unescape(page) == text.safe_lines(raw)
    assert not re.search("[<>\"']", page)


@FIXED
@given(st.recursive(TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=5))
def test_json_has_the_same_value_and_no_unsafe_character(value: object) -> None:
    encoded = text.json_text(value)
    assert not hidden(encoded, "\n")
    whole = json.dumps(value, ensure_ascii=False).encode(errors="replace")
    assert json.loads(encoded) == json.loads(whole)


@FIXED
@given(TEXTS)
def test_what_is_shown_is_printable_and_short(raw: str) -> None:
    assert text.shown(raw).isprintable()
    assert len(text.shown(raw)) <= LONGEST * 10
    if raw.isprintable() and not any(map(hides, raw)) and len(raw) <= LONGEST:
        assert text.shown(raw) == raw


def test_a_value_shows_blanks_that_are_no_spaces_as_well() -> None:
    assert text.shown("web\u00a0\u3000") == "web\\xa0\\u3000"
    assert text.shown("x" * 100) == "x" * (LONGEST - 1) + "…"
    assert text.shown("x" * 100, 10) == "x" * 9 + "…"


@FIXED
@given(st.binary(max_size=100))
def test_bytes_are_printable_and_can_be_told_apart(raw: bytes) -> None:
    said = text.safe_bytes(raw)
    assert re.fullmatch(r"[ !#-\[\]-~]*(\\x[0-9a-f]{2}[ !#-\[\]-~]*)*", said)
    assert re.sub(r"\\x(..)", lambda found: chr(int(found[1], 16)), said).encode("latin-1") == raw


def test_near_words_are_near_and_few() -> None:
    known = [f"web{number}.shop" for number in range(9)]
    assert text.near_words("web1.shp", known)[0] == "web1.shop"
    assert len(text.near_words("web.shop", known)) == 3
    assert text.near_words("zzz", known) == []
    assert text.near_words("", ["", "a"]) == [""]
    assert text.near_words("API", ["api", "api"]) == ["api"]
    assert text.nearest_word("aip", ["web", "api"]) == "api"
    assert text.nearest_word("zzz", ["web", "api"]) is None


def test_the_nearest_of_very_many_is_found_in_bounded_time() -> None:
    assert text.near_words("web", (f"service-{index}" for index in range(1_000_000))) == []
    assert text.near_words("service-7", (f"service-{index}" for index in range(1_000_000)))[0] == "service-7"
    assert text.near_words("a" * 1_000_000, ["a" * 999_999]) == []


@FIXED
@given(st.lists(TEXTS, max_size=3))
def test_a_suggestion_is_one_safe_line(names: list[str]) -> None:
    said = text.did_you_mean(names)
    assert not hidden(said)
    assert said.count("`") >= 2 * len(names)


def test_words_that_go_together() -> None:
    assert text.did_you_mean([]) == ""
    assert text.did_you_mean(["web", "api"]) == "did you mean `web` or `api`?"
    assert [text.plural(count, "service") for count in (0, 1, 2)] == ["0 services", "1 service", "2 services"]
    assert [text.listed("abc"[:count]) for count in range(4)] == ["", "a", "a and b", "a, b and c"]


WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@FIXED
@given(st.lists(WORDS, max_size=4))
@example(["link", "a;touch PWNED #"])
@example(["$(x)", "`x`", "'", '"', "\n", "~", "*", "a b", ""])
def test_a_shell_takes_each_word_of_a_command_as_it_is(words: list[str]) -> None:
    assert shlex.split(text.devproxy_command(*words)) == ["devproxy", *words]


def test_a_command_is_as_plain_as_it_can_be() -> None:
    assert text.devproxy_command("link", "--trust", PurePath("/a/b.toml")) == "devproxy link --trust /a/b.toml"
    assert text.devproxy_command("init", PurePath("-x")) == "devproxy init ./-x"
    assert text.quote(PurePath("/a b/$(x).toml")) == "'/a b/$(x).toml'"


@pytest.mark.parametrize(
    ("host", "port", "said"),
    [
        ("127.0.0.1", 80, "127.0.0.1:80"),
        ("::1", 80, "[::1]:80"),
        ("fe80::1%eth0", 8080, "[fe80::1%eth0]:8080"),
        ("::ffff:127.0.0.1", 1, "[::ffff:127.0.0.1]:1"),
        ("web.localhost", 443, "web.localhost:443"),
    ],
)
def test_an_address_has_its_host_in_brackets_where_it_must(host: str, port: int, said: str) -> None:
    assert text.host_port(host, port) == said


NAMES_ALIKE = [f"x{n:05d}-a-rather-long-name-so-that-answers-are-large.localhost" for n in range(2000)]


def test_a_word_is_compared_with_any_number_of_words_at_one_cost() -> None:
    """Whoever sends requests may have it done, as often as they like."""
    words = ("x00123-a-rather-long-name-so-that-answers-are-largf.localhost", "q" * 5000, "x00-" * 100, "")
    for word in words:
        few, many = text.WordIndex(NAMES_ALIKE[:200]), text.WordIndex(NAMES_ALIKE)
        assert operations(lambda: many.near(word)) <= 1.5 * operations(lambda: few.near(word)) + 200  # noqa: B023


def test_an_index_finds_what_is_near() -> None:
    index = text.WordIndex([*NAMES_ALIKE, "web.shop.localhost", "api.shop.localhost"])
    assert index.near("wbe.shop.localhost")[0] == "web.shop.localhost"
    assert index.near(NAMES_ALIKE[77].replace("x00077", "y00077"))[0] == NAMES_ALIKE[77]
    assert index.near("zzzz") == []
    assert text.WordIndex([]).near("web") == []


@given(st.lists(st.text(alphabet="abc.", min_size=2, max_size=8), max_size=6), st.text(alphabet="abc.", max_size=8))
def test_an_index_of_few_words_finds_what_comparing_all_of_them_finds(words: list[str], word: str) -> None:
    """But for those that have no two letters in common that follow each other."""
    found = text.WordIndex(words).near(word)
    assert found == [one for one in text.near_words(word, words) if one in found]
    alike = [one for one in text.near_words(word, words) if text._letter_pairs(one) & text._letter_pairs(word)]
    assert set(found) >= set(alike)


@pytest.mark.parametrize(("text", "port"), [("8000", 8000), ("0080", 80), ("65535", 65535)])
def test_a_port_as_text(text: str, port: int) -> None:
    assert port_number(text) == port


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "+1", " 80", "80\n", "8_0", "٨٠", "²", "9" * 5000])
def test_what_is_no_port(text: str) -> None:
    assert port_number(text) == 0
