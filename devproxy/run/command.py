"""A service's command as it is started: placeholders, environment, folder.

Lives here: `prepare`.
Not here: starting it (`session.py`), flags of frameworks (`frameworks.py`).
"""

from collections.abc import Sequence

import msgspec

from devproxy.registry.model import Registry, Service


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What to start: `argv` is exec'ed (a shell's text is `sh -c text`), `env` is laid over the own environment.

    `port` is the one the command will listen on: the one that was given, unless the command names another itself.
    `notes` are for a person.
    """

    argv: list[str]
    env: dict[str, str]
    cwd: str
    port: int
    notes: list[str] = []


def prepare(
    service: Service,
    *,
    port: int,
    registry: Registry,
    http_port: int | None,
    argv: Sequence[str] | None = None,
) -> Prepared:
    """The command of `service`, or `argv` in its place, to listen on `port`.

    `http_port` is the port of the running proxy (None: the one that it will take). Raises DevproxyError: the service
    has no command; a placeholder cannot be filled in.
    """
    raise NotImplementedError
