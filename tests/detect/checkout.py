"""A folder with files in it, as a checkout would have them."""

from pathlib import Path


def write(root: Path, files: dict[str, str]) -> Path:
    """`root` with `files`, by their paths below it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return root
