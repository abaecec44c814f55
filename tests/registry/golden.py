"""Golden tests: files with a text, and what is said about it to the letter.

A file of `golden/` holds cases, separated by a line `===`. A case is one or more texts and, last, the problems, parted
by lines `---`. The problems are written as `Problem.text()` prints them.
"""

from pathlib import Path

FOLDER = Path(__file__).with_name("golden")


def cases(name: str) -> list[tuple[str, ...]]:
    """The cases of `golden/<name>.txt`, each with its texts and its problems."""
    text = (FOLDER / f"{name}.txt").read_text("utf-8")
    return [tuple(case.split("---\n")) for case in text.split("===\n")]
