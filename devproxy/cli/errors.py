"""How an error reads on the terminal, and the exit code it ends with.

Lives here: the way from any exception to a few lines on stderr: what happened, why, and what to do.
Not here: the errors themselves (`devproxy/errors.py`); problems of registry files (`problems.py`).
"""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from devproxy.cli.output import complain_line
from devproxy.errors import DevproxyError, Exit
from devproxy.text import did_you_mean, near_words, safe_lines

INTERRUPTED = 130  # 128 + SIGINT, as every shell reports it


def complain(error: BaseException, argv: Sequence[str] = ()) -> int:
    """Print `error`, which the command line `argv` led to, for a person and return the exit code."""
    if os.environ.get("DEVPROXY_DEBUG") == "1":
        _print_traceback(error)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return INTERRUPTED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message())
        return Exit.USAGE
    if isinstance(error, click.ClickException):
        error = usage_error(error, argv)
    if not isinstance(error, DevproxyError):
        error = surprise(error)
    complain_line(str(error))
    return error.exit_code


def usage_error(error: click.ClickException, argv: Sequence[str] = ()) -> DevproxyError:
    """A command line that click refused, in the words of the rest of devproxy."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    # click's parser does not say which command it was parsing for
    command = context.command_path if context else " ".join(["devproxy", *argv[:1]])
    fix = f"see {command} --help"
    if context and not isinstance(error, click.exceptions.NoSuchCommand):
        fix = f"{context.get_usage().removeprefix('Usage: ')} (see {command} --help)"
    near = did_you_mean(_near(error))
    return DevproxyError(
        f"{command}: {_sentence(error)}",
        fix=f"{near} {fix}" if near else fix,
        exit_code=Exit.USAGE,
    )


def surprise(error: BaseException) -> DevproxyError:
    """An exception nobody expected: what the person can do about it, without a traceback."""
    if isinstance(error, OSError) and error.strerror:
        if not isinstance(error.filename, str | os.PathLike):
            return DevproxyError(error.strerror.lower())
        from devproxy.storage.system_errors import why_and_fix

        why, fix = why_and_fix(error, Path(error.filename))
        return DevproxyError(f"{error.filename} could not be used", why=why, fix=fix)
    return DevproxyError(
        f"devproxy ran into a bug of its own: {type(error).__name__}: {error}",
        why="this is not your mistake: whatever you typed should have got a better answer",
        fix="run it again with DEVPROXY_DEBUG=1 in front and report what it prints",
    )


def _sentence(error: click.ClickException) -> str:
    """What was wrong, without click's capital, quotes and full stop."""
    match error:
        case click.exceptions.NoSuchCommand():
            return f"no command is called `{error.command_name}`"
        case click.exceptions.NoSuchOption():
            return f"no option is called `{error.option_name}`"
        case click.exceptions.MissingParameter() if error.param:
            return f"{error.param.make_metavar(error.ctx) if error.ctx else error.param.name} is missing"
        case click.exceptions.BadParameter() if error.param and error.ctx:
            return f"{error.param.get_error_hint(error.ctx)}: {_lower(error.message)}".replace("'", "`")
    return _lower(error.format_message())


def _lower(text: str) -> str:
    return (text[:1].lower() + text[1:]).rstrip(".")


def _near(error: click.ClickException) -> Sequence[str]:
    """What the person may have meant, if anything is close."""
    from devproxy.cli.app import SUMMARIES

    match error:
        case click.exceptions.NoSuchCommand():
            return near_words(error.command_name, SUMMARIES)
        case click.exceptions.NoSuchOption():
            return list(error.possibilities or [])
    return []


def _print_traceback(error: BaseException) -> None:
    import traceback

    click.echo(safe_lines("".join(traceback.format_exception(error))), err=True, nl=False)
