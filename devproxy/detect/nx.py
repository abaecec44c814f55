"""Nx: the targets of a project.json.

Lives here: which command a target comes to, by its executor.
"""

from typing import Any

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
