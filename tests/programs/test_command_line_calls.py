"""Which script a package manager's command line runs, and what is passed on to it."""

import shlex

import pytest

from devproxy.programs.command_line import Call, call, parsed_commands


def called(command: str) -> Call | None:
    return next((found for reading in parsed_commands(shlex.split(command)) if (found := call(reading))), None)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("npm run dev", Call("dev", dashes=("--",))),
        ("npm run-script dev -- -a", Call("dev", passed=("-a",))),
        ("npm run dev -s x", Call("dev", passed=("x",), dashes=("--",))),
        ("npm -w packages/web run dev", Call("dev", package="packages/web", dashes=("--",))),
        ("npm --workspace=@acme/web start", Call("start", package="@acme/web", dashes=("--",))),
        ("npm --prefix web run dev", Call("dev", folder="web", dashes=("--",))),
        ("pnpm --filter web dev", Call("dev", package="web")),
        ("pnpm -C web run dev -a", Call("dev", folder="web", passed=("-a",))),
        ("yarn workspace @acme/web dev", Call("dev", package="@acme/web")),
        ("yarn --cwd web dev", Call("dev", folder="web")),
        ("bun --bun run dev", Call("dev")),
        ("node --run dev", Call("dev", dashes=("--",))),
        ("env A=b npm run dev", Call("dev", dashes=("--",))),
        ("npm install", None),
        ("npm", None),
        ("npm run", None),
        ("npm -w", None),
        ("node server.js", None),
        ("make dev", None),
    ],
)
def test_what_a_command_runs(command: str, expected: Call | None) -> None:
    assert called(command) == expected
