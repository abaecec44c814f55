"""The environment that a project has of its own: what a person's shell would have in its folder.

Lives here: finding it, from the command's folder up to the project's root, the nearest first. A virtual environment
(`.venv`, or the one that Poetry or PDM keeps elsewhere) and every `node_modules/.bin` go before PATH; direnv and mise
say what they would set, and asdf's shims are found by PATH. What such a tool refuses until its owner has allowed it
(`direnv allow`, `mise trust`) stays refused, and is told.
Not here: the service's own `env` and `env_file`, which are laid over it (`command.py`).

The project's own environment goes before one that is active in the terminal, so that a service is the same program
wherever it is started from: a terminal, another folder, or a request.
"""

import json
import os
import re
import shutil
import signal
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from devproxy.detect.files import entries, is_file, toml_table
from devproxy.detect.virtual_environments import SCRIPTS, VENVS, is_virtual_environment
from devproxy.run.logs import plain
from devproxy.storage.files import first_line, manifest_text

PATIENCE = 10.0  # seconds that direnv or mise may take
LONGEST = 4096  # bytes of .pdm-python
MOST_FOLDERS = 20  # from the command's folder upwards
_MISE = ("mise.toml", ".mise.toml", "mise.local.toml", ".mise/config.toml", ".config/mise.toml", ".tool-versions")

_NOT_IN_POETRYS_NAMES = re.compile(r'[ $`!*@"\\\r\n\t]')


class ProjectEnvironment(msgspec.Struct, frozen=True):
    """The variables to set, what they come from, for a person, and what was refused."""

    variables: dict[str, str] = {}
    found: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def project_environment(cwd: Path, project_file: str, inherited: Mapping[str, str]) -> ProjectEnvironment:
    """What the project around `cwd` has; `project_file` is the one that declares the service, "" where none does.

    Reads files, and runs direnv and mise where the project has a file of theirs. Raises nothing.
    """
    folders = _folders(cwd.resolve(), project_file)
    variables: dict[str, str] = {}
    found: list[str] = []
    refused: list[str] = []
    for tool, names, argv in (
        ("direnv", (".envrc",), ("direnv", "export", "json")),
        ("mise", _MISE, ("mise", "env", "--json")),
    ):
        if _has(folders, names) and shutil.which(tool, path=inherited.get("PATH")):
            set_by, why = _asked(argv, folders[0], {**inherited, **variables})
            variables |= {name: value for name, value in set_by.items() if inherited.get(name) != value}
            found += [tool] if set_by else []
            refused += [f"{tool}: {why}"] if why else []
    path = variables.get("PATH", inherited.get("PATH", os.defpath))
    first = [str(folder) for folder in _bins(folders)]
    if "mise" not in found and _has(folders, (".tool-versions",)) and (shims := _asdf_shims(inherited)):
        path = _before([shims], path)
        found.append("asdf")
    venv = next(_virtual_environments(folders, inherited), None)
    if venv is not None:
        first.insert(0, str(venv / SCRIPTS))
        variables |= {"VIRTUAL_ENV": str(venv), "PYTHONHOME": ""}
        found.append(_shown(venv, folders))
    found += ["node_modules/.bin"] if len(first) > (venv is not None) else []
    path = _before(first, path)
    if path != inherited.get("PATH", os.defpath):
        variables["PATH"] = path
    return ProjectEnvironment(variables, tuple(found), tuple(refused))


def _folders(cwd: Path, project_file: str) -> list[Path]:
    """From the command's folder up to the project's: that of its file, else of its repository, else no further."""
    around = [cwd, *cwd.parents][:MOST_FOLDERS]
    declared = Path(project_file).parent.resolve() if project_file else None
    top = declared if declared in around else next((one for one in around if (one / ".git").exists()), cwd)
    return around[: around.index(top) + 1]


def _has(folders: Sequence[Path], names: Sequence[str]) -> bool:
    return any(is_file(folder / name) for folder in folders for name in names)


def _bins(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        if (place := folder / "node_modules" / ".bin").is_dir():
            yield place


def _before(first: Sequence[str], path: str) -> str:
    """PATH with these folders first; what is there already moves to the front."""
    rest = [folder for folder in path.split(os.pathsep) if folder not in first]
    return os.pathsep.join([*first, *rest])


def _shown(venv: Path, folders: Sequence[Path]) -> str:
    inside = next((folder for folder in folders if venv.is_relative_to(folder)), None)
    return str(venv.relative_to(inside)) if inside is not None else str(venv)


# Python


def _virtual_environments(folders: Sequence[Path], inherited: Mapping[str, str]) -> Iterator[Path]:
    """Those of the nearest folder that has one (PEP 405: `pyvenv.cfg` stands in it)."""
    for folder in folders:
        names = (named, *VENVS) if (named := inherited.get("UV_PROJECT_ENVIRONMENT")) else VENVS
        places = [*(folder / name for name in names), *_of_pdm(folder), *_of_poetry(folder, inherited)]
        yield from (place for place in places if is_virtual_environment(place))


def _of_pdm(folder: Path) -> Iterator[Path]:
    if text := first_line(folder / ".pdm-python", LONGEST).strip():
        yield Path(text).parent.parent


def _of_poetry(folder: Path, inherited: Mapping[str, str]) -> Iterator[Path]:
    """Poetry names an environment after its project and a digest of the project's folder."""
    project = toml_table(manifest_text(folder / "pyproject.toml") or "")
    tool, own = project.get("tool"), project.get("project")
    poetry = tool.get("poetry") if isinstance(tool, dict) else None
    if not isinstance(poetry, dict) and not is_file(folder / "poetry.lock"):
        return
    tables = (table for table in (poetry, own) if isinstance(table, dict))
    name = next((table["name"] for table in tables if isinstance(table.get("name"), str)), "")
    digest = urlsafe_b64encode(sha256(os.path.normcase(folder).encode()).digest()).decode()[:8]
    begin = f"{_NOT_IN_POETRYS_NAMES.sub('_', name.lower())[:42]}-{digest}-py"
    found = [place for place in entries(_poetry_home(inherited)) if place.name.startswith(begin)]
    yield from sorted(found, reverse=True)


def _poetry_home(inherited: Mapping[str, str]) -> Path:
    if named := inherited.get("POETRY_VIRTUALENVS_PATH"):
        return Path(named)
    if named := inherited.get("POETRY_CACHE_DIR"):
        return Path(named) / "virtualenvs"
    import platformdirs

    return platformdirs.user_cache_path("pypoetry", appauthor=False) / "virtualenvs"


# Tools


def _asdf_shims(inherited: Mapping[str, str]) -> str:
    """The folder whose programs choose a version by the folder they are started in; "" where there is none."""
    place = Path(inherited.get("ASDF_DATA_DIR") or Path(inherited.get("HOME", "/"), ".asdf")) / "shims"
    return str(place) if place.is_dir() else ""


def _asked(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The variables that a tool would set, and why it sets none. It may run whatever a project's file says: all of that
    ends with it."""
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
    except (OSError, ValueError) as error:
        return {}, str(error)
    with process:
        try:
            out, said = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return {}, f"it took longer than {PATIENCE:g} seconds, and was ended"
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
        return {}, plain(lines[-1]).strip() if lines else f"it ended with exit code {process.returncode}"
    try:
        table = json.loads(out or b"{}")
    except (ValueError, RecursionError):
        return {}, "what it says is no JSON"
    items = table.items() if isinstance(table, dict) else ()
    return {name: value for name, value in items if isinstance(value, str) and "\0" not in name + value}, ""
