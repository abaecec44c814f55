"""`devproxy untrust`: every root of ours out of the stores of this machine, and the CA away, if that is wanted.

Not here: the stores (`tls/trust_stores.py`), what `trust` shares (`trust_changes.py`).
"""

import re
import shutil
from collections.abc import Sequence

import click

from devproxy.cli.context import load_context
from devproxy.cli.output import print_json, remark, say
from devproxy.cli.root_rights import by_sudo, refuse_sudo, who_asks
from devproxy.cli.trust_changes import (
    Done,
    KnownRoots,
    carry_out,
    check_kinds,
    finish_as_root,
    given,
    known_roots,
    short,
    show_plan,
    store_row,
    system_search,
    tell_failures,
    tell_faults,
)
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import Paths, check_private
from devproxy.text import devproxy_command, quote
from devproxy.tls.trust_record import read_record
from devproxy.tls.trust_stores import KINDS, Plan, untrust_plan
from devproxy.tls.trusting import survey


@click.command("untrust")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option(
    "--store", "kinds", multiple=True, type=click.Choice(list(KINDS)), help="Only this kind of store; may be repeated."
)
@click.option("--delete", is_flag=True, help="Delete the CA as well; the next trust makes a new one.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option("--stdin-for", "owner", metavar="USER", help="As root: remove the roots that USER's devproxy gives.")
def command(*, dry_run: bool, kinds: tuple[str, ...], delete: bool, as_json: bool, owner: str | None) -> int:
    """Take the local CA out of every store that trusts it.

    \b
    devproxy untrust --dry-run   what it would do
    devproxy untrust             out of every store; the CA stays for later
    devproxy untrust --delete    and away with the CA

    Stores are left as they were before devproxy trust: roots of earlier CAs go
    too, and nothing else is touched.
    """
    if owner is not None:
        return _untrust_given(owner)
    refuse_sudo(devproxy_command("untrust"))
    check_kinds(kinds)
    known = _known(Paths.from_environment())
    plans = [untrust_plan(store) for store in survey(known.search(kinds, who_asks()))]
    # A store that cannot be used is bad news only where one of our roots may be in it.
    recorded = {store.place for store in known.record.stores if store.roots}
    plans = [plan for plan in plans if plan.store.fault is None or str(plan.store.place) in recorded]
    if not as_json:
        show_plan(plans)
        if not any(plan.steps or plan.store.fault for plan in plans):
            say("nothing to do: no store has a root of devproxy's")
    done = [Done(plan) for plan in plans] if dry_run else _do(known, plans, kinds, as_json)
    if as_json:
        print_json({"stores": [store_row(one.plan.store, one, ()) for one in done]})
    failed = [one for one in done if one.error is not None]
    tell_failures(failed)
    if dry_run and not as_json:
        tell_faults(plan.store for plan in plans)
    if delete and not dry_run:
        _delete(known.paths, quiet=as_json)
    return Exit.BAD_NEWS if failed else Exit.GOOD


def _known(paths: Paths) -> KnownRoots:
    """What there is to know of our roots; a CA that is damaged must not keep its roots in the stores."""
    from devproxy.tls.authority import AuthorityStore

    try:
        roots = AuthorityStore(paths.authorities).roots()
    except DevproxyError as error:
        remark(f"{error.what}, so its roots are known by their names and by what was written down", fg="yellow")
        roots = ()
    return known_roots(paths, roots)


def _do(known: KnownRoots, plans: Sequence[Plan], kinds: tuple[str, ...], as_json: bool) -> list[Done]:
    def by_root(plan: Plan) -> None:
        lines = "".join(f"{held.fingerprint}\n" for held in plan.store.held)
        words = ("untrust", "--stdin-for", who_asks())
        printed = " ".join(quote(held.fingerprint) for held in plan.store.held)
        by_sudo(plan.store.place, words, lines.encode(), piped=f"printf '%s\\n' {printed}", quiet=as_json)

    done = carry_out(plans, by_root)
    if known.paths.authorities.is_dir():
        failed = {(one.plan.store.kind, str(one.plan.store.place)) for one in done if one.error is not None}
        after = [store for store in survey(known.search(kinds, who_asks())) if store.held]
        known.write(done, after, kinds, kept=failed)
    for one in done:
        if one.plan.steps and one.error is None and not as_json:
            later = KINDS[one.plan.store.kind].after_removal
            say(f"{one.plan.store.kind}: removed ({short(str(one.plan.store.place))})", fg="green")
            remark(f"{one.plan.store.kind}: {later}") if later else None
    return done


def _delete(paths: Paths, *, quiet: bool) -> None:
    """Remove the CA. Raises DevproxyError while a store trusts it: its fingerprints are needed then."""
    left = sorted({store.kind for store in read_record(paths).stores if store.roots})
    if left:
        why, fix = f"still trusted by: {', '.join(left)}", f"{devproxy_command('untrust')}, then do it again"
        raise DevproxyError("the CA was not deleted", why=why, fix=fix)
    folder = paths.authorities
    check_private(folder)
    if not folder.is_dir():
        return
    try:
        shutil.rmtree(folder)
    except OSError as error:
        from devproxy.storage.system_errors import why_and_fix

        why, fix = why_and_fix(error, folder)
        raise DevproxyError(f"{folder} could not be removed", why=why, fix=fix) from error
    if quiet:
        return
    say(f"deleted: {short(str(folder))}")
    if load_context().running is not None:
        remark(f"the proxy still uses it until: {devproxy_command('restart')}")


# As root.


def _untrust_given(owner: str) -> int:
    """Remove the roots whose fingerprints are on standard input from the system's store."""
    fingerprints = set(given(owner, "fingerprint", "untrust").decode("ascii", "replace").split())
    if not all(re.fullmatch("[0-9a-f]{64}", one) for one in fingerprints):
        raise DevproxyError("what is on standard input is no list of fingerprints", exit_code=Exit.USAGE)
    stores = survey(system_search(owner, fingerprints))
    chosen = [
        store._replace(held=tuple(held for held in store.held if held.fingerprint in fingerprints)) for store in stores
    ]
    return finish_as_root([untrust_plan(store) for store in chosen])
