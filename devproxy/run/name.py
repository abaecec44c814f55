"""Which service a person means by `devproxy run` in a folder, with a name or without.

Lives here: the order: argument, project file, `package.json`, `pyproject.toml`, the folder's name.
Not here: what is then started.
"""

from pathlib import Path

import msgspec

from devproxy.registry.model import Registry, Service


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A service's name and project; `service` where the registry has it; `origin` says where the name comes from.

    `project_file` is the `devproxy.toml` that was found in or above the folder, whether it is linked or not.
    """

    name: str
    project: str | None = None
    service: Service | None = None
    project_file: Path | None = None
    origin: str

    @property
    def id(self) -> str:
        return self.name if self.project is None else f"{self.name}.{self.project}"


def pick(argument: str | None, folder: Path, registry: Registry) -> Named:
    """The service that `devproxy run [argument]` in `folder` means. Reads files. Raises DevproxyError."""
    raise NotImplementedError
