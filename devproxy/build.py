"""Which build of devproxy this is: its data path compiled to extension modules, or Python source as it is.

How: Python's import takes an extension module before a source file of the same name in the same folder, so what lies
beside this file tells which of the two is imported, without importing anything.
Not here: building it (`packaging/build_backend.py`).
"""

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from devproxy import __version__

# One module stands for all: they are compiled as one group, or none of them is.
_MODULE = "http1/grammar"


def build_of(package: Path) -> str:
    """`compiled` or `interpreted`, of the devproxy in this folder."""
    is_compiled = any(package.joinpath(f"{_MODULE}{suffix}").is_file() for suffix in EXTENSION_SUFFIXES)
    return "compiled" if is_compiled else "interpreted"


def own_build() -> str:
    """The build of the devproxy that asks."""
    return build_of(Path(__file__).parent)


def version_and_build(version: str, build: str | None) -> str:
    """`0.1.0 (compiled)`; a proxy of an older version does not say its build."""
    return f"{version} ({build})" if build else version


def own_version() -> str:
    """`0.1.0 (compiled)`, of the devproxy that asks."""
    return version_and_build(__version__, own_build())
