"""A survey as the text of a first devproxy.toml, which its owner then edits. Pure."""

from typing import Any

from devproxy.detect.model import Candidate, Survey
from devproxy.text import safe

_HEAD = """\
# The services of this project: names instead of ports, for everyone who has it checked out.
# `devproxy up` starts them, each at http://SERVICE.{project}.localhost; `devproxy check` validates this file.
project = "{project}"
"""


def document(survey: Survey) -> str:
    """The file's text; it reads back as a valid project file."""
    return _HEAD.format(project=survey.project) + "".join(_table(service) for service in survey.services)


def _table(service: Candidate) -> str:
    import tomli_w

    keys: dict[str, Any] = {"kind": service.kind} if not service.serves else {}
    if service.protocol != "http":
        keys["protocol"] = service.protocol
    if service.port is not None:
        keys |= {"upstream": f"https://localhost:{service.port}"} if service.speaks_tls else {"port": service.port}
    if service.listen is not None:
        keys["listen"] = service.listen
    if service.scheme:
        keys["scheme"] = service.scheme
    if service.command is not None:
        keys["command"] = list(service.command) if isinstance(service.command, tuple) else service.command
    if service.cwd != ".":
        keys["cwd"] = service.cwd
    if service.host_header != "keep":
        keys["host_header"] = service.host_header
    if service.depends_on:
        keys["depends_on"] = list(service.depends_on)
    lines = "".join(_line(tomli_w.dumps({key: value})) for key, value in keys.items())
    if service.env:
        pairs = (tomli_w.dumps({name: value}).strip() for name, value in service.env.items())
        lines += f"env = {{ {', '.join(pairs)} }}\n"
    notes = "".join(f"# {safe(note)}\n" for note in service.notes)
    return f"\n[services.{service.name}]  # {safe(service.origin)}\n{notes}{lines}"


def _line(dumped: str) -> str:
    """A list on one line, as a person writes a short one."""
    parts = [part.strip().removesuffix(",") for part in dumped.strip().splitlines()]
    if len(parts) < 3 or not parts[0].endswith("["):
        return dumped
    return f"{parts[0]}{', '.join(parts[1:-1])}]\n"
