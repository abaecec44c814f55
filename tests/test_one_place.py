"""Rules that stand in one module: no other one may write them again, or the copies come to differ."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import devproxy

ROOT = Path(devproxy.__file__).parent
SOURCES = {str(file.relative_to(ROOT).as_posix()): file.read_text("utf-8") for file in ROOT.rglob("*.py")}
TEXT_RULES = (
    *("isprintable", "unicode_escape", "html import", "html.escape", "difflib", "get_close_matches"),
    *("\\x1f", "\\u202"),
)


def templates(source: str) -> Iterator[str]:
    """Every f-string of a module, its values as `{name}` with the last name of each."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(map(_part, node.values))


def _part(node: ast.expr) -> str:
    if isinstance(node, ast.FormattedValue):
        return f"{{{_last_name(node.value)}}}"
    return str(node.value) if isinstance(node, ast.Constant) else ""


def _last_name(node: ast.expr) -> str:
    names = [ast.unparse(part) for part in ast.walk(node) if isinstance(part, ast.Name | ast.Attribute)]
    return names[0].rpartition(".")[2] if names else ""


def those_with(rule: str) -> set[str]:
    return {name for name, source in SOURCES.items() if rule in source}


@pytest.mark.parametrize("rule", TEXT_RULES)
def test_text_is_made_safe_and_compared_in_text_py_alone(rule: str) -> None:
    assert those_with(rule) <= {"text.py"}


def test_a_host_and_its_port_are_joined_in_text_py_alone() -> None:
    found = {
        name: [template for template in templates(source) if "]:{" in template or "}:{port}" in template]
        for name, source in SOURCES.items()
    }
    # A command line of somebody's own, with our own IPv4 literal put into it.
    del found["programs/options.py"]
    assert {name for name, made in found.items() if made} == {"text.py"}


def test_urls_are_made_in_urls_py_alone() -> None:
    made = re.compile(r"://\{|\}://\S|^//\{|\"//\{")
    found = {name for name, source in SOURCES.items() if any(map(made.search, templates(source)))}
    assert found == {"urls.py"}
    added = re.compile(
        r"""["'][^"']*://["']\s*\+|\+\s*["']://|["'][^"'\n]*://[^"'\n]*["']\.(format|join)|["'][^"'\n]*://%"""
    )
    assert {name for name, source in SOURCES.items() if added.search(source)} <= {"urls.py"}


def test_commands_to_type_are_made_in_text_py_alone() -> None:
    from devproxy.cli.app import SUMMARIES

    typed = re.compile(rf"\bdevproxy (?:{'|'.join(SUMMARIES)})(?: --?[\w-]+(?: \w+)?)* \{{")
    found = {name for name, source in SOURCES.items() if any(map(typed.search, templates(source)))}
    assert found == set()
    assert typed.search("then: devproxy link --trust {file}")
    assert typed.search("devproxy link --as two {here}")
    assert those_with("shlex.quote(") <= {"text.py", "programs/options.py", "programs/flags.py"}


SHELL_COMMAND = re.compile(
    r"(?:^|[`: (])(?<!devproxy )(?:sudo )?(?:chmod|chown|ls|mkdir|cat|kill|cd|rm|mv|sed|docker|git)\b[^`{}]*$"
)


def words_to_type(source: str) -> Iterator[str]:
    """Each value that an f-string puts into a command of a shell."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        before = ""
        for part in node.values:
            if isinstance(part, ast.FormattedValue) and SHELL_COMMAND.search(before):
                yield ast.unparse(part.value)
            before += _part(part)


def test_a_value_in_a_command_of_a_shell_is_quoted_or_a_number() -> None:
    number = re.compile(r".*\b(?:pid|port|geteuid\(\))")
    found = {
        name: [one for one in words_to_type(source) if not number.fullmatch(one)] for name, source in SOURCES.items()
    }
    assert {name: words for name, words in found.items() if not all(word.startswith("quote(") for word in words)} == {}
    assert list(words_to_type('a = f"chmod u+r {quote(path)}, then ls -l {other}"')) == ["quote(path)", "other"]


@pytest.mark.parametrize("rule", ["sys.executable", '"-m", "devproxy"', "multiprocessing", "ProcessPool"])
def test_our_own_interpreter_is_started_in_one_place_alone(rule: str) -> None:
    """Where it is told to search no folder that somebody else wrote (`tests/e2e/test_hostile_folder.py`)."""
    assert those_with(rule) <= {"run/interpreter.py"}


@pytest.mark.parametrize("call", ["flock(", "lockf(", "msvcrt.locking("])
def test_locking_is_in_storage_locks_alone(call: str) -> None:
    assert those_with(call) <= {"storage/locks.py"}


# What reads files that devproxy itself has written, or that the system makes up.
OUR_OWN = {
    *("daemon/runtime.py", "daemon/control.py", "control/app.py", "cli/demo.py", "registry/leases.py"),
    *(
        "health/history.py",
        "health/runs.py",
        "health/scanner.py",
        "run/ports.py",
        "run/activation.py",
        "run/attachment.py",
        "run/group_state.py",
        "run/ending.py",
    ),
    *("run/logs.py", "run/detach.py", "run/supervisor.py", "storage/process_identity.py", "cli/app.py"),
    *("storage/files.py", "storage/locks.py", "storage/rotating_file.py", "tls/authority.py"),
}


def calls(source: str) -> set[str]:
    """The last name of everything that a module calls."""
    called = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {ast.unparse(one).rpartition(".")[2] for one in called}


def test_files_of_a_repository_are_read_by_storage_files_alone() -> None:
    """It waits for no pipe and no device, and stops at a limit (`tests/cli/test_hostile_files.py`)."""
    readers = {"open", "fdopen", "read_text", "read_bytes", "FileIO", "readlines"}
    found = {name for name, source in SOURCES.items() if readers & calls(source)}
    assert found - OUR_OWN == {"cli/open.py", "registry/watch.py"}  # a browser, and a table of /proc


def test_folders_of_a_repository_are_walked_in_one_place_alone() -> None:
    found = {name for name, source in SOURCES.items() if {"walk", "glob", "rglob", "iglob"} & calls(source)}
    assert found <= {"detect/files.py", "run/group_state.py"}


def test_toml_that_others_wrote_is_parsed_behind_the_scanner_alone() -> None:
    own = {"registry/leases.py", "registry/edit.py", "cli/rm.py", "cli/unlink.py"}  # read what the user has written
    assert those_with("tomllib.load") - own == {"registry/toml.py"}


def test_our_files_and_folders_are_named_in_paths_py_alone() -> None:
    joined = re.compile(r"\bpaths\.\w+ / ")
    assert {name for name, source in SOURCES.items() if joined.search(source)} == set()
    # A name made of another file's: temporary, locked, rotated.
    made = {"storage/files.py", "storage/locks.py", "storage/rotating_file.py"}
    assert those_with(".with_name(") == {"paths.py", *made}


def test_the_templates_of_a_module_are_found() -> None:
    assert list(templates('a = f"http://{x.host}:{int(port)}/"\nb = f"[{host}]:{self.port:d}"')) == [
        "http://{host}:{int}/",
        "[{host}]:{port}",
        "d",
    ]
