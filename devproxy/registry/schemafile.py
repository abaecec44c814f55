"""The schema beside a registry file: what the first line of a file that devproxy begins points at, for editors.

Lives here: keeping it as this version of devproxy has it.
Not here: what it says (`json_schema.py`), that first line (`edit.py`), the writing (`storage/files.py`).

Only commands that write call it; it stands beside the name that a person opens, not beside the target of a symlink.
"""

from pathlib import Path

from devproxy.paths import SCHEMA_FILE
from devproxy.registry.json_schema import json_schema
from devproxy.storage.files import update


def put_schema(beside: Path, *, private: bool = True) -> None:
    """Write the schema into the folder of the registry file `beside`, unless it is there; `private` as in `update`.

    In a project's folder (`private=False`) a symlink is left alone: it came with the repository, and could lead to any
    file of yours. Blocks (disk, lock). Raises DevproxyError.
    """
    file = beside.with_name(SCHEMA_FILE)
    if private or not file.is_symlink():
        update(file, lambda _: json_schema(), private=private)
