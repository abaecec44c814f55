"""From a process's command line to the program that really runs.

Lives here: peeling off what stands before a program (`env A=b`, `sh -c "…"`, `npx`, `uv run`, `node
path/to/bin.js`, `python -m`), and the names by which the catalogue may know it.
Not here: the catalogue (`catalog/`), scripts that are run by name (`scripts.py`), a shell's text (`shell.py`), changing
a command (`options.py`). Pure.

How it works: `parsed_commands` gives every reading of a command line, the outermost first. `npx vite --host` is
`npx` with `vite --host`, and it is `vite` with `--host`. Each reading keeps the tokens before the program's
own arguments, so that a changed command can be put together again.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec

from devproxy.programs.shell import simple_commands

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_VERSION = re.compile(r"(?<=[a-z_])-?[0-9][0-9.]*$")
_SUFFIX = re.compile(r"\.(?:exe|cmd|bat|ps1|c?js|mjs|ts|py|pyc|rb|phar)$")


class ParsedCommand(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of a command line.

    `names` are what the program may be called (`vite`, `bin/vite.js`, …); `before` the tokens up to and with
    the program, `args` its arguments; `env` the assignments seen on the way. `title`: the process has
    overwritten its command line with this text, so `args` need not be what it was given.
    """

    names: frozenset[str]
    before: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    title: bool = False

    @property
    def tokens(self) -> tuple[str, ...]:
        """The whole of it."""
        return self.before + self.args


class _Wrapper(msgspec.Struct, frozen=True):
    """A command that runs another: after one of `words` (if any), past its options, `valued` ones with their
    value.

    `module` is the option that names the program itself (`python -m`), `inline` those after which comes code.
    `passes`: without one of `words` the command is run all the same (`yarn vite`).
    """

    words: frozenset[str] = frozenset()
    valued: frozenset[str] = frozenset()
    module: str = ""
    inline: frozenset[str] = frozenset()
    passes: bool = False


def _wrapper(words: str = "", valued: str = "", module: str = "", inline: str = "", passes: bool = False) -> _Wrapper:
    return _Wrapper(frozenset(words.split()), frozenset(valued.split()), module, frozenset(inline.split()), passes)


