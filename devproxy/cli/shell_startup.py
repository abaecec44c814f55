"""Where a shell reads what it completes with, and what has to stand there. Pure.

How it works: bash and zsh read a file of the person's own (bash(1) "INVOCATION", zsh(1) "STARTUP/SHUTDOWN FILES"), to
which two lines are added; a line that an older recipe put there is replaced by them. zsh completes only after
`compinit` (zshcompsys(1)), which a fresh account does not call. fish reads a file a program, in a folder that need not
be there yet (fish, "Where to put completions"): that file is all ours.
Not here: writing (`completion.py`).
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from devproxy.text import devproxy_command

_NAMES = "# names and commands of devproxy by Tab\n"
_BASH = _NAMES + 'command -v devproxy >/dev/null && eval "$(devproxy completion bash)"\n'
_ZSH = (
    _NAMES + "(( $+commands[devproxy] )) && { (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i } }"
    ' && eval "$(devproxy completion zsh)"\n'
)
SHELLS = ("bash", "zsh", "fish")
_LINES = {"bash": _BASH, "zsh": _ZSH}


class StartupFile(msgspec.Struct, frozen=True):
    """A file that a shell reads, and what is ours in it: `lines`, or all of it where `is_whole`."""

    shell: str
    path: Path
    lines: str
    is_whole: bool = False

    def edited(self, old: str) -> str:
        """The file's text with ours in it; the same text where that stands there already."""
        if self.is_whole:
            return self.lines
        if self.lines in old:
            return old
        by_hand = f'eval "$({devproxy_command("completion", self.shell)})"'
        old = "".join(line for line in old.splitlines(keepends=True) if line.strip() != by_hand)
        before = "" if not old else "\n" if old.endswith("\n") else "\n\n"
        return f"{old}{before}{self.lines}"

    def is_foreign(self, old: str) -> bool:
        """Whether the whole file would be ours, and something else stands there."""
        return self.is_whole and bool(old.strip()) and "_DEVPROXY_COMPLETE" not in old


def startup_file(shell: str, script: str, environment: Mapping[str, str], home: Path) -> StartupFile:
    """The file for one of SHELLS, and what belongs into it; `script` is what the shell is to read."""
    if shell == "fish":
        config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
        return StartupFile(shell, config / "fish" / "completions" / "devproxy.fish", script, is_whole=True)
    folder = Path(environment.get("ZDOTDIR") or home) if shell == "zsh" else home
    return StartupFile(shell, folder / f".{shell}rc", _LINES[shell])
