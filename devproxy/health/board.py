"""What is known of each service: the health board, one of the few places with mutable state (ARCHITECTURE.md rule 3).

Lives here: one record a service, and how checks, scans of the machine and what becomes of its command change it:
thresholds, since when, who answered before, and one event a change.
Not here: the rule that makes its state of them (`state.py`), checking and scanning (`monitor.py`), when to
(`schedule.py`). No clock: times are handed in, in seconds since 1970.

A record belongs to a service's id and its upstream: with another upstream it begins anew. A service that was up is down
only after `FAILURES` failed checks in a row, so that one lost probe flips nothing; a single good one makes it up. What
listens and does not answer as it should is `starting` for the first `STARTING` seconds, and so is a command of ours
that does not listen yet. What has ended for good is not waited for: one failed check is enough. Events about commands
come with their records, and what they tell is not told once more. Another program than the one known is a finding until
it has been up for `ADOPTED` seconds: then it is the known one. What a request starts is not missing while it is down:
it is dormant, and no event tells so.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from devproxy import events
from devproxy.health.findings import Examination
from devproxy.health.model import (
    NOT_TRIED,
    Check,
    CommandRun,
    Condition,
    Finding,
    Reach,
    RunRecord,
    ServiceOwner,
    State,
    events_of,
)
from devproxy.health.state import AskedState, dormant_in_words, is_over, nowhere, service_state
from devproxy.registry.model import Service

FAILURES = 2
STARTING = 30.0
ADOPTED = 3600.0


class ServiceRecord:
    """One service. `asked` is what checks come to, `condition.run` what becomes of its command. `due` and `proof_due`
    are on the loop's clock: when it is to be checked, and proved, next."""

    __slots__ = (
        "announced",
        "announced_at",
        "answers",
        "asked",
        "condition",
        "due",
        "failed_at",
        "failures",
        "host",
        "leased_since",
        "listening_since",
        "other_since",
        "owner",
        "proof_due",
        "proved",
        "reach",
        "service",
    )

    def __init__(self, service: Service, owner: ServiceOwner | None = None, run: CommandRun | None = None):
        self.service = service
        self.asked = AskedState("unknown", Condition().why if service.upstream else nowhere(service))
        self.condition = _unchecked(service, self.asked, run)
        self.owner = owner  # whose process it was when it last was as it should be
        self.announced: State = "unknown"  # the last state that an event told, and when
        self.announced_at = 0.0
        self.answers: tuple[Finding, ...] = ()  # findings of what it answers to requests
        self.failures = 0
        self.failed_at = 0.0  # on the loop's clock
        self.listening_since: float | None = None
        self.leased_since: float | None = None
        self.other_since: float | None = None
        self.host = ""
        self.due = self.proof_due = 0.0
        self.reach: Reach = NOT_TRIED
        self.proved: frozenset[tuple[str, str | None]] | None = None  # where it was listened on when it was proved

    @property
    def port(self) -> int:
        """Its TCP port, 0 if it has none."""
        return self.service.upstream.port if self.service.upstream else 0


