"""Every framework gets its port on loopback, however it is started, and what a command says itself stays."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.programs.fixes import propose_fix
from devproxy.programs.flags import RAILS, VITE, AdaptedCommand, adapt, hostname_variables
from devproxy.programs.recognize import recognize
from devproxy.programs.scripts import ScriptCall
from tests.programs.flag_commandlines import ADAPTED, INSISTED, NOT_FOLLOWED, REFERRED, SAID, SCRIPTS, SHELL, UNTOUCHED

HOSTS = ("web.shop.localhost", "shop.localhost")


def script(folder: str, called: ScriptCall) -> str | None:
    return SCRIPTS.get((folder or called.package, called.script))


def adapted(argv: list[str], *, insist: bool = False) -> AdaptedCommand:
    return adapt(argv, 24000, HOSTS, url="http://web.shop.localhost", scripts=script, insist=insist)


@pytest.mark.parametrize(("before", "after"), ADAPTED)
def test_it_gets_the_flags_it_lacks(before: str, after: str) -> None:
    found = adapted(shlex.split(before))
    assert shlex.join(found.argv) == after
    assert (found.port, found.note) == (24000, "")


@pytest.mark.parametrize(("before", "after"), ADAPTED)
def test_a_second_time_changes_nothing(before: str, after: str) -> None:
    assert shlex.join(adapted(shlex.split(after)).argv) == after


@pytest.mark.parametrize("command", UNTOUCHED)
def test_what_does_not_serve_or_needs_no_flag_stays(command: str) -> None:
    assert shlex.join(adapted(shlex.split(command)).argv) == command


@pytest.mark.parametrize(("before", "after", "port"), SAID)
def test_what_the_command_says_itself_stays(before: str, after: str, port: int) -> None:
    found = adapted(shlex.split(before))
    assert (shlex.join(found.argv), found.port) == (after, port)


@pytest.mark.parametrize(("before", "after"), INSISTED)
def test_a_port_that_the_registry_says_replaces_the_commands(before: str, after: str) -> None:
    found = adapted(shlex.split(before), insist=True)
    assert (shlex.join(found.argv), found.port) == (after, 24000)


@pytest.mark.parametrize(("before", "after"), SHELL)
def test_a_shells_text_is_changed_in_place(before: str, after: str) -> None:
    assert adapted(["sh", "-c", before]).argv == ("sh", "-c", after)


@pytest.mark.parametrize("insist", [True, False])
@pytest.mark.parametrize(("before", "after"), REFERRED)
def test_a_port_that_is_referred_to_is_not_named_twice(before: str, after: str, insist: bool) -> None:
    found = adapted(["sh", "-c", before], insist=insist)
    assert (found.argv, found.port, found.note) == (("sh", "-c", after), 24000, "")


def test_a_port_is_replaced_beside_what_only_the_shell_can_read() -> None:
    text = 'D="$HOME/d" python -m http.server -d "$D" {} --bind 127.0.0.1'
    found = adapted(["sh", "-c", text.format(8000)], insist=True)
    assert found.argv[2] == text.format(24000)


def test_a_port_behind_a_variable_is_left_and_told() -> None:
    text = "python manage.py runserver $ADDRESS:8000"
    found = adapted(["sh", "-c", text], insist=True)
    assert found.argv[2] == text
    assert "cannot be" in found.note


@pytest.mark.parametrize(("name", "says"), [("pipe", "cannot be added"), ("waitress", "cannot be added")])
def test_a_script_that_cannot_take_flags_is_told(name: str, says: str) -> None:
    found = adapted(["npm", "run", name])
    assert found.argv == ("npm", "run", name)
    assert says in found.note


@pytest.mark.parametrize("name", ["served", "piped"])
def test_a_script_that_cannot_take_flags_is_nothing_to_tell_where_a_variable_does(name: str) -> None:
    assert adapted(["npm", "run", name]).note == ""


def test_a_port_in_a_script_that_cannot_be_replaced_is_told_and_taken_as_it_is() -> None:
    found = adapted(["npm", "run", "bind"], insist=True)
    assert found.port == 8000
    assert "8000" in found.note


@pytest.mark.parametrize(("command", "why"), NOT_FOLLOWED)
def test_what_is_not_followed_is_told_with_what_is_done_instead(command: str, why: str) -> None:
    for argv in (shlex.split(command), ["sh", "-c", f"A=b {shlex.join(shlex.split(command))} 2>&1"]):
        found = adapted(argv)
        assert list(found.argv) == argv
        assert why in found.note
        assert "PORT" in found.note


@pytest.mark.parametrize(
    "command", ["node server.js", "python app.py", "./server", "go run .", "npm run x", "ls", "own serve"]
)
def test_what_may_read_PORT_itself_is_nothing_to_tell(command: str) -> None:
    assert adapted(shlex.split(command)).note == ""


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        ("nx run-many -t dev", "NX_NATIVE_COMMAND_RUNNER", "false"),
        ("nx dev web", "NX_TUI", "false"),
        ("deno run -A main.ts", "DENO_SERVE_ADDRESS", "tcp:127.0.0.1:24000"),
        ("deno task served", "DENO_SERVE_ADDRESS", "tcp:127.0.0.1:24000"),
        ("./gradlew :api:bootRun", "SERVER_PORT", "24000"),
        ("mvn quarkus:dev", "QUARKUS_HTTP_PORT", "24000"),
        ("dotnet watch", "ASPNETCORE_URLS", "http://127.0.0.1:24000"),
        ("react-scripts start", "HOST", "127.0.0.1"),
        ("flask run", "FLASK_RUN_PORT", "24000"),
        ("java -jar spring-boot.jar", "SERVER_PORT", "24000"),
        ("dotnet run", "ASPNETCORE_URLS", "http://127.0.0.1:24000"),
        ("vite", "__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS", ".shop.localhost"),
        ("make dev", "__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS", ".shop.localhost"),
    ],
)
def test_variables_are_set_where_a_program_reads_them(command: str, name: str, value: str) -> None:
    assert dict(adapted(shlex.split(command)).env)[name] == value


def test_foreign_names_are_let_in() -> None:
    found = adapt(["webpack", "serve"], 24000, ["web.shop.test", "*.shop.test"])
    assert found.argv[-2:] == ("--allowed-hosts", "web.shop.test")


@pytest.mark.parametrize(
    ("names", "vite", "rails"),
    [
        (["web.shop.localhost"], "web.shop.localhost", None),
        (["web.shop.localhost", "shop.localhost"], ".shop.localhost", None),
        (["web.shop.localhost", "web.localhost"], "web.shop.localhost", None),
        (["web.shop.test", "*.shop.test"], ".shop.test", None),
        (["*.shop.internal"], ".shop.internal", ".shop.internal"),
        (["a.internal", "b.localhost"], "a.internal", "a.internal"),
    ],
)
def test_what_lets_our_hostnames_in(names: list[str], vite: str, rails: str | None) -> None:
    expected = {VITE: vite} if rails is None else {VITE: vite, RAILS: rails}
    assert dict(hostname_variables(names)) == expected


def test_without_hostnames_nothing_is_set() -> None:
    assert hostname_variables([]) == ()


@given(st.lists(st.text(max_size=12), max_size=6))
def test_any_command_line_is_left_in_order(argv: list[str]) -> None:
    assert adapted(argv).argv[: len(argv)] == tuple(argv) or adapted(argv).program


@given(st.text(max_size=60))
def test_any_shell_text_can_be_read(text: str) -> None:
    found = adapted(["sh", "-c", text])
    assert len(found.argv) == 3
    assert found.program or found.argv[2] == text


def test_several_packages_do_not_get_one_address() -> None:
    assert "DENO_SERVE_ADDRESS" not in dict(adapted(["deno", "task", "-r", "dev"]).env)


DIGITS = "9" * 5000  # more than `int` takes
LONG = (
    "vite --port",
    "uvicorn a:b --port",
    "serve -p",
    "python -m http.server",
    "redis-server --port",
    "docker run -p",
)


@pytest.mark.parametrize("command", [f"{before} {DIGITS}" for before in LONG])
def test_a_number_that_is_no_port_is_left_alone(command: str) -> None:
    assert DIGITS in adapted(shlex.split(command)).argv


LONG_ADDRESSES = (
    "gunicorn -b :",
    "php -S 0.0.0.0:",
    "puma -b tcp://0.0.0.0:",
    "dotnet run --urls http://*:",
)


@pytest.mark.parametrize("command", [f"{before}{DIGITS}" for before in LONG_ADDRESSES])
def test_an_address_that_has_no_port_is_read_without_harm(command: str) -> None:
    assert DIGITS in adapted(shlex.split(command)).argv[-1]
    assert propose_fix(recognize(shlex.split(command), port=80)) is not None
