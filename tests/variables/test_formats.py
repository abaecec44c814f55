"""`variables/formats.py`: whoever reads a format has each value again, to the byte: real shells, and other readers."""

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.variables.formats import FORMATS, dotenv_lines, formatted
from tests import require
from tests.waiting import PROGRAM_DEADLINE

# Whatever an environment can hold: no NUL, no lone surrogate
VALUE = st.one_of(
    st.sampled_from(
        ["", "'", '"', "\\", "$HOME", "${HOME}", "$(id)", "`id`", "a b", "!!", "~", "#", "\n", "a\n", "\r\n"]
    ),
    st.sampled_from(
        ["postgresql://127.0.0.1:5432/shop?a=1&b=2", "unix:/tmp/it's here/s.sock", "\u2018q\u2019", "%PATH%"]
    ),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
    st.text("'\"\\$`!{}()\n\r\t &;|<>*?[]#~%=@-", max_size=12),
)
VALUES = st.lists(VALUE, max_size=12).map(lambda values: {f"V_{at}": value for at, value in enumerate(values)})
SHOW = "import json, os; print(json.dumps({n: v for n, v in os.environ.items() if n.startswith('V_')}))"

# How a person has the output read, and the program that then shows what came of it
READERS = [
    ("sh", "shell", 'eval "$(cat "$1")"; exec "$2" -c "$3"'),
    ("dash", "shell", 'eval "$(cat "$1")"; exec "$2" -c "$3"'),
    ("bash", "shell", 'eval "$(cat "$1")"; exec "$2" -c "$3"'),
    ("bash", "shell", 'source <(cat "$1"); exec "$2" -c "$3"'),
    ("zsh", "shell", 'eval "$(cat "$1")"; exec "$2" -c "$3"'),
    ("zsh", "shell", 'setopt banghist extendedglob; eval "$(cat "$1")"; exec "$2" -c "$3"'),
    ("fish", "fish", "cat $argv[1] | source; exec $argv[2] -c $argv[3]"),
]
if shutil.which("pwsh"):  # no package manager of ours has it: where it is missing, nothing is said of PowerShell
    READERS.append(("pwsh", "powershell", "cat $args[0] | Out-String | Invoke-Expression; & $args[1] -c $args[2]"))


@pytest.mark.parametrize(("shell", "kind", "script"), READERS)
def test_a_shell_has_the_values_again(
    shell: str, kind: str, script: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    program = require.program(shell)
    file = tmp_path_factory.mktemp("env") / "output"
    first = [] if shell in ("fish", "pwsh") else ["sh"]

    @settings(max_examples=25, deadline=None)
    @given(VALUES)
    def check(values: dict[str, str]) -> None:
        file.write_bytes(formatted(values, kind).encode())
        argv = [program, "-c", script, *first, str(file), sys.executable, SHOW]
        done = subprocess.run(
            argv,
            capture_output=True,
            timeout=PROGRAM_DEADLINE,
            check=False,
            env={"PYTHONUTF8": "1", "PATH": "/usr/bin:/bin"},
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert json.loads(done.stdout) == values

    check()


@given(VALUES)
def test_a_reader_of_env_files_has_the_values_again(values: dict[str, str]) -> None:
    # python-dotenv puts something in the place of `${…}` in whatever quotes; no URL, host or port has one. What a shell
    # would run in double quotes is escaped there, which python-dotenv does not read: see the next test.
    values = {name: value.replace("${", "$ {") for name, value in values.items()}
    in_double_quotes = re.compile(r"['\\\r\n]")
    values = {
        name: re.sub("[$`]", "_", value) if in_double_quotes.search(value) else value for name, value in values.items()
    }
    assert dotenv_values(stream=io.StringIO(formatted(values, "dotenv"))) == values
    assert not [line for line in dotenv_lines(values) if "\n" in line or "\r" in line]


def test_a_shell_that_sources_an_env_file_has_the_values_again_and_runs_none(tmp_path: Path) -> None:
    file, bash = tmp_path / ".env", require.program("bash")

    @settings(max_examples=25, deadline=None)
    @given(VALUES)
    def check(values: dict[str, str]) -> None:
        values = {name: re.sub(r"[\r\n]", "_", value) for name, value in values.items()}
        file.write_bytes(formatted(values, "dotenv").encode())
        argv = [bash, "-c", 'set -a; . "$1"; exec "$2" -c "$3"', "sh", str(file), sys.executable, SHOW]
        environment = {"PYTHONUTF8": "1", "PATH": "/usr/bin:/bin"}
        done = subprocess.run(argv, capture_output=True, timeout=PROGRAM_DEADLINE, check=False, env=environment)
        assert (done.returncode, done.stderr, json.loads(done.stdout)) == (0, b"", values)

    check()


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), max_size=20))
def test_what_stands_bare_in_an_env_file_is_acted_upon_by_nobody(value: str) -> None:
    (line,) = dotenv_lines({"V_0": value})
    bare = line.removeprefix("V_0=")
    assert re.fullmatch(r"[A-Za-z0-9_./:@%+,-]*", value) if bare == value else bare[0] == bare[-1] in ("'", '"')


@given(VALUES)
def test_github_has_the_values_again(values: dict[str, str]) -> None:
    assert _read_as_github_does(formatted(values, "github")) == values


def _read_as_github_does(text: str) -> dict[str, str]:
    """GitHub's runner, FileCommandManager: `NAME=value`, or `NAME<<END`, lines, END; lines may end at CR LF as well."""
    found: dict[str, str] = {}
    lines = iter(text.split("\n")[:-1])
    for line in lines:
        name, sign, rest = re.fullmatch(r"(?s)([A-Z0-9_]+)(=|<<)(.*)", line).groups()  # type: ignore[union-attr]
        if sign == "=":
            found[name] = rest
            continue
        inner = []
        for part in lines:
            if part.strip() == rest:
                break
            inner.append(part)
        found[name] = "\n".join(inner)
    return found


@given(VALUES)
def test_json_has_the_values_again(values: dict[str, str]) -> None:
    assert json.loads(formatted(values, "json")) == values


@pytest.mark.parametrize("kind", FORMATS)
def test_no_variables_are_no_text(kind: str) -> None:
    assert formatted({}, kind) == ("{}\n" if kind == "json" else "")
