"""`registry/merge.py`: layers become one registry; conflicts name both places, and an error hides no other."""

import ipaddress
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.problems import Problem
from devproxy.registry.decode import decode_local, decode_project, decode_user
from devproxy.registry.layers import Linked
from devproxy.registry.merge import merge
from devproxy.registry.model import Lease, Project, ProxySettings, Registry
from tests.registry import letter
from tests.registry.merging import USER, linked, services


@pytest.mark.parametrize(("texts", "problems"), letter.cases("merge"))
def test_what_is_said_about_conflicts(texts: str, problems: str) -> None:
    assert "".join(problem.text() + "\n" for problem in letter.merged(texts).problems) == problems


def test_nothing_makes_an_empty_registry_with_every_default() -> None:
    assert merge(None) == Registry(settings=ProxySettings(), services=(), problems=())
    assert merge(decode_user("", USER)) == merge(None)


def test_services_are_sorted_and_problems_are_in_the_order_of_files_and_not_repeated() -> None:
    early = Problem(code="syntax", message="x", file="/a", line=3)
    registry = merge(
        decode_user("[services.b]\nport = 0\n[services.a]\nport = 1\n[services.A]\n", USER), problems=[early, early]
    )
    assert [service.id for service in registry.services] == ["a"]
    assert [problem.file for problem in registry.problems] == ["/a", USER, USER]


HOSTS = st.lists(
    st.sampled_from(["a.localhost", "x.localhost", "*.x.localhost", "shop.localhost", "devproxy.localhost", "b.test"]),
    max_size=3,
)
SERVICE = st.fixed_dictionaries(
    {},
    optional={
        "port": st.integers(1, 65535),
        "protocol": st.sampled_from(["http", "tcp"]),
        "listen": st.sampled_from([5432, 5433]),
        "hosts": HOSTS,
        "depends_on": st.lists(st.sampled_from(["a", "b", "web", "web.shop", "z"]), max_size=2),
        "mount": st.lists(
            st.fixed_dictionaries(
                {"host": HOSTS.map(lambda hosts: "x.localhost"), "path": st.sampled_from(["/a", "/b"])}
            ),
            max_size=2,
        ),
    },
)
TABLES = st.dictionaries(st.sampled_from(["a", "b", "web", "shop"]), SERVICE, max_size=4)


@settings(deadline=None, max_examples=200)
@given(TABLES, TABLES, TABLES, TABLES)
def test_whatever_is_merged_is_consistent(user: Any, one: Any, two: Any, local: Any) -> None:
    import tomli_w

    registry = merge(
        decode_user(tomli_w.dumps({"services": user}), "/u"),
        [
            Linked(
                Project("shop"),
                decode_project(tomli_w.dumps({"project": "shop", "services": one}), "/1"),
                decode_local(tomli_w.dumps({"services": local}), "/l"),
            ),
            Linked(Project("other"), decode_project(tomli_w.dumps({"project": "other", "services": two}), "/2")),
        ],
        [Lease(service="lease", port=1, pid=1, hosts=("x.localhost",), file="/lease")],
    )
    routes = [(host, "/") for service in registry.services for host in service.hosts]
    routes += [(mount.host, mount.path) for service in registry.services for mount in service.mounts]
    assert len(routes) == len(set(routes))
    assert not any(host.endswith("devproxy.localhost") or not host.endswith(".localhost") for host, _ in routes)
    listens = [service.listen for service in registry.services if service.listen is not None]
    assert len(listens) == len(set(listens))
    known = {service.id: service for service in registry.services}
    assert len(known) == len(registry.services)
    for service in registry.services:
        assert set(service.depends_on) <= set(known)
        assert service.protocol == "http" or not service.mounts
        for host in service.upstream.hosts if service.upstream else ():
            assert ipaddress.ip_address(host).is_loopback
    done: set[str] = set()
    while ready := {name for name, service in known.items() if set(service.depends_on) <= done} - done:
        done |= ready
    assert done == set(known)  # dependencies can be started in some order
    for problem in registry.problems:
        assert problem.text().replace("\n", "").isprintable()
        assert problem.line


def test_ten_thousand_services_with_a_problem_each_are_merged() -> None:
    text = "".join(f'[services.s{index}]\nport = {index + 1}\nhosts = ["x.localhost"]\n' for index in range(10_000))
    registry = merge(decode_user(text, "/u"))
    assert len(registry.services) == 10_000
    assert len([problem for problem in registry.problems if problem.code == "duplicate-host"]) == 9_999


ROOT = Path(__file__).parents[2]
HEAVY = ("asyncio", "socket", "difflib", "aiohttp", "psutil", "rich", "tomlkit", "click")


def test_merging_good_files_imports_nothing_heavy() -> None:
    program = f"""
import sys
from devproxy.registry.decode import decode_user
from devproxy.registry.merge import merge
assert merge(decode_user('[proxy]\\nhold = "1s"\\n[services.a]\\nupstream = "http://[::1]:1"\\n', "/u")).problems == ()
print(*sorted(set({HEAVY}) & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


# An error in one line of a service hides no problem of another line


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
