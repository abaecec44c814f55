"""Our own answers: one HTTP response, HTML, problem+json or plain text by what the client accepts.

Lives here: rendering a `Respond`, everything echoed escaped; pure, except that the caller passes the date.
Not here: when which answer is given (`decide.py`, `exchange.py`).

JSON is RFC 9457 `application/problem+json`, for who asks for JSON; who asks for nothing special, such as curl, gets a
few lines of text. The page has no outside resource; its one script, allowed by its hash,
asks with HEAD until the answer is no longer ours and then loads the page again. While a service starts, that question
waits until it is up, so it is asked at once; the page also loads again every second or two, with or without scripts,
so that the log it shows goes on. Its own address is all that these requests say of where they come from
(`Referrer-Policy: same-origin`): under endings other than `.localhost` the guard knows them by that. No frame shows it.
"""

import json
from base64 import b64encode
from email.utils import parsedate_to_datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Final

from devproxy.proxy.answers import Respond
from devproxy.text import did_you_mean, safe, safe_html, safe_json, safe_lines
from devproxy.urls import host_url

_STYLE: Final = (
    ":root{color-scheme:light dark;--b:#fbfbfa;--f:#1d1d1b;--m:#6b6b66;--l:#dededa;--a:#b3401f;--c:#f1f1ee}"
    "@media(prefers-color-scheme:dark){:root{--b:#161615;--f:#e9e9e5;--m:#9a9a93;--l:#33332f;--a:#ff9066;--c:#20201e}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--b);color:var(--f);font:16px/1.55 system-ui,sans-serif}"
    "main{max-width:44rem;margin:12vh auto 4rem;padding:0 1.5rem}"
    "h1{font-size:1.45rem;line-height:1.3;margin:.5rem 0 .9rem;font-weight:600;overflow-wrap:anywhere}"
    "p{margin:.6rem 0}.s{color:var(--a);font:600 .85rem/1 ui-monospace,monospace}"
    "h2{font-size:.8rem;letter-spacing:.05em;text-transform:uppercase;color:var(--m);margin:1.6rem 0 .4rem}"
    "pre,li{font:.9rem/1.5 ui-monospace,monospace}"
    "pre{background:var(--c);border:1px solid var(--l);border-radius:6px;padding:.7rem .9rem;margin:0;"
    "white-space:pre-wrap;overflow-wrap:anywhere}"
    "p.r{color:var(--m);margin-top:1.6rem}"
    "ul{padding-left:1.2rem;margin:.3rem 0}a{color:inherit}"
    "footer{margin-top:2.6rem;border-top:1px solid var(--l);padding-top:.8rem;color:var(--m);font-size:.85rem}"
)
_SCRIPT: Final = (
    "(function again(){setTimeout(function(){fetch(location.href,{method:'HEAD',cache:'no-store'}).then(function(r){"
    "r.headers.has('Devproxy-Error')?again():location.reload()},again)},700)})()"
)
_SCRIPT_STARTING: Final = (
    "(function again(){function later(){setTimeout(again,700)}fetch(location.href,{method:'HEAD',cache:'no-store'})"
    ".then(function(r){r.headers.get('Devproxy-Error')=='starting'?later():location.reload()},later)})()"
)


def _digest(text: str) -> str:
    return b64encode(sha256(text.encode()).digest()).decode()


