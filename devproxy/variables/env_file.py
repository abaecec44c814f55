"""The block of variables in a `.env` file: what `devproxy env --write` and `write_env` keep current.

How it works: the lines of `formats.dotenv_lines` are one marked block of the file (`storage/marked_block.py`); all else
in it is left byte for byte, and nothing is written where the block says so already.
"""

from collections.abc import Mapping
from pathlib import Path

from devproxy.storage.files import update_block
from devproxy.variables.formats import dotenv_lines

BLOCK = "devproxy env"


def write_variables(path: Path, values: Mapping[str, str]) -> bool:
    """Make `values` the block in the file at `path`, which is made if there is none; whether that changed anything.

    Blocks (disk, lock). Raises DevproxyError.
    """
    return update_block(path, BLOCK, dotenv_lines(values), private=False)
