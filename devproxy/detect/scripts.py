"""The texts of scripts that are run by name: those of package.json, deno.json and Nx's project.json.

Lives here: `package_scripts`, which `run` looks through a command with, and what a command is there for (`role`) and
insists on (`wants_own_host`).
Not here: which script a command means (`programs/scripts.py`).
"""

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from devproxy.detect.deno import deno_config
from devproxy.detect.files import is_file, json_table, members
from devproxy.detect.nx import inferred_targets, target_command
from devproxy.detect.workspaces import PNPM_FILE, workspace_patterns
from devproxy.programs.command_line import parsed_commands
from devproxy.programs.flags import DEEPEST, Scripts, adapt
from devproxy.programs.recognize import is_migration, is_worker
from devproxy.programs.scripts import ScriptCall, script_call
from devproxy.programs.shell import simple_commands
from devproxy.storage.files import manifest_text

Role = Literal["server", "worker", "task", "several", "unknown"]
_BACKGROUND = re.compile(r"(?<!&)&(?!&)")


def role(text: str, folder: Path) -> Role:
    """What a shell's text is there for, as far as it can be told: it serves, it works or watches without a port, it
    brings a database up to date and ends, it starts several things that cannot be told apart, or nobody knows."""
    scripts = package_scripts(folder)
    found = adapt(("sh", "-c", text), 1, scripts=scripts)
    if found.serves or "PORT" in text:
        return "server"
    if _comes_to(is_worker, text, scripts):
        return "worker"
    if _comes_to(is_migration, text, scripts):
        return "task"
    return "several" if found.note and not found.program else "unknown"


def wants_own_host(text: str, folder: Path) -> bool:
    """Whether a shell's text starts a server that refuses a `Host` which is not its own address."""
    return adapt(("sh", "-c", text), 1, scripts=package_scripts(folder)).own_host


def _comes_to(
    kind: Callable[[Sequence[str]], bool], text: str, scripts: Scripts, folder: str = "", depth: int = 0
) -> bool:
    """Whether the text's last command is of this kind, itself or by the script that it runs, and those beside it too:
    `tsc --watch & node server.js` may serve."""
    found = list(simple_commands(text))
    is_kind = False  # one of the commands of this pipeline
    for at, simple in enumerate(found, 1):
        is_kind = is_kind or kind(simple.words) or _runs(kind, simple.words, scripts, folder, depth)
        joint = text[simple.end : found[at].start].strip() if at < len(found) else "&"
        if joint in ("|", "|&"):
            continue
        if not is_kind and _BACKGROUND.search(joint):
            return False
        is_kind = False
    return bool(found)


def _runs(
    kind: Callable[[Sequence[str]], bool], words: Sequence[str], scripts: Scripts, folder: str, depth: int
) -> bool:
    """Whether a command runs a script that comes to this kind."""
    for command in parsed_commands(words) if depth < DEEPEST else ():
        called = script_call(command)
        inner = scripts(folder, called) if called is not None and not called.unclear else None
        more = shlex.join(called.passed) if called is not None else ""
        if inner is not None and _comes_to(kind, f"{inner} {more}", scripts, folder, depth + 1):
            return True
    return False


def package_scripts(folder: Path) -> Scripts:
    """A function from a folder relative to this one, and a script there, to that script's text, or None."""

    def read(relative: str, called: ScriptCall) -> str | None:
        base = folder / relative
        if called.source == "project.json":
            return _target(base, called)
        where = workspace_folder(base, called.package) if called.package else base
        if where is None:
            return None
        own = _task(where, called.script) if called.source == "deno.json" else None
        return own or _text(manifest(where).get("scripts"), called.script)

    return read


def _text(table: object, name: str) -> str | None:
    text = table.get(name) if isinstance(table, dict) else None
    return text if isinstance(text, str) else None


def _task(folder: Path, name: str) -> str | None:
    """A task of `deno.json`: a text, or a table with its `command`."""
    tasks = deno_config(folder).get("tasks")
    task = tasks.get(name) if isinstance(tasks, dict) else None
    return task if isinstance(task, str) else _text(task, "command")


def _target(root: Path, called: ScriptCall) -> str | None:
    """What an Nx target comes to: a script of the project's package.json, a target of its project.json, or one that a
    plugin adds."""
    workspace = manifest(root, "nx.json")
    for folder in (root, *members(root, ["**"], "package.json"), *members(root, ["**"], "project.json")):
        package, project = manifest(folder), manifest(folder, "project.json")
        name = str(project.get("name") or package.get("name") or "")
        if called.package not in {name, name.rpartition("/")[2]}:
            continue
        targets = project.get("targets")
        target = targets.get(called.script) if isinstance(targets, dict) else None
        text = _text(package.get("scripts"), called.script) if target is None else target_command(target)
        if text is None and not (isinstance(target, dict) and "executor" in target):
            text = inferred_targets(workspace, folder).get(called.script)
        if text is not None:
            return text
    return None


def manifest(folder: Path, name: str = "package.json") -> dict[str, Any]:
    """A file in JSON of the folder; empty where there is none that can be read."""
    return json_table(manifest_text(folder / name) or "") or {}


def workspace_folder(root: Path, package: str) -> Path | None:
    """The folder of a workspace, named by its path or by its package's name."""
    path = root / package
    if is_file(path / "package.json"):
        return path
    patterns, _ = workspace_patterns(manifest(root), manifest_text(root / PNPM_FILE) or "")
    return next(
        (folder for folder in members(root, patterns, "package.json") if manifest(folder).get("name") == package), None
    )