class Board:
    """Every record, and the events that are not taken yet. `owners` is what an earlier run knew."""

    def __init__(self, owners: Mapping[str, ServiceOwner] | None = None):
        self.records: dict[str, ServiceRecord] = {}
        self._runs: Mapping[str, CommandRun] = {}
        self._told: set[events.CommandEvent] = set()
        self.changed = False  # since `take_events`
        self._remembered = dict(owners or {})
        self._events: list[events.AnyEvent] = []
        self._first_states: dict[State, list[str]] = {}

    def follow(self, services: Iterable[Service]) -> None:
        """Have a record for each of `services` and for no other."""
        old, self.records = self.records, {}
        for service in services:
            record = old.get(service.id)
            if record is None or _begins_anew(record, service):
                record = ServiceRecord(service, self._remembered.pop(service.id, None), self._runs.get(service.id))
                self.changed = True
            record.service = service
            self.records[service.id] = record
        self.changed |= old.keys() != self.records.keys()

    @property
    def conditions(self) -> dict[str, Condition]:
        """By service id."""
        return {identity: record.condition for identity, record in self.records.items()}

    @property
    def upstreams(self) -> dict[str, str]:
        """Where each service is looked for, by its id; empty for one without a port."""
        return {name: one.service.upstream.text if one.service.upstream else "" for name, one in self.records.items()}

    @property
    def owners(self) -> dict[str, ServiceOwner]:
        """By service id, those that are known."""
        return {identity: record.owner for identity, record in self.records.items() if record.owner}

    def take_events(self) -> list[events.AnyEvent]:
        """The events since this was called before, oldest first."""
        if self._first_states:
            up, down = (tuple(sorted(self._first_states.get(state, ()))) for state in ("up", "down"))
            self._events.insert(0, events.Checked(up, down))
            self._first_states = {}
        taken, self._events, self.changed = self._events, [], False
        return taken

    def record_check(self, record: ServiceRecord, check: Check, now: float) -> None:
        """Take in one check."""
        record.failures = 0 if check.up else record.failures + 1
        record.host = check.host or record.host
        if not record.service.leased:
            record.leased_since = None
        elif record.leased_since is None:
            record.leased_since = now
        if not check.accepted:
            record.listening_since = None
        elif record.listening_since is None:
            record.listening_since = now
        state = _asked_state(record, check, now)
        if state == record.asked.state == "up" and not check.up:
            return
        record.asked = AskedState(state, check.why, check.accepted)
        self._settle(record, record.condition.run, now)

    def record_runs(self, records: Mapping[str, RunRecord], now: float) -> set[str]:
        """Take in what became of commands; the ids of services that have to be checked for it."""
        known = events_of(records)
        for event in known:
            if event not in self._told:
                self._events.append(event)
                self.changed = True
        self._told = set(known)  # what is in no record any more does not come again
        self._runs = {identity: one.run for identity, one in records.items()}
        touched = {name for name, record in self.records.items() if record.condition.run != self._runs.get(name)}
        for identity in touched:
            self._settle(self.records[identity], self._runs.get(identity), now)
        return touched

    def tell_no_more(self, told: Iterable[events.AnyEvent]) -> None:
        """These are known already, from an earlier life of the proxy."""
        self._told.update(event for event in told if isinstance(event, events.CommandEvent))

    def _settle(self, record: ServiceRecord, run: CommandRun | None, now: float) -> None:
        """Its condition, by what asking it and its command's run come to."""
        old = record.condition
        state, why, dormant = service_state(record.service, record.asked, run)
        if (state, why, dormant, run) == (old.state, old.why, old.dormant, old.run):
            return
        since = now if state != old.state else old.since
        self._set(record, msgspec.structs.replace(old, state=state, since=since, why=why, dormant=dormant, run=run))
        if state != record.announced and not dormant:
            self._announce_state(record, record.condition, now)

    def mark_dormant(self, identity: str, now: float) -> None:
        """A service that a request starts was ended in order: it is dormant from now on, whatever was seen last."""
        record = self.records.get(identity)
        if record is None or not record.service.starts_on_request or record.condition.dormant:
            return
        record.failures, record.listening_since = FAILURES, None
        record.asked = AskedState("down", dormant_in_words(record.service))
        ended = msgspec.structs.replace(
            record.condition, state="stopped", since=now, why=dormant_in_words(record.service), dormant=True
        )
        self._set(record, ended)

    def record_examination(self, record: ServiceRecord, exam: Examination, now: float) -> None:
        """Take in what a scan of the machine said."""
        old = record.condition
        new = msgspec.structs.replace(
            old,
            exposure=exam.exposure,
            exposure_why=exam.why,
            listeners=exam.listeners,
            findings=(*exam.findings, *record.answers),
        )
        if new != old:
            self._set(record, new)
            self._announce_findings(record, old.findings, new, exam.owner)
        self._remember_owner(record, exam.owner, now)

    def record_answers(self, identity: str, findings: tuple[Finding, ...]) -> None:
        """Take in what was found in the answers of a service; an event tells even of notes, once."""
        record = self.records.get(identity)
        if record is None or record.answers == findings:
            return
        known = {finding.code for finding in record.answers}
        for finding in findings:
            if finding.code not in known:
                self._events.append(events.Found(identity, finding.code, finding.message, finding.fix))
        others = [finding for finding in record.condition.findings if finding not in record.answers]
        record.answers = findings
        self._set(record, msgspec.structs.replace(record.condition, findings=(*others, *findings)))

    def _remember_owner(self, record: ServiceRecord, now_owner: ServiceOwner | None, now: float) -> None:
        if now_owner is None or record.condition.state != "up":
            return
        if record.owner is None or now_owner.is_same(record.owner):
            record.other_since = None
        elif record.other_since is None:
            record.other_since = now
            return
        elif now - record.other_since < ADOPTED:
            return
        self.changed |= record.owner != now_owner
        record.owner, record.other_since = now_owner, None

    def _announce_state(self, record: ServiceRecord, new: Condition, now: float) -> None:
        """An event where nobody else tells: whoever runs a command tells of its end itself."""
        identity, state, why = record.service.id, new.state, new.why
        if _tells_itself(record, new):
            pass
        elif state in {"up", "down"} and record.announced == "unknown":
            self._first_states.setdefault(state, []).append(identity)
        elif state == "up":
            self._events.append(events.Up(identity, why, max(0.0, now - record.announced_at)))
        elif state == "down" or (state == "stopped" and record.announced == "up"):
            self._events.append(events.Down(identity, record.asked.why))
        else:
            return
        record.announced, record.announced_at = state, now

    def _announce_findings(
        self, record: ServiceRecord, old: Sequence[Finding], new: Condition, owner: ServiceOwner | None
    ) -> None:
        """An event for each finding that came or went; what is allowed, or a mere note, is none.

        Where nothing listens any more nothing is mended, but nobody can reach it either.
        """
        identity, before, now = record.service.id, _serious(old), _serious(new.findings)
        remaining = {finding.code for finding in new.findings}
        for code, finding in before.items():
            if code not in remaining and (new.listeners or code == "exposed"):
                self._events.append(events.Mended(identity, code, finding.message))
        for code, finding in now.items():
            if code in before:
                continue
            if code == "exposed":
                self._events.append(events.Exposed(identity, finding.message, finding.fix))
            elif code == "owner" and record.owner and owner:
                self._events.append(events.Owner(identity, record.owner.text, owner.text))
            else:
                self._events.append(events.Found(identity, code, finding.message, finding.fix))

    def _set(self, record: ServiceRecord, condition: Condition) -> None:
        record.condition = condition
        self.changed = True


