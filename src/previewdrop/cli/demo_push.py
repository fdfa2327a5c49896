"""What the demo claims of a push to a live preview: new code, same URL, same data."""

from __future__ import annotations

import threading
from dataclasses import replace

from previewdrop.cli import client
from previewdrop.cli.demo_checklist import Checklist, expect
from previewdrop.cli.demo_lanes import Lane
from previewdrop.cli.demo_live import Engineer
from previewdrop.cli.demo_repository import push
from previewdrop.cli.demo_scene import Scene
from previewdrop.cli.demo_visit import Visitor
from previewdrop.cli.follow import Outcome
from previewdrop.cli.story import Change
from previewdrop.domain.errors import PreviewDropError

_OLD, _NEW = "1.0.0", "1.1.0"
_EVERY = 0.1
_KEPT = {"email": "kept@example.com", "name": "Kept"}


def prove_push(checks: Checklist, scene: Scene, before: Engineer, change: Change) -> Engineer:
    """Pushes a change and proves what it does; the engineer with the preview as it is then."""
    lane = Lane(change)
    watch = _Watch(Visitor(before.visitor.url, scene.server_home.ca_file))

    def goes_live() -> str:
        _remember(before)
        version = before.visitor.read("/health").get("version")
        expect(version == _OLD, f"/health said {version} before the push.")
        commit = push(scene.repository, change)
        with watch:
            lane.run(client.connect(), scene.project, threading.Barrier(1))
        if lane.error:
            raise lane.error
        expect(lane.outcome is Outcome.READY, f"The deployment ended as {lane.outcome}.")
        live = lane.latest["commit"] if lane.latest else None
        expect(live == commit, f"{live} is live and {commit} was pushed.")
        version = before.visitor.read("/health").get("version")
        expect(version == _NEW, f"/health says {version}.")
        deployment = lane.latest["deployment"] if lane.latest else None
        return f"/health says {_NEW} {deployment['seconds'] if deployment else 0:.1f} s later"

    checks.prove(f"A push to {change.branch} goes live", goes_live)
    after = replace(before, preview=lane.latest or before.preview)
    checks.prove("The URL answered all the while", watch.verdict)
    checks.prove("The push kept the database", lambda: _kept(before, after))
    runtime = scene.runtime
    checks.prove(runtime.reused_claim, lambda: runtime.reused(before.preview, after.preview))
    return after


def _remember(engineer: Engineer) -> None:
    """Writes something that only a database that is kept still has after the push."""
    answer = engineer.visitor.post("/api/v1/users", _KEPT)
    expect(answer.status_code == 201, f"A new user was answered with {answer.status_code}.")


def _kept(before: Engineer, after: Engineer) -> str:
    expect(after.database == before.database, f"It is {after.database} now.")
    users = after.visitor.read("/api/v1/users")
    expect(_KEPT["email"] in [user["email"] for user in users], "What was written before is gone.")
    return after.database


class _Watch:
    """Asks a preview for /health again and again while it is a context."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._answers = 0
        self._wrong: list[str] = []

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._visitor.close()

    def verdict(self) -> str:
        """How many requests were answered; Unproven if one was not, or none was sent."""
        sent = self._answers + len(self._wrong)
        expect(not self._wrong, f"{len(self._wrong)} of {sent} requests: {self._wrong[:1]}.")
        expect(self._answers > 0, "Nobody asked it.")
        return f"{self._answers} of {sent} requests while it was switched"

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                status = self._visitor.get("/health").status_code
            except PreviewDropError as error:
                self._wrong.append(str(error))
            else:
                if status == 200:
                    self._answers += 1
                else:
                    self._wrong.append(f"/health answered {status}")
            self._stop.wait(_EVERY)
