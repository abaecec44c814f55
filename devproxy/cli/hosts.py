"""`devproxy hosts`: a block in the system's hosts file with the names of services.

Lives here: the command line, what it says, and who writes: the command itself where it may, else sudo.
Not here: what stands in the block (`net/hosts_file.py`), where in the file (`storage/marked_block.py`).

How it works: the file is root's, the registry is not. So the command reads the registry as whoever types it, and for
the write alone it runs itself by sudo, with the finished block on its standard input: that process (`--stdin`) reads no
registry, and takes plain names on loopback addresses only. Each user has a block of their own: two people on one
machine have two registries.
"""

import contextlib
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click

from devproxy.cli.context import CommandContext, load_context
from devproxy.cli.output import print_json, remark, say
from devproxy.cli.root_rights import USER_NAME, by_sudo, refuse_sudo, who_asks
from devproxy.errors import DevproxyError, Exit
from devproxy.net.hosts_file import (
    HostsLine,
    all_lines,
    block_lines,
    checked_lines,
    conflicts,
    difference,
    has_shared,
    order_fault,
    outside_lines,
    own_lines,
    read_lines,
    wildcards,
)
from devproxy.net.name_lookup import REREAD, astray_after
from devproxy.paths import as_root, hosts_file, is_root
from devproxy.problems import Wrong
from devproxy.storage import files, marked_block
from devproxy.storage.system_errors import why_and_fix
from devproxy.text import devproxy_command, plural, quote

_TITLE: Final = "devproxy hosts"
_NSSWITCH: Final = Path("/etc/nsswitch.conf")
_NSCD: Final = Path("/run/nscd/socket")


class HostsBlock(NamedTuple):
    """Our block in the file as it is, and the lines that are to stand in it."""

    file: Path
    title: str
    content: bytes
    wanted: list[HostsLine]

    @property
    def present(self) -> list[HostsLine]:
        """The lines that it has. Raises DevproxyError where its markers are damaged."""
        with _explaining(self.file):
            return read_lines("\n".join(marked_block.block_lines(self.content, self.title) or []))

    @property
    def conflicts(self) -> list[HostsLine]:
        """Lines outside of it that lead its names elsewhere."""
        marks = marked_block.begin_marker(self.title), marked_block.end_marker(self.title)
        return conflicts(outside_lines(self.content.decode("utf-8", "surrogateescape"), *marks), self.wanted)

    @property
    def kind(self) -> str:
        """The option that says which names these are."""
        return "--all" if has_shared(self.wanted) else "--own"

    @property
    def apply(self) -> str:
        """The command that writes it."""
        is_same_kind = has_shared(self.wanted) == has_shared(self.present)
        return devproxy_command("hosts", "--apply", *(() if is_same_kind else (self.kind,)))

    @property
    def text(self) -> str:
        """The block with its markers; without lines they alone."""
        return marked_block.with_block(b"", self.title, block_lines(self.wanted)).decode()

    def edit(self, content: bytes) -> bytes:
        """The file with it; without it where there are no lines."""
        lines = block_lines(self.wanted)
        with _explaining(self.file):
            if not lines:
                return marked_block.without_block(content, self.title)
            return marked_block.with_block(content, self.title, lines)


