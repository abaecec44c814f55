"""`devproxy env`: where services are, as variables, for programs that devproxy does not start.

Not here: which variables there are (`variables/names.py`), how each format is written (`variables/formats.py`).
How: stdout has the variables and nothing else, for a shell evaluates it; whatever there is to say is on stderr.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from devproxy.cli.arguments import complete_service, services_meant
from devproxy.cli.context import CommandContext, load_context, remark_stopped
from devproxy.cli.output import remark
from devproxy.cli.url import no_address
from devproxy.errors import DevproxyError, Exit
from devproxy.registry.model import Service
from devproxy.text import plural, safe
from devproxy.variables.formats import FORMATS, SHELLS, formatted
from devproxy.variables.names import variables


@click.command("env")
@click.argument("names", nargs=-1, metavar="[SERVICE...]", shell_complete=complete_service)
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    help="How it is written: for a POSIX shell (the default), for a .env file, as JSON, for fish, for PowerShell, or"
    " for the file that GITHUB_ENV names.",
)
@click.option(
    "--write",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Keep a marked block of a .env file current instead; all else in it stays as it is.",
)
def command(names: tuple[str, ...], kind: str | None, file: Path | None) -> None:
    """Print where services are, as variables for other programs.

    Those of the project one stands in, in this checkout, or of each SERVICE. Of a service `db` of project `shop`:
    DB_URL, DB_HOST and DB_PORT, and the same as SHOP_DB_URL, SHOP_DB_HOST and SHOP_DB_PORT; `env_names` in its table
    adds others, such as DATABASE_URL. They say what a client uses: of a web service its name and the proxy's port, as
    in its URL; of a TCP service the address of its `listen`, which stays, or without one the service's own.

    For a shell, once there is a local CA, they also name the files that have a program trust its certificates beside
    the system's (SSL_CERT_FILE, NODE_EXTRA_CA_CERTS and their like), unless the shell has such a variable already.

    `write_env = ".env.local"` at the top of a project's file has the running proxy do what --write does, on every
    change.

    \b
    sh, bash, zsh, direnv's .envrc   eval "$(devproxy env)"
    fish                             devproxy env --format fish | source
    PowerShell                       devproxy env --format powershell | Out-String | Invoke-Expression
    GitHub Actions                   devproxy env --format github >> "$GITHUB_ENV"
    """
    if file is not None and kind not in (None, "dotenv"):
        raise DevproxyError(
            f"--write cannot be combined with --format {kind}",
            why="the block that it keeps is one of a .env file",
            fix="leave out --format, or write the output into the file: > FILE",
            exit_code=Exit.USAGE,
        )
    view = load_context()
    services = services_meant(view.registry, names, Path.cwd())
    found = variables(services, view.ports)
    for service in services if names else ():
        if not service.serves:
            raise DevproxyError(
                f"`{service.id}` has no address",
                why=f"it is a {service.kind}, which listens nowhere",
                fix="leave it out",
                where=service.source.where,
            )
        if service in found.without:
            raise no_address(service)
    for text in found.remarks:
        remark(safe(text), fg="yellow")
    if file is None:
        values = found.values | (_certificates(view, services) if kind in (None, *SHELLS) else {})
        click.echo(formatted(values, kind or "shell").encode("utf-8"), nl=False)  # whatever the locale says
    else:
        from devproxy.variables.env_file import write_variables

        changed = write_variables(file, found.values)
        remark(safe(f"{file}: {plural(len(found.values), 'variable')}{'' if changed else ', as before'}"))
    remark_stopped(view)


def _certificates(view: CommandContext, services: Sequence[Service]) -> dict[str, str]:
    """The variables by which programs trust our certificates (`ca_bundle`)."""
    if view.ports.https is None or not any(service.ca_bundle for service in services):
        return {}
    from devproxy.tls.bundle import trust_variables

    try:
        return trust_variables(view.paths, os.environ)
    except DevproxyError as error:
        remark(str(error), fg="yellow")
        return {}
