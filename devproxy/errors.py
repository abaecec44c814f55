"""What a person can be told when something goes wrong.

Lives here: the one exception that the command line prints, and the exit codes.
Not here: registry problems (`problems.py`), which are data, not exceptions; HTTP answers (`proxy/error_pages.py`).
"""

from enum import IntEnum

from devproxy.text import safe, safe_lines


class Exit(IntEnum):
    """Exit codes of every command."""

    GOOD = 0
    BAD_NEWS = 1  # the answer is bad news: a check failed, a service is down
    USAGE = 2
    NOT_RUNNING = 3  # the proxy is not running and is needed
    REFUSED = 4  # refused for safety


class DevproxyError(Exception):
    """An error for a person: `what` happened, `why`, how to `fix` it, and `where` (`file:line:column`, or a path)."""

    def __init__(self, what: str, *, why: str = "", fix: str = "", where: str = "", exit_code: Exit = Exit.BAD_NEWS):
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.where = where
        self.exit_code = exit_code

    def __str__(self) -> str:
        """Several lines: the sentence, then `why:` and `fix:` where there is something to say."""
        lines = [safe(f"{self.where}: {self.what}" if self.where else self.what)]
        # they may be several lines, such as what a program has said; none of them passes for one of ours
        lines += [
            f"  {word}: {safe_lines(text)}".replace("\n", "\n       ")
            for word, text in (("why", self.why), ("fix", self.fix))
            if text
        ]
        return "\n".join(lines)
