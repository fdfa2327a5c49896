"""Webhooks: who is told of an event, what exactly, and what tests let happen on the way there."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx2

from github_standin import payloads
from github_standin.accounts import Account
from github_standin.apps import ALWAYS, App, Installation
from github_standin.clock import iso
from github_standin.hooks import Hook
from github_standin.payloads.real import Json, node_id
from github_standin.payloads.repositories import of_push

if TYPE_CHECKING:
    from github_standin.github import GitHub
    from github_standin.repository import Repository

_PATIENCE = 10.0
_ZEN = "Anything added dilutes everything else."


@dataclass(eq=False, slots=True)
class Delivery:
    """One call of a webhook, and what became of it: `statuses` has one entry an attempt.

    None stands for no answer.
    """

    id: int
    guid: str
    event: str
    action: str | None
    to: App | Hook
    url: str
    headers: dict[str, str]
    body: bytes
    payload: Json
    at: str
    statuses: list[int | None] = field(default_factory=list[int | None])

    @property
    def kind(self) -> str:
        """`pull_request.opened`, or `push`."""
        return self.event if self.action is None else f"{self.event}.{self.action}"


class Webhooks:
    """Sends deliveries one after the other, as they happen.

    `log` has all that ever was, also what was never sent. While `paused`, `waiting` holds what
    would be sent: tests may reorder it, drop from it, or put something in twice, then `resume`.
    """

    def __init__(self, github: GitHub) -> None:
        self.log: list[Delivery] = []
        self.waiting: list[Delivery] = []
        self.paused = False
        self.forgets: Callable[[Delivery], bool] = lambda _: False
        self.times = 1
        self._github = github
        self._changed = threading.Condition()
        self._busy = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._thread.start()

    def pause(self) -> None:
        with self._changed:
            self.paused = True

    def resume(self) -> None:
        """Sends what has been waiting, in the order of `waiting`."""
        with self._changed:
            self.paused = False
            self._changed.notify_all()

    def redeliver(self, delivery: Delivery) -> None:
        """Once more with the same id, as the button does."""
        self._send(delivery)

    async def settled(self, timeout: float = 60) -> None:
        """Returns when nothing is on its way any more. What waits in a pause does not count."""
        fine = await asyncio.to_thread(self._wait, timeout)
        assert fine, [each.kind for each in self.waiting]

    def close(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()

    def heard(self, event: str, repository: Repository) -> bool:
        """Whether anybody would be told of this event now."""
        apps = [each.app for each in self._told(event, repository)]
        return bool(apps) or any(each.wants(event) for each in repository.hooks.values())

    def tell(
        self, event: str, facts: Mapping[str, Any], repository: Repository, by: Account
    ) -> None:
        """Tells everybody who subscribed to this event of a repository, by one id for them all.

        https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers
        """
        shown = of_push(repository) if event == "push" else payloads.told_repository(repository)
        payload = {**facts, "repository": shown, "sender": payloads.account(by)}
        if repository.owner.kind == "Organization":
            payload["organization"] = payloads.organization(repository.owner)
        guid = str(uuid.uuid4())
        for installation in self._told(event, repository):
            origin = {"id": installation.id, "node_id": node_id("Installation", installation.id)}
            self._deliver(event, payload | {"installation": origin}, installation.app, guid=guid)
        for hook in repository.hooks.values():
            if hook.wants(event):
                self._deliver(event, payload, hook, repository, guid=guid)

    def tell_installation(
        self,
        event: str,
        facts: Mapping[str, Any],
        installation: Installation,
        by: Account,
        always: bool,
    ) -> None:
        """Tells the App itself; nobody subscribes to that."""
        assert event in ALWAYS
        if always or installation.suspended_at is None:
            self._deliver(event, {**facts, "sender": payloads.account(by)}, installation.app)

    def ping_app(self, app: App) -> None:
        hook = {
            "type": "App",
            "id": app.id,
            "name": "web",
            "active": True,
            "events": list(app.events),
            "config": {"content_type": "json", "insecure_ssl": "0", "url": app.hook_url},
            "updated_at": app.created_at.isoformat(),
            "created_at": app.created_at.isoformat(),
            "app_id": app.id,
            "deliveries_url": f"{self._github.api}/app/hook/deliveries",
        }
        self._deliver("ping", {"zen": _ZEN, "hook_id": app.id, "hook": hook}, app)

    def ping(self, repository: Repository, hook: Hook) -> None:
        payload = {
            "zen": _ZEN,
            "hook_id": hook.id,
            "hook": payloads.hook(repository, hook),
            "repository": payloads.told_repository(repository),
            "sender": payloads.account(repository.owner),
        }
        self._deliver("ping", payload, hook, repository)

    def of(self, to: App | Hook) -> list[Delivery]:
        """The newest first."""
        return [each for each in reversed(self.log) if each.to is to]

    def _deliver(
        self,
        event: str,
        payload: Json,
        to: App | Hook,
        repository: Repository | None = None,
        *,
        guid: str | None = None,
    ) -> None:
        url = to.hook_url if isinstance(to, App) else to.url
        if url is None:
            return
        wrong = self._github.description.wrong_event(event, payload)
        self._github.violations += [f"webhook {event}: {each}" for each in wrong]
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        form = isinstance(to, Hook) and to.content_type == "form"
        if form:
            body = urlencode({"payload": body}).encode()
        secret = to.webhook_secret if isinstance(to, App) else to.secret
        guid = guid or str(uuid.uuid4())
        headers = {
            "Accept": "*/*",
            "Content-Type": f"application/{'x-www-form-urlencoded' if form else 'json'}",
            "User-Agent": "GitHub-Hookshot/1234567",
            "X-GitHub-Delivery": guid,
            "X-GitHub-Event": event,
            "X-GitHub-Hook-ID": str(to.id),
            "X-GitHub-Hook-Installation-Target-ID": str(
                to.id if repository is None else repository.id
            ),
            "X-GitHub-Hook-Installation-Target-Type": (
                "integration" if isinstance(to, App) else "repository"
            ),
            **(signatures(secret, body) if secret is not None else {}),
        }
        id, action = self._github.next_id(), payload.get("action")
        at = iso(self._github.clock.now()) or ""
        delivery = Delivery(id, guid, event, action, to, url, headers, body, payload, at)
        self.log.append(delivery)
        if not self.forgets(delivery):
            for _ in range(self.times):
                self._send(delivery)

    def _told(self, event: str, repository: Repository) -> list[Installation]:
        return [
            each
            for each in self._github.installations
            if event in each.app.events and each.suspended_at is None and each.sees(repository)
        ]

    def _send(self, delivery: Delivery) -> None:
        with self._changed:
            self.waiting.append(delivery)
            self._changed.notify_all()

    def _wait(self, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._busy and (self.paused or not self.waiting), timeout
            )

    def _run(self) -> None:
        with httpx2.Client(timeout=_PATIENCE, trust_env=False) as client:
            while True:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
                    self._changed.wait_for(
                        lambda: self._ended or (self.waiting and not self.paused)
                    )
                    if self._ended:
                        return
                    delivery = self.waiting.pop(0)
                    self._busy = True
                try:
                    answer = client.post(
                        delivery.url, content=delivery.body, headers=delivery.headers
                    )
                    delivery.statuses.append(answer.status_code)
                except httpx2.HTTPError:
                    delivery.statuses.append(None)


def signatures(secret: str, body: bytes) -> dict[str, str]:
    """The headers by which a receiver knows that GitHub sent this."""
    return {
        "X-Hub-Signature": "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest(),
        "X-Hub-Signature-256": "sha256="
        + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }
