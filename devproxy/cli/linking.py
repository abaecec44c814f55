"""What a project's file becomes in the user registry: under which name it is linked, and whether it is trusted.

Lives here: `linked`, from the registry's text to its new text.
Not here: the command line (`link.py`), writing (`registry_edit.py`), the edits (`registry/edit.py`).

The first checkout of a project has its plain name. One in a git worktree gets its branch as a label, any other one the
label that `--as` gives it. A checkout keeps the label that it was linked by, unless it is in a worktree whose branch is
another one now.
"""

from pathlib import Path

import msgspec

from devproxy.errors import DevproxyError
from devproxy.registry.checkout import joined, split
from devproxy.registry.decode import Decoded
from devproxy.registry.edit import link_project, trust_project, unlink_project
from devproxy.registry.loader import place
from devproxy.registry.schema import UserFile


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A project's file (absolute), its own name, the label of its git worktree ("": it is in none) and what was asked
    for: another label, `force`, and the digest to trust ("" none any more, None as it was)."""

    file: Path
    name: str
    worktree: str = ""
    label: str | None = None
    force: bool = False
    trust: str | None = None


class Link(msgspec.Struct, frozen=True):
    """The name that a file is linked by, the registry's text with it, and the checkouts that are gone from both."""

    key: str
    text: str
    gone: tuple[str, ...] = ()


def linked(text: str, user: Decoded[UserFile], wish: Wish) -> Link:
    """The registry with the file in it. Raises DevproxyError where somebody else has the name."""
    links = user.value.projects if user.value else {}
    files = {key: place(user.file, link.path) for key, link in links.items()}
    own = [key for key, file in files.items() if file == wish.file]
    key = _key(files, own, wish)
    holder = files.get(key)
    if holder not in (None, wish.file) and not wish.force and not (split(key)[0] and not holder.exists()):
        raise _taken(key, holder)
    gone = [other for other, file in files.items() if _is_gone_beside(other, file, wish.name) and other != key]
    trust = next((links[one].trust for one in own), msgspec.UNSET) or ""
    for other in {*own, *gone} - {key}:  # it was renamed, or its worktree was removed
        text = unlink_project(text, other)
    text = link_project(text, key, str(wish.file), replace=True)
    return Link(key, trust_project(text, key, trust if wish.trust is None else wish.trust), tuple(gone))


def _key(files: dict[str, Path], own: list[str], wish: Wish) -> str:
    if wish.label is not None:
        return joined(wish.label, wish.name)
    known = [key for key in own if split(key)[1] == wish.name]
    if known and (not wish.worktree or _is_numbered(split(known[0])[0], wish.worktree)):
        return known[0]
    key, number = joined(wish.worktree, wish.name), 1
    while wish.worktree and key in files and key not in own and files[key].exists():  # two branches, one label
        number += 1
        key = joined(f"{wish.worktree}-{number}", wish.name)
    return key


def _is_numbered(label: str, worktree: str) -> bool:
    number = label.removeprefix(f"{worktree}-")
    return label == worktree or (label != number and number.isdecimal())


def _is_gone_beside(key: str, file: Path, name: str) -> bool:
    """Whether a link is to a checkout of the project `name` that is not there any more."""
    label, base = split(key)
    return bool(label) and base == name and not file.exists()


def _taken(key: str, holder: Path) -> DevproxyError:
    return DevproxyError(
        f"the project `{key}` is linked already, to another file",
        why=f"it is {holder}",
        fix="devproxy link --as NAME links this one beside it, with NAME in its hostnames; --force takes the name over",
    )
