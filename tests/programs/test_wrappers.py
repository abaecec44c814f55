"""Each framework of the list that devproxy promises, started directly and through everything that people put before it.

Lives here: the product of the two. Not here: what is special about one of them (`flag_commandlines.py`).
"""

import shlex

import pytest

from devproxy.programs.flags import AdaptedCommand, adapt
from devproxy.programs.scripts import ScriptCall

FLAGS = "--port 24000 --host 127.0.0.1"
BASE = "--baseURL http://web.shop.localhost/ --appendPort=false"
NAMES = " ".join(f"--ServerApp.local_hostnames={name}" for name in ("localhost", "web.shop.localhost"))

# (what a person calls it, command line, what is added to it)
JAVASCRIPT = [
    ("Vite", "vite", FLAGS),
    ("Vite", "vite dev --open", FLAGS),  # SvelteKit's
    ("Astro", "astro dev", FLAGS),
    ("Angular", "ng serve --open", FLAGS),
    ("Nuxt", "nuxt dev", FLAGS),
    ("React Router / Remix", "react-router dev", FLAGS),
    ("webpack-dev-server", "webpack serve --config webpack.dev.js", FLAGS),
    ("webpack-dev-server", "webpack-dev-server", FLAGS),
    ("Storybook", "storybook dev", "-p 24000 -h 127.0.0.1"),
    ("Rsbuild", "rsbuild dev --open", FLAGS),
    ("Expo", "expo start --web", "--port 24000 --host localhost"),
    ("Next.js", "next dev --turbopack", "-p 24000 -H 127.0.0.1"),
]
# the same, and what follows `python -m` ("" where nothing does)
PYTHON = [
    ("Django", "manage.py runserver", "", "127.0.0.1:24000"),
    ("Django", "django-admin runserver --noreload", "django runserver --noreload", "127.0.0.1:24000"),
    ("Flask", "flask --app web run --debug", "flask --app web run --debug", FLAGS),
    ("FastAPI", "fastapi dev main.py", "fastapi dev main.py", FLAGS),
    ("uvicorn", "uvicorn app:app --reload", "uvicorn app:app --reload", FLAGS),
    ("gunicorn", "gunicorn app:app -w 2", "gunicorn app:app -w 2", "-b 127.0.0.1:24000"),
    (
        "Streamlit",
        "streamlit run app.py",
        "streamlit run app.py",
        "--server.port 24000 --server.address 127.0.0.1 --browser.serverAddress=web.shop.localhost",
    ),
    ("Jupyter", "jupyter lab --no-browser", "jupyter lab --no-browser", f"--port 24000 --ip 127.0.0.1 {NAMES}"),
    ("Jupyter", "jupyter-notebook", "notebook", f"--port 24000 --ip 127.0.0.1 {NAMES}"),
    ("python -m http.server", "", "http.server -d public", "24000 --bind 127.0.0.1"),
]
OTHERS = [
    ("Rails", "bin/rails server", "-p 24000 -b 127.0.0.1"),
    ("Rails", "bundle exec rails s", "-p 24000 -b 127.0.0.1"),
    ("PHP", "php -t public -S", "127.0.0.1:24000"),
    ("Jekyll", "jekyll serve --livereload", "--port 24000 -H 127.0.0.1"),
    ("Jekyll", "bundle exec jekyll s", "--port 24000 -H 127.0.0.1"),
    ("Hugo", "hugo server -D", f"--port 24000 --bind 127.0.0.1 {BASE}"),
    ("Phoenix", "mix phx.server", ""),
    ("Phoenix", "iex -S mix phx.server", ""),
]
BEFORE_JAVASCRIPT = (
    "npx",
    "npx --yes",
    "npx -w web",
    "pnpm exec",
    "pnpm",
    "yarn",
    "yarn exec --",
    "bunx --bun",
    "bun x",
    "npm exec --",
)
BEFORE_PYTHON = ("uv run", "uv run --group dev --", "poetry run", "pipenv run", "pdm run", "hatch run")
BEFORE_MODULES = ("python -m", "python3.13 -X dev -m", "uv run python -m", "uv run -m", "poetry run python -m")
SCRIPT_RUNNERS = (
    *(("npm run dev", "--"), ("npm run dev -w web", "--"), ("npm run-script dev -- -v", ""), ("node --run dev", "--")),
    *(("pnpm run dev", ""), ("pnpm dev", ""), ("pnpm --filter web dev", "")),
    *(("yarn run dev", ""), ("yarn dev", ""), ("yarn workspace web dev", ""), ("bun run dev", ""), ("bun dev", "")),
)


def wrapped() -> list[tuple[str, str, str]]:
    """(program, command line, what is added to it)."""
    found = [*JAVASCRIPT, *OTHERS]
    found += [(name, f"{before} {text}", more) for name, text, more in JAVASCRIPT for before in BEFORE_JAVASCRIPT]
    for name, text, module, more in PYTHON:
        script = f"python {text}" if text.startswith("manage.py") else text
        found += [(name, f"{before} {script}".strip(), more) for before in ("", *BEFORE_PYTHON) if text]
        found += [(name, f"{before} {module}", more) for before in BEFORE_MODULES if module]
    return found


def adapted(command: str, script: str = "") -> AdaptedCommand:
    def scripts(_folder: str, called: ScriptCall) -> str | None:
        return script if script and called.script == "dev" else None

    return adapt(
        shlex.split(command),
        24000,
        ["web.shop.localhost"],
        url="http://web.shop.localhost",
        scripts=scripts,
        insist=True,
    )


@pytest.mark.parametrize(("program", "command", "added"), wrapped())
def test_whatever_stands_before_it(program: str, command: str, added: str) -> None:
    found = adapted(command)
    assert (shlex.join(found.argv), found.program) == (f"{command} {added}".strip(), program)


@pytest.mark.parametrize(("runner", "dashes"), SCRIPT_RUNNERS)
@pytest.mark.parametrize(
    ("program", "script", "added"),
    [*JAVASCRIPT, *((name, module, more) for name, _, module, more in PYTHON if "." not in module)],
)
def test_as_a_script_of_package_json(runner: str, dashes: str, program: str, script: str, added: str) -> None:
    if not script:
        return
    found = adapted(runner, script)
    assert shlex.join(found.argv) == " ".join(filter(None, (runner, dashes, added)))
    assert found.program == program


@pytest.mark.parametrize("runner", ["npm run dev", "pnpm dev", "yarn dev", "bun run dev"])
def test_a_port_in_the_script_gives_way(runner: str) -> None:
    found = adapted(runner, "storybook dev -p 6006")
    assert found.argv[-4:] == ("-p", "24000", "-h", "127.0.0.1")
    assert "6006" in found.note
