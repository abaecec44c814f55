"""Which processes of a command are asked to end first."""

from hypothesis import given
from hypothesis import strategies as st

from devproxy.programs.recognize import passes_no_signal_on
from devproxy.run.ending import asked_first

SHELLS = ["sh -c x", "npm run dev", "node /usr/lib/node_modules/npm/bin/npm-cli.js run dev", "/bin/bash ./start.sh"]
PROGRAMS = ["python -m celery worker", "node vite.js", "uv run celery", "python manage.py runserver", ""]


def asked(tree: dict[int, list[int]], lines: dict[int, str]) -> list[int]:
    return asked_first(1, lambda pid: tree.get(pid, []), lambda pid: lines.get(pid, "").split())


def test_a_program_is_asked_alone() -> None:
    assert asked({1: [2, 3]}, {1: PROGRAMS[0]}) == [1]


def test_a_shell_is_asked_with_what_it_has_started_but_not_with_that_ones_children() -> None:
    lines = {1: SHELLS[0], 2: SHELLS[1], 3: SHELLS[0], 4: PROGRAMS[0], 5: "sh -c hook"}
    assert asked({1: [2], 2: [3], 3: [4], 4: [5]}, lines) == [1, 2, 3, 4]


def test_what_passes_nothing_on() -> None:
    assert all(passes_no_signal_on(line.split()) for line in SHELLS)
    assert not any(passes_no_signal_on(line.split()) for line in PROGRAMS)


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(SHELLS + PROGRAMS)), max_size=10))
def test_each_that_is_asked_is_below_a_chain_of_shells(made: list[tuple[int, str]]) -> None:
    tree: dict[int, list[int]] = {}
    lines = {1: SHELLS[0]}
    parents: dict[int, int] = {}
    for at, (parent, line) in enumerate(made, 2):
        parents[at] = parent % (at - 1) + 1
        tree.setdefault(parents[at], []).append(at)
        lines[at] = line
    found = asked(tree, lines)
    assert len(found) == len(set(found))
    for pid in lines:
        chain = []
        above = pid
        while above != 1:
            above = parents[above]
            chain.append(lines[above])
        assert (pid in found) == all(passes_no_signal_on(line.split()) for line in chain)