def _policy(script: str) -> str:
    return (
        f"default-src 'none'; style-src 'sha256-{_digest(_STYLE)}'; script-src 'sha256-{_digest(script)}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


_POLICIES: Final = {script: _policy(script) for script in (_SCRIPT, _SCRIPT_STARTING)}
_REASONS: Final = {
    414: "URI Too Long",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    508: "Loop Detected",
}
_WAIT: Final = frozenset((502, 503, 504))
_UNKNOWN: Final = "unknown-host"
_STARTING: Final = "starting"
_OPENERS: Final = frozenset(("a", "an", "both", "it", "no", "its", "the", "tried", "two"))


def reason(status: int) -> str:
    """The reason phrase of a status that devproxy answers with."""
    return _REASONS.get(status) or HTTPStatus(status).phrase


def render(
    answer: Respond, *, accept: bytes | None, method: bytes, date: str, close: bool, minor: int = 1, pages: str = ""
) -> bytes:
    """The whole response as bytes. No body on HEAD (RFC 9110 §9.3.2); `date` is an IMF-fixdate.

    `pages` is the link to devproxy's own pages, empty where the client cannot be told any.
    """
    body, field = answer.content or _chosen(answer, (accept or b"").lower(), date, pages)
    lines = [
        f"HTTP/1.1 {answer.status} {reason(answer.status)}",
        f"Date: {date}",
        field,
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
    ]
    if answer.location:
        lines.append(f"Location: {answer.location}")
    if answer.status >= 400:
        lines.append(f"Devproxy-Error: {answer.code}")
    if answer.content is None:
        lines.append("Vary: Accept")
        if answer.status in _WAIT:
            lines.append("Retry-After: 1")
    if field == _HTML:
        lines += [f"Content-Security-Policy: {_POLICIES[_script(answer)]}", "Referrer-Policy: same-origin"]
    if close:
        lines.append("Connection: close")
    elif minor == 0:
        lines.append("Connection: keep-alive")
    head = "\r\n".join(lines).encode("ascii", "backslashreplace") + b"\r\n\r\n"
    return head if method == b"HEAD" else head + body


_HTML: Final = "Content-Type: text/html; charset=utf-8"


def _chosen(answer: Respond, accept: bytes, date: str, pages: str) -> tuple[bytes, str]:
    """A page, problem+json or plain text, by what the client accepts (in lower case), and the field that says so."""
    if b"text/html" in accept:
        return _html(answer, date, pages).encode(), _HTML
    if b"json" in accept:
        return _problem(answer, date).encode(), "Content-Type: application/problem+json"
    return _text(answer).encode(), "Content-Type: text/plain; charset=utf-8"


def _problem(answer: Respond, date: str) -> str:
    value: dict[str, object] = {
        "type": "about:blank",
        "title": reason(answer.status),
        "status": answer.status,
        "detail": answer.detail,
        "code": answer.code,
    }
    if answer.fix:
        value["fix"] = answer.fix
    if answer.run:
        value["run"] = answer.run
    if answer.command:
        value["command"] = answer.command
        value |= {} if answer.since <= 0 else {"seconds": _seconds(answer.since, date)}
    if answer.names:
        value["names"] = list(answer.names)
    if answer.lines:
        value["log"] = list(answer.lines)
    if answer.names and answer.code == _UNKNOWN:
        value["fix"] = f"{did_you_mean(answer.names)} else {answer.fix}"
    return safe_json(json.dumps(value, ensure_ascii=False)) + "\n"


def _text(answer: Respond) -> str:
    """For a terminal, like our errors there."""
    lines = [f"devproxy: {safe_lines(answer.detail)}"]
    if answer.names and answer.code == _UNKNOWN:
        lines.append(safe(f"  {did_you_mean(answer.names)}"))
    if answer.fix:
        lines.append(safe(f"  fix: {answer.fix}"))
    if answer.run:
        lines.append(safe(f"  run: {answer.run}"))
    lines += [safe(f"  | {line}") for line in answer.lines]
    return "\n".join(lines) + "\n"


def _html(answer: Respond, date: str, pages: str) -> str:
    title = safe_html(f"{answer.status} {reason(answer.status)}")
    what, _, more = answer.detail.partition(": ")
    waits = _script(answer) is _SCRIPT_STARTING
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width,initial-scale=1">',
        f"<meta http-equiv=refresh content={2 if answer.lines else 1}>" if waits else "",
        f"<title>{safe_html(what) if waits else title}</title><style>{_STYLE}</style>",
        f"<main><div class=s>{title}</div><h1>{safe_html(_sentence(what))}</h1>",
    ]
    if more:
        parts.append(f"<p>{safe_html(_sentence(more))}</p>")
    if answer.command:
        parts.append(f"<h2>Its command</h2><pre>{safe_html(answer.command)}</pre>{_time(answer.since, date)}")
    if answer.lines:
        parts.append(f"<h2>The end of its log</h2><pre>{safe_html(chr(10).join(answer.lines))}</pre>")
    if answer.names and answer.code == _UNKNOWN:
        parts.append(f"<h2>Did you mean</h2><ul>{_links(answer)}</ul>")
    if answer.fix:
        parts.append(f"<h2>What to do</h2>{_fix(answer.fix)}")
    if answer.run:
        parts.append(f"<h2>Run</h2><pre>{safe_html(answer.run)}</pre>")
    if answer.again:
        parts.append("<p><a href>Open it</a></p>")
    if answer.reload:
        parts.append("<p class=r>This page loads again by itself as soon as the service answers.</p>")
    parts.append(f"<footer>{_name(pages)} · {safe_html(answer.code)}</footer></main>")
    if answer.reload:
        parts.append(f"<script>{_script(answer)}</script>")
    return "".join(parts)


def _script(answer: Respond) -> str:
    return _SCRIPT_STARTING if answer.reload and answer.code == _STARTING else _SCRIPT


def _name(pages: str) -> str:
    return f'<a href="{safe_html(pages)}">devproxy</a>' if pages else "devproxy"


def _seconds(since: float, date: str) -> int:
    """From `since` to `date`, the moment of the answer."""
    return max(0, round(parsedate_to_datetime(date).timestamp() - since))


def _time(since: float, date: str) -> str:
    return f"<p>Its start began {_seconds(since, date)} s ago.</p>" if since > 0 else ""


def _links(answer: Respond) -> str:
    """Near names, at the port that the browser used."""
    links = ((host_url("", name, answer.port, "/"), name) for name in answer.names)
    return "".join(f'<li><a href="{safe_html(link)}">{safe_html(name)}</a>' for link, name in links)


def _fix(text: str) -> str:
    """A sentence; where it leads up to something to copy, that in a box of its own."""
    lead, colon, code = (text[:1].upper() + text[1:]).partition(": ")
    return f"<p>{safe_html(lead)}:</p><pre>{safe_html(code)}</pre>" if colon else f"<p>{safe_html(lead)}</p>"


def _sentence(text: str) -> str:
    """With a capital, unless it begins with a name."""
    return text[:1].upper() + text[1:] if text.partition(" ")[0] in _OPENERS else text
