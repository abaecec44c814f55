"""Python's virtual environments (PEP 405): the folders by which projects keep one, and what makes a folder one.

Not here: those that Poetry and PDM keep elsewhere (`run/environment.py`), what is installed in one (`python.py`).
"""

import sys
from pathlib import Path

from devproxy.detect.files import is_file

VENVS = (".venv", "venv")
SCRIPTS = "Scripts" if sys.platform == "win32" else "bin"


def is_virtual_environment(place: Path) -> bool:
    """Whether a folder is one that can be used here: not one that was copied from another system."""
    programs = (place / SCRIPTS / name for name in ("python", "python.exe"))
    return is_file(place / "pyvenv.cfg") and any(is_file(program) for program in programs)