@click.command("hosts")
@click.option("--apply", is_flag=True, help="Write the block, or bring it up to date.")
@click.option("--remove", is_flag=True, help="Take the block out; the rest stays as it is, byte for byte.")
@click.option("--check", is_flag=True, help="Say what is missing or too much; exit code 1 if anything is.")
@click.option(
    "--all/--own",
    "everything",
    default=None,
    help="Every registered name, or only those with an address of their own; without either, as the block has it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option("--stdin", "given", is_flag=True, help="With --apply: the block as this command has printed it.")
def command(*, apply: bool, remove: bool, check: bool, everything: bool | None, as_json: bool, given: bool) -> int:
    """Keep names in the system's hosts file, in a marked block: without an option, print it.

    \b
    devproxy hosts --apply         names of services with `address = "own"`
    devproxy hosts --apply --all   every name, for programs that do not resolve *.localhost
    devproxy hosts --remove        leaves the file as it was

    Where the file is root's, sudo is asked for the write alone.
    """
    if apply + remove + check > 1:
        raise click.UsageError("--apply, --remove and --check are three different things: choose one")
    if given:
        if not apply or everything is not None:
            raise click.UsageError("--stdin goes with --apply alone: the block says which names")
        _write_given(as_json)
        return Exit.GOOD
    if remove:
        _change(_block([]), as_json)
        return Exit.GOOD
    view = _view()
    block = _block([])
    whole = has_shared(block.present) if everything is None else everything
    block = block._replace(wanted=all_lines(view.registry) if whole else own_lines(view.registry.services))
    if apply:
        _change(block, as_json)
        _remark_rest(view, block, whole, REREAD)
        return Exit.GOOD
    if check:
        return _check(block, as_json)
    _print(block, as_json)
    _remark_rest(view, block, whole)
    return Exit.GOOD


def _view() -> CommandContext:
    """The registry of whoever types the command. Raises DevproxyError where sudo hides it."""
    refuse_sudo(devproxy_command("hosts", "--apply"))
    return load_context()


def _block(wanted: list[HostsLine]) -> HostsBlock:
    file = hosts_file()
    with _explaining(file):
        content = files.read(file, any_owner=True, limit=files.MAX_SYSTEM_BYTES) or b""
    return HostsBlock(file, _title(), content, wanted)


def _title() -> str:
    """The block's name: of whoever types the command, also by sudo."""
    if sys.platform == "win32":
        return _TITLE
    return f"{_TITLE} of {who_asks()}"


def _print(block: HostsBlock, as_json: bool) -> None:
    if as_json:
        print_json(_row(block))
        return
    if block.wanted:
        say(block.text.rstrip("\n"))
    else:
        remark('no service has an address of its own (`address = "own"`); for every name: devproxy hosts --all')
    missing, surplus = difference(block.present, block.wanted)
    if missing or surplus:
        remark(f"{block.file} does not have it so: {block.apply}", fg="yellow")
    elif block.wanted:
        remark(f"{block.file} has it")


def _check(block: HostsBlock, as_json: bool) -> int:
    missing, surplus = difference(block.present, block.wanted)
    if as_json:
        print_json(_row(block))
    for words, lines in (("missing", missing), ("too much", surplus)):
        for line in () if as_json else lines:
            say(f"{words:<8}  {line.text}")
    _remark_conflicts(block)
    if missing or surplus:
        remark(f"{block.file} is not as it should be: {block.apply}", fg="yellow")
    elif not block.conflicts:
        remark(f"{block.file} is current: {_count(block.wanted)}", fg="green")
    return Exit.BAD_NEWS if missing or surplus or block.conflicts else Exit.GOOD


def _count(lines: Sequence[HostsLine]) -> str:
    return plural(len({line.name for line in lines}), "name")


def _row(block: HostsBlock, changed: bool | None = None) -> dict[str, object]:
    missing, surplus = difference(block.present, block.wanted)
    row: dict[str, object] = {
        "file": str(block.file),
        "current": not missing and not surplus,
        "names": [_pair(line) for line in block.wanted],
        "missing": [_pair(line) for line in missing],
        "surplus": [_pair(line) for line in surplus],
        "conflicts": [{**_pair(line), "line": line.line} for line in block.conflicts],
    }
    return row if changed is None else {**row, "changed": changed}


def _pair(line: HostsLine) -> dict[str, str]:
    return {"address": line.address, "name": line.name}


# Writing.


def _write_given(as_json: bool) -> None:
    """Write the block that is on standard input, whose user its markers name."""
    text = sys.stdin.buffer.read(files.MAX_BYTES)
    found = re.match(rb"# >>> (%s(?: of %s)?) >>>\r?\n" % (_TITLE.encode(), USER_NAME.encode()), text)
    if found is None:
        raise DevproxyError(
            "no block of devproxy's is on standard input",
            fix=f"{devproxy_command('hosts')} prints it",
            exit_code=Exit.USAGE,
        )
    title = found[1].decode()
    with _explaining(Path("-")):
        lines = marked_block.block_lines(text, title) or []
    try:
        wanted = checked_lines("\n".join(lines))
    except Wrong as wrong:
        raise DevproxyError(wrong.what, why=wrong.why, fix=wrong.fix, exit_code=Exit.REFUSED) from wrong
    _change(_block(wanted)._replace(title=title), as_json)


def _change(block: HostsBlock, as_json: bool) -> None:
    """Write the file, or have it written. Raises DevproxyError."""
    try:
        with _explaining(block.file):
            changed = files.change_bytes(block.file, block.edit)
    except PermissionError as error:
        if is_root() or sys.platform == "win32":
            raise _not_written(block.file, error) from error
        _change_by_sudo(block, quiet=as_json)
        if as_json:
            print_json(_row(_again(block), changed=True))
        return
    except OSError as error:
        raise _not_written(block.file, error) from error
    if as_json:
        print_json(_row(_again(block), changed=changed is not None))
    elif changed is None:
        say(f"nothing to do: {block.file} {'is current' if block.wanted else 'has no block of yours'}")
    else:
        what = _count(block.wanted) if block.wanted else "the block is out"
        say(f"written: {block.file} ({what})")
    if changed is not None and changed.copy is not None:
        remark(
            f"note: {block.file} is a mount point, as in a container, where no file can be put in its place: it was "
            f"written in place, and a copy kept at {changed.copy} until that was done"
        )


def _again(block: HostsBlock) -> HostsBlock:
    """The same, with what the file has now."""
    return _block(block.wanted)._replace(title=block.title)


def _change_by_sudo(block: HostsBlock, *, quiet: bool) -> None:
    from devproxy.run.interpreter import as_typed

    piped = f"{as_typed()} hosts {block.kind}" if block.wanted else ""
    words, alone = ("hosts", "--apply", "--stdin"), ("hosts", "--remove")
    by_sudo(block.file, words, block.text.encode(), piped=piped, alone=alone, quiet=quiet)


def _not_written(file: Path, error: OSError) -> DevproxyError:
    import errno

    why, fix = why_and_fix(error, file)
    if sys.platform == "win32" and isinstance(error, PermissionError):
        why, fix = "permission denied", "do it in a terminal that was opened as administrator"
    elif isinstance(error, PermissionError):
        why, fix = "permission denied, for root too", f"see whether it is immutable: lsattr {quote(file)}"
    elif error.errno == errno.EROFS:
        why = "its file system is read-only"
        fix = "write the names where the system's configuration is made (NixOS: networking.extraHosts), or remount it"
    return DevproxyError(f"{file} could not be written", why=why, fix=fix)


@contextlib.contextmanager
def _explaining(file: Path) -> Iterator[None]:
    """What cannot be read or edited, in words for a person."""
    try:
        yield
    except marked_block.DamagedBlockError as error:
        raise error.told(file) from error
    except files.UnreadableError as error:
        problem = error.problem
        raise DevproxyError(problem.message, why=problem.why, fix=problem.fix, where=str(file)) from error


# What else there is to say, on stderr.


def _remark_rest(view: CommandContext, block: HostsBlock, whole: bool, patience: float = 0.0) -> None:
    if view.registry.has_errors:
        remark("services with an error in their file are left out: devproxy check", fg="yellow")
    if whole and (names := wildcards(view.registry)):
        remark(f"a hosts file has no wildcards, so these are not in it: {', '.join(names)}")
    _remark_conflicts(block)
    block = _again(block)
    if not any(difference(block.present, block.wanted)):
        _remark_astray(own_lines(view.registry.services), patience)


def _remark_conflicts(block: HostsBlock) -> None:
    for line in block.conflicts:
        wanted = next(one.address for one in block.wanted if one.name == line.name)
        remark(
            f"{block.file}:{line.line}: {line.name} is {line.address} there, not {wanted}: take that line out",
            fg="yellow",
        )


def _remark_astray(own: list[HostsLine], patience: float) -> None:
    """Say why names do not lead where the file says, if `patience` seconds later they still do not."""
    wrong = astray_after(own, patience)
    if wrong is None:
        return
    reason = order_fault(files.manifest_text(_NSSWITCH) or "")
    fix = "put `files` first on its line `hosts:`" if reason else ""
    if not reason and sys.platform == "darwin":
        reason, fix = "the system may still know the old answer", as_root("dscacheutil -flushcache")
    elif not reason and _NSCD.exists():
        reason, fix = "nscd may still know the old answer", as_root("nscd -i hosts")
    remark(f"{wrong.text}, though the hosts file says so{f': {reason}; {fix}' if reason else ''}", fg="yellow")
