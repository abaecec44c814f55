"""How the condition of services looks on the dashboard: a cell in the table, and what is wrong with the fix.

Lives here: HTML from conditions, every value escaped.
Not here: the rest of the page (`pages.py`), what a condition means (`devproxy/health/model.py`). Notes are no news: a
service that answers on one address family only is found by its name all the same.
"""

import time
from collections.abc import Mapping
from html import escape

from devproxy.health.model import Condition, Finding

MOST_FINDINGS = 100
UNKNOWN = Condition()
_WORDS = {"unknown": "not checked yet", "on-request": "on request"}


def cell(condition: Condition) -> str:
    """State and exposure, in words and colour; why, and since when, to whoever points at it."""
    since = time.strftime("since %Y-%m-%d %H:%M:%S: ", time.localtime(condition.since)) if condition.since else ""
    state = (
        f'<span class="state {escape(condition.word)}" title="{escape(since + condition.why)}">'
        f"{_WORDS.get(condition.word, condition.word)}</span>"
    )
    if condition.exposure != "exposed":
        return state
    return f'{state} <span class="exposed" title="{escape(condition.exposure_why)}">exposed</span>'


def findings(conditions: Mapping[str, Condition]) -> str:
    """A section with everything that is wrong, the gravest first; empty where nothing is."""
    found = [
        (identity, finding)
        for identity, condition in conditions.items()
        for finding in condition.findings
        if finding.severity != "note"
    ]
    if not found:
        return ""
    found.sort(key=lambda pair: (pair[1].severity != "error", pair[0]))
    items = "".join(_finding(identity, finding) for identity, finding in found[:MOST_FINDINGS])
    more = len(found) - MOST_FINDINGS
    rest = f"<p>And {more} more: <code>devproxy health</code> shows all.</p>" if more > 0 else ""
    return f'<section><h2>Health</h2><ul class="problems">{items}</ul>{rest}</section>'


def _finding(identity: str, finding: Finding) -> str:
    proof = f"<p>Proof: {escape(finding.proof)}</p>" if finding.proof else ""
    fix = f'<p class="fix"><span>fix</span> {escape(finding.fix)}</p>' if finding.fix else ""
    command = f'<p class="fix"><span>run</span> {escape(finding.command)}</p>' if finding.command else ""
    who = f'<p class="place">{escape(finding.who)}</p>' if finding.who else ""
    return (
        f'<li class="{escape(finding.severity)}"><p class="what"><a href="#{escape(identity)}">{escape(identity)}</a> '
        f"{escape(finding.code)}: {escape(finding.message)}</p>{proof}{fix}{command}{who}</li>"
    )


def counts(conditions: Mapping[str, Condition]) -> list[str]:
    """`12 up`, `1 down`, `1 on-request`, `1 exposed`, as far as there are any."""
    words = [condition.word for condition in conditions.values()]
    found = [(words.count(word), word) for word in ("up", "starting", "down", "on-request")]
    found.append((sum(condition.exposure == "exposed" for condition in conditions.values()), "exposed"))
    return [f"{number} {word}" for number, word in found if number]
