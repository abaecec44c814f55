"""Scripts and tasks that a command line runs by name: `npm run dev`, `deno task dev`, `turbo run dev`, `nx serve web`.

Lives here: which script of which package that is, where its text stands, and how arguments are passed on to it.
Not here: the text of the script (`run/command.py`), what is made of it (`flags.py`). Pure.

How it works: one row a runner says how it is told a script, which of its options name a folder or a package, which take
a value that says nothing, and which make it run the scripts of several packages. npm and turbo keep every option for
themselves until a `--`, before the script's name and behind it; the others pass on all that stands behind it. A `--`
that reaches the script ends its program's options, so that more of them belong before it (pnpm and deno hand on each
one, bun all but one right behind the name). Yarn 1 takes the first away, with every option before it, and Yarn 4 hands
it on; both pass on all options where there is none.
"""

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from devproxy.programs.command_line import ParsedCommand

Source = Literal["package.json", "deno.json", "project.json"]


class ScriptCall(msgspec.Struct, frozen=True):
    """A script that a command runs, in a folder (relative to the command's) or a workspace, and the file that has it.

    `passed` are the arguments that the script gets; the last `given` words of the command are where they stand, and
    `dashes` must come before any more of them. `unclear` says why nobody can tell from here which script that is, ""
    where it is clear. `env` is what the runner needs to run without a person at its terminal.
    """

    script: str
    folder: str = ""
    package: str = ""
    source: Source = "package.json"
    passed: tuple[str, ...] = ()
    given: int = 0
    dashes: tuple[str, ...] = ()
    unclear: str = ""
    env: tuple[tuple[str, str], ...] = ()


SEVERAL = "it runs the scripts of several packages"
_ELSEWHERE = "it runs a script of the workspace's root"
_SELECTS = re.compile(r"\.\.\.|[*!\[^]")  # a filter that may mean several packages


class _Runner(msgspec.Struct, frozen=True, kw_only=True):
    """How one is told to run a script: with one of the words `run` before its name, which those of `short` can do
    without, and with `direct` every script. Options: `folder` and `package` name one, `valued` take a value, `several`
    mean all packages, `root` the workspace's root.

    `keeps`: options without a `--` before them are the runner's own.
    """

    run: frozenset[str]
    short: frozenset[str] = frozenset()
    folder: frozenset[str] = frozenset()
    package: frozenset[str] = frozenset()
    valued: frozenset[str] = frozenset()
    several: frozenset[str] = frozenset()
    root: frozenset[str] = frozenset()
    direct: bool = True
    keeps: bool = False
    source: Source = "package.json"


def _runner(source: Source = "package.json", *, direct: bool = True, keeps: bool = False, **words: str) -> _Runner:
    split = {name: frozenset(text.split()) for name, text in ({"run": "run"} | words).items()}
    return _Runner(**split, direct=direct, keeps=keeps, source=source)


_RUNNERS = {
    "npm": _runner(
        run="run run-script rum urn",
        short="start test",
        folder="--prefix -C",
        package="-w --workspace",
        valued="--loglevel --script-shell --registry --userconfig --globalconfig --cache --node-options --omit"
        " --include --location --otp --before",
        several="--workspaces --ws -ws",
        direct=False,
        keeps=True,
    ),
    "pnpm": _runner(
        run="run run-script",
        short="start test",
        folder="-C --dir --prefix",
        package="-F --filter --filter-prod",
        valued="--reporter --loglevel --workspace-concurrency --resume-from --script-shell",
        several="-r --recursive",
        root="-w --workspace-root",
    ),
    "yarn": _runner(short="start test", folder="--cwd", valued="--mutex --use-yarnrc --modules-folder --cache-folder"),
    "bun": _runner(
        folder="--cwd",
        package="-F --filter",
        valued="-c --config --env-file -r --preload -d --define --port --shell --elide-lines",
        several="--workspaces",
    ),
    "node": _runner(
        run="--run", direct=False, keeps=True, valued="--env-file --env-file-if-exists -r --require --import"
    ),
    "deno": _runner(
        "deno.json", run="task", direct=False, folder="--cwd", package="-f --filter", valued="-c --config --env-file",
        several="-r --recursive",
    ),
    "turbo": _runner(
        run="run watch",
        folder="--cwd",
        package="-F --filter",
        valued="--concurrency --env-mode --log-order --log-prefix --output-logs --ui --cache-dir --cache-workers --api"
        " --team --token --verbosity --root-turbo-json --remote-cache-timeout --global-deps",
        keeps=True,
    ),
}  # fmt: skip
_NX = frozenset({"nx"})
# Without it Nx gives a task a terminal of its own, and ends at once where there is no /dev/tty.
_NX_ENV = (("NX_NATIVE_COMMAND_RUNNER", "false"), ("NX_TUI", "false"))
_NX_SEVERAL = frozenset({"run-many", "affected"})
_NX_VALUED = frozenset({"-c", "--configuration", "--runner", "--outputStyle"})
# what only starts other things, and cannot be looked through
_TASK_RUNNERS = frozenset(
    {"make", "gmake", "just", "task", "mage", "rake", "invoke", "nox", "tox", "poe", "doit", "gulp", "grunt", "moon"}
    | {"lerna", "rush", "wireit", "concurrently", "npm-run-all", "npm-run-all2", "run-p", "run-s", "foreman", "goreman"}
    | {"overmind", "honcho", "hivemind", "process-compose", "tilt", "skaffold", "bazel", "mprocs"}
)
_SCRIPT_FILE = re.compile(r"(?:.*/)?[^/]+\.sh|(?:\./)?(?:bin|scripts?)/[^/]+")


