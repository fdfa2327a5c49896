"""What the pages on the way to GitHub say: pure, everything that is not ours escaped."""

from __future__ import annotations

import json
from html import escape
from http import HTTPStatus

from fastapi.responses import HTMLResponse

from previewdrop.domain.errors import PreviewDropError
from previewdrop.forge.github.manifest import PERMISSIONS
from previewdrop.web.github.attempts import Attempt
from previewdrop.web.pages.page import page

_WAY = ("Register the App", "Choose repositories", "Add projects")
_AGAIN = "<pre><code>previewdrop github connect</code></pre>"


def begin(attempt: Attempt) -> HTMLResponse:
    """Sends the manifest to GitHub, by itself or by its button."""
    form = attempt.form
    rows = "".join(
        f"<tr><td>{escape(each.name.replace('_', ' '))} <span>{each.level}</span></td>"
        f"<td>to {escape(each.why)}</td></tr>"
        for each in PERMISSIONS
    )
    whose = f"the organization {attempt.organization}" if attempt.organization else "your account"
    content = f"""{_way(0)}
<h1>Connect GitHub</h1>
<p>{_where(attempt)} registers an App of your own for {escape(whose)}. Its name and permissions are
filled in; you confirm, and come back here.</p>
<form method="post" action="{escape(form)}">
<input type="hidden" name="manifest" value="{escape(json.dumps(attempt.manifest))}">
<button class="button">Continue to {_where(attempt)}</button></form>
<h2>What it may do</h2><table>{rows}</table>"""
    return page("Connect GitHub", content, form=form)


def connected(attempt: Attempt) -> HTMLResponse:
    """The App is there; it sees no repository yet."""
    made = attempt.registration
    if made is None:
        return stale()
    link = made.installation_address
    if not link.startswith(f"{attempt.host.web}/"):
        link = attempt.host.web
    silent = (
        ""
        if attempt.public
        else """<p class="note">GitHub was told no address of this server, so it sends no webhooks.
PreviewDrop compares pull requests with previews every five minutes instead. Where it can be
reached, set <code>PREVIEWDROP_PUBLIC_URL</code> and connect again.</p>"""
    )
    content = f"""{_way(1)}
<h1>{escape(made.slug)} is registered</h1>
<p>Its key is kept encrypted on this server. The App sees nothing yet: choose the repositories whose
pull requests get previews.</p>
<a class="button" href="{escape(link)}">Choose repositories</a>
<p class="soft">You may change the choice on GitHub at any time.</p>{silent}"""
    return page("Connected", content)


def installed() -> HTMLResponse:
    """Where GitHub sends whoever has chosen repositories."""
    content = f"""{_way(2)}
<h1>The App is installed</h1>
<p>Now say which of its repositories get previews. In the terminal:</p>
<pre><code>previewdrop github repositories
previewdrop github add acme/shop</code></pre>
<p>From then on every pull request there gets its own environment, and a comment with its URL. You
may close this page.</p>"""
    return page("Installed", content)


def stale() -> HTMLResponse:
    """For a state that is not known, or not any more."""
    content = f"""<h1 class="bad">This address is not valid any more</h1>
<p>It is good for an hour and for one connection, until the server starts again. Begin anew in the
terminal:</p>{_AGAIN}"""
    return page("Not valid", content, status=HTTPStatus.NOT_FOUND)


def refused(message: str, hint: str | None) -> HTMLResponse:
    """GitHub said no, and will say it again."""
    more = f"<p>{escape(hint)}</p>" if hint else ""
    content = f"""<h1 class="bad">GitHub is not connected</h1>
<p>{escape(message)}</p>{more}<p>Nothing was kept. Begin anew in the terminal:</p>{_AGAIN}"""
    return page("Not connected", content, status=HTTPStatus.UNPROCESSABLE_ENTITY)


def unavailable(error: PreviewDropError) -> HTMLResponse:
    """What passes by itself: the code stays good, so that the page can be loaded again."""
    content = f"""<h1 class="bad">Not yet</h1>
<p>{escape(error.message)}</p>
<p>Load this page again in a minute; the App is registered, and its code is good for an hour.</p>"""
    return page("Not yet", content, status=HTTPStatus.SERVICE_UNAVAILABLE)


def _way(now: int) -> str:
    steps = "".join(
        f'<li class="{"done" if at < now else "now" if at == now else "next"}"'
        f"{' aria-current=step' if at == now else ''}>{name}</li>"
        for at, name in enumerate(_WAY)
    )
    return f'<ol class="way">{steps}</ol>'


def _where(attempt: Attempt) -> str:
    name = attempt.host.web.partition("://")[2]
    return "GitHub" if name == "github.com" else escape(name)
