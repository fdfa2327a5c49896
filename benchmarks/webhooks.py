"""Webhooks: answered how fast at a hundred a second, and whether one was lost."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from benchmarks.measure import Result, Tell
from benchmarks.server import running

A_SECOND = 100
SECONDS = 5
LIMIT = 0.05
"""Seconds until 99 of a hundred are answered; and none may be lost."""
PULLS = 100
SECRET = "what both know"  # noqa: S105
REPOSITORY = {"id": 7, "full_name": "acme/shop", "private": True}


def webhooks(folder: Path, tell: Tell) -> Result:
    """Sent at their times whether or not the last ones were answered, then all of them again.

    Each changes a pull request of a project that previews on demand: it is written down and
    settled, and nothing is deployed. One that was lost would be new when it is sent again.
    """
    bodies = [_body(number) for number in range(A_SECOND * SECONDS)]
    with _github() as github, running(folder / "home") as server:
        connection = {"url": github, "token": "ghp_bench", "webhook": SECRET}
        server.client.post("/api/v1/github/connections", json=connection).raise_for_status()
        made = server.client.post("/api/v1/github/projects", json={"repository": "acme/shop"})
        made.raise_for_status()
        settings = {"settings": {"github.demand": "command"}}
        server.client.patch("/api/v1/projects/shop", json=settings).raise_for_status()
        address = str(server.client.base_url)
        asyncio.run(_sent(address, "warm", bodies[:A_SECOND]))
        tell(f"{len(bodies)} webhooks, {A_SECOND} a second")
        answers = asyncio.run(_sent(address, "first", bodies))
        again = asyncio.run(_sent(address, "first", bodies))
    seconds = sorted(one for one, _ in answers)
    p99 = seconds[len(seconds) * 99 // 100]
    lost = sum(new is not True for _, new in answers) + sum(new is True for _, new in again)
    met = p99 <= LIMIT and not lost
    tell(
        f"the limit is {'met' if met else 'NOT met'}: p99 is {p99 * 1000:.0f} ms of "
        f"{LIMIT * 1000:.0f}, {lost} of {len(bodies)} are lost"
    )
    return {
        "sent": len(bodies),
        "p50": seconds[len(seconds) // 2],
        "p99": p99,
        "slowest": seconds[-1],
        "lost": lost,
        "limit": LIMIT,
        "met": met,
    }


async def _sent(address: str, prefix: str, bodies: list[bytes]) -> list[tuple[float, bool | None]]:
    """Seconds from when each was to be sent to its answer, and what that was."""
    limits = httpx2.Limits(max_connections=A_SECOND, max_keepalive_connections=A_SECOND)
    async with httpx2.AsyncClient(trust_env=False, timeout=30, limits=limits) as client:
        begun = time.perf_counter() + 0.1

        async def send(number: int, body: bytes) -> tuple[float, bool | None]:
            due = begun + number / A_SECOND
            await asyncio.sleep(due - time.perf_counter())
            answer = await client.post(
                f"{address.rstrip('/')}/webhooks/github",
                content=body,
                headers=_headers(f"{prefix}-{number}", body),
            )
            taken = answer.json()["new"] if answer.is_success else None
            return time.perf_counter() - due, taken

        return await asyncio.gather(*(send(*one) for one in enumerate(bodies)))


def _headers(delivery: str, body: bytes) -> dict[str, str]:
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {
        "X-GitHub-Event": "pull_request",
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": f"sha256={digest}",
        "Content-Type": "application/json",
    }


def _body(number: int) -> bytes:
    """As large as GitHub's, most of which nobody reads."""
    seen = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_780_000_000 + number))
    end: dict[str, Any] = {"ref": "feature", "sha": f"{number:040x}", "repo": REPOSITORY}
    pull: dict[str, Any] = {
        "number": number % PULLS + 1,
        "title": "Add contact e-mail",
        "state": "open",
        "merged_at": None,
        "draft": False,
        "labels": [],
        "user": {"login": "ali", "type": "User"},
        "base": {**end, "ref": "main"},
        "head": end,
        "updated_at": seen,
        "body": "What this is about. " * 800,
    }
    told: dict[str, Any] = {"action": "synchronize", "pull_request": pull, "repository": REPOSITORY}
    return json.dumps(told).encode()


@contextmanager
def _github() -> Generator[str]:
    """The least of an Enterprise Server that a repository can be connected from; its address."""
    listening = ThreadingHTTPServer(("127.0.0.1", 0), _GitHub)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        listening.server_close()


class _GitHub(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """A person, a repository that is theirs, and no pull requests."""
        path = urlsplit(self.path).path.removeprefix("/api/v3")
        answers: dict[str, object] = {
            "/user": {"login": "ali", "type": "User"},
            "/user/repos": [{**REPOSITORY, "permissions": {"push": True}}],
        }
        content = json.dumps(answers.get(path, [])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""
