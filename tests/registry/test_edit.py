"""Edits of the registry's text: what they write, and that they leave the rest alone."""

import copy
import tomllib
from collections.abc import Mapping
from textwrap import dedent
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.errors import DevproxyError
from devproxy.registry.edit import SCHEMA_LINE, add_service, link_project, remove_service, trust_project, unlink_project


def toml(text: str) -> str:
    return dedent(text).lstrip("\n")


REGISTRY = toml("""
    # Mine.
    [proxy]
    http = 7080      # not 80

    [services.web]   # the front
    port   =  5173
    # hosts = ["later"]

    # Projects of the team
    [projects.shop]
    path = "~/shop/devproxy.toml"
""")


# Adding


def test_a_new_file_opens_with_its_schema() -> None:
    assert add_service("", "web", {"port": 5173}) == SCHEMA_LINE + "\n[services.web]\nport = 5173\n"
    assert link_project("\n", "shop", "/s") == SCHEMA_LINE + '\n[projects.shop]\npath = "/s"\n'


def test_a_service_goes_behind_the_last_one_and_comments_stay_where_they_are() -> None:
    assert add_service(REGISTRY, "api", {"port": 8000, "hosts": ["api.localhost"]}) == REGISTRY.replace(
        '# hosts = ["later"]\n',
        '# hosts = ["later"]\n\n[services.api]\nport = 8000\nhosts = ["api.localhost"]\n',
    )


def test_a_comment_that_touches_the_next_table_stays_with_it() -> None:
    text = "[services.a]\nport = 1\n# the shop\n[projects.shop]\npath = 'x'\n"
    assert add_service(text, "b", {"port": 2}) == (
        "[services.a]\nport = 1\n\n[services.b]\nport = 2\n\n# the shop\n[projects.shop]\npath = 'x'\n"
    )


def test_a_link_goes_behind_the_last_one() -> None:
    assert link_project(REGISTRY, "blog", "/b.toml") == REGISTRY + '\n[projects.blog]\npath = "/b.toml"\n'


def test_the_first_service_goes_to_the_end() -> None:
    assert add_service("[proxy]\nhttp = 80", "a", {"port": 1}) == "[proxy]\nhttp = 80\n\n[services.a]\nport = 1\n"


def test_mounts_become_arrays_of_tables() -> None:
    table = {"upstream": "unix:/run/a.sock", "mount": ({"host": "shop.localhost", "path": "/api"},)}
    assert add_service("# x\n", "a", table) == toml("""
        # x

        [services.a]
        upstream = "unix:/run/a.sock"

        [[services.a.mount]]
        host = "shop.localhost"
        path = "/api"
    """)


def test_windows_line_ends_are_kept() -> None:
    text = "[services.a]\r\nport = 1\r\n"
    assert add_service(text, "b", {"port": 2}) == text + "\r\n[services.b]\r\nport = 2\r\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("services = { a = { port = 1 } } # all\n", "services = { a = { port = 1 },  b = {port = 2}} # all\n"),
        ("[services]\na = { port = 1 }\n", "[services]\na = { port = 1 }\n\n[services.b]\nport = 2\n"),
        ("[services]\na.port = 1\n", "[services]\na.port = 1\n\n[services.b]\nport = 2\n"),
        ("services.a.port = 1\n", "services.a.port = 1\n\n[services.b]\nport = 2\n"),
        ("[services.a]\n[services.a.health]\n", "[services.a]\n[services.a.health]\n\n[services.b]\nport = 2\n"),
    ],
)
def test_every_way_to_spell_the_tables(text: str, wanted: str) -> None:
    assert add_service(text, "b", {"port": 2}) == wanted
    assert tomllib.loads(remove_service(wanted, "b")) == tomllib.loads(text)


def test_an_inline_registry_takes_a_whole_service() -> None:
    table = {"port": 2, "hosts": ["b"], "mount": [{"host": "h", "path": "/p"}]}
    assert tomllib.loads(add_service("services = {}\n", "b", table)) == {"services": {"b": table}}


def test_a_name_that_is_taken() -> None:
    with pytest.raises(DevproxyError, match="a service named web already") as caught:
        add_service(REGISTRY, "web", {"port": 1})
    assert caught.value.why == "it is port = 5173"
    with pytest.raises(DevproxyError, match="a linked project named shop already"):
        link_project(REGISTRY, "shop", "/elsewhere")


