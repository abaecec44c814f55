"""deno.json and deno.jsonc: the tasks of a Deno project, and its workspace.

Lives here: reading JSON with comments and commas behind the last item (RFC 8259 has neither; Deno takes both).
"""

import re
from pathlib import Path
from typing import Any

from devproxy.detect.files import json_table
from devproxy.storage.files import manifest_text

FILES = ("deno.json", "deno.jsonc")
# a string, which stays; a comment; a comma before a bracket. What never ends goes to the end, so no text costs much
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*+"?|//[^\n]*|/\*(?:.*?\*/|.*)|,(?=\s*+[\]}])', re.DOTALL)


def deno_config(folder: Path) -> dict[str, Any]:
    """What the folder's deno.json says; empty where there is none that can be read."""
    text = next((text for name in FILES if (text := manifest_text(folder / name))), "{}")
    return parse_jsonc(text)


def parse_jsonc(text: str) -> dict[str, Any]:
    """A table in JSON with comments; empty where it is none."""
    bare = _PIECE.sub(lambda piece: piece[0] if piece[0].startswith('"') else " ", text)
    bare = _PIECE.sub(lambda piece: piece[0] if piece[0].startswith('"') else " ", bare)  # a comma before a comment
    return json_table(bare) or {}
