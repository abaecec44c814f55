"""Which ports a command line names as a debugger's, and where else a process meets its debugger, by command lines as
debuggers' manuals and editors write them."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.programs.debuggers import DEFAULT_PORTS, AttachPoint, attach_points, debugger_ports


@pytest.mark.parametrize(
    ("line", "ports"),
    [
        ("node --inspect=9331 api.js", {9331}),
        ("node --inspect-brk=127.0.0.1:9331 api.js", {9331}),
        ("node --inspect-wait=[::1]:9331 api.js", {9331}),
        ("node --inspect-port 9331 api.js", {9331}),
        ("bun --inspect=localhost:6499/abc run dev", {6499}),
        ("electron --remote-debugging-port=9222 .", {9222}),
        ("node --inspect api.js", set()),
        ("vite --port 5173", set()),
        ("node --inspect=0 --port=3000", {0}),
    ],
)
def test_options(line: str, ports: set[int]) -> None:
    assert debugger_ports(line.split()) == ports


@given(st.lists(st.text()))
def test_any_command_line_can_be_read(argv: list[str]) -> None:
    assert all(0 <= port <= 99999 for port in debugger_ports(argv))


# Where they meet


ALWAYS = {AttachPoint(port) for port in DEFAULT_PORTS}


def calls(port: int) -> AttachPoint:
    return AttachPoint(port, calls=True)


def adapter(port: int) -> AttachPoint:
    return AttachPoint(port, by_adapter=True)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("node --inspect server.js", AttachPoint(9229)),
        ("node --inspect=9300 server.js", AttachPoint(9300)),
        ("node --inspect-brk=127.0.0.1:9301 server.js", AttachPoint(9301)),
        ("node --inspect=[::1]:9302 server.js", AttachPoint(9302)),
        ("deno run --inspect-wait=localhost:9303 main.ts", AttachPoint(9303)),
        ("node --inspect-port=9304 server.js", AttachPoint(9304)),
        ("python -m debugpy --listen 5678 app.py", adapter(5678)),
        ("python3 -Xfrozen_modules=off -m debugpy --listen 127.0.0.1:5679 --wait-for-client app.py", adapter(5679)),
        ("python /opt/bundled/libs/debugpy --connect 127.0.0.1:40123 --adapter-access-token x app.py", calls(40123)),
        ("python /opt/pydevd.py --multiprocess --client 127.0.0.1 --port 40124 --file app.py", calls(40124)),
        ("java -agentlib:jdwp=transport=dt_socket,server=y,suspend=n,address=*:5005 -jar a.jar", AttachPoint(5005)),
        ("java -Xrunjdwp:transport=dt_socket,server=y,address=5006 -jar a.jar", AttachPoint(5006)),
        ("java -agentlib:jdwp=transport=dt_socket,address=127.0.0.1:40125 -jar a.jar", calls(40125)),
        ("/usr/bin/php8.3 -S 127.0.0.1:8000", calls(9003)),
    ],
)
def test_a_command_line_says_where(line: str, expected: AttachPoint) -> None:
    assert attach_points(shlex.split(line), {}) == {expected, *ALWAYS}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"NODE_OPTIONS": "--max-old-space-size=4096 --inspect=0.0.0.0:9310"}, AttachPoint(9310)),
        ({"JAVA_TOOL_OPTIONS": "-agentlib:jdwp=server=y,address=5007"}, AttachPoint(5007)),
        ({"RUBY_DEBUG_PORT": "12345"}, AttachPoint(12345)),
    ],
)
def test_an_environment_says_where(environment: dict[str, str], expected: AttachPoint) -> None:
    assert attach_points(["next-server (v14.2)"], environment) == {expected, *ALWAYS}


@pytest.mark.parametrize(
    "line",
    [
        "node server.js --port 9300",
        "python app.py --listen 5678",
        "python -m uvicorn app:app --port 8000",
        "node --inspect=99999 server.js",
        "node --inspect=0 server.js",
        "java -jar jdwp=address=5005",
        "",
    ],
)
def test_another_port_is_no_debuggers(line: str) -> None:
    assert attach_points(shlex.split(line), {"RUBY_DEBUG_PORT": "none"}) == ALWAYS


PARTS = st.sampled_from(
    [
        "--inspect",
        "--inspect=",
        "-agentlib:jdwp",
        "=",
        ":",
        ",",
        "address",
        "debugpy",
        "--listen",
        "1",
        "99999",
        "٣",
        "\0",
    ]
)
WORDS = st.lists(st.lists(PARTS, max_size=6).map("".join) | st.text(), max_size=8)


@given(WORDS, st.text())
def test_any_command_line_is_read_for_them_and_a_port_is_a_port(argv: list[str], options: str) -> None:
    for one in attach_points(argv, {"NODE_OPTIONS": options, "RUBY_DEBUG_PORT": options}):
        assert 0 < one.port < 65536
