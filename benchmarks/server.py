"""A PreviewDrop server of the benchmark's own, driven over its API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil

_PORTS = ("PORT", "EDGE_PORT", "EDGE_HTTP_PORT", "POSTGRES_PORT", "REDIS_PORT")


class Server:
    """`previewdrop serve` on a data folder, and what it answers."""

    def __init__(self, home: Path, runtime: str = "process") -> None:
        self.home = home
        self._runtime = runtime
        self._process: subprocess.Popen[bytes] | None = None
        self._client: httpx2.Client | None = None

    def start(self) -> float:
        """Starts it; seconds until /healthz answered."""
        self.home.mkdir(parents=True, exist_ok=True)
        environment = {
            key: v for key, v in os.environ.items() if not key.startswith("PREVIEWDROP_")
        }
        environment |= {f"PREVIEWDROP_{name}": "0" for name in _PORTS}
        environment |= {"PREVIEWDROP_HOME": str(self.home), "PREVIEWDROP_MAX_PREVIEWS": "20"}
        environment |= {"PREVIEWDROP_RUNTIME": self._runtime, "PREVIEWDROP_CONCURRENCY": "10"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        began = time.perf_counter()
        with (self.home / "server.out").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "previewdrop", "serve"],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        while not self._answers():
            if self._process.poll() is not None:
                raise RuntimeError((self.home / "server.out").read_text())
            time.sleep(0.005)
        return time.perf_counter() - began

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

    def memory(self) -> int:
        """Resident bytes of the control plane's Python."""
        assert self._process is not None
        return psutil.Process(self._process.pid).memory_info().rss

    def add_project(self, name: str, source: Path) -> None:
        self._post("/api/v1/projects", {"name": name, "source": str(source)})

    def push(self, project: str, branch: str) -> str:
        """Asks for the branch's newest commit; the preview's name."""
        return self._post(f"/api/v1/projects/{project}/previews", {"branch": branch})["name"]

    def wait(self, names: set[str]) -> dict[str, dict[str, Any]]:
        """The previews as they are when each is live at the commit that is wanted."""
        done: dict[str, dict[str, Any]] = {}
        for preview in self._previews():
            if preview["name"] not in names or preview["name"] in done:
                continue
            deployment = preview["deployment"]
            if deployment and deployment["generation"] >= preview["generation"]:
                if deployment["state"] == "failed":
                    raise RuntimeError(json.dumps(deployment["error"], indent=2))
                if deployment["state"] == "ready":
                    done[preview["name"]] = preview
            if len(done) == len(names):
                return done
        raise RuntimeError("the stream of events ended")

    def remove(self, *names: str) -> float:
        """Removes previews at the same moment; seconds until nothing of them is left."""
        began = time.perf_counter()
        for name in names:
            self.client.delete(f"/api/v1/previews/{name}").raise_for_status()
        while any(self.client.get(f"/api/v1/previews/{name}").is_success for name in names):
            time.sleep(0.01)
        return time.perf_counter() - began

    @property
    def client(self) -> httpx2.Client:
        assert self._client is not None
        return self._client

    def memory_of_previews(self) -> list[int]:
        """Proportional bytes of each run's processes: shared pages are shared out."""
        totals: dict[str, int] = {}
        for process in psutil.process_iter():
            try:
                marker = process.environ().get("PREVIEWDROP_RUN", "")
                folder = process.cwd()
            except (psutil.Error, OSError):
                continue
            if marker and folder.startswith(str(self.home)):
                totals[folder] = totals.get(folder, 0) + process.memory_full_info().pss
        return list(totals.values())

    def _answers(self) -> bool:
        try:
            record = json.loads((self.home / "server.json").read_text())
            token = (self.home / "token").read_text().strip()
            self._client = httpx2.Client(
                base_url=record["url"],
                headers={"Authorization": f"Bearer {token}"},
                timeout=httpx2.Timeout(600),
                trust_env=False,
            )
            return self._client.get("/healthz").is_success
        except (OSError, ValueError, httpx2.TransportError):
            return False

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = self.client.post(path, json=body)
        response.raise_for_status()
        return response.json()

    def _previews(self) -> Iterator[dict[str, Any]]:
        with self.client.stream("GET", "/api/v1/events") as response:
            for event in httpx2.EventSource(response):
                if event.event == "preview":
                    yield json.loads(event.data)


@contextmanager
def running(home: Path, runtime: str = "process") -> Generator[Server]:
    """A server that is stopped at the end."""
    server = Server(home, runtime)
    server.start()
    try:
        yield server
    finally:
        server.stop()
