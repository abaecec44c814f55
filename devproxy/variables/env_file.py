"""The block of variables in a `.env` file: what `devproxy env --write` and `write_env` keep current.

How it works: the lines of `formats.dotenv_lines` are one marked block of the file (`storage/marked_block.py`); all else
in it is left byte for byte, and nothing is written where the block says so already.

A path that a person types is written wherever it leads. `write_env` stands in a project's file, which comes with a
repository, and so may the symlinks on the way: what they lead to must be a `.env` file of that project as well.
"""

import os
from collections.abc import Mapping
from pathlib import Path, PurePath

from devproxy.errors import DevproxyError, Exit
from devproxy.registry.model import EnvFile, Registry, Service
from devproxy.registry.values import is_env_file
from devproxy.storage.files import update_block
from devproxy.text import quote
from devproxy.urls import Ports
from devproxy.variables.formats import dotenv_lines
from devproxy.variables.names import variables

BLOCK = "devproxy env"


def write_variables(path: Path, values: Mapping[str, str]) -> bool:
    """Make `values` the block in the file at `path`, which is made if there is none; whether that changed anything.

    Blocks (disk, lock). Raises DevproxyError.
    """
    return update_block(path, BLOCK, dotenv_lines(values), private=False)


def write_env_file(file: EnvFile, registry: Registry, ports: Ports) -> bool:
    """Bring the file that a project wants up to date; whether that changed anything. Blocks. Raises DevproxyError."""
    path = Path(file.path)
    real, folder = Path(os.path.realpath(path)), Path(os.path.realpath(file.folder))
    if not real.is_relative_to(folder) or not is_env_file(real.name):
        raise DevproxyError(
            f"{path} is not written (`write_env`)",
            why=f"a symlink on the way leads to {real}, which is no .env file of the project",
            fix=f"remove the symlink, or name another file: ls -ld {quote(path)}",
            where=file.source.where,
            exit_code=Exit.REFUSED,
        )
    return write_variables(path, variables(_of(file, registry), ports).values)


def _of(file: EnvFile, registry: Registry) -> list[Service]:
    """The services that the project's files declare; one that only a lease does comes and goes."""
    return [
        service
        for service in registry.services
        if service.project == file.project and str(PurePath(service.source.file).parent) == file.folder
    ]
