"""A receiver of webhooks for tests that have none of their own: it keeps what it is sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Letter:
    """`headers` are in lower case."""

    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """`pull_request.opened`, or `push`."""
        action = self.payload.get("action")
        event = self.headers["x-github-event"]
        return event if action is None else f"{event}.{action}"

    @property
    def payload(self) -> dict[str, Any]:
        return json.loads(self.body)


class Inbox:
    """`status` is what it answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.letters: list[Letter] = []

    @property
    def kinds(self) -> list[str]:
        return [each.kind for each in self.letters]


@contextmanager
def inbox() -> Generator[Inbox]:
    """Takes webhooks for the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            taken.letters.append(Letter(headers, body))
            self.send_response(taken.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        taken = Inbox(f"http://127.0.0.1:{server.server_port}/webhooks")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="inbox")
        thread.start()
        try:
            yield taken
        finally:
            server.shutdown()
            thread.join()
