"""Pages on the way to GitHub: what is not ours stays text, and nothing else is loaded or run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from fastapi.responses import HTMLResponse

from previewdrop.domain.errors import Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.forge.github.app import App
from previewdrop.forge.github.host import CLOUD, host
from previewdrop.forge.github.manifest import PERMISSIONS, Registration
from previewdrop.web.github import steps
from previewdrop.web.github.attempts import Attempt, Attempts

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"
BASE = "http://127.0.0.1:7780"


class Seen(HTMLParser):
    """What a browser would do with a page."""

    def __init__(self, page: HTMLResponse) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.inline: dict[str, str] = {}
        self._within = ""
        self.feed(bytes(page.body).decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._within = tag

    def handle_data(self, data: str) -> None:
        if self._within in ("script", "style"):
            self.inline[self._within] = self.inline.get(self._within, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def attempt(organization: str | None = "acme", base: str = BASE) -> Attempt:
    return Attempts().begin(CLOUD, organization, base, None)


def ended(slug: str = "previewdrop-acme", url: str = "https://github.com/apps/p") -> Attempt:
    made = attempt()
    made.registration = Registration(App(1, Secret("key"), Secret("webhook")), slug, url)
    made.connection = 1
    return made


def begun_there() -> Attempt:
    """One that was begun on the dashboard."""
    made = ended()
    made.dashboard = "/dashboard/key/github"
    return made


def pages() -> list[HTMLResponse]:
    return [
        steps.begin(attempt()),
        steps.connected(ended()),
        steps.installed(),
        steps.stale(),
        steps.refused(attempt(), EVIL, EVIL),
        steps.refused(begun_there(), EVIL, EVIL),
        steps.connected(begun_there()),
        steps.unavailable(Unavailable(EVIL)),
        steps.connected(ended(EVIL)),
        steps.begin(attempt(base=f"http://here/{EVIL}")),
    ]


@pytest.mark.parametrize("page", pages())
def test_no_page_loads_or_runs_anything_but_its_own(page: HTMLResponse):
    seen = Seen(page)
    rules = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
    for kind, text in seen.inline.items():
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
    assert ("script" in seen.inline) == ("script-src" in rules)
    assert [name for name, _ in seen.tags if name in ("img", "link", "iframe", "base")] == []
    own = [name for _, attributes in seen.tags for name in attributes]
    assert [name for name in own if name.startswith("on") or name in ("src", "style")] == []
    assert "alert(1)</script>" not in bytes(page.body).decode()
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "strict-origin"


def test_the_form_has_the_manifest_and_works_without_a_script():
    begun = attempt()
    page = steps.begin(begun)
    seen = Seen(page)
    [form] = seen.of("form")
    assert form == {"method": "post", "action": begun.form}
    assert begun.form.startswith("https://github.com/organizations/acme/settings/apps/new?state=")
    [field] = seen.of("input")
    assert json.loads(field["value"]) == begun.manifest
    assert len(seen.of("button")) == 1
    assert "form-action https://github.com 'self'" in page.headers["content-security-policy"]
    text = bytes(page.body).decode()
    assert [each.name for each in PERMISSIONS if each.name.replace("_", " ") not in text] == []


@pytest.mark.parametrize("organization", [None, "a", "acme", "an-organization-of-a-very-long-name"])
def test_the_manifest(organization: str | None):
    begun = attempt(organization)
    manifest = begun.manifest
    assert re.fullmatch(r"PreviewDrop( [a-z-]+)? [0-9a-f]{4}", manifest["name"])
    assert len(manifest["name"]) <= 34
    assert manifest["hook_attributes"]["active"] is False
    assert manifest["redirect_url"] == f"{BASE}/github/connected"
    assert begun.state not in json.dumps(manifest)


def test_an_enterprise_servers_form_goes_there():
    begun = Attempts().begin(host("https://github.acme.com"), None, BASE, "https://p.acme.com/x")
    page = steps.begin(begun)
    assert "form-action https://github.acme.com 'self'" in page.headers["content-security-policy"]
    assert begun.manifest["hook_attributes"] == {
        "url": "https://p.acme.com/x/webhooks/github",
        "active": True,
    }


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://evil.example.com/apps/x"])
def test_a_link_leads_to_that_github_only(url: str):
    [link] = Seen(steps.connected(ended(url=url))).of("a")
    assert link["href"] == "https://github.com"


def test_no_secret_is_in_what_is_written_of_an_attempt():
    begun = ended()
    assert begun.state not in repr(begun)
