"""A page of ours as a whole: its frame, its look, and what the browser may do with it."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi.responses import HTMLResponse

_STYLE = """
:root{color-scheme:light dark;--ink:#14181f;--soft:#5b6472;--line:#e3e6eb;--paper:#fff;
--ground:#f4f5f8;--accent:#4f46e5;--good:#0f8a4b;--bad:#c2312b;--chip:#eef0f4}
@media(prefers-color-scheme:dark){:root{--ink:#eceff4;--soft:#9aa4b5;--line:#2a303b;--paper:#171b22;
--ground:#0d1015;--accent:#8b85ff;--good:#3ecf84;--bad:#ff7a72;--chip:#222833}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:24px;background:var(--ground);
color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{width:100%;max-width:600px;background:var(--paper);border:1px solid var(--line);
border-radius:16px;padding:32px 36px 36px;box-shadow:0 12px 40px rgb(15 20 30/.07)}
header{display:flex;align-items:center;gap:10px;font-weight:650;letter-spacing:-.01em}
header svg{width:24px;height:24px;fill:var(--accent)}
ol.way{display:flex;gap:8px;list-style:none;margin:24px 0 28px;padding:0;font-size:13px;
color:var(--soft)}
ol.way li{flex:1;border-top:3px solid var(--line);padding-top:8px}
ol.way li.done{border-color:var(--good)}
ol.way li.now{border-color:var(--accent);color:var(--ink);font-weight:600}
h1{font-size:26px;line-height:1.25;letter-spacing:-.02em;margin:0 0 10px}
h1.bad{margin-top:26px}h1.bad::before{content:"";display:block;width:36px;height:4px;
border-radius:2px;background:var(--bad);margin-bottom:16px}
h2{font-size:15px;margin:28px 0 8px}
p{margin:0 0 14px}p.soft{color:var(--soft);font-size:14px}
a{color:var(--accent)}
.button{display:inline-block;border:0;border-radius:10px;background:var(--accent);color:var(--paper);
font:inherit;font-weight:600;padding:11px 20px;margin:8px 0 4px;text-decoration:none;cursor:pointer}
.button:hover{filter:brightness(1.08)}
.button:focus-visible,a:focus-visible{outline:3px solid var(--accent);outline-offset:3px}
table{width:100%;border-collapse:collapse;font-size:14px}
td{border-top:1px solid var(--line);padding:8px 0;vertical-align:top}
td:first-child{width:42%;padding-right:12px}
td span{color:var(--soft)}
code{font:13.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:var(--chip);
border-radius:5px;padding:2px 6px;overflow-wrap:anywhere}
pre{margin:0 0 14px;background:var(--chip);border-radius:10px;padding:12px 14px;overflow-x:auto}
pre code{background:none;padding:0}
.note{border-left:3px solid var(--accent);padding:2px 0 2px 14px;margin:20px 0 0;font-size:14px;
color:var(--soft)}
@media(max-width:520px){main{padding:24px 20px}h1{font-size:22px}}
"""

SUBMIT = (
    'if(performance.getEntriesByType("navigation")[0]?.type!=="back_forward")'
    "document.forms[0].submit()"
)
"""Sends a page's form at once, but does not trap those who come back to it."""

_MARK = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 2s7 7.6 7 12.6A7 7 0 0 1 12 22a7 7 '
    '0 0 1-7-7.4C5 9.6 12 2 12 2Zm-2.6 9.4v6.2l5.2-3.1-5.2-3.1Z"/></svg>'
)


def page(
    title: str,
    content: str,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    form: str | None = None,
) -> HTMLResponse:
    """A whole page. `content` is HTML whose values are escaped; `form` the site of its form.

    Nothing is loaded from anywhere, and only our own style and script are obeyed.
    """
    script = f"<script>{SUBMIT}</script>" if form else ""
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)} · PreviewDrop</title><style>{_STYLE}</style></head>"
        f"<body><main><header>{_MARK}PreviewDrop</header>{content}</main>{script}</body></html>"
    )
    return HTMLResponse(text, status, headers=_headers(form))


def _headers(form: str | None) -> dict[str, str]:
    rules = ["default-src 'none'", f"style-src {_hash(_STYLE)}"]
    if form:
        # Redirections count too, and GitHub sends people back here.
        rules += [f"script-src {_hash(SUBMIT)}", f"form-action {_origin(form)} 'self'"]
    else:
        rules += ["form-action 'none'"]
    rules += ["base-uri 'none'", "frame-ancestors 'none'"]
    return {
        "Content-Security-Policy": "; ".join(rules),
        "Cache-Control": "no-store",
        # Addresses of these pages have a state, which nobody else is told. `no-referrer` would make
        # the form's Origin `null`, which sites refuse.
        "Referrer-Policy": "strict-origin",
        "X-Content-Type-Options": "nosniff",
    }


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
