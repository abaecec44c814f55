"""What stands before a program is peeled off, however many layers there are; a package manager's script is named."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.programs.command_line import is_interactive_shell, names_of, parsed_commands
from devproxy.programs.recognize import is_worker
from devproxy.programs.scripts import SEVERAL, ScriptCall, script_call


def innermost(argv: list[str]) -> tuple[set[str], list[str], dict[str, str]]:
    """Names, arguments and assignments of the last reading."""
    last = list(parsed_commands(argv))[-1]
    return set(last.names), list(last.args), dict(last.env)


@pytest.mark.parametrize(
    "text",
    [
        "vite --x",
        "/shop/node_modules/.bin/vite --x",
        "node /shop/node_modules/.bin/vite --x",
        "node --require ./hook.js --inspect /shop/node_modules/vite/bin/vite.js --x",
        "node /shop/node_modules/.pnpm/vite@7.0.0_x/node_modules/vite/bin/vite.js --x",
        "npx vite --x",
        "npx --yes -p vite@7 vite --x",
        "npm exec -- vite --x",
        "npm x --prefix web vite --x",
        "pnpm vite --x",
        "pnpm dlx vite@latest --x",
        "pnpm --filter web exec vite --x",
        "yarn vite --x",
        "yarn run vite --x",
        "bunx vite --x",
        "bun run vite --x",
        "deno run -A npm:vite@7 --x",
        "env -u HOST NODE_ENV=test vite --x",
        "NODE_ENV=test vite --x",
        "cross-env NODE_ENV=test npx vite --x",
        "sudo -u anna nohup nice -n 5 vite --x",
        "timeout -k 1 30 vite --x",
        "doppler run -- npx vite --x",
        "devproxy run web -- vite --x",
        r"C:\shop\node_modules\.bin\vite.cmd --x",
        "sh -c 'vite --x'",
        "bash -lc 'cd web && vite --x'",
        "/bin/sh -c 'exec env A=1 npx vite --x'",
    ],
)
def test_vite_is_found_behind(text: str) -> None:
    tokens = text.split() if "\\" in text else shlex.split(text)
    names, args, _ = innermost(tokens)
    assert ("vite" in names, args) == (True, ["--x"])


@pytest.mark.parametrize(
    "text",
    [
        "uvicorn app:app",
        "python -m uvicorn app:app",
        "python3.13 -X dev -m uvicorn app:app",
        "/v/bin/python /v/bin/uvicorn app:app",
        "python /v/lib/python3.12/site-packages/uvicorn/__main__.py app:app",
        "uv run uvicorn app:app",
        "uv run --with httptools --env-file .env uvicorn app:app",
        "uv run -- python -m uvicorn app:app",
        "uvx --from x uvicorn app:app",
        "poetry run uvicorn app:app",
        "pipenv run python -m uvicorn app:app",
        "hatch -e dev run uvicorn app:app",
        "conda run -n shop uvicorn app:app",
        "python -m debugpy --listen 5678 -m uvicorn app:app",
        "python -m coverage run -m uvicorn app:app",
    ],
)
def test_uvicorn_is_found_behind(text: str) -> None:
    names, args, _ = innermost(shlex.split(text))
    assert ("uvicorn" in names, args) == (True, ["app:app"])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ruby -I lib bin/rails server", "rails"),
        ("bundle exec --gemfile x rails server", "rails"),
        ("php -d memory_limit=1G artisan serve", "artisan"),
        ("/tmp/go-build2718/b001/exe/shop", "go-build"),
        ("./__debug_bin271828", "__debug_bin"),
        ("/usr/bin/php8.3 -S 0.0.0.0:80", "php"),
        ("python3.12", "python"),
        ("npx @angular/cli@19 serve", "@angular/cli"),
        ("/x/target/debug/shop", "target/debug"),
        ("-zsh", "zsh"),
    ],
)
def test_name(text: str, name: str) -> None:
    assert name in innermost(shlex.split(text))[0]


def test_assignments_are_kept_in_order() -> None:
    _, _, env = innermost(["env", "HOST=0.0.0.0", "cross-env", "PORT=3000", "react-scripts", "start"])
    assert env == {"HOST": "0.0.0.0", "PORT": "3000"}


def test_every_command_of_a_shell_line_is_read() -> None:
    found = [reading.before[-1] for reading in parsed_commands(["sh", "-c", "cd web; npm ci && npx vite | tee log &"])]
    assert found == ["sh", "cd", "npm", "npx", "vite", "tee"]


def test_a_shell_line_is_read_as_a_shell_reads_it() -> None:
    _, args, _ = innermost(["sh", "-c", "(cd web; vite --port $((PORT + 1)) > log 2>&1) # or npx next"])
    assert args == ["--port", "$((PORT + 1))", ">", "log", "2>&1"]


def test_a_shell_script_is_a_program() -> None:
    names, args, _ = innermost(["/bin/bash", "/opt/kafka/bin/start.sh", "--x"])
    assert "start.sh" in names
    assert args == []


@pytest.mark.parametrize(
    "argv", [["npm", "run", "dev"], ["python", "-c", "import x"], ["node", "-e", "x"], ["poetry", "install"]]
)
def test_what_runs_nothing_else_is_itself(argv: list[str]) -> None:
    assert innermost(argv)[1] == argv[1:]


def test_a_command_can_be_put_together_again() -> None:
    argv = ["env", "A=1", "uv", "run", "--with", "x", "python", "-m", "uvicorn", "app:app", "--host", "::"]
    assert [reading.tokens for reading in parsed_commands(argv)] == [tuple(argv)] * 4


@pytest.mark.parametrize(
    ("argv", "title"),
    [
        (["next-server (v15.1.0)"], True),
        (["webpack"], True),
        (["redis-server *:6379"], True),
        (["/usr/bin/redis-server"], False),
        (["./run me"], False),
        (["vite", "--host"], False),
    ],
)
def test_an_overwritten_command_line_is_told(argv: list[str], title: bool) -> None:
    assert next(parsed_commands(argv)).title is title


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        (["bash"], True),
        (["-zsh"], True),
        (["/bin/sh", "-i"], True),
        (["sh", "-c", "x"], False),
        (["node"], False),
        ([], False),
    ],
)
def test_interactive_shell(argv: list[str], answer: bool) -> None:
    assert is_interactive_shell(argv) is answer


@given(st.lists(st.text(max_size=15), max_size=8))
def test_any_tokens_are_read(argv: list[str]) -> None:
    for reading in parsed_commands(argv):
        assert reading.before


@given(st.text(max_size=40))
def test_any_token_has_names(token: str) -> None:
    assert all(names_of(token))


NX = (("NX_NATIVE_COMMAND_RUNNER", "false"), ("NX_TUI", "false"))


def called(command: str) -> ScriptCall | None:
    return next((found for reading in parsed_commands(shlex.split(command)) if (found := script_call(reading))), None)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("npm run dev", ScriptCall("dev", dashes=("--",))),
        ("npm run-script dev -- -a", ScriptCall("dev", passed=("-a",), given=1)),
        ("npm run dev -s x", ScriptCall("dev", passed=("x",), dashes=("--",))),
        ("npm -w packages/web run dev", ScriptCall("dev", package="packages/web", dashes=("--",))),
        ("npm --workspace=@acme/web start", ScriptCall("start", package="@acme/web", dashes=("--",))),
        ("npm --prefix web run dev", ScriptCall("dev", folder="web", dashes=("--",))),
        ("pnpm --filter web dev", ScriptCall("dev", package="web")),
        ("pnpm -C web run dev -a", ScriptCall("dev", folder="web", passed=("-a",), given=1)),
        ("pnpm dev -a -- -b", ScriptCall("dev", passed=("-a", "--", "-b"), given=3)),
        ("npm run dev -- -a -- -b", ScriptCall("dev", passed=("-a", "--", "-b"), given=3)),
        ("bun dev -- -a", ScriptCall("dev", passed=("-a",), given=1)),
        ("yarn dev -a -- -b", ScriptCall("dev", passed=("-a", "-b"), given=3)),
        ("turbo dev --filter web -- -p 1", ScriptCall("dev", package="web", passed=("-p", "1"), given=2)),
        ("yarn workspace @acme/web dev", ScriptCall("dev", package="@acme/web")),
        ("yarn --cwd web dev", ScriptCall("dev", folder="web")),
        ("bun --bun run dev", ScriptCall("dev")),
        ("node --run dev", ScriptCall("dev", dashes=("--",))),
        ("node --run=dev", ScriptCall("dev", dashes=("--",))),
        ("env A=b npm run dev", ScriptCall("dev", dashes=("--",))),
        ("npm run dev -w web", ScriptCall("dev", package="web", dashes=("--",))),
        ("npm run dev -ws", ScriptCall("dev", dashes=("--",), unclear=SEVERAL)),
        ("pnpm --filter {apps/web} dev", ScriptCall("dev", package="apps/web")),
        ("deno task -q dev --open", ScriptCall("dev", source="deno.json", passed=("--open",), given=1)),
        ("turbo dev --filter web", ScriptCall("dev", package="web", dashes=("--",))),
        (
            "nx run web:serve:ci --open",
            ScriptCall("serve", package="web", source="project.json", passed=("--open",), env=NX),
        ),
        ("nx", None),
        ("nx graph", None),
        ("deno run main.ts", None),
        ("npm install", None),
        ("npm", None),
        ("npm run", None),
        ("npm -w", None),
        ("node server.js", None),
        ("make dev", None),
    ],
)
def test_what_a_command_runs(command: str, expected: ScriptCall | None) -> None:
    assert called(command) == expected


@given(
    st.lists(st.sampled_from(["run", "dev", "--", "-w", "--filter", "--filter=a", "-r", "task", "x:y", ""]), max_size=8)
)
def test_any_arguments_of_a_runner_are_read(args: list[str]) -> None:
    for runner in ("npm", "pnpm", "yarn", "bun", "node", "deno", "turbo", "nx"):
        found = called(shlex.join([runner, *args]))
        assert found is None or set(found.passed) <= set(args)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("celery -A shop worker -l info", True),
        ("celery -A shop flower", False),
        ("npx tailwindcss -i a.css -o b.css --watch", True),
        ("npx tailwindcss -i a.css -o b.css", False),
        ("esbuild app.js --watch --outdir=www", True),
        ("esbuild app.js --watch --servedir=www", False),
        ("webpack --watch", True),
        ("webpack serve --watch", False),
        ("vite build --watch", True),
        ("vite", False),
        ("uv run python manage.py qcluster", True),
        ("python manage.py runserver", False),
        ("bundle exec sidekiq", True),
        ("bin/rails tailwindcss:watch", True),
        ("bin/rails server", False),
        ("php artisan queue:work", True),
        ("sh -c 'tsc -w'", True),
        ("", False),
    ],
)
def test_what_works_without_a_port(command: str, expected: bool) -> None:
    assert is_worker(shlex.split(command)) is expected
