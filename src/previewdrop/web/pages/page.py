"""Pages of ours: made of templates, with what the browser may do with each."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_FOLDER = Path(__file__).parents[1] / "templates"
_STYLE = (_FOLDER / "style.css").read_text()
_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

SUBMIT = (
    'if(performance.getEntriesByType("navigation")[0]?.type!=="back_forward")'
    "document.forms[0].submit()"
)
"""Sends a page's form at once, but does not trap those who come back to it."""


def page(
    template: str,
    values: Mapping[str, object] | None = None,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    leads_to: str | None = None,
    wide: bool = False,
) -> HTMLResponse:
    """A whole page, of a template whose values are escaped.

    Its first form goes to the site `leads_to` at once, if that is given; all others go to us.
    Nothing is loaded from anywhere, and only our own style and script are obeyed.
    """
    frame = {
        "style": Markup(_STYLE),  # noqa: S704 - our own file
        "script": Markup(SUBMIT) if leads_to else "",  # noqa: S704 - our own text
        "wide": wide,
    }
    text = _TEMPLATES.get_template(template).render({**(values or {}), **frame})
    return HTMLResponse(text, status, headers=_headers(leads_to))


def _headers(leads_to: str | None) -> dict[str, str]:
    rules = ["default-src 'none'", f"style-src {_hash(_STYLE)}"]
    if leads_to:
        # Redirections count too, and GitHub sends people back here.
        rules += [f"script-src {_hash(SUBMIT)}", f"form-action {_origin(leads_to)} 'self'"]
    else:
        rules += ["form-action 'self'"]
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