def test_the_same_link_again_changes_nothing() -> None:
    assert link_project(REGISTRY, "shop", "~/shop/devproxy.toml") == REGISTRY


# Replacing


def test_a_replaced_service_keeps_its_place() -> None:
    assert add_service(REGISTRY, "web", {"port": 1}, replace=True) == REGISTRY.replace(
        "[services.web]   # the front\nport   =  5173\n", "[services.web]\nport = 1\n"
    )


def test_a_service_that_was_scattered_is_gathered() -> None:
    text = toml("""
        [services.a]
        port = 1

        [proxy]
        http = 80

        [services.a.health]
        path = "/"

        [services.b]
        port = 2
    """)
    assert add_service(text, "a", {"port": 3}, replace=True) == toml("""
        [services.a]
        port = 3

        [proxy]
        http = 80

        [services.b]
        port = 2
    """)


def test_a_dotted_service_becomes_a_table() -> None:
    text = "[services]\na.port = 1 # x\nb.port = 2\n"
    assert add_service(text, "a", {"port": 3}, replace=True) == ("[services]\nb.port = 2\n\n[services.a]\nport = 3\n")


# Taking out


def test_a_service_goes_with_its_own_lines_only() -> None:
    assert remove_service(REGISTRY, "web") == REGISTRY.replace("[services.web]   # the front\nport   =  5173\n", "")


def test_no_gaps_are_left() -> None:
    text = "[services.a]\nport = 1\n\n[services.b]\nport = 2\n\n[services.c]\nport = 3\n"
    assert remove_service(text, "a") == "[services.b]\nport = 2\n\n[services.c]\nport = 3\n"
    assert remove_service(text, "b") == "[services.a]\nport = 1\n\n[services.c]\nport = 3\n"
    assert remove_service(text, "c") == "[services.a]\nport = 1\n\n[services.b]\nport = 2\n"


def test_adding_and_taking_out_again_gives_the_same_text() -> None:
    assert remove_service(add_service(REGISTRY, "x", {"port": 1}), "x") == REGISTRY
    assert unlink_project(link_project(REGISTRY, "x", "/x"), "x") == REGISTRY


def test_mounts_go_with_their_service() -> None:
    text = add_service(REGISTRY, "x", {"port": 1, "mount": [{"host": "h", "path": "/"}, {"host": "i", "path": "/"}]})
    assert remove_service(text, "x") == REGISTRY


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(DevproxyError, match="no service named wbe") as caught:
        remove_service(REGISTRY, "wbe")
    assert (caught.value.why, caught.value.fix) == ("there is web", "did you mean `web`?")
    with pytest.raises(DevproxyError, match="no linked project named x") as caught:
        unlink_project("", "x")
    assert caught.value.why == "it has no linked project"


# What cannot be edited


@pytest.mark.parametrize(
    "text", ["[services", "services = 1\n[services.a]\n", "a = " + "[" * 5000, "a = " + "[" * 99 + "]" * 99]
)
def test_a_broken_file_is_not_made_worse(text: str) -> None:
    with pytest.raises(DevproxyError, match="not valid TOML"):
        add_service(text, "a", {"port": 1})


def test_a_group_that_is_no_table() -> None:
    with pytest.raises(DevproxyError, match="`services` is not a table"):
        add_service("services = 1\n", "a", {"port": 1})


# Whatever the document: every other value and every comment survive

