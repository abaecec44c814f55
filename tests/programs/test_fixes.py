"""A realistic command line for every row of the table, and the change that is proposed for it."""

import shlex
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.programs.catalog import CATALOG
from devproxy.programs.fixes import Fix, propose_fix
from devproxy.programs.recognize import recognize
from tests.programs.fix_commandlines import FLAGS, SENTENCES

MODULES = "/home/anna/shop/node_modules"
VENV = "/home/anna/shop/.venv"


def propose(argv: Sequence[str], parents: Sequence[Sequence[str]] = (), port: int = 0) -> Fix | None:
    return propose_fix(recognize(argv, parents, port))


def split(text: str) -> list[str]:
    return [part.replace("{m}", MODULES).replace("{v}", VENV) for part in text.split()]


@pytest.mark.parametrize(("text", "port", "program", "before", "after"), FLAGS, ids=[f"{r[2]}: {r[0]}" for r in FLAGS])
def test_option(text: str, port: int, program: str, before: str, after: str) -> None:
    fix = propose(split(text), port=port)
    assert fix is not None
    assert (fix.program, fix.before, fix.after) == (program, before, after)
    assert fix.command is not None
    assert set(shlex.split(after)) <= set(fix.command)
    assert propose(fix.command, port=port) != fix, "the changed command has nothing left to change there"
    wanted = f"change `{before}` to `{after}`" if before else f"add `{after}` to its command"
    assert wanted in fix.text


@pytest.mark.parametrize(("text", "port", "sentence"), SENTENCES, ids=[r[0] for r in SENTENCES])
def test_setting_or_variable(text: str, port: int, sentence: str) -> None:
    fix = propose(split(text), port=port)
    assert fix is not None
    assert fix.text == sentence


def the_fix(argv: list[str], parents: list[list[str]], port: int) -> Fix:
    fix = propose(argv, parents, port)
    assert fix is not None
    return fix


class TestParents:
    """A process that overwrote its command line, or shows only its language."""

    def test_next_is_asked_of_its_parent(self) -> None:
        parents = [["node", f"{MODULES}/.bin/next", "dev", "-H", "0.0.0.0"], ["sh", "-c", "next dev"], ["npm run dev"]]
        fix = the_fix(["next-server (v15.1.0)"], parents, 3000)
        assert fix.command == ("node", f"{MODULES}/.bin/next", "dev", "-H", "127.0.0.1")

    def test_laravel_is_behind_the_php_server(self) -> None:
        child = ["/usr/bin/php", "-S", "0.0.0.0:8000", "/shop/vendor/laravel/framework/server.php"]
        fix = the_fix(child, [["php", "artisan", "serve", "--host=0.0.0.0"]], 8000)
        assert fix.text == "Laravel: change `--host=0.0.0.0` to `--host=127.0.0.1`"

    def test_a_title_without_flags_gives_no_command(self) -> None:
        fix = the_fix(["puma 6.4.2 (tcp://0.0.0.0:3000) [shop]"], [["bash"]], 3000)
        assert fix.command is None
        assert fix.text == (
            'Puma: add `-b tcp://127.0.0.1:3000` to its command, or set `bind "tcp://127.0.0.1:3000"` in '
            "config/puma.rb (under `rails server` the flag is `-b 127.0.0.1`)"
        )

    def test_a_title_under_rails_is_rails(self) -> None:
        fix = the_fix(["puma 6.4.2 (tcp://0.0.0.0:3000) [shop]"], [["sh", "-c", "bin/rails s -b 0.0.0.0"]], 3000)
        assert fix.text == "Rails: change `-b 0.0.0.0` to `-b 127.0.0.1`"

    def test_redis_title_is_no_option(self) -> None:
        fix = the_fix(["redis-server *:6379"], [], 6379)
        assert (fix.before, fix.after, fix.command) == ("", "--bind 127.0.0.1", None)

    def test_one_word_titles(self) -> None:
        fix = the_fix(["webpack"], [["sh", "-c", "webpack serve --host 0.0.0.0"]], 8080)
        assert fix.command == ("webpack", "serve", "--host", "127.0.0.1")
        assert the_fix(["webpack"], [], 8080).command is None

    def test_a_terminal_is_not_looked_beyond(self) -> None:
        fix = the_fix(["node", "server.js"], [["bash"], ["python", "/v/bin/jupyter-lab", "--ip=0.0.0.0"]], 3000)
        assert fix.program == "Node.js"
        fix = the_fix(["node", "server.js"], [["/usr/bin/code", "--ms"], ["next", "dev"]], 3000)
        assert fix.program == "Node.js"

    def test_a_variable_in_a_parents_shell(self) -> None:
        parents = [["sh", "-c", "HOST=0.0.0.0 react-scripts start"], ["npm", "start"]]
        fix = the_fix(["node", f"{MODULES}/react-scripts/scripts/start.js"], parents, 3000)
        assert fix.text == "Create React App: change `HOST=0.0.0.0` to `HOST=127.0.0.1`"
        assert fix.command == ("HOST=127.0.0.1", "react-scripts", "start")

    def test_a_variable_on_the_command_line(self) -> None:
        fix = the_fix(["env", "OLLAMA_HOST=0.0.0.0", "ollama", "serve"], [], 11434)
        assert fix.command == ("env", "OLLAMA_HOST=127.0.0.1:11434", "ollama", "serve")


