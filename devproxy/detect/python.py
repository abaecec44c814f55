"""pyproject.toml with uv's workspaces, requirements files, manage.py, and the web applications in a project's modules.

Lives here: which folder has a server to start, and with which program.
Not here: importing or running any of it.

How it works: an application is an object that a module makes at its top (`app = FastAPI()`), looked for where projects
keep it; where none is seen, the file by which a framework's server goes, if the project depends on it and the file has
an `app`, or a function that makes one and can be called without arguments (`def create_app()`). The command
begins with what runs the project's environment (uv, Poetry, …) or with nothing: `up` finds a `.venv` by itself. What is
installed in that environment decides before what is declared: `fastapi dev` needs more than FastAPI.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from devproxy.detect.files import entries, members, remark_missing, text_of, toml_file, toml_table
from devproxy.detect.model import Candidate, Seen
from devproxy.detect.virtual_environments import VENVS, is_virtual_environment

MOST_FILES = 200  # modules that are looked into
LARGEST = 200_000  # characters of one of them
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?")
_APPLICATION = re.compile(
    r"^(?P<name>[A-Za-z_]\w*)[ \t]*(?::[^=\n]*)?=[ \t]*(?:[A-Za-z_][\w.]*\.)?"
    r"(?P<kind>FastAPI|Starlette|Litestar|Sanic|Flask|Quart)\(",
    re.MULTILINE,
)
_KINDS = re.compile(r"\b(?P<kind>FastAPI|Starlette|Litestar|Sanic|Flask|Quart)\(")
_FACTORY = re.compile(
    r"^def[ \t]+(?P<name>(?:create|make|build|get)_(?:\w*_)?(?:app|application|api))[ \t]*\((?P<given>[^()]*)\)",
    re.MULTILINE,
)
_BRACKETED = re.compile(r"\[[^\[\]]*\]|\{[^{}]*\}")
_FOUND_BY_FLASK = frozenset({"app", "application", "create_app", "make_app"})
_HAS_APP = re.compile(r"^(?:app\b[^=\n]*=|(?:from|import)\b.*\bapp\b)", re.MULTILINE)
_NAMES = ("main", "app", "api", "server", "asgi", "wsgi", "application")
_PASSED_OVER = frozenset(
    {
        "tests",
        "test",
        "examples",
        "docs",
        "scripts",
        "migrations",
        "node_modules",
        "venv",
        "build",
        "dist",
        "site-packages",
    }
)
_MARKERS = ("pyproject.toml", "requirements.txt", "manage.py", "package.json", "setup.py", "Pipfile")
# what an application is called where it is the only one
_SHOWN = {"FastAPI": "api", "Starlette": "api", "Litestar": "api", "Sanic": "api", "Flask": "web", "Quart": "web"}
# by a distribution that a project depends on, where no application was seen: the files that are served
_FILES = (
    ("fastapi", "FastAPI", ("main.py", "app.py", "api.py", "app/main.py")),
    ("flask", "Flask", ("app.py", "wsgi.py")),
)
_STREAMLIT = ("streamlit_app.py", "app.py", "main.py", "Home.py")
_RUNNERS = (("uv", ("uv.lock",)), ("poetry", ("poetry.lock",)), ("pdm", ("pdm.lock",)), ("pipenv", ("Pipfile",)))


class _Application(msgspec.Struct, frozen=True):
    """A web application: its framework, its module below the folder that it is run in, and its name there.

    `below`: the folder is that part of the project's, since the modules in it are no package. `is_made`: what has the
    name is a function that makes it.
    """

    kind: str
    file: str
    name: str = "app"
    below: str = ""
    is_made: bool = False

    @property
    def module(self) -> str:
        return self.file.removesuffix(".py").removesuffix("/__init__").removeprefix("src/").replace("/", ".")

    @property
    def is_in_src(self) -> bool:
        return self.file.startswith("src/")


class _Project(msgspec.Struct, frozen=True):
    """A folder with Python in it: what it depends on and what is installed for it (None: it has no environment)."""

    folder: Path
    place: str
    table: dict[str, Any]
    needed: frozenset[str]
    installed: frozenset[str] | None
    prefix: str

    def has(self, distribution: str) -> bool:
        return distribution in (self.needed if self.installed is None else self.installed)


def look(root: Path) -> Seen:
    """The servers of the project in `root` and of its workspace's members."""
    table, remarks = toml_file(root / "pyproject.toml", "pyproject.toml")
    workspace = _table(_table(_table(table, "tool"), "uv"), "workspace")
    patterns = [*_strings(workspace, "members"), *("!" + glob for glob in _strings(workspace, "exclude"))]
    services = list(_servers(root, root, root, remarks))
    for folder in members(root, patterns, "pyproject.toml"):
        services += _servers(root, folder, root, remarks)
    return Seen(
        project=str(_table(table, "project").get("name") or ""), services=tuple(services), remarks=tuple(remarks)
    )


