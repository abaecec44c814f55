"""What `trust` and `untrust` have in common: looking at the stores, showing a plan, carrying it out, writing it down.

How it works: every store has a plan of its own, and one that fails does not stop the next. What is root's is done by
the same command once more (`root_rights.py`); that process is given certificates or fingerprints, and changes nothing
but the system's store.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from devproxy.cli.output import complain_line, remark, say
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import Paths, is_root
from devproxy.storage import files
from devproxy.text import devproxy_command
from devproxy.tls.trust_record import RecordedRoot, RecordedStore, TrustRecord, read_record, write_record
from devproxy.tls.trust_stores import KINDS, Plan, TrustStore, is_owner
from devproxy.tls.trusting import Search, perform, possible_kinds, this_machine

if TYPE_CHECKING:
    from devproxy.tls.authority import Root

ByRoot = Callable[[Plan], None]


class Done(NamedTuple):
    """What became of one plan."""

    plan: Plan
    error: DevproxyError | None = None


class KnownRoots(NamedTuple):
    """The roots of the CA, and what has been written down of them."""

    paths: Paths
    roots: "tuple[Root, ...]"
    record: TrustRecord

    def search(self, kinds: Sequence[str], owner: str) -> Search:
        written = {root.fingerprint for root in self.record.roots}
        known = written.union(root.fingerprint for root in self.roots)
        return Search(this_machine(self.paths.authorities, owner), known, self.record.made, tuple(kinds))

    def write(
        self,
        before: Iterable[Done],
        after: Sequence[TrustStore],
        asked: Collection[str],
        kept: Collection[tuple[str, str]] = (),
    ) -> None:
        """Write down what the stores of the kinds `asked` hold now (without any: all stores); of others, and of those
        in `kept` (kind and place), what was known stays."""
        made = {str(done.plan.store.place) for done in before if done.plan.store.is_made}
        staying = set(kept) - {(store.kind, str(store.place)) for store in after}
        others = [
            store
            for store in self.record.stores
            if (asked and store.kind not in asked) or (store.kind, store.place) in staying
        ]
        known = {(store.kind, store.place): store for store in self.record.stores}
        stores = [_recorded(store, made, known.get((store.kind, str(store.place)))) for store in after]
        roots = [RecordedRoot(one.fingerprint, one.tlds, one.not_after.timestamp()) for one in self.roots]
        ours = {root.fingerprint for root in roots}
        held = {fingerprint for store in (*others, *stores) for fingerprint in store.roots}
        older = [root for root in self.record.roots if root.fingerprint in held - ours]
        write_record(self.paths, TrustRecord(roots=(*roots, *older), stores=(*others, *stores)))


def _recorded(store: TrustStore, made: Collection[str], known: RecordedStore | None) -> RecordedStore:
    """What is written down of a store: what it holds, or where it could not be looked at what was `known` of it."""
    if store.fault is not None and known is not None:
        return known
    roots = tuple(held.fingerprint for held in store.held if held.counts)
    is_made = not store.is_new and str(store.place) in made
    return RecordedStore(store.kind, str(store.place), roots, KINDS[store.kind].is_for_urls, is_made)


def known_roots(paths: Paths, roots: "tuple[Root, ...]") -> KnownRoots:
    return KnownRoots(paths, roots, read_record(paths))


def check_kinds(kinds: Sequence[str]) -> None:
    """Raise DevproxyError for a store that this system never has."""
    possible = possible_kinds(sys.platform)
    for kind in kinds:
        if kind not in possible:
            fix = f"choose of: {', '.join(possible)}"
            raise DevproxyError(f"there is no store `{kind}` on this system", fix=fix, exit_code=Exit.USAGE)


def carry_out(plans: Sequence[Plan], by_root: ByRoot) -> list[Done]:
    """Carry out every plan, whatever becomes of the others."""
    return [_carry_out(plan, by_root) for plan in plans]


def _carry_out(plan: Plan, by_root: ByRoot) -> Done:
    store = plan.store
    if store.fault is not None:
        return Done(plan, DevproxyError(f"{store.kind}: {store.place}", why=store.fault.why, fix=store.fault.fix))
    on_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    try:
        if KINDS[store.kind].needs_root and plan.steps and not is_root():
            by_root(plan)
        else:
            perform(plan, remark if on_terminal else None)
    except DevproxyError as error:
        return Done(plan, error)
    return Done(plan)


def show_plan(plans: Sequence[Plan]) -> None:
    """What is to be done, a step a line."""
    for plan in plans:
        if plan.steps:
            rights = " (as root)" if KINDS[plan.store.kind].needs_root and not is_root() else ""
            say(f"{plan.store.kind}: {short(str(plan.store.place))}{rights}", bold=True)
        for step in plan.steps:
            say(f"  {step.says}")


def short(text: str) -> str:
    """`text` with the home as people write it."""
    home = str(Path.home())
    return text.replace(f"{home}/", "~/") if home != "/" else text


def tell_failures(done: Sequence[Done]) -> None:
    for one in done:
        if one.error is not None:
            complain_line(str(one.error))


def tell_faults(stores: Iterable[TrustStore]) -> None:
    """Why stores cannot be used, where they cannot."""
    for store in stores:
        if store.fault is not None:
            remark(f"{store.kind}: {store.fault.why}", fg="yellow")
            remark(f"  fix: {store.fault.fix}") if store.fault.fix else None


def store_row(store: TrustStore, done: Done | None, fingerprints: Collection[str]) -> dict[str, object]:
    """A store in JSON."""
    error = done.error if done is not None else None
    return {
        "kind": store.kind,
        "place": str(store.place),
        "readers": KINDS[store.kind].readers,
        "state": state_of(store, fingerprints),
        "held": [held._asdict() for held in store.held],
        "fault": store.fault._asdict() if store.fault else None,
        "steps": [step.says for step in done.plan.steps] if done is not None else [],
        "error": {"what": error.what, "why": error.why, "fix": error.fix} if error is not None else None,
    }


def state_of(store: TrustStore, fingerprints: Collection[str]) -> str:
    """Whether it believes all `fingerprints` (`trusted`) or not (`missing`), or cannot be used (`unusable`)."""
    if store.fault is not None:
        return "unusable"
    held = {held.fingerprint for held in store.held if held.counts}
    return "trusted" if fingerprints and held.issuperset(fingerprints) else "missing"


def system_search(owner: str, known: Collection[str]) -> Search:
    """Where the process that root runs looks: at the system's store alone."""
    return Search(this_machine(Path("/nonexistent"), owner), known, kinds=("system",))


def finish_as_root(plans: Sequence[Plan]) -> int:
    """Carry out the plans of the process that root runs, and say what failed."""
    done = carry_out(plans, lambda _: None)
    tell_failures(done)
    return Exit.BAD_NEWS if any(one.error for one in done) else Exit.GOOD


def given(owner: str, what: str, command: str) -> bytes:
    """What this process was given by the one that has started it as root. Raises DevproxyError."""
    text = sys.stdin.buffer.read(files.MAX_BYTES)
    if not is_owner(owner) or not text.strip():
        fix = f"{devproxy_command(command)} gives it by itself"
        raise DevproxyError(f"no {what} is on standard input", fix=fix, exit_code=Exit.USAGE)
    return text