def script_call(command: ParsedCommand) -> ScriptCall | None:
    """The script that this reading of a command line runs, None where it runs none."""
    if not command.names.isdisjoint(_NX):
        return _nx_call(list(command.args))
    name = next((name for name in sorted(command.names) if name in _RUNNERS), None)
    return None if name is None else _Reader(_RUNNERS[name], name).read(list(command.args))


def is_opaque(command: ParsedCommand) -> bool:
    """Whether the command is there to start others, and what it starts is written somewhere else."""
    return not command.names.isdisjoint(_TASK_RUNNERS) or bool(_SCRIPT_FILE.fullmatch(command.before[-1]))


class _Reader:
    """One way through the arguments of a runner."""

    def __init__(self, runner: _Runner, name: str):
        self._runner = runner
        self._name = name
        self._folder = ""
        self._packages: list[str] = []
        self._unclear = ""

    def read(self, args: list[str]) -> ScriptCall | None:
        runner, worded = self._runner, False
        while args:
            arg = args.pop(0)
            flag, joined, value = arg.partition("=")
            if flag in runner.run and not worded:
                worded = True
                if joined and flag.startswith("-"):
                    return self._call(value, args)
            elif self._take(arg, args):
                continue
            elif self._name == "yarn" and not worded and arg == "workspace" and args:
                self._packages.append(args.pop(0))
            elif self._name == "yarn" and not worded and arg == "workspaces":
                return ScriptCall(script=arg, unclear=SEVERAL)
            elif worded or runner.direct or arg in runner.short:
                return self._call(arg, args)
            else:
                return None
        return None

    def _take(self, arg: str, args: list[str]) -> bool:
        """Whether the argument is an option of the runner; its value, if there is one, is taken from `args`."""
        runner = self._runner
        flag, joined, value = arg.partition("=")
        if not arg.startswith("-"):
            return False
        if flag in runner.folder | runner.package | runner.valued:
            value = value if joined else args.pop(0) if args else ""
        if flag in runner.folder:
            self._folder = value
        elif flag in runner.package:
            self._packages.append(value)
        elif arg in runner.several:
            self._unclear = SEVERAL
        elif arg in runner.root:
            self._unclear = _ELSEWHERE
        return True

    def _call(self, script: str, rest: list[str]) -> ScriptCall:
        runner = self._runner
        passed, words, given = rest, rest, len(rest)
        dashes: tuple[str, ...] = ()
        if runner.keeps:
            words, own = self._own_words(rest)
            more = rest[own + 1 :]
            passed, given = [*words, *more], len(more)
            dashes = () if own < len(rest) else ("--",)
        elif self._name == "yarn":
            passed = [arg for arg in rest if arg != "--"]
        elif self._name == "bun" and rest[:1] == ["--"]:
            passed, given = rest[1:], len(rest) - 1
        return ScriptCall(
            script=script,
            folder=self._folder,
            package=_package_named(self._packages),
            source=runner.source,
            passed=tuple(passed),
            given=given,
            dashes=dashes,
            unclear=self._why_unclear(script, words),
        )

    def _own_words(self, rest: list[str]) -> tuple[list[str], int]:
        """The words behind a script's name that are no options of a runner that keeps those, and where its own end."""
        place = rest.index("--") if "--" in rest else len(rest)
        own, words = rest[:place], []
        while own:
            arg = own.pop(0)
            if not self._take(arg, own):
                words.append(arg)
        return words, place

    def _why_unclear(self, script: str, words: Sequence[str]) -> str:
        is_one = len(self._packages) == 1 and not _SELECTS.search(self._packages[0])
        if self._name == "turbo":
            return "" if is_one and not any(not arg.startswith("-") for arg in words) else SEVERAL
        if is_one:
            return ""
        if self._packages or _is_pattern(script):
            return SEVERAL
        return self._unclear


def _package_named(packages: Sequence[str]) -> str:
    """A package by its name or folder, without pnpm's braces around a folder."""
    found = packages[0] if len(packages) == 1 else ""
    return found[1:-1] if found.startswith("{") and found.endswith("}") else found


def _is_pattern(script: str) -> bool:
    """pnpm's `run "/^dev:.*/"`."""
    return len(script) > 1 and script.startswith("/") and script.endswith("/")


def _nx_call(args: list[str]) -> ScriptCall | None:
    """`nx serve web`, `nx run web:serve:production`; a project's targets stand in its project.json or package.json."""
    words: list[str] = []
    passed: list[str] = []
    while args:
        arg = args.pop(0)
        if arg in _NX_VALUED and args:
            args.pop(0)
        elif not arg.startswith("-") and len(words) < 2:
            words.append(arg)
        elif words and arg != "--":
            passed.append(arg)
    if not words:
        return None
    if words[0] in _NX_SEVERAL:
        return ScriptCall(script=words[0], source="project.json", unclear=SEVERAL, env=_NX_ENV)
    if len(words) < 2:
        return None
    if words[0] == "run":
        project, _, target = words[1].partition(":")
        words = [target.partition(":")[0], project]
    return ScriptCall(words[0], package=words[1], source="project.json", passed=tuple(passed), env=_NX_ENV)
