"""`registry/merge.py`: an error in one line of a service hides no problem of another line."""

from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.problems import Problem
from devproxy.registry.decode import decode_local, decode_project, decode_user
from devproxy.registry.layers import Linked
from devproxy.registry.merge import merge
from devproxy.registry.model import Project
from tests.registry.merging import USER, linked, services


def found(problems: tuple[Problem, ...]) -> list[tuple[str, int]]:
    return [(problem.code, problem.line) for problem in problems]


WEB = """\
[services.web]
prot = 3000
hosts = ["web.dev", "a b", 3, "ok.localhost", "*.localhost"]
mount = [{ host = "x.devproxy.localhost", path = "api" }, { host = "y.test", path = "/y" }, 5]
upstream = "unix:/var/run/docker.sock"
"""


def test_every_line_of_a_service_is_told_at_once() -> None:
    assert found(merge(decode_user(WEB, USER)).problems) == [
        ("unknown-key", 2),
        ("foreign-tld", 3),
        ("bad-host", 3),
        ("wrong-type", 3),
        ("bad-host", 3),
        ("reserved-name", 4),
        ("bad-value", 4),
        ("foreign-tld", 4),
        ("wrong-type", 4),
    ]


def test_the_settings_count() -> None:
    text = '[proxy]\ntlds = ["test"]\n[services.web]\nport = 0\nhosts = ["web.test", "web.localhost"]\n'
    assert found(merge(decode_user(text, USER)).problems) == [("out-of-range", 4), ("foreign-tld", 5)]


def test_a_project_is_told_its_sockets_and_a_user_is_not() -> None:
    text = '[services.web]\nprot = 1\nupstream = "unix:/run/docker.sock"\n'
    assert found(merge(decode_user(text, USER)).problems) == [("unknown-key", 2)]
    project = merge(None, [linked('project = "shop"\n' + text)])
    assert found(project.problems) == [("unknown-key", 3), ("socket-outside", 4)]


def test_a_file_that_does_not_say_its_project_is_told_the_rest() -> None:
    project = merge(None, [linked('[services.web]\nport = 1\nhosts = ["web.dev"]\n')])
    assert found(project.problems) == [("missing-key", 1), ("foreign-tld", 3)]
    assert services(project) == {}


@pytest.mark.parametrize(
    ("shared", "local", "expected"),
    [
        ('prot = 1\nhosts = ["a.dev"]\n', 'hosts = ["b.localhost"]\n', [("unknown-key", 3)]),
        ('prot = 1\nupstream = "unix:/run/a.sock"\n', "port = 3\n", [("unknown-key", 3)]),
        ("prot = 1\n", 'hosts = ["b.dev"]\n', [("foreign-tld", 2), ("unknown-key", 3)]),
        ("port = 1\n", 'prot = 1\nhosts = ["b.dev"]\n', [("unknown-key", 2), ("foreign-tld", 3)]),
        ('hosts = ["a.dev"]\n', 'prot = 1\nupstream = "unix:/run/a.sock"\n', [("unknown-key", 2), ("foreign-tld", 3)]),
    ],
)
def test_the_local_file_lies_over_it(shared: str, local: str, expected: list[tuple[str, int]]) -> None:
    project = linked(f'project = "shop"\n[services.web]\n{shared}', f"[services.web]\n{local}")
    assert found(merge(None, [project]).problems) == expected


NAMES = st.sampled_from(["a.localhost", "b.dev", "*.localhost", "x.devproxy.localhost", "a b", "", "*.x.test"])
TABLE = st.fixed_dictionaries(
    {},
    optional={
        "hosts": st.one_of(st.lists(st.one_of(NAMES, st.integers(0, 9))), NAMES),
        "mount": st.one_of(st.lists(st.fixed_dictionaries({}, optional={"host": NAMES, "path": NAMES})), NAMES),
        "upstream": st.sampled_from(["unix:/run/a.sock", "unix:../a.sock", "unix:a.sock", "unix:", "http://[::1]:1"]),
        "port": st.sampled_from([0, 1]),
    },
)


@settings(deadline=None)
@given(TABLE, st.booleans())
def test_whatever_else_is_wrong_nothing_is_hidden_and_nothing_raises(table: Any, is_local: bool) -> None:
    """What is said of a service is said of it with one more error, too."""

    def said(more: dict[str, int]) -> set[str]:
        text = tomli_w.dumps({"services": {"web": table | more}})
        local = decode_local(text if is_local else "", "/shop/devproxy.local.toml")
        project = decode_project('project = "shop"\n' + ("" if is_local else text), "/shop/devproxy.toml")
        problems = merge(None, [Linked(Project("shop"), project, local)]).problems
        settings_only = {"foreign-tld", "reserved-name", "socket-outside", "bad-host"}
        return {problem.message for problem in problems if problem.code in settings_only}

    assert said({}) <= said({"zzz": 1})
