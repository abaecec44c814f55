"""package.json with its workspaces, deno.json, and the projects of Nx.

Lives here: which package has a server or a watcher to start, and with which package manager.
Not here: the globs of workspaces (`workspaces.py`), what a script is there for (`scripts.py`), flags that give it a
port (`programs/flags.py` adds them when it is started).
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from devproxy.detect.deno import FILES as DENO_FILES
from devproxy.detect.deno import deno_config
from devproxy.detect.files import is_file, json_file, members, remark_missing, text_of
from devproxy.detect.globs import GlobSet
from devproxy.detect.model import Candidate, Seen
from devproxy.detect.nx import inferred_targets, target_command
from devproxy.detect.scripts import Role, manifest, role
from devproxy.detect.workspaces import PNPM_FILE, workspace_patterns
from devproxy.registry.model import ServiceKind
from devproxy.text import shown

SCRIPTS = ("dev", "start:dev", "start", "serve", "develop")
_NX_TARGETS = ("serve", "dev", "start")
_MANAGERS = (
    ("pnpm", ("pnpm-lock.yaml", PNPM_FILE)),
    ("yarn", ("yarn.lock",)),
    ("bun", ("bun.lock", "bun.lockb")),
    ("npm", ("package-lock.json",)),
)
_PORT = re.compile(r"(?:--port[= ]|(?<!\S)-p[= ]?|(?<!\S)PORT=)(\d{2,5})(?!\d)")
# by the name of a dependency: what a service that needs it is
_KINDS = (
    ("storybook", ("storybook",)),
    ("docs", ("vitepress", "@docusaurus/core", "@astrojs/starlight", "nextra")),
    ("api", ("express", "fastify", "koa", "hono", "@nestjs/core", "@hapi/hapi", "json-server")),
)
_PAGES = ("vite", "next", "nuxt", "astro", "react", "vue", "svelte", "@angular/core", "react-scripts", "webpack")


class _Package(msgspec.Struct, frozen=True):
    """A folder with a package in it: its package.json, what its scripts are started with, and where it is shown."""

    folder: Path
    place: str
    table: dict[str, Any]
    file: str
    prefix: str

    @property
    def name(self) -> str:
        """Without its scope: `@acme/web` is `web`."""
        return str(self.table.get("name") or "").rpartition("/")[2]


class _Script(msgspec.Struct, frozen=True):
    name: str
    text: str
    role: Role


def look(root: Path) -> Seen:
    """The services of the package in `root`, of its workspace's members, and of the projects of Nx."""
    table, remarks = json_file(root / "package.json", "package.json")
    deno = deno_config(root)
    if table is None and not deno:
        return Seen(remarks=tuple(remarks))
    manager = _manager(root, table or {})
    patterns, more = workspace_patterns(table or {}, text_of(root / PNPM_FILE))
    remarks += more
    patterns += [glob for glob in deno.get("workspace") or () if isinstance(glob, str)]
    remarks += [
        f"the workspace `{shown(glob)}` is left out: it would take long to match" for glob in GlobSet(patterns).refused
    ]
    services: list[Candidate] = []
    for folder in sorted({*members(root, patterns, "package.json"), *_deno_members(root, patterns)}):
        services += _of_folder(root, folder, manager, remarks)
    if is_file(root / "nx.json"):
        services += _of_nx(root, patterns, {service.cwd for service in services if service.serves}, remarks)
    own = _of_folder(root, root, manager, remarks, is_alone=not any(service.serves for service in services))
    services += own
    if any(service.command and str(service.command).startswith(manager) for service in services):
        remarks += remark_missing(manager)
    name = str((table or {}).get("name") or deno.get("name") or "")
    return Seen(project=name.rpartition("/")[2], services=tuple(services), remarks=tuple(remarks))


def look_below(root: Path, folder: Path) -> Seen:
    """The service of a package that stands by itself one level below `root`."""
    remarks: list[str] = []
    table, _ = json_file(folder / "package.json", "")
    found = _of_folder(root, folder, _manager(folder, table or {}), remarks)
    named = tuple(msgspec.structs.replace(service, name=folder.name) for service in found)
    return Seen(services=named, remarks=tuple(remarks))


def _deno_members(root: Path, patterns: Sequence[str]) -> list[Path]:
    return [folder for name in DENO_FILES for folder in members(root, patterns, name)]


