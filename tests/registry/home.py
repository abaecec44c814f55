"""A registry on disk for the tests of loading: the files, the loader that reads them, and a clock that is told.

Lives here: Home. Not here: tests.
"""

from pathlib import Path

from devproxy.paths import Paths
from devproxy.registry.loader import Loader
from devproxy.registry.model import Registry


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Home:
    """A registry on disk and the loader that reads it."""

    def __init__(self, folder: Path):
        self.paths = Paths(folder / "config", folder / "state")
        self.paths.config.mkdir()
        self.shop = folder / "shop" / "devproxy.toml"
        self.local = folder / "shop" / "devproxy.local.toml"
        self.shop.parent.mkdir()
        self.clock = Clock()
        self.loader = Loader(self.paths, clock=self.clock)

    def write(self, text: str) -> None:
        self.paths.registry.write_text(text)

    def load(self) -> dict[str, int]:
        """Service ids and their ports."""
        return ports(self.loader.load())

    @property
    def codes(self) -> list[str]:
        return [problem.code for problem in self.loader.load().problems]


def ports(registry: Registry) -> dict[str, int]:
    return {service.id: service.upstream.port if service.upstream else 0 for service in registry.services}


LINK = '[projects.shop]\npath = "../shop/devproxy.toml"\n'
