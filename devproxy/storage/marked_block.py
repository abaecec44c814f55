"""The lines of ours in a file that is somebody else's: those between two marker lines, and no others.

Lives here: putting a block into the content of a file, finding it, taking it out. Content is bytes, because whatever
encoding a comment is in, what stands outside of the block stays byte for byte as it was. Pure.

    # >>> devproxy env >>>
    DB_PORT=5432
    # <<< devproxy env <<<

How it works: lines end at LF, as in every program that reads such a file; the block has the line ends of the file (its
own first line's, where it is there already). A new one goes to the end. Where the file's last line has no end, the
block's last line has none either: so removal can tell that the line end before the block was ours, and gives back the
file as it was. Markers that do not make one block are refused, with their line numbers: nothing is guessed, for
whatever stands between a lonely marker and the end of the file may be a person's.
Not here: writing the file (`files.py`: `update_block`, `change_bytes`), what stands in the block.
"""

from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from devproxy.errors import DevproxyError
from devproxy.text import listed


class DamagedBlockError(ValueError):
    """The file cannot be edited: `what` is wrong, `why`, how to `fix` it, and the number of the first line it is about
    (0: the whole file)."""

    def __init__(self, what: str, why: str, fix: str, line: int = 0):
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.line = line

    def told(self, path: object) -> DevproxyError:
        """The same for a person, of the file at `path`."""
        where = f"{path}:{self.line}" if self.line else str(path)
        return DevproxyError(self.what, why=self.why, fix=self.fix, where=where)


class _Place(NamedTuple):
    """Where a block is: offsets of its first byte, of what follows its last marker, and of the next line."""

    begin: int
    end: int
    next_line: int
    newline: bytes


def begin_marker(name: str) -> str:
    """The line before the block called `name`."""
    return f"# >>> {name} >>>"


def end_marker(name: str) -> str:
    """The line after it."""
    return f"# <<< {name} <<<"


def with_block(content: bytes, name: str, lines: Sequence[str]) -> bytes:
    """`content` with exactly these lines in its block called `name`, which is added at the end if there is none.

    Raises DamagedBlockError.
    """
    begin, end = begin_marker(name), end_marker(name)
    if any("\n" in line or "\r" in line or "\0" in line or line.strip() in (begin, end) for line in lines):
        raise ValueError("a line of a block is one line of text, and none of its markers")
    wanted = [begin, *lines, end]
    place = _find(content, name)
    if place is not None:
        return content[: place.begin] + _joined(wanted, place.newline) + content[place.end :]
    newline = _newline(content)
    if content.removeprefix(BOM_UTF8) and not content.endswith(b"\n"):
        return content + newline + _joined(wanted, newline)
    return content + _joined(wanted, newline) + newline


def without_block(content: bytes, name: str) -> bytes:
    """`content` without the block called `name`: as it was before `with_block` added it. Raises DamagedBlockError."""
    place = _find(content, name)
    if place is None:
        return content
    before, after = content[: place.begin], content[place.next_line :]
    is_at_the_end = place.end == place.next_line
    return (before.removesuffix(place.newline) if is_at_the_end else before) + after


def block_lines(content: bytes, name: str) -> list[str] | None:
    """The lines in the block called `name`; None where there is none. Raises DamagedBlockError."""
    place = _find(content, name)
    if place is None:
        return None
    inner = content[place.begin : place.end].decode("utf-8", "surrogateescape").split("\n")[1:-1]
    return [line.removesuffix("\r") for line in inner]


def _joined(lines: Sequence[str], newline: bytes) -> bytes:
    return newline.join(line.encode("utf-8", "surrogateescape") for line in lines)


def _newline(content: bytes) -> bytes:
    """The line end that the file's first line has."""
    first = content.find(b"\n")
    return b"\r\n" if first > 0 and content[first - 1 : first] == b"\r" else b"\n"


def _find(content: bytes, name: str) -> _Place | None:
    """The one block called `name`. Raises DamagedBlockError where the markers make none, or more than one."""
    if b"\0" in content:
        raise DamagedBlockError(
            "this is no text that lines could be added to",
            "it has NUL bytes: a binary file, or UTF-16",
            "save it as UTF-8, or name another file",
        )
    begin, end = begin_marker(name).encode(), end_marker(name).encode()
    begins: list[tuple[int, int, bytes]] = []
    ends: list[tuple[int, int, bytes]] = []
    for number, (offset, line) in enumerate(_lines(content), 1):
        stripped = line.strip()
        if stripped == begin:
            begins.append((number, offset, line))
        elif stripped == end:
            ends.append((number, offset, line))
    if not begins and not ends:
        return None
    if len(begins) != 1 or len(ends) != 1 or begins[0][0] > ends[0][0]:
        raise _damaged(name, [number for number, *_ in begins], [number for number, *_ in ends])
    (_, first, first_line), (_, last, last_line) = begins[0], ends[0]
    newline = b"\r\n" if first_line.endswith(b"\r\n") else b"\n"
    line_end = b"\r\n" if last_line.endswith(b"\r\n") else b"\n"
    return _Place(first, last + len(last_line.removesuffix(line_end)), last + len(last_line), newline)


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Each line with its end, and its offset; a byte order mark belongs to none."""
    offset = len(BOM_UTF8) if content.startswith(BOM_UTF8) else 0
    while offset < len(content):
        end = content.find(b"\n", offset) + 1 or len(content)
        yield offset, content[offset:end]
        offset = end


def _damaged(name: str, begins: Sequence[int], ends: Sequence[int]) -> DamagedBlockError:
    """What is wrong with markers on these lines, of which there is at least one."""
    markers = ((begin_marker(name), begins), (end_marker(name), ends))
    why = "; ".join(f"`{marker}` stands on {_numbered(lines)}" for marker, lines in markers if lines)
    line = min([*begins, *ends])
    if begins and ends:
        what, fix = "its two marker lines must be there once each, in order", "keep one block, and remove the others"
    else:
        missing, verb = (end_marker(name), "ends") if begins else (begin_marker(name), "begins")
        what = f"the line `{missing}` is missing"
        fix = f"add it where the block {verb}, or remove what is left of the block"
    return DamagedBlockError(f"the block `{name}` is damaged: {what}", why, fix, line)


def _numbered(lines: Sequence[int]) -> str:
    return f"line{'s' if len(lines) > 1 else ''} {listed([str(line) for line in lines])}"
