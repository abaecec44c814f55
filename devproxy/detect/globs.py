"""The globs by which a workspace names its members, as npm, pnpm, yarn, bun and uv write them.

Lives here: `GlobSet`, which says whether a folder is meant: `packages/*`, `apps/**`, `{apps,packages}/*`, `apps/[aw]*`,
`@(apps|packages)/*`, and with a `!` before it what is not meant after all.

How it works: braces are written out first (bracex), each glob is split at its slashes, as minimatch does, and each
part is a regular expression (wcmatch) for one name. The names of a path are then taken one after the other, with the
set of the places in the glob that can be reached: `**` stays where it is, or is passed over. What a glob may cost is
bounded, since it may come from anywhere: stars in a name, repetitions that could be read in two ways, alternatives.
"""

import re
from collections.abc import Iterable, Sequence

MOST_GLOBS = 50
MOST_STARS = 3  # in a name: matching is polynomial in them
MOST_ALTERNATIVES = 200  # of one glob, with its braces written out
LONGEST = 1000  # characters of a glob
_REPEATED = re.compile(r"[*+]\(([^()]*)\)?")
_PLAIN = re.compile(r"[\w@.-]+(?:\|[\w@.-]+)*")

# one part of a glob; None is `**`
_Part = re.Pattern[str] | None


class GlobSet:
    """Globs, of which a path fits one that means it and none with a `!`; `refused` are those that cost too much."""

    def __init__(self, globs: Iterable[str]):
        self.refused: list[str] = []
        self._wanted: list[tuple[_Part, ...]] = []
        self._unwanted: list[tuple[_Part, ...]] = []
        for index, glob in enumerate(globs):
            bare = glob.lstrip("!")
            found = _parts(bare) if index < MOST_GLOBS else None
            if found is None:
                self.refused.append(glob)
                continue
            (self._unwanted if (len(glob) - len(bare)) % 2 else self._wanted).extend(found)

    def __bool__(self) -> bool:
        """Whether anything fits at all."""
        return bool(self._wanted)

    def fits(self, path: Sequence[str]) -> bool:
        """Whether the path, name by name, is meant."""
        return any(_fits(parts, path) for parts in self._wanted) and not any(
            _fits(parts, path) for parts in self._unwanted
        )


def _parts(glob: str) -> list[tuple[_Part, ...]] | None:
    """Each way to write the glob out, part by part; None where it would cost too much to match."""
    import bracex  # only where there are globs: both take as long as the rest of a command
    from wcmatch import fnmatch

    if len(glob) > LONGEST:
        return None
    try:
        texts = bracex.expand(glob, keep_escapes=True, limit=MOST_ALTERNATIVES)
    except bracex.ExpansionLimitException:
        return None
    found = []
    for text in texts:
        names = [name for name in text.split("/") if name not in {"", "."}]
        if not names or text.startswith("/") or ".." in names:
            continue  # nothing outside of the root
        if not all(name == "**" or _is_cheap(name) for name in names):
            return None
        flags = fnmatch.EXTMATCH | fnmatch.CASE | fnmatch.FORCEUNIX
        found.append(
            tuple(None if name == "**" else re.compile(fnmatch.translate(name, flags=flags)[0][0]) for name in names)
        )
    return found


def _is_cheap(name: str) -> bool:
    """Whether a name cannot be matched in more ways than a few stars allow."""
    repeated = list(_REPEATED.finditer(name))
    return (
        name.count("*") + name.count("+(") <= MOST_STARS
        and len(repeated) <= 1
        and all(_PLAIN.fullmatch(found[1]) and _is_prefix_free(found[1].split("|")) for found in repeated)
    )


def _is_prefix_free(words: list[str]) -> bool:
    """No word begins with another one: what is made of them can be read in one way only."""
    return not any(one.startswith(other) for at, one in enumerate(words) for other in words[:at] + words[at + 1 :])


def _fits(parts: tuple[_Part, ...], path: Sequence[str]) -> bool:
    places = _reached(parts, {0})
    for name in path:
        further = set()
        for place in places:
            if place == len(parts):
                continue
            part = parts[place]
            if part is None:
                further.add(place)
            elif _matches(part, name):
                further.add(place + 1)
        places = _reached(parts, further)
    return len(parts) in places


def _matches(part: re.Pattern[str], name: str) -> bool:
    return part.fullmatch(name) is not None


def _reached(parts: tuple[_Part, ...], places: set[int]) -> set[int]:
    """These places, and those behind each `**` among them, which may stand for nothing."""
    found = set(places)
    for place in sorted(places):
        while place < len(parts) and parts[place] is None:
            place += 1  # noqa: PLW2901
            found.add(place)
    return found
