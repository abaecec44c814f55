"""Nx: the targets of a project, those of its project.json and those that plugins add for a file that it has.

Lives here: which command a target comes to, by its executor, or by the plugin of nx.json that adds it ("inferred
tasks").
"""

from pathlib import Path
from typing import Any, NamedTuple

from devproxy.detect.files import is_file

_COMMANDS = ("nx:run-commands", "@nrwl/workspace:run-commands")
# by the executor: the program whose arguments it takes
_PROGRAMS = {
    "@nx/vite:dev-server": "vite dev",
    "@nx/vite:preview-server": "vite preview",
    "@nx/next:server": "next dev",
    "@nx/webpack:dev-server": "webpack serve",
    "@nx/rspack:dev-server": "rspack serve",
    "@nx/storybook:storybook": "storybook dev",
    "@angular-devkit/build-angular:dev-server": "ng serve",
    "@angular/build:dev-server": "ng serve",
}


class _Plugin(NamedTuple):
    """The file that makes it add targets, without its ending, and those that serve: the option that names each, what it
    is called without, and what it runs."""

    config: str
    targets: tuple[tuple[str, str, str], ...]


_CONFIG_ENDS = ("ts", "js", "mts", "mjs", "cts", "cjs")
_PLUGINS = {
    "@nx/vite/plugin": _Plugin("vite.config", (("devTargetName", "dev", "vite"), ("serveTargetName", "serve", "vite"))),
    "@nx/next/plugin": _Plugin("next.config", (("devTargetName", "dev", "next dev"),)),
    "@nx/nuxt/plugin": _Plugin("nuxt.config", (("serveTargetName", "serve", "nuxi dev"),)),
    "@nx/react/router-plugin": _Plugin("react-router.config", (("devTargetName", "dev", "react-router dev"),)),
    "@nx/webpack/plugin": _Plugin("webpack.config", (("serveTargetName", "serve", "webpack serve"),)),
    "@nx/rspack/plugin": _Plugin("rspack.config", (("serveTargetName", "serve", "rspack serve"),)),
    "@nx/rsbuild": _Plugin("rsbuild.config", (("devTargetName", "dev", "rsbuild dev"),)),
}


def inferred_targets(workspace: dict[str, Any], folder: Path) -> dict[str, str]:
    """The targets that serve which the plugins of a nx.json add to the project in a folder, and what each runs."""
    found: dict[str, str] = {}
    entries = workspace.get("plugins")
    for entry in entries if isinstance(entries, list) else ():
        table = entry if isinstance(entry, dict) else {"plugin": entry}
        plugin = _PLUGINS.get(str(table.get("plugin")))
        if plugin is None or not any(is_file(folder / f"{plugin.config}.{end}") for end in _CONFIG_ENDS):
            continue
        options = table.get("options")
        for option, default, command in plugin.targets:
            name = options.get(option) if isinstance(options, dict) else None
            found.setdefault(name if isinstance(name, str) and name else default, command)
    return found


def target_command(target: Any) -> str | None:
    """What a target runs, None where its executor is not known. Pure."""
    if not isinstance(target, dict):
        return None
    options = target.get("options")
    command = target.get("command") or (options.get("command") if isinstance(options, dict) else None)
    executor = str(target.get("executor") or "")
    if isinstance(command, str) and executor in {"", *_COMMANDS}:
        return command
    return _PROGRAMS.get(executor)
