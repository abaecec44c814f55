"""`devproxy trust`: the local CA, and its root in the stores of this machine that browsers and programs believe.

Not here: the stores (`tls/trust_stores.py`), the CA (`tls/authority.py`), what `untrust` shares (`trust_changes.py`).
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from devproxy.cli.context import load_context
from devproxy.cli.output import print_json, print_table, remark, say
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
    state_of,
    store_row,
    system_search,
    tell_failures,
    tell_faults,
)
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import Paths
from devproxy.text import devproxy_command, listed, quote
from devproxy.tls import pem
from devproxy.tls.names import is_below
from devproxy.tls.trust_stores import KINDS, Anchor, Plan, TrustStore, trust_plan
from devproxy.tls.trusting import survey

if TYPE_CHECKING:
    from devproxy.tls.authority import Root

_COLOURS = {"trusted": "green", "missing": "yellow", "unusable": "red"}
_NOT_MADE = Anchor(b"", "<fingerprint>")  # what a dry run plans with where there is no CA yet


@click.command("trust")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--check", is_flag=True, help="List the stores; exit code 1 if the CA is not trusted everywhere.")
@click.option(
    "--store", "kinds", multiple=True, type=click.Choice(list(KINDS)), help="Only this kind of store; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option("--stdin-for", "owner", metavar="USER", help="As root: trust the roots that USER's devproxy gives.")
def command(*, dry_run: bool, check: bool, kinds: tuple[str, ...], as_json: bool, owner: str | None) -> int:
    """Have browsers and programs believe https:// names of services on this machine.

    \b
    devproxy trust --dry-run         what it would do
    devproxy trust                   a local CA (made at first), into every store
    devproxy trust --store firefox   into the profiles of Firefox alone
    devproxy trust --check           which stores have it

    The CA is only for names below localhost and your own TLDs, and its root's key
    is on no disk. Where a store is root's, sudo is asked for that change alone.
    devproxy untrust takes all of it back.
    """
    if owner is not None:
        return _trust_given(owner)
    if dry_run and check:
        raise click.UsageError("--dry-run and --check are two different things: choose one")
    refuse_sudo(devproxy_command("trust"))
    check_kinds(kinds)
    wanted = _Wanted.of(Paths.from_environment(), kinds, make=not dry_run and not check)
    if check:
        return _check(wanted, as_json)
    plans = [trust_plan(store, wanted.anchors or [_NOT_MADE]) for store in wanted.survey()]
    if not as_json:
        _show(wanted, plans)
    if dry_run:
        if as_json:
            _print_json(wanted, [Done(plan) for plan in plans])
        else:
            tell_faults(plan.store for plan in plans)
        return Exit.GOOD
    return _do(wanted, plans, as_json)


class _Wanted(NamedTuple):
    """The TLDs of the registry, the roots that are to be trusted for them, and the stores that were asked for."""

    known: KnownRoots
    tlds: tuple[str, ...]
    kinds: tuple[str, ...]

    @classmethod
    def of(cls, paths: Paths, kinds: tuple[str, ...], *, make: bool) -> "_Wanted":
        from devproxy.tls.authority import AuthorityStore

        tlds = tuple(dict.fromkeys(("localhost", *load_context().registry.settings.tlds)))
        store, now = AuthorityStore(paths.authorities), dt.datetime.now(dt.UTC)
        if make:
            store.ensure(tlds, now)
        store.check(now)
        return cls(known_roots(paths, store.roots()), tlds, kinds)

    @property
    def roots(self) -> "list[Root]":
        return [root for root in self.known.roots if root.current]

    @property
    def anchors(self) -> list[Anchor]:
        return [Anchor(root.pem, root.fingerprint) for root in self.roots]

    @property
    def fingerprints(self) -> set[str]:
        return {root.fingerprint for root in self.roots}

    @property
    def without_root(self) -> list[str]:
        """The TLDs that no root is for."""
        return [tld for tld in self.tlds if not any(is_below(tld, root.tlds) for root in self.roots)]

    def survey(self) -> list[TrustStore]:
        return survey(self.known.search(self.kinds, who_asks()))

    def file(self, fingerprint: str) -> Path:
        from devproxy.tls.authority import root_file

        return root_file(self.known.paths.authorities, fingerprint)


def _do(wanted: _Wanted, plans: Sequence[Plan], as_json: bool) -> int:
    def by_root(plan: Plan) -> None:
        piped = " ".join(("cat", *(quote(wanted.file(root.fingerprint)) for root in wanted.roots)))
        content = b"".join(anchor.pem for anchor in wanted.anchors)
        words = ("trust", "--stdin-for", who_asks())
        by_sudo(plan.store.place, words, content, piped=piped, quiet=as_json)

    try:
        done = carry_out(plans, by_root)
    except KeyboardInterrupt:  # at a password: what was done before is written down, so that it can be taken back
        wanted.known.write([Done(plan) for plan in plans], wanted.survey(), wanted.kinds)
        raise
    after = wanted.survey()
    wanted.known.write(done, after, wanted.kinds)
    failed = [one for one in done if one.error is not None]
    lacking = [store for store in after if state_of(store, wanted.fingerprints) != "trusted"]
    if as_json:
        _print_json(wanted, done, after)
    else:
        _tell(wanted, done, after)
    tell_failures(failed)
    failures = {(one.plan.store.kind, one.plan.store.place) for one in failed}
    for store in lacking:
        if (store.kind, store.place) not in failures:
            remark(f"{store.kind}: {store.place} does not have it, though nothing failed: {_CHECK}", fg="yellow")
    return Exit.BAD_NEWS if failed or lacking else Exit.GOOD


_CHECK = devproxy_command("trust", "--check")


# What it says.


def _show(wanted: _Wanted, plans: Sequence[Plan]) -> None:
    if not wanted.roots:
        say(f"make a local CA for {_names(wanted.tlds)}")
    for root in wanted.roots:
        say(f"the local CA for {_names(root.tlds)}, until {root.not_after:%Y-%m-%d}:")
        say(f"  SHA-256 {root.fingerprint}")
    if len(wanted.roots) > 1:
        remark("a CA's names stand in its certificate, so a TLD that was added later has a CA of its own")
    show_plan(plans)
    if not plans:
        which = "of this kind" if wanted.kinds else "that devproxy knows"
        remark(f"there is no store {which} on this machine", fg="yellow")
    elif not any(plan.steps or plan.store.fault for plan in plans):
        say("nothing to do: every store has it")


def _names(tlds: Sequence[str]) -> str:
    return listed([f"*.{tld}" for tld in tlds])


def _tell(wanted: _Wanted, done: Sequence[Done], after: Sequence[TrustStore]) -> None:
    changed = {one.plan.store.kind for one in done if one.plan.steps and one.error is None}
    for store in after:
        if state_of(store, wanted.fingerprints) == "trusted":
            say(f"{store.kind}: trusted ({short(str(store.place))})", fg="green")
    for kind in sorted(changed):
        if later := KINDS[kind].after_adding:
            remark(f"{kind}: {later}")
    if "java" in changed:
        _tell_java(after)
    if any(one.plan.steps for one in done) and wanted.known.record.stores == ():
        remark(f"take it back at any time: {devproxy_command('untrust')}")


def _tell_java(stores: Sequence[TrustStore]) -> None:
    from devproxy.tls import java_keystore

    for store in stores:
        if store.kind == "java":
            remark(f"for Java: export JAVA_TOOL_OPTIONS={quote(java_keystore.options(Path(store.place)))}")


def _check(wanted: _Wanted, as_json: bool) -> int:
    stores = wanted.survey()
    states = [state_of(store, wanted.fingerprints) for store in stores]
    if as_json:
        _print_json(wanted, [], stores)
    else:
        rows = [(store.kind, state, short(str(store.place))) for store, state in zip(stores, states, strict=True)]
        if rows:
            print_table(("STORE", "STATE", "PLACE"), rows, _COLOURS)
        tell_faults(stores)
    without = wanted.without_root
    is_good = not without and bool(states) and all(state == "trusted" for state in states)
    if without and not as_json:
        remark(f"no CA is for {_names(without)} yet: {devproxy_command('trust')}", fg="yellow")
    elif not is_good and not as_json:
        remark(f"not every store trusts it: {devproxy_command('trust')}", fg="yellow")
    return Exit.GOOD if is_good else Exit.BAD_NEWS


def _print_json(wanted: _Wanted, done: Sequence[Done], after: Sequence[TrustStore] | None = None) -> None:
    by_place = {(one.plan.store.kind, one.plan.store.place): one for one in done}
    stores = [one.plan.store for one in done] if after is None else after
    print_json(
        {
            "roots": [
                {
                    "fingerprint": root.fingerprint,
                    "tlds": root.tlds,
                    "not_after": root.not_after.timestamp(),
                    "current": root.current,
                    "file": str(wanted.file(root.fingerprint)),
                }
                for root in wanted.known.roots
            ],
            "without_root": wanted.without_root,
            "stores": [
                store_row(store, by_place.get((store.kind, store.place)), wanted.fingerprints) for store in stores
            ],
        }
    )


# As root.


def _trust_given(owner: str) -> int:
    """Trust the roots on standard input, if they are such as devproxy makes. Raises DevproxyError."""
    from devproxy.tls.certificates import is_our_root

    found = list(map(pem.encode, pem.certificates(given(owner, "certificate", "trust"))))
    if not found or not all(map(is_our_root, found)):
        raise DevproxyError(
            "no root of devproxy's is on standard input",
            why="only a root that is limited to local names and addresses is taken",
            exit_code=Exit.REFUSED,
        )
    anchors = [Anchor(one, pem.fingerprint(one)) for one in found]
    known = {anchor.fingerprint for anchor in anchors}
    return finish_as_root([trust_plan(store, anchors) for store in survey(system_search(owner, known))])