_PYTHON = _wrapper(valued="-W -X", module="-m", inline="-c")
_NODE = _wrapper(
    valued="-r --require --import --loader --experimental-loader -C --conditions --env-file", inline="-e --eval -p"
)
_NPX = _wrapper(valued="-p --package -w --workspace --prefix")
_UV = (
    "-w --with --with-editable --with-requirements --extra --no-extra --group --only-group --no-group --package --index"
    " --default-index -i --index-url --extra-index-url -f --find-links --index-strategy --keyring-provider -P"
    " --upgrade-package --upgrade-group --resolution --prerelease --fork-strategy --exclude-newer --reinstall-package"
    " --link-mode -C --config-setting --no-build-isolation-package --no-build-package --no-binary-package --cache-dir"
    " --refresh-package -p --python --python-platform --color --allow-insecure-host --directory --project --config-file"
    " --env-file"
)
WRAPPERS: dict[str, _Wrapper] = {
    **dict.fromkeys(("env", "cross-env", "cross-env-shell"), _wrapper(valued="-u --unset -C --chdir")),
    "sudo": _wrapper(valued="-u --user -g --group -C -D -h -p -T"),
    **dict.fromkeys(("nohup", "setsid", "exec", "command", "time", "caffeinate"), _wrapper()),
    **dict.fromkeys(("nice", "ionice", "stdbuf"), _wrapper(valued="-n -c -o -e -i")),
    "dotenv": _wrapper(valued="-e -f -v -c"),
    "dotenvx": _wrapper("run", "-f --env-file"),
    "doppler": _wrapper("run", "-p -c --project --config"),
    "op": _wrapper("run", "--env-file"),
    "devproxy": _wrapper("run"),
    **dict.fromkeys(("npx", "bunx", "pnpx", "pnx"), _NPX),
    "npm": _wrapper("exec x", "-p --package -w --workspace --prefix -C --loglevel --registry --cache"),
    "pnpm": _wrapper("exec dlx", "-C --dir -F --filter", passes=True),
    "yarn": _wrapper("exec dlx run", "--cwd", passes=True),
    "nodemon": _wrapper(valued="-w --watch -e --ext -i --ignore -d --delay --exec -x"),
    **dict.fromkeys(("tsx", "ts-node", "ts-node-dev"), _wrapper(valued="--tsconfig -P")),
    "uv": _wrapper("run", _UV, module="-m"),
    "uvx": _wrapper(valued=f"--from {_UV}"),
    **dict.fromkeys(("poetry", "pdm", "pipenv", "rye"), _wrapper("run", "-C --directory -P --project -p")),
    "hatch": _wrapper("run", "-e --env"),
    "pixi": _wrapper("run", "-e --environment --manifest-path"),
    "pipx": _wrapper("run", "--spec --python"),
    "conda": _wrapper("run", "-n --name -p --prefix --cwd"),
    "bundle": _wrapper("exec", "--gemfile"),
    "python": _PYTHON,
    "pypy": _PYTHON,
    **dict.fromkeys(("debugpy", "coverage"), _wrapper("run", "--listen --connect --rcfile", module="-m", passes=True)),
    "node": _NODE,
    "bun": _wrapper("run x exec", "--cwd -c --config --env-file -r --preload", inline="-e --eval", passes=True),
    "deno": _wrapper("run task", "-c --config --import-map --env-file -L --location"),
    "ruby": _wrapper(valued="-I -r -C", inline="-e"),
    "php": _wrapper(valued="-d -c -t -z", inline="-r -S"),
    "elixir": _wrapper(valued="--name --sname --cookie --erl", inline="-e --eval"),
    "iex": _wrapper(valued="--name --sname --cookie --erl -S", inline="-e --eval"),
    "timeout": _wrapper(valued="-k --kill-after -s --signal"),
}
SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ash", "ksh", "fish"})


def parsed_commands(argv: Sequence[str]) -> Iterator[ParsedCommand]:
    """Every reading of a command line, the outermost first; none if there is nothing to read."""
    tokens = tuple(argv)
    title = len(tokens) == 1 and "/" not in tokens[0].partition(" ")[0]  # `next-server (v15)`, `webpack`
    if title:
        tokens = tuple(tokens[0].split())
    yield from _read((), tokens, (), title)


def is_interactive_shell(argv: Sequence[str]) -> bool:
    """A shell that runs no given command: what is above it started the shell, not the program."""
    return bool(argv) and not SHELLS.isdisjoint(names_of(argv[0])) and not any(_is_c(arg) for arg in argv[1:])


def names_of(token: str) -> frozenset[str]:
    """What the program at a path, or a package specifier (`npm:vite@7`, `vite@latest`), may be called."""
    path = token.replace("\\", "/").removeprefix("npm:").rstrip("/")
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if not parts:
        return frozenset()
    base = parts[-1].removeprefix("-").removesuffix(":")
    base = base if base.startswith("@") else base.partition("@")[0]
    stem = _SUFFIX.sub("", base, count=1)
    found = {base, stem, _VERSION.sub("", stem), "/".join(parts[-2:]), "/".join(parts[-3:-1])}
    if base.endswith(".rb"):
        found.add("*.rb")
    found.update(_package(parts))
    found.update(part for part in parts[:-1] if part.startswith("go-build"))
    return frozenset(name.rstrip("0123456789") if name.startswith("go-build") else name for name in found if name)


