"""`registry/decode.py`: every problem of a file at once, to the letter; the valid parts beside them."""

import tomllib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.registry import schema
from devproxy.registry.decode import Decoded, decode_local, decode_project, decode_user
from devproxy.registry.validate import MOST
from tests.registry import letter

FILE = "/home/you/shop/registry.toml"


def said(decoded: Decoded[Any]) -> str:
    return "".join(problem.text() + "\n" for problem in decoded.problems)


def codes(decoded: Decoded[Any]) -> list[str]:
    return [problem.code for problem in decoded.problems]


@pytest.mark.parametrize(("text", "problems"), letter.cases("user"))
def test_what_is_said_about_a_user_registry(text: str, problems: str) -> None:
    assert said(decode_user(text, "/r.toml")) == problems


@pytest.mark.parametrize(("text", "problems"), letter.cases("project"))
def test_what_is_said_about_a_project_file(text: str, problems: str) -> None:
    assert said(decode_project(text, "/r.toml")) == problems


@pytest.mark.parametrize(("text", "problems"), letter.cases("local"))
def test_what_is_said_about_a_local_file(text: str, problems: str) -> None:
    assert said(decode_local(text, "/r.toml")) == problems


TEAM_FILE = """\
#:schema https://example.com/registry.schema.json
project = "shop"

[services.web]
port = 5173
hosts = ["shop.localhost", "*.shop.localhost"]
command = "npm run dev -- --port {port}"
cwd = "web"
env = { API_URL = "{url.api}" }
depends_on = ["api", "db"]

[services.api]
port = 8000
health = { path = "/healthz", status = "2xx" }
exposure = "refuse"

[[services.api.mount]]
host = "shop.localhost"
path = "/api"
strip = true

[services.admin]
upstream = "unix:run/admin.sock"

[services.db]
protocol = "tcp"
port = 54321
listen = 5432
"""


def test_a_good_project_file_has_no_problems() -> None:
    decoded = decode_project(TEAM_FILE, FILE)
    assert decoded.ok
    assert decoded.problems == ()
    assert decoded.value is not None
    assert decoded.value.project == "shop"
    assert list(decoded.value.services) == ["web", "api", "admin", "db"]
    assert decoded.value.services["web"].env == {"API_URL": "{url.api}"}
    assert decoded.value.services["api"].mount == [
        schema.MountTable(host="shop.localhost", path="/api", strip=True),
    ]
    assert decoded.value.services["web"].upstream is msgspec.UNSET
    assert decoded.places.at(("services", "db", "listen")) == (28, 1)


def test_an_empty_file_is_a_good_user_registry_and_a_good_local_file() -> None:
    for text in ("", "\n", "# nothing yet\n", "[services]\n"):
        assert decode_user(text, FILE).problems == ()
        assert decode_local(text, FILE).problems == ()


def test_the_valid_parts_of_a_file_with_problems_are_there() -> None:
    text = '[proxy]\nhold = 3\nhttp = 8080\n[services.a]\nport = 1\n[services.b]\nport = "2"\n[services.C]\nport = 3\n'
    decoded = decode_user(text, FILE)
    assert not decoded.ok
    assert decoded.value is not None
    assert decoded.value.proxy == schema.ProxyTable(http=8080)
    assert list(decoded.value.services) == ["a"]
    assert decoded.left_out == {"b": {"port": "2"}, "C": {"port": 3}}


def test_warnings_leave_a_file_good() -> None:
    decoded = decode_user('[proxy]\ntlds = ["dev"]\n', FILE)
    assert decoded.ok
    assert codes(decoded) == ["poor-tld"]


def test_a_project_file_without_a_name_has_no_value_and_still_all_of_its_problems() -> None:
    decoded = decode_project("[services.a]\nport = 0\n[services.b]\nprot = 1\n", "/home/you/My Shop/devproxy.toml")
    assert decoded.value is None
    assert codes(decoded) == ["missing-key", "out-of-range", "unknown-key"]
    assert 'project = "my-shop"' in decoded.problems[0].fix


def test_windows_paths_name_their_folder() -> None:
    assert 'project = "shop"' in decode_project("", "C:\\code\\shop\\devproxy.toml").problems[0].fix


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = ", (1, 5)),
        ("[services.web]\nport = 1\nport = 2\n", (3, 9)),
        ("a = '''\n\n", (1, 8)),
        ("\r\n\r\nx", (3, 2)),
        ("[a]\n[a]\n", (2, 3)),
        ("a = " + "1" * 5000, (1, 1)),
        ('a = "\x1b"', (1, 6)),
    ],
)
def test_a_syntax_error_is_the_only_problem_and_has_a_place(text: str, place: tuple[int, int]) -> None:
    decoded = decode_user(text, FILE)
    assert codes(decoded) == ["syntax"]
    assert decoded.value is None
    assert (decoded.problems[0].line, decoded.problems[0].column) == place
    assert decoded.problems[0].text().replace("\n", "").isprintable()


def test_a_file_that_nests_too_deep_is_refused_before_it_is_parsed() -> None:
    decoded = decode_user("\n[a" + ".a" * 100_000 + "]", FILE)
    assert codes(decoded) == ["too-deep"]
    assert decoded.problems[0].line == 2


def test_a_flood_of_problems_is_counted() -> None:
    text = "".join(f"[services.s{index}]\nprot = {index}\n" for index in range(MOST + 200))
    decoded = decode_user(text, FILE)
    assert len(decoded.problems) == MOST + 1
    assert decoded.problems[-1].message == "there are 200 more problems like these"
    assert decoded.value is not None
    assert decoded.value.services == {}


