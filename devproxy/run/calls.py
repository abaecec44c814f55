"""`npm run dev` and its kin: which script of which package a command runs, and how arguments are passed on to it.

Lives here: npm, pnpm, yarn, bun and `node --run`; and `npm exec`, which keeps options as well. Pure.
Not here: the script's text (`scripts.py`), what it runs (`programs/flags.py`).
"""

from collections.abc import Sequence

import msgspec

from devproxy.programs.command_line import Reading


class Call(msgspec.Struct, frozen=True):
    """A script that a command runs: its name, the folder (relative to the command's) and the workspace it names.

    `passed` are the arguments that the script gets, `dashes` those that must stand before any more of them.
    """

    script: str
    folder: str = ""
    package: str = ""
    passed: tuple[str, ...] = ()
    dashes: tuple[str, ...] = ()


class _Manager(msgspec.Struct, frozen=True):
    run: frozenset[str]  # words before a script's name
    short: frozenset[str]  # scripts that need no such word
    folder: frozenset[str]  # options with a folder
    package: frozenset[str]  # options with a workspace
    direct: bool  # every other word may be a script, too
    needs_dashes: bool  # options without a `--` before them are the manager's own


def _manager(run: str, short: str = "", folder: str = "", package: str = "", *, script_first: bool = True) -> _Manager:
    run_words, short_words, folders, packages = (frozenset(text.split()) for text in (run, short, folder, package))
    return _Manager(run_words, short_words, folders, packages, direct=script_first, needs_dashes=not script_first)


_MANAGERS = {
    "npm": _manager("run run-script rum urn", "start test", "--prefix -C", "-w --workspace", script_first=False),
    "pnpm": _manager("run run-script", "start test", "-C --dir", "-F --filter"),
    "yarn": _manager("run", "start test", "--cwd"),
    "bun": _manager("run", "", "--cwd", "-F --filter"),
    "node": _manager("--run", script_first=False),
}


def call(reading: Reading) -> Call | None:
    """The script that this reading of a command line runs, None where it runs none."""
    name = next((name for name in sorted(reading.names) if name in _MANAGERS), None)
    return None if name is None else _read(_MANAGERS[name], list(reading.args))


def dashed(reading: Reading) -> Reading:
    """`npm exec vite` as `npm exec -- vite`, whose options are Vite's own and not npm's; any other as it is."""
    at = next((at for at, word in enumerate(reading.before) if word.rpartition("/")[2] == "npm"), None)
    if at is None or at == len(reading.before) - 1 or "--" in reading.before[at:]:
        return reading
    place = reading.args.index("--") if "--" in reading.args else len(reading.args)
    args = (*reading.args[:place], *reading.args[place + 1 :])
    return msgspec.structs.replace(reading, before=(*reading.before[:-1], "--", reading.before[-1]), args=args)


def _read(manager: _Manager, args: list[str]) -> Call | None:
    found = {"folder": "", "package": ""}
    worded = False
    while args:
        arg = args.pop(0)
        flag, joined, value = arg.partition("=")
        kind = "folder" if flag in manager.folder else "package" if flag in manager.package else ""
        if kind:
            found[kind] = value if joined else args.pop(0) if args else ""
        elif arg in manager.run and not worded:
            worded = True
        elif arg == "workspace" and manager is _MANAGERS["yarn"] and not worded and args:
            found["package"] = args.pop(0)
        elif not arg.startswith("-"):
            is_script = worded or manager.direct or arg in manager.short
            return _call(manager, arg, found, args) if is_script else None
    return None


def _call(manager: _Manager, script: str, found: dict[str, str], rest: Sequence[str]) -> Call:
    """Behind the script's name: npm keeps options for itself until a `--`."""
    if not manager.needs_dashes:
        return Call(script, found["folder"], found["package"], tuple(arg for arg in rest if arg != "--"))
    place = rest.index("--") if "--" in rest else len(rest)
    passed = (*(arg for arg in rest[:place] if not arg.startswith("-")), *rest[place + 1 :])
    return Call(script, found["folder"], found["package"], passed, () if "--" in rest else ("--",))