def _tells_itself(record: ServiceRecord, new: Condition) -> bool:
    """Whether whoever runs its command tells of the new state; that it was unwell in between, only we know."""
    if new.run is None:
        return False
    if new.state == "up":
        return new.run.phase == "up" and record.announced != "down"
    return new.state not in {"up", "down"}


def _unchecked(service: Service, asked: AskedState, run: CommandRun | None) -> Condition:
    if service.upstream is not None:
        return Condition(run=run)
    state, why, dormant = service_state(service, asked, run)
    return Condition(state=state, why=why, exposure_why=nowhere(service), dormant=dormant, run=run)


def _begins_anew(record: ServiceRecord, new: Service) -> bool:
    """Whether what is known of a service says nothing about it any more: one that is down may be dormant, or not."""
    old = record.service
    changed = old.starts_on_request != new.starts_on_request and record.condition.state != "up"
    is_run_otherwise = old.upstream is None and (old.command is None, old.leased) != (new.command is None, new.leased)
    return changed or is_run_otherwise or old.serves != new.serves or old.upstream != new.upstream


def _asked_state(record: ServiceRecord, check: Check, now: float) -> State:
    if check.up:
        return "up"
    if record.service.upstream is None:
        return "unknown"
    if record.asked.state == "up" and record.failures < FAILURES and not is_over(record.condition.run):
        return "up"
    service = record.service
    if service.leased and service.starts_on_request and not check.accepted:
        return "starting"  # requests wait for it, however long it takes
    begun = [since for since in (record.listening_since, record.leased_since) if since is not None]
    return "starting" if begun and now - max(begun) < STARTING else "down"


def _serious(findings: Sequence[Finding]) -> dict[str, Finding]:
    """The first finding of each code, notes left out."""
    return {finding.code: finding for finding in reversed(findings) if finding.severity != "note"}