NAMES = st.text("abcz-09", min_size=1, max_size=3) | st.sampled_from(["a b", "ü", 'q"', "x.y", "port"])
SCALARS = st.integers(-(2**40), 2**40) | st.booleans() | st.text(max_size=12)
TABLES = st.dictionaries(
    NAMES,
    SCALARS | st.lists(SCALARS, max_size=2) | st.lists(st.dictionaries(NAMES, SCALARS, max_size=2), max_size=2),
    max_size=4,
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "top": SCALARS,
        "proxy": TABLES,
        "services": st.dictionaries(NAMES, TABLES, max_size=4),
        "projects": st.dictionaries(NAMES, TABLES, max_size=3),
        "zone": TABLES,
    },
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A document as a person may have written it: tables in any order, comments and blank lines anywhere."""
    document: dict[str, Any] = draw(DOCUMENTS)
    parts = [tomli_w.dumps({key: value}) for key, value in document.items() if key == "top"]
    tables = []
    for key, value in document.items():
        if key in ("services", "projects") and value and draw(st.integers(0, 3)):
            tables += [tomli_w.dumps({key: {name: table}}) for name, table in value.items()]
        elif key == "services" and draw(st.booleans()):
            parts.append(inline(key, value))
        elif key != "top":
            tables.append(tomli_w.dumps({key: value}))
    count = 0
    lines = []
    chance = draw(st.randoms())
    for line in "\n".join(parts + draw(st.permutations(tables))).split("\n"):
        if chance.random() < 0.3:
            count += 1
            lines.append(f"# {count}")
        lines.append(line)
    return "\n".join(lines)


def inline(key: str, value: Mapping[str, Any]) -> str:
    """On one line; tomli_w writes tables so only where they are deep inside of arrays."""
    lines = tomli_w.dumps({"x": [[{"y": value}]]}, indent=0)
    return f"{key} = {lines.partition('{ y = ')[2].rpartition(' }')[0]}\n"


def comments(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith("# ")]


@settings(deadline=None, max_examples=150)
@given(texts(), NAMES, TABLES)
def test_adding_changes_nothing_else(text: str, name: str, table: dict[str, Any]) -> None:
    wanted = tomllib.loads(text)
    taken = name in wanted.get("services", {})
    new = add_service(text, name, table, replace=True)
    wanted.setdefault("services", {})[name] = table
    assert tomllib.loads(new) == wanted
    if not taken:
        assert comments(new) == comments(text)
        back = tomllib.loads(remove_service(new, name))
        assert back.get("services", {}) == tomllib.loads(text).get("services", {})
        assert comments(remove_service(new, name)) == comments(text)


@settings(deadline=None, max_examples=150)
@given(texts(), st.data())
def test_taking_out_changes_nothing_else(text: str, data: st.DataObject) -> None:
    wanted = copy.deepcopy(tomllib.loads(text))
    projects = wanted.get("projects", {})
    if not projects:
        return
    name = data.draw(st.sampled_from(sorted(projects)))
    new = unlink_project(text, name)
    del projects[name]
    found = tomllib.loads(new)
    found.setdefault("projects", {})
    assert found == wanted
    gone = set(comments(text)) - set(comments(new))
    assert len(gone) <= text.count("\n") - new.count("\n")


# Trust of a link, in every layout that a person may have given it


OLD, NEW = "0" * 64, "1" * 64


@pytest.mark.parametrize(
    "text",
    [
        '[projects.shop] # mine\npath = "/a" # where\n',
        '[projects.shop]\npath = "/a"',
        '[projects.shop]\r\npath = "/a"\r\n',
        f'[projects.shop]\ntrust = "{OLD}" # what\n# between\npath = "/a"\n\n[projects.b]\npath = "/b"\n',
        f'[projects.shop]\npath = "/a"\ntrust = "{OLD}"',
        '[projects]\nshop.path = "/a"\n',
        '[projects]\nshop = { path = "/a" }\n',
        'projects = { shop = { path = "/a" }, b = { path = "/b" } }\n',
        'projects.shop.path = "/a"\n[services.web]\nport = 1\n',
        "[projects.'shop']\n\npath = '/a'\n\n# next\n[services.web]\nport = 1\n",
    ],
)
def test_it_is_written_and_taken_out_and_nothing_else_changes(text: str) -> None:
    trusted = trust_project(text, "shop", NEW)
    expected = tomllib.loads(text)
    expected["projects"]["shop"]["trust"] = NEW
    assert tomllib.loads(trusted) == expected
    assert trust_project(trusted, "shop", NEW) == trusted
    for remark in ("# mine", "# where", "# between", "# next"):
        assert (remark in text) == (remark in trusted)
    plain = trust_project(trusted, "shop", "")
    del expected["projects"]["shop"]["trust"]
    assert tomllib.loads(plain) == expected
    assert trust_project(plain, "shop", "") == plain


def test_what_is_not_toml_is_left_alone() -> None:
    with pytest.raises(DevproxyError, match="not valid TOML"):
        trust_project("[projects.shop", "shop", NEW)
