"""One look at a folder: every source, in the order in which they have a say.

Lives here: `survey`.
Not here: the sources (one file each), what is made of the answer (`render.py`, `cli/init.py`).
"""

from pathlib import Path

from devproxy.detect import compose, node, procfile, python
from devproxy.detect.model import Seen, Survey, gather


def survey(root: Path, name: str = "") -> Survey:
    """What `root` says about its services. Reads files below it, runs nothing; `name` is the project's, if given."""
    listed = procfile.look(root)
    packages = [node.look(root), python.look(root)]
    if listed.services:
        packages = [_without_root(seen) for seen in packages]
    return gather([listed, *packages, compose.look(root)], root.name, name)


def _without_root(seen: Seen) -> Seen:
    """A Procfile starts what is at the root already: it would be there twice."""
    kept = tuple(service for service in seen.services if service.cwd != ".")
    left_out = [f"{service.origin} is left out: the Procfile has it" for service in seen.services if service.cwd == "."]
    return Seen(project=seen.project, services=kept, remarks=(*seen.remarks, *left_out))
