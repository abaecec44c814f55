"""Golden tests: files with a text, and what is said about it to the letter.

A file of `golden/` holds cases, separated by a line `===`. A case is one or more texts and, last, the problems, parted
by lines `---`. The problems are written as `Problem.text()` prints them.
"""

from pathlib import Path

from devproxy.registry.decode import decode_local, decode_project, decode_user
from devproxy.registry.layers import Linked
from devproxy.registry.merge import merge
from devproxy.registry.model import Project, Registry

FOLDER = Path(__file__).with_name("golden")


def cases(name: str) -> list[tuple[str, ...]]:
    """The cases of `golden/<name>.txt`, each with its texts and its problems."""
    text = (FOLDER / f"{name}.txt").read_text("utf-8")
    return [tuple(case.split("---\n")) for case in text.split("===\n")]


def merged(texts: str) -> Registry:
    """The registry of files in one text, each begun by a line `## <its path>`; `/registry.toml` is the user's."""
    files = dict(part.split("\n", 1) for part in texts.split("## ")[1:])
    user = decode_user(files.get("/registry.toml", ""), "/registry.toml")
    projects = []
    for name, link in (user.value.projects if user.value else {}).items():
        local = link.path.replace("devproxy.toml", "devproxy.local.toml")
        projects.append(
            Linked(
                Project.of(name),
                decode_project(files[link.path], link.path) if link.path in files else None,
                decode_local(files[local], local) if local in files else None,
                link.trust or "",
            )
        )
    return merge(user, projects)