def _package(parts: list[str]) -> Iterator[str]:
    """The npm or Python package that a script belongs to."""
    if parts[0].startswith("@") and len(parts) == 2:
        yield "/".join((parts[0], parts[1].partition("@")[0]))
    for index in range(len(parts) - 1, 0, -1):
        if parts[index - 1] == "node_modules" and parts[index] != ".bin":
            scoped = parts[index].startswith("@") and index + 1 < len(parts)
            yield "/".join(parts[index : index + 2]) if scoped else parts[index]
            return
        if parts[index - 1] in {"site-packages", "dist-packages"}:
            yield parts[index]
            return


def _read(
    before: tuple[str, ...], tokens: tuple[str, ...], env: tuple[tuple[str, str], ...], title: bool
) -> Iterator[ParsedCommand]:
    while tokens and (found := _ASSIGNMENT.fullmatch(tokens[0])):
        env, before, tokens = (*env, (found[1], found[2])), (*before, tokens[0]), tokens[1:]
    if not tokens:
        return
    names = names_of(tokens[0])
    yield ParsedCommand(names=names, before=(*before, tokens[0]), args=tokens[1:], env=env, title=title)
    if not SHELLS.isdisjoint(names):
        yield from _shell(tokens, env)
        return
    wrapper = next((WRAPPERS[name] for name in sorted(names) if name in WRAPPERS), None)
    start = None if wrapper is None else _wrapped_at(wrapper, tokens)
    if start is not None and start < len(tokens):
        yield from _read(before + tokens[:start], tokens[start:], env, title)


def _shell(tokens: tuple[str, ...], env: tuple[tuple[str, str], ...]) -> Iterator[ParsedCommand]:
    """The commands of `sh -c "cd web && HOST=0.0.0.0 vite"`, each read by itself; of `sh script`, the script."""
    index = next((i for i, token in enumerate(tokens) if i and _is_c(token)), None)
    if index is None or index + 1 >= len(tokens):
        yield from _read(tokens[:1], tuple(t for t in tokens[1:] if not t.startswith("-")), env, False)
        return
    for command in simple_commands(tokens[index + 1]):
        yield from _read((), command.words, env, False)


def _is_c(token: str) -> bool:
    return token.startswith("-") and not token.startswith("--") and token.endswith("c")


def _wrapped_at(wrapper: _Wrapper, tokens: tuple[str, ...]) -> int | None:
    """Where in `tokens` the wrapped command begins; None if it wraps none here."""
    index, worded = 1, not wrapper.words
    while index < len(tokens):
        token = tokens[index]
        if token in wrapper.inline:
            return None
        if token in {wrapper.module, "--"}:
            return index + 1
        if token in wrapper.words and not worded:
            worded = True
        elif token.startswith("-"):
            index += token in wrapper.valued
        elif not _is_own(wrapper, token):
            return index if worded or wrapper.passes else None
        index += 1
    return None


def _is_own(wrapper: _Wrapper, token: str) -> bool:
    """Whether a word that is no option still belongs to the wrapper: `timeout 10 …`, `devproxy run web -- …`,
    `uv tool run …`."""
    return (
        wrapper is WRAPPERS["devproxy"]
        or (wrapper is WRAPPERS["timeout"] and token[:1].isdigit())
        or (wrapper is WRAPPERS["uv"] and token in {"tool"})
    )


def without_own_options(command: ParsedCommand) -> ParsedCommand:
    """`npm exec vite` as `npm exec -- vite`, whose options are Vite's own and not npm's; any other as it is.

    Yarn 1 drops the options of a program without the dashes.
    """
    words = [word.rpartition("/")[2] for word in command.before]
    at = next((at for at, word in enumerate(words) if word == "npm" or (word == "yarn" and "exec" in words[at:])), None)
    if at is None or at == len(command.before) - 1 or "--" in command.before[at:]:
        return command
    place = command.args.index("--") if "--" in command.args else len(command.args)
    args = (*command.args[:place], *command.args[place + 1 :])
    return msgspec.structs.replace(command, before=(*command.before[:-1], "--", command.before[-1]), args=args)
