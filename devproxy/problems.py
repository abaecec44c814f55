"""A problem in a registry file, and how it prints.

Lives here: the type and its one-line and several-line forms.
Not here: finding problems (`registry/decode.py`, `registry/merge.py`), or `github`/`sarif` output (`cli/check.py`).
"""

from typing import Literal

import msgspec

Severity = Literal["error", "warning"]


class Problem(msgspec.Struct, frozen=True, kw_only=True, order=False):
    """One thing that is wrong in a file: what (`message`), why, and the line that fixes it.

    `file` is absolute; `line` and `column` count from 1 (column in characters), 0 where no place is known.
    `code` is stable (`unknown-key`, `wrong-type`, …): scripts may rely on it. `service` is the name, as its file
    has it, of the service that it is about, if it is about one.
    """

    code: str
    message: str
    file: str
    line: int = 0
    column: int = 0
    why: str = ""
    fix: str = ""
    severity: Severity = "error"
    service: str = ""

    @property
    def where(self) -> str:
        """`file:line:column`, without the parts that are not known."""
        parts = [self.file]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)

    def text(self) -> str:
        """As a compiler prints it: the place and the sentence, then `why:` and `fix:` indented."""
        lines = [f"{self.where}: {self.severity}: {self.message} [{self.code}]"]
        if self.why:
            lines.append(f"  why: {self.why}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)
