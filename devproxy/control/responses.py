"""What every answer of devproxy's own pages has in common.

Lives here: the security fields, JSON, and refusals (HTML or RFC 9457 `application/problem+json`, by `Accept`).
Not here: when to refuse (`guard.py`), the pages (`pages.py`), answers on the data path (`proxy/error_pages.py`).
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from devproxy.text import json_text, safe_html

# No resource but our own files, no frame around us, no form: an injected tag has nothing that it could do.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FIELDS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


async def secure(request: web.Request, response: web.StreamResponse) -> None:
    """`on_response_prepare`: the fields above on every response, and nothing about what we are built with."""
    del request
    for name, value in FIELDS.items():
        response.headers.setdefault(name, value)
    # aiohttp adds its own and Python's version where there is none.
    response.headers["Server"] = "devproxy"


def json_answer(value: object, status: int = 200, content_type: str = "application/json") -> web.Response:
    """`value` is anything that msgspec encodes."""
    body = f"{json_text(value)}\n".encode()
    return web.Response(body=body, status=status, content_type=content_type, charset="utf-8")


def refusal(request: web.Request, status: int, code: str, detail: str, fix: str = "") -> web.Response:
    """An error: what, and how to mend it; `Devproxy-Error` carries `code`."""
    title = web.Response(status=status).reason
    if "text/html" in request.headers.get("Accept", "").lower():
        answer = web.Response(text=_page(f"{status} {title}", detail, fix), content_type="text/html", status=status)
    else:
        problem: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        problem |= {"code": code} | ({"fix": fix} if fix else {})
        answer = json_answer(problem, status, "application/problem+json")
    answer.headers["Devproxy-Error"] = code
    answer.headers["Vary"] = "Accept"
    return answer


def _page(title: str, detail: str, fix: str) -> str:
    advice = f"<p>{safe_html(fix[:1].upper() + fix[1:])}.</p>" if fix else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{safe_html(title)}</title>'
        f'<link rel="stylesheet" href="/static/dashboard.css"><main class="refusal"><h1>{safe_html(title)}</h1>'
        f"<p>{safe_html(detail[:1].upper() + detail[1:])}.</p>{advice}</main>"
    )
