"""Several checkouts of one project side by side: what tells them apart in keys, ids and hostnames. Pure.

Lives here: `fix-ui.shop`, the name of the checkout of `shop` that is labelled `fix-ui` (a git worktree, usually), and
the hostnames below it.
Not here: where a label comes from (`worktrees.py`), who has which name (`claims.py`).

A checkout has a label in front of the project's name, everywhere: in the key of its link, in ids of services
(`web.fix-ui.shop`), in hostnames. What `shop` and `fix-ui.shop` are called never meets: a host that the file names is
moved below the label as well, or both checkouts would claim it.
"""

import re

from devproxy.registry import hostnames

_AFTER = re.compile(r"[.-]\{worktree\}")
_BEFORE = re.compile(r"\{worktree\}[.-]?")


def split(project: str) -> tuple[str, str]:
    """The label ("" for the checkout without one) and the name that its file gives the project."""
    label, _, base = project.rpartition(".")
    return label, base


def joined(label: str, base: str) -> str:
    """The name of a checkout; the reverse of `split`."""
    return f"{label}.{base}" if label else base


def header(project: str) -> str:
    """The header of a link in the user registry."""
    return f'[projects."{project}"]' if "." in project else f"[projects.{project}]"


def own_host(template: str, service: str, project: str | None, tld: str) -> str:
    """The hostname that a service has by its names; without a project the template does not count."""
    if project is None:
        return f"{service}.{tld}"
    label, base = split(project)
    if "{worktree}" not in template:
        base = project
    elif not label:
        template = _BEFORE.sub("", _AFTER.sub("", template))
    filled = template.replace("{worktree}", label).replace("{service}", service).replace("{project}", base)
    return filled.replace("{tld}", tld)


def moved(host: str, project: str | None, tlds: tuple[str, ...]) -> str:
    """A hostname of a file (in lower case, maybe a wildcard) as the checkout has it: `shop.localhost` is
    `fix-ui.shop.localhost` there. The label stands right before the last label in front of the TLD."""
    label = split(project)[0] if project else ""
    tld = hostnames.under(host, tlds)
    if not label or tld is None:
        return host
    front, dot, last = host.removesuffix(f".{tld}").rpartition(".")
    return f"{front}{dot}{label}.{last}.{tld}" if last != "*" else f"{front}{dot}{last}.{label}.{tld}"
