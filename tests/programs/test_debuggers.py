"""Which ports a command line names as a debugger's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.programs.debuggers import debugger_ports


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
