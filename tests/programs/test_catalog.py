"""Each row of the catalogue is sound, and has a command line among the samples that it recognises."""

import shlex

from devproxy.programs.catalog import CATALOG
from devproxy.programs.recognize import find_row
from tests.programs.fix_commandlines import FLAGS, SENTENCES
from tests.programs.flag_commandlines import ADAPTED, UNTOUCHED

MODULES = "/home/anna/shop/node_modules"
VENV = "/home/anna/shop/.venv"


def recognised(text: str, port: int = 0) -> int:
    """The identity of the row that a command line has."""
    found = find_row([part.replace("{m}", MODULES).replace("{v}", VENV) for part in text.split()], port=port)
    assert found is not None, text
    return id(found[0])


def test_every_row_has_a_sample_of_its_fix() -> None:
    tried = {recognised(row[0], row[1]) for row in FLAGS} | {recognised(row[0], row[1]) for row in SENTENCES}
    # A pasted-in row without a test is named here. Puma's overwritten command line has a test of its own.
    assert [row.name for row in CATALOG if id(row) not in tried] == []


def test_every_row_that_is_told_its_port_has_a_sample_of_its_start() -> None:
    commands = [shlex.split(command) for command in (*(before for before, _ in ADAPTED), *UNTOUCHED)]
    tried = {id(found[0]) for command in commands if (found := find_row(command, port=24000))}
    assert [row.name for row in CATALOG if row.serves and id(row) not in tried] == []


def test_rows_are_sound() -> None:
    for row in CATALOG:
        assert row.listen or row.host_variable or row.line, f"{row.name}: nothing mends it"
        assert bool(row.file) == bool(row.line), f"{row.name}: a setting is a line in a file"
        assert not row.exposes or row.listen, f"{row.name}: nothing takes the place of the switch"
        assert row.serves or not (row.port or row.extra), f"{row.name}: a flag that is never added"


def test_the_programs_that_are_promised_have_rows() -> None:
    programs = " ".join(row.name for row in CATALOG)
    wanted = (
        "Vite, Next.js, webpack-dev-server, Astro, Nuxt, Angular, Storybook, Create React App, Remix, React Router, "
        "SvelteKit, Django, Flask, FastAPI, uvicorn, gunicorn, hypercorn, Jupyter, Streamlit, Rails, Puma, Sinatra, "
        "Phoenix, Laravel, PHP, Spring Boot, Go, Deno, Bun, python -m http.server, Docker, Compose, PostgreSQL, "
        "MySQL, Redis, MongoDB, Elasticsearch, RabbitMQ, Ollama"
    )
    assert [name for name in wanted.split(", ") if name not in programs] == []