def test_a_number_of_a_million_digits_is_not_printed() -> None:
    decoded = decode_user("[services.a]\nport = 0x1" + "0" * 1_000_000, FILE)
    assert decoded.problems[0].message.startswith("`port` is a number that is far too large")


@pytest.mark.parametrize("key", ["command", "env"])
def test_scripts_may_have_lines_and_other_values_may_not(key: str) -> None:
    value = "{ A = 'a\tb' }" if key == "env" else "'''\necho a\n\techo b\n'''"
    assert decode_user(f"[services.a]\n{key} = {value}\n", FILE).problems == ()
    assert codes(decode_user('[services.a]\ncwd = "a\\tb"\n', FILE)) == ["control-character"]


@pytest.mark.parametrize("value", ['".env"', '[".env", "../shared.env"]', '"Übung/.env"'])
def test_files_of_variables_are_one_or_several(value: str) -> None:
    assert decode_user(f'[services.a]\ncommand = "x"\nenv_file = {value}\n', FILE).problems == ()


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        ("1", "wrong-type", "`env_file` is the number 1, but must be a file, or a list of files, that is not empty"),
        ('""', "bad-value", "must be a file"),
        ("[]", "bad-value", "must be a file"),
        ('[".env", 1]', "wrong-type", "`env_file[1]`"),
        ('"~/.env"', "bad-value", "begins with `~`"),
        ('[".env", "~/x"]', "bad-value", "`env_file[1]`"),
        ('"a\\tb"', "control-character", "env_file"),
        ('["a\\tb"]', "control-character", "env_file[0]"),
    ],
)
def test_other_values_are_not(value: str, code: str, said: str) -> None:
    (problem,) = decode_user(f'[services.a]\ncommand = "x"\nenv_file = {value}\n', FILE).problems
    assert said in problem.message
    assert (problem.code, problem.line) == (code, 3)


@pytest.mark.parametrize("word", ["env-file", "envfile", "dotenv", "env_files"])
def test_near_words_of_env_file(word: str) -> None:
    (problem,) = decode_user(f'[services.a]\n{word} = ".env"\n', FILE).problems
    assert "did you mean `env_file`" in problem.message


def test_unseen_characters_are_found_wherever_they_are() -> None:
    text = '[services.a]\ncommand = ["x", "\u202e"]\nenv = { "a\u200b" = "1", B = "\\u0000" }\n'
    decoded = decode_user(text, FILE)
    assert codes(decoded) == ["control-character"] * 3
    assert all(problem.text().replace("\n", "").isprintable() for problem in decoded.problems)


def test_text_beyond_ascii_is_welcome_where_it_is_not_a_name() -> None:
    assert decode_user('[services.a]\ncommand = "echo äöü 漢字 🙂"\ncwd = "Übung"\n', FILE).problems == ()


JSON = st.recursive(
    st.one_of(
        st.integers(-(2**70), 2**70),
        st.booleans(),
        st.floats(),
        st.sampled_from(["web", "", "3s", "http://localhost:1", "/api", "\x1b", "refuse", "a.localhost", "a b"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from([*schema.ServiceTable.__struct_fields__, "host", "path", "strip", "A=B", "\x1b"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
TABLES = st.dictionaries(
    st.sampled_from([*schema.ServiceTable.__struct_fields__, *schema.ProxyTable.__struct_fields__, "nonsense"]),
    JSON,
    max_size=6,
)
FILES = st.fixed_dictionaries(
    {},
    optional={
        "project": JSON,
        "proxy": st.one_of(TABLES, JSON),
        "services": st.one_of(st.dictionaries(st.sampled_from(["web", "A", "", "devproxy"]), st.one_of(TABLES, JSON))),
        "projects": st.one_of(st.dictionaries(st.sampled_from(["shop", "-"]), st.one_of(TABLES, JSON)), JSON),
        "nonsense": JSON,
    },
)


def check(text: str) -> None:
    for decode in (decode_user, decode_project, decode_local):
        decoded: Decoded[Any] = decode(text, FILE)
        for problem in decoded.problems:
            assert problem.text().replace("\n", "").isprintable()
            assert 1 <= problem.line <= text.count("\n") + 1
            assert problem.column >= 1
            assert problem.message
        if decoded.value is not None:  # what is there fits its type
            msgspec.convert(msgspec.to_builtins(decoded.value), type(decoded.value))
        assert decoded.value is not None or not decoded.ok


@settings(deadline=None, max_examples=300)
@given(FILES)
def test_any_data_is_read_or_its_problems_are_told(data: dict[str, Any]) -> None:
    import tomli_w

    check(tomli_w.dumps(data))


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=80), st.text("[services.web]\nport=\"'1{},#\\u001b", max_size=60)))
def test_any_text_is_read_or_its_problems_are_told(text: str) -> None:
    check(text)


def test_every_problem_is_found_whatever_else_is_wrong() -> None:
    """Two faults, each in a key of its own, are two problems: the first never hides the second."""
    faults = [case[0] for case in letter.cases("user") if case[0].startswith("[services.web]\n")]
    for first in faults:
        for second in faults:
            keys = [set(tomllib.loads(fault)["services"]["web"]) for fault in (first, second)]
            if keys[0] & keys[1] or len((keys[0] | keys[1]) & {"port", "upstream", "listens"}) > 1:
                continue
            both = first + second.removeprefix("[services.web]\n")
            alone = codes(decode_user(first, FILE)) + codes(decode_user(second, FILE))
            assert codes(decode_user(both, FILE)) == alone