class TestWhichPlace:
    def test_of_several_binds_only_the_one_with_the_port(self) -> None:
        fix = the_fix(["gunicorn", "-b", "0.0.0.0:8000", "-b", "0.0.0.0:8001", "app"], [], 8001)
        assert fix.command == ("gunicorn", "-b", "0.0.0.0:8000", "-b", "127.0.0.1:8001", "app")

    def test_both_if_the_port_is_not_named(self) -> None:
        fix = the_fix(["gunicorn", "-b", "0.0.0.0:8000", "-b", ":8001", "app"], [], 9)
        assert fix.text == "gunicorn: change `-b 0.0.0.0:8000 -b :8001` to `-b 127.0.0.1:8000 -b 127.0.0.1:8001`"

    def test_a_safe_option_is_left_and_the_setting_named(self) -> None:
        fix = the_fix(["node", f"{MODULES}/.bin/vite", "--host", "localhost"], [], 5173)
        assert fix.text == 'Vite: set `server: { host: "127.0.0.1" }` in vite.config.js'

    def test_after_two_dashes_nothing_is_an_option(self) -> None:
        fix = the_fix(["streamlit", "run", "app.py", "--", "--server.address", "0.0.0.0"], [], 8501)
        assert fix.command == (
            *("streamlit", "run", "app.py", "--server.address", "127.0.0.1"),
            *("--", "--server.address", "0.0.0.0"),
        )

    def test_deno_takes_its_options_before_the_script(self) -> None:
        assert the_fix(["deno", "serve", "main.ts", "--x"], [], 8000).command == (
            *("deno", "serve", "--host", "127.0.0.1", "main.ts", "--x"),
        )

    def test_in_a_shell_the_one_command_is_changed(self) -> None:
        fix = the_fix(["sh", "-c", "cd web && exec npx vite --host; echo done"], [], 5173)
        assert fix.command == ("exec", "npx", "vite", "--host", "127.0.0.1")


class TestUnknown:
    def test_a_plain_wildcard_is_changed(self) -> None:
        fix = the_fix(["/opt/shop/bin/shopd", "--listen", "0.0.0.0:9000"], [], 9000)
        assert fix.text == "shopd: change `0.0.0.0:9000` to `127.0.0.1:9000`"

    def test_a_bare_port_that_is_another_is_no_wildcard(self) -> None:
        assert propose(["/opt/shop/bin/shopd", "--peer", ":9001"], port=9000) is None

    @pytest.mark.parametrize("argv", [[], [""], ["/opt/shop/bin/shopd"], ["sh", "-c", "'open"], ["FOO=1"]])
    def test_nothing_to_say(self, argv: list[str]) -> None:
        assert propose(argv, port=80) is None


PIECES = st.sampled_from(
    [
        *sorted({name for row in CATALOG for name in row.names}),
        *("sh", "-c", "npx", "--", "env", "HOST=0.0.0.0", "--host", "-b", "0.0.0.0", ":80", "*:80", "-p", "80:80"),
        *("vite --host 0.0.0.0 && x", "-S", "--bind=::", "run", "serve", "-m"),
    ]
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=12)), max_size=8), st.integers(0, 65535))
@settings(deadline=None, max_examples=300)
def test_any_command_line_is_read_without_harm(argv: list[str], port: int) -> None:
    fix = propose(argv, [argv], port)
    assert fix is None or fix.text