def look_below(root: Path, folder: Path) -> Seen:
    """The servers of a project that stands by itself one level below `root`, named after its folder."""
    remarks: list[str] = []
    if not any((folder / marker).is_file() for marker in _MARKERS):
        return Seen()
    services = tuple(_servers(root, folder, root, remarks))
    if len(services) == 1:
        services = (msgspec.structs.replace(services[0], name=folder.name),)
    return Seen(services=services, remarks=tuple(remarks))


def _servers(root: Path, folder: Path, top: Path, remarks: list[str]) -> Iterator[Candidate]:
    """The servers of one folder; `top` is where its environment is kept. Remarks are added to `remarks`."""
    place = folder.relative_to(root).as_posix()
    before = "" if place == "." else f"{place}/"
    table, said = toml_file(folder / "pyproject.toml", f"{before}pyproject.toml")
    remarks += said if folder != root else []
    runner = _runner(folder, table) or _runner(top, toml_file(top / "pyproject.toml", "")[0])
    environment = _environment(folder) or _environment(top)
    missing = remark_missing(runner) if runner else []
    project = _Project(
        folder=folder,
        place=place,
        table=table,
        needed=_dependencies(folder, table),
        installed=_installed(environment),
        prefix="" if not runner or (missing and environment) else f"{runner} run ",
    )
    named = str(_table(table, "project").get("name") or folder.name)
    found = list(_found(project, remarks))
    remarks += missing if found and project.prefix else []
    for kind, below, file, command in found:
        whole = Path(below, file)
        own = whole.parent.name if whole.stem in (*_NAMES, "__init__", "manage") else whole.stem
        name = named if folder != root else own if len(found) > 1 and own else kind
        yield Candidate(
            name=f"{named}-{own}" if folder != root and len(found) > 1 and own else name,
            origin=f"{before}{whole.as_posix()}",
            command=project.prefix + command,
            cwd=f"{before}{below}".rstrip("/") or ".",
        )


def _found(project: _Project, remarks: list[str]) -> Iterator[tuple[str, str, str, str]]:
    """What it is, the folder below the project's in which it runs, the file that is served, and the command."""
    if (project.folder / "manage.py").is_file():
        python = "python" if project.prefix or project.installed is not None or shutil.which("python") else "python3"
        yield "web", "", "manage.py", f"{python} manage.py runserver 127.0.0.1:{{port}}"
        return
    by_file = list(_by_file(project))
    applications = (
        list(_applications(project.folder, _made_at_the_top))
        or [one for one in by_file if _HAS_APP.search(text_of(project.folder / one.file)[:LARGEST])]
        or list(_applications(project.folder, _made_by_a_function))[:1]
        or by_file
    )
    for application in applications:
        command = _command(application, project, remarks)
        yield _SHOWN[application.kind], application.below, application.file, command
    if "streamlit" in project.needed and not applications:
        script = next((name for name in _STREAMLIT if (project.folder / name).is_file()), "")
        if script:
            yield "web", "", script, f"streamlit run {script} --server.port {{port}}"


def _by_file(project: _Project) -> list[_Application]:
    """The file by which a server goes of a framework that the project depends on, if it is there."""
    return [
        _Application(kind, file)
        for distribution, kind, files in _FILES
        if distribution in project.needed
        and (file := next((name for name in files if (project.folder / name).is_file()), ""))
    ][:1]


def _command(application: _Application, project: _Project, remarks: list[str]) -> str:
    """What serves an application, of the programs that its environment has."""
    module, name, kind = application.module, application.name, application.kind
    if kind == "Flask":
        is_found = application.file in {"app.py", "wsgi.py"} and name in {
            "app",
            "application",
            "create_app",
            "make_app",
        }
        where = "src." if application.is_in_src else ""
        return "flask run --port {port}" if is_found else f"flask --app {where}{module}:{name} run --port {{port}}"
    factory = " --factory" if application.is_made else ""
    if kind == "FastAPI" and project.has("fastapi-cli") and not factory:
        return f"fastapi dev {application.file} --port {{port}}"
    if kind in {"Quart", "Litestar"} and not application.is_in_src:
        return f"{kind.lower()} --app {module}:{name} run --port {{port}}"
    if kind == "Sanic" and not application.is_in_src:
        return f"sanic {module}:{name}{factory} --dev --port {{port}}"
    src = "--app-dir src " if application.is_in_src else ""
    if kind == "FastAPI" and not project.has("uvicorn"):
        if project.installed is not None or project.prefix == "":
            remarks.append(
                f"{_whole(application, project)}: nothing says what serves it: add `fastapi[standard]` or `uvicorn`"
            )
        if not factory:
            return f"fastapi dev {application.file} --port {{port}}"
    return f"uvicorn {src}{module}:{name}{factory} --reload --port {{port}}"


def _whole(application: _Application, project: _Project) -> str:
    return Path(project.place, application.below, application.file).as_posix()


# The applications in a project's modules


class _Found(msgspec.Struct, frozen=True):
    """What a module has: an application's framework and its name, or that of the function which makes it."""

    kind: str
    name: str
    is_made: bool = False


