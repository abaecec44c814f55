"""What may be run without anybody having typed it: a request has started it.

Lives here: the refusal. Pure.
Not here: whose commands are trusted (the registry says it), running them (`group.py`).

It is asked twice: before anything is started, for all of it, and again for each command, by the very reading of the
registry that the command is taken from.
"""

from collections.abc import Sequence
from pathlib import PurePath

from devproxy.errors import DevproxyError, Exit
from devproxy.registry.model import Service


def refuse_untrusted(services: Sequence[Service]) -> None:
    """Raises DevproxyError if the command of one of them is not trusted."""
    service = next((service for service in services if not service.trusted), None)
    if service is None:
        return
    raise DevproxyError(
        f"`{service.id}` is not started by a request",
        why="its command is not trusted, or has changed since it was",
        fix=f"read it, then: devproxy link --trust {PurePath(service.source.file).parent}",
        where=f"{service.source.file}:{service.source.line}",
        exit_code=Exit.REFUSED,
    )