def _of_folder(root: Path, folder: Path, manager: str, remarks: list[str], *, is_alone: bool = True) -> list[Candidate]:
    """What the package in a folder starts, by package.json or else by deno.json; remarks are added to `remarks`.

    `is_alone`: there is nothing else that starts what this would.
    """
    place = folder.relative_to(root).as_posix()
    before = "" if place == "." else f"{place}/"
    table, said = json_file(folder / "package.json", f"{before}package.json")
    remarks += said if folder != root else []
    kinds = [_Package(folder, place, table, f"{before}package.json", f"{manager} run")] if table else []
    if deno := deno_config(folder):
        tasks = {"name": deno.get("name"), "scripts": _tasks(deno.get("tasks"))}
        kinds.append(_Package(folder, place, tasks, f"{before}deno.json", "deno task"))
    for package in kinds:
        script = _script(package)
        if script is None:
            continue
        origin = f"{package.file}: {'tasks' if package.prefix == 'deno task' else 'scripts'}.{script.name}"
        if not is_alone and script.role in ("several", "unknown"):
            remarks.append(f"{origin} at the root is left out: the members of the workspace have their own")
        else:
            remarks += remark_missing("deno") if package.prefix == "deno task" else []
            return [_candidate(package, script, origin, is_root=folder == root)]
    return []


def _tasks(tasks: object) -> dict[str, str]:
    """Deno's tasks as scripts: each a text, or a table with its `command`."""
    found = {}
    for name, task in tasks.items() if isinstance(tasks, dict) else ():
        text = task.get("command") if isinstance(task, dict) else task
        if isinstance(text, str):
            found[name] = text
    return found


def _script(package: _Package) -> _Script | None:
    """The first script that starts something, unless it works without a port and another serves."""
    scripts = package.table.get("scripts")
    found = [
        _Script(name, text, role(text, package.folder))
        for name in SCRIPTS
        if isinstance(scripts, dict) and isinstance(text := scripts.get(name), str) and text
    ]
    servers = [script for script in found if script.role == "server"]
    return next(iter(servers if found and found[0].role in ("worker", "task") and servers else found), None)


def _candidate(package: _Package, script: _Script, origin: str, *, is_root: bool) -> Candidate:
    kind = _kind(script.role)
    port = _PORT.search(script.text) if kind == "server" else None
    own = package.name or package.folder.name
    return Candidate(
        kind=kind,
        starts_others=script.role == "several",
        name=own if not is_root else _shown(package.table) if kind == "server" else "watcher",
        origin=origin,
        command=f"{package.prefix} {script.name}",
        cwd=package.place,
        port=int(port[1]) if port and 0 < int(port[1]) < 65536 else None,
    )


def _kind(found: Role) -> ServiceKind:
    """What nobody knows is taken for a server: whoever starts it sees that it does not listen."""
    return found if found in ("worker", "task") else "server"


def _shown(table: dict[str, Any]) -> str:
    """What the only package is, by what it depends on: `web`, unless it has no pages."""
    listed = [table.get(key) for key in ("dependencies", "devDependencies")]
    needed = {name for each in listed if isinstance(each, dict) for name in each}
    if needed.isdisjoint(_PAGES):
        return next((kind for kind, names in _KINDS if not needed.isdisjoint(names)), "web")
    return "web"


def _manager(root: Path, package: dict[str, Any]) -> str:
    """What runs the scripts: `packageManager` (Corepack), else whose lock file there is."""
    named = str(package.get("packageManager") or "").partition("@")[0]
    if named in {manager for manager, _ in _MANAGERS}:
        return named
    locks = (manager for manager, files in _MANAGERS if any((root / file).exists() for file in files))
    return next(locks, "npm")


def _of_nx(root: Path, patterns: Sequence[str], taken: set[str], remarks: list[str]) -> Iterator[Candidate]:
    """The projects with a target for a server, in their project.json or by a plugin; Nx is run at the root."""
    workspace, said = json_file(root / "nx.json", "nx.json")
    remarks += said
    for folder in sorted({*members(root, ["**"], "project.json"), *members(root, patterns, "package.json")}):
        place = folder.relative_to(root).as_posix()
        if place in taken:
            continue
        table, said = json_file(folder / "project.json", f"{place}/project.json")
        remarks += said
        name = str((table or {}).get("name") or manifest(folder).get("name") or folder.name)
        own = (table or {}).get("targets")
        targets = own if isinstance(own, dict) else {}
        inferred = inferred_targets(workspace or {}, folder)
        target = next((one for one in _NX_TARGETS if one in targets or one in inferred), None)
        if target is None:
            target = next(iter(inferred), None)  # by the name that nx.json gives it
        if target is None:
            continue
        origin = f"{place}/project.json: targets.{target}" if target in targets else f"nx.json: `{target}` of {place}"
        text = target_command(targets[target]) if target in targets else None
        text = text or inferred.get(target)
        if text is None:
            remarks.append(f"{origin}: its executor is not known here, and gets its port as PORT only")
        kind = _kind(role(text, root)) if text is not None else "server"
        yield Candidate(name=name.rpartition("/")[2], kind=kind, origin=origin, command=f"npx nx {target} {name}")