def _made_at_the_top(text: str) -> _Found | None:
    """The first application that a module makes when it is imported. Pure."""
    found = _APPLICATION.search(text)
    return None if found is None else _Found(found["kind"], found["name"])


def _made_by_a_function(text: str) -> _Found | None:
    """The first function that makes one, if it needs no arguments. Pure."""
    for found in _FACTORY.finditer(text):
        kind = _KINDS.search(text, found.end())
        given = [one.strip() for one in _BRACKETED.sub("", found["given"]).split(",") if one.strip()]
        if kind is not None and all("=" in one or one.startswith("*") for one in given):
            return _Found(kind["kind"], found["name"], is_made=True)
    return None


def _applications(folder: Path, read: Callable[[str], _Found | None]) -> Iterator[_Application]:
    """Those that `read` finds in the text of the folder's modules, one a module."""
    for file in islice(_modules(folder), MOST_FILES):
        found = read(text_of(file)[:LARGEST])
        if found is None:
            continue
        below, name = file.parent, file.relative_to(folder).as_posix()
        if below not in (folder, folder / "src") and not (below / "__init__.py").is_file():
            place = below.relative_to(folder).as_posix()
            yield _Application(found.kind, file.name, found.name, place, is_made=found.is_made)
        else:
            yield _Application(found.kind, name, found.name, is_made=found.is_made)


def _modules(folder: Path) -> Iterator[Path]:
    """The modules in which applications are kept: those of the folder, and by their names one or two levels below."""
    yield from (
        file
        for file in entries(folder)
        if file.suffix == ".py" and not file.name.startswith(("test_", "conftest", "setup"))
    )
    for below in (folder, folder / "src"):
        for package in entries(below):
            if package.name == "src" or package.name in _PASSED_OVER or package.name.startswith((".", "test")):
                continue
            if package.is_dir() and not any((package / marker).exists() for marker in _MARKERS):
                yield from (file for name in (*_NAMES, "__init__") if (file := package / f"{name}.py").is_file())
    yield from (file for name in _NAMES if (file := folder / "src" / f"{name}.py").is_file())


def _texts(folder: Path, prefix: str) -> list[Path]:
    return [file for file in entries(folder) if file.name.startswith(prefix) and file.suffix == ".txt"]


# What a project depends on, and what is installed


def _dependencies(folder: Path, project: dict[str, Any]) -> frozenset[str]:
    own, poetry = _table(project, "project"), _table(_table(project, "tool"), "poetry")
    listed = _strings(own, "dependencies")
    for table in (_table(own, "optional-dependencies"), _table(project, "dependency-groups")):
        listed += [text for group in table for text in _strings(table, group)]
    tables = [_table(poetry, "dependencies"), _table(poetry, "dev-dependencies")]
    tables += [_table(group, "dependencies") for group in _tables(_table(poetry, "group"))]
    for table in (*tables, *_pipfile(folder)):
        listed += [f"{name}[{','.join(_strings(table[name], 'extras'))}]" if isinstance(table[name], dict) else name
                   for name in table]  # fmt: skip
    for file in (*_texts(folder, "requirements"), *_texts(folder / "requirements", "")):
        listed += text_of(file).splitlines()
    found: set[str] = set()
    for line in listed:
        if match := _REQUIREMENT.match(line.strip()):
            found.add(_normal(match[1]))
            if _normal(match[1]) == "fastapi" and any(
                extra.strip() in {"standard", "all"} for extra in (match[2] or "").split(",")
            ):
                found |= {"fastapi-cli", "uvicorn"}
    return frozenset(found)


def _pipfile(folder: Path) -> list[dict[str, Any]]:
    table = toml_table(text_of(folder / "Pipfile"))
    return [_table(table, "packages"), _table(table, "dev-packages")]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _environment(folder: Path) -> Path | None:
    """The virtual environment that a project has in its folder."""
    return next((place for name in VENVS if is_virtual_environment(place := folder / name)), None)


def _installed(environment: Path | None) -> frozenset[str] | None:
    """The distributions in an environment, by their folders of metadata."""
    if environment is None:
        return None
    places = [
        *(place / "site-packages" for place in entries(environment / "lib")),
        environment / "Lib" / "site-packages",
    ]
    found = (entry for place in places for entry in entries(place) if entry.suffix == ".dist-info")
    return frozenset(_normal(entry.name.partition("-")[0]) for entry in found)


def _runner(folder: Path, project: Mapping[str, Any]) -> str:
    """What runs a program of the project's environment, "" where the environment itself does."""
    tool = _table(dict(project), "tool")
    return next(
        (name for name, files in _RUNNERS if name in tool or any((folder / file).exists() for file in files)), ""
    )


def _tables(table: dict[str, Any]) -> Sequence[dict[str, Any]]:
    return [value for value in table.values() if isinstance(value, dict)]


def _table(table: Any, key: str) -> dict[str, Any]:
    value = table.get(key) if isinstance(table, dict) else None
    return value if isinstance(value, dict) else {}


def _strings(table: Any, key: str) -> list[str]:
    value = table.get(key) if isinstance(table, dict) else None
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
