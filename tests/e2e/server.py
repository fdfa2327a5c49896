"""A real server in a process of its own: its API, its edge, and what it leaves on the machine."""

from __future__ import annotations

import asyncio
import fnmatch
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

import httpx2

from previewdrop.config.home import Home
from previewdrop.store.secrets import SecretBox

Json = dict[str, Any]

CANARY = "SERVER_CANARY"
"""A variable of the server's own environment, which no preview may see."""

SETTINGS = {
    **dict.fromkeys(("PORT", "EDGE_PORT", "EDGE_HTTP_PORT", "POSTGRES_PORT", "REDIS_PORT"), "0"),
    "RUNTIME": "process",
    "HEALTH_TIMEOUT": "15",
    "POST_DEPLOY_TIMEOUT": "15",
    "GRACE": "2",
    "MAX_PREVIEWS": "60",
    "LOG_BYTES": "1MiB",
}
ENDED = frozenset({"ready", "failed"})

_PAUSE = 0.05
_STARTS_WITHIN = 120.0
_PATIENCE = 120.0


class Server:
    """`previewdrop serve` on a data folder. `previews` is what its events said last of each.

    It may be killed and started again; whoever waits for a preview goes on waiting.
    """

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None) -> None:
        self.home = Home(home)
        self.previews: dict[str, Json] = {}
        self.seen: list[Json] = []
        self.output = home.with_name(f"{home.name}.log")
        self._settings = SETTINGS | dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._changed = asyncio.Condition()
        self._following: asyncio.Task[None] | None = None
        self._client: httpx2.AsyncClient | None = None
        self._browser: httpx2.AsyncClient | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """What the server and the command line are started with."""
        left_out = ("PREVIEWDROP_", "PYTHONDONTWRITEBYTECODE")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
        own = {f"PREVIEWDROP_{name}": value for name, value in self._settings.items()}
        return {**inherited, **own, "PREVIEWDROP_HOME": str(self.home.path), CANARY: "seen"}

    def spawn(self, *arguments: str, output: Any = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """`previewdrop …` for this server's data folder."""
        return subprocess.Popen(
            (sys.executable, "-P", "-m", "previewdrop", *arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    async def run(self, *arguments: str, timeout: float = _PATIENCE) -> tuple[int, str]:
        """Runs `previewdrop …` to its end: the exit code and what it printed."""
        process = self.spawn(*arguments)
        output, _ = await asyncio.to_thread(process.communicate, timeout=timeout)
        return process.returncode, output.decode()

    async def start(self) -> None:
        """Returns when the server answers and its events are followed."""
        if self._process is not None:
            await asyncio.to_thread(self._process.wait, 60)
        with self.output.open("ab") as output:
            self._process = self.spawn("serve", output=output)
        deadline = time.monotonic() + _STARTS_WITHIN
        while (record := self._record()) is None:
            assert self._process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            await asyncio.sleep(_PAUSE)
        await self._close()
        token = self.home.token_file.read_text().strip()
        self._client = httpx2.AsyncClient(
            base_url=record["url"],
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
            trust_env=False,
        )
        context = ssl.create_default_context(cafile=str(self.home.ca_file))
        self._browser = httpx2.AsyncClient(verify=context, timeout=30, trust_env=False)
        self._following = asyncio.create_task(self._follow(self._client))

    async def kill(self) -> None:
        """kill -9: nothing of the server's own code runs any more. `visit` still works."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        await self._stop_following()

    async def stop(self) -> None:
        """SIGTERM, as `previewdrop shutdown` does; its services end with it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait, 60)
        await self._close()

    async def get(self, path: str, **query: str) -> Any:
        return (await self.ask("GET", path, params=query)).raise_for_status().json()

    async def post(self, path: str, body: object = None) -> Any:
        return (await self.ask("POST", path, json=body)).raise_for_status().json()

    async def ask(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """The API's answer, whatever its status."""
        assert self._client is not None
        return await self._client.request(method, f"/api/v1{path}", **more)

    async def events(self, path: str, body: object) -> list[tuple[str, Any]]:
        """All events of a stream that ends by itself."""
        assert self._client is not None
        async with self._client.stream("POST", f"/api/v1{path}", json=body) as response:
            response.raise_for_status()
            return [(e.event, json.loads(e.data)) async for e in httpx2.EventSource(response)]

    async def add_project(self, name: str, source: Path | str, **settings: object) -> None:
        await self.post("/projects", {"name": name, "source": str(source), "settings": settings})

    async def want(self, project: str, branch: str, **more: object) -> Json:
        """Asks for the branch's newest commit; the preview as it is then."""
        return await self.post(f"/projects/{project}/previews", {"branch": branch, **more})

    async def deploy(self, project: str, branch: str, **more: object) -> Json:
        """Asks for the branch's newest commit and returns when it is ready or has failed."""
        return await self.answered(await self.want(project, branch, **more))

    async def answered(self, preview: Json, timeout: float = _PATIENCE) -> Json:
        """The preview once what was asked for is ready or has failed."""
        generation = preview["generation"]

        def ended(now: Json) -> bool:
            latest = now["deployment"]
            return (
                latest is not None
                and latest["generation"] >= generation
                and latest["state"] in ENDED
            )

        return await self.until(preview["name"], ended, timeout)

    async def until(
        self, name: str, holds: Callable[[Json], bool], timeout: float = _PATIENCE
    ) -> Json:
        """The preview as soon as `holds` is true of it."""

        def found() -> bool:
            return name in self.previews and holds(self.previews[name])

        try:
            async with self._changed:
                await asyncio.wait_for(self._changed.wait_for(found), timeout)
        except TimeoutError:
            raise AssertionError(f"{name} stays at {self.previews.get(name)}") from None
        return self.previews[name]

    async def stage(self, name: str, stage: str, state: str = "running") -> Json:
        """The preview as soon as that stage of its newest deployment is in that state."""

        def there(now: Json) -> bool:
            return stage_of(now, stage).get("state") == state

        return await self.until(name, there)

    async def remove(self, name: str) -> None:
        """Removes the preview and returns when the server says that it is gone."""
        await self.ask("DELETE", preview_path(name))
        await self.gone(name)

    async def gone(self, name: str, timeout: float = _PATIENCE) -> None:
        async with asyncio.timeout(timeout):
            while (await self.ask("GET", preview_path(name))).status_code != 404:  # noqa: ASYNC110
                await asyncio.sleep(_PAUSE)

    async def build_log(self, preview: Json) -> list[str]:
        """Lines of the newest deployment's log."""
        entries = await self.get(preview_path(preview["name"]) + "/logs", build="true")
        return [entry["line"] for entry in entries]

    async def app_log(self, preview: Json) -> list[tuple[str, str]]:
        """(process, line) of what the live processes printed."""
        entries = await self.get(preview_path(preview["name"]) + "/logs")
        return [(entry["source"], entry["line"]) for entry in entries]

    async def exec(self, preview: Json, *command: str) -> tuple[int, list[str]]:
        """Runs a command beside the app: its exit code and lines."""
        path = preview_path(preview["name"]) + "/exec"
        events = await self.events(path, {"command": list(command), "timeout": 60})
        kind, end = events[-1]
        assert kind == "exit", events
        return end["code"], [data["line"] for name, data in events if name == "line"]

    async def visit(self, preview: Json, path: str = "/health", **more: Any) -> httpx2.Response:
        """A request through the edge, the certificate checked against our own root."""
        assert self._browser is not None
        url = urlsplit(str(preview["url"]))
        return await self._browser.request(
            str(more.pop("method", "GET")),
            f"https://127.0.0.1:{url.port}{path}",
            headers={"Host": url.netloc},
            extensions={"sni_hostname": url.hostname},
            **more,
        )

    async def read(self, preview: Json, path: str, /, **query: str) -> Any:
        """The JSON that the app answers."""
        response = await self.visit(preview, path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def processes(self, deployment: int | None = None) -> dict[int, str]:
        """Everything that runs for previews, or for one deployment: command lines by pid.

        Found by the variable that each is started with and by its control group, read from /proc.
        """
        own = f"{self.home.installation}-" + ("" if deployment is None else f"{deployment}.")
        mark, group = f"PREVIEWDROP_RUN={own}", f"previewdrop-{own.rstrip('.')}"
        found: dict[int, str] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes().decode(errors="replace")
                groups = (folder / "cgroup").read_text().replace("\n", "/\n")
                command = (folder / "cmdline").read_bytes().decode(errors="replace")
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            inside = group in groups if deployment is None else f"{group}/" in groups
            if state not in "ZX" and (inside or f"\0{mark}" in f"\0{environment}"):
                found[int(folder.name)] = command.replace("\0", " ").strip()
        return found

    def groups(self, deployment: int | str = "*") -> list[str]:
        """Control groups of this server's previews."""
        name = f"previewdrop-{self.home.installation}-{deployment}"
        walk = os.walk("/sys/fs/cgroup")  # goes on when a group vanishes meanwhile
        return [
            f"{folder}/{found}"
            for folder, names, _ in walk
            for found in fnmatch.filter(names, name)
        ]

    def left_of(self, deployment: int) -> list[str]:
        """What the machine still holds of a deployment: nothing, once it failed or was replaced."""
        folders = (self.home.checkouts / str(deployment), self.home.runs / str(deployment))
        return [
            *(f"process {pid}: {command}" for pid, command in self.processes(deployment).items()),
            *(str(path) for path in folders if path.exists()),
            *self.groups(deployment),
        ]

    def admin_url(self, service: str) -> str:
        """The administrator's URL of our own `postgres` or `valkey`."""
        box = SecretBox.open(self.home.key_file, data_exists=True)
        password = box.derive(f"{service} administrator").reveal()
        _, port = json.loads((self.home.path / "ports.json").read_text())[service]
        if service == "postgres":
            sockets = self.home.socket(f".s.PGSQL.{port}").parent
            return f"postgresql://postgres:{password}@/postgres?host={sockets}&port={port}"
        return f"unix://default:{password}@{self.home.socket('valkey.sock')}?db=0"

    def routes(self) -> set[str]:
        """Hosts that the edge has a route for."""
        return {path.name for path in (self.home.caddy / "routes").iterdir()}

    def service_pid(self, service: str) -> int:
        """The process id of `postgres`, `valkey` or `caddy`."""
        return json.loads((self.home.path / service / "pid.json").read_text())["pid"]

    def _record(self) -> Json | None:
        """What the server wrote of itself, if it is this one and not one that was killed."""
        try:
            record = cast("Json", json.loads(self.home.server_file.read_text()))
        except (FileNotFoundError, ValueError):
            return None
        return record if record["pid"] == self.pid else None

    async def _follow(self, client: httpx2.AsyncClient) -> None:
        while True:
            try:
                async with client.stream("GET", "/api/v1/events", timeout=None) as response:
                    async for event in httpx2.EventSource(response):
                        if event.event == "preview":
                            await self._note(json.loads(event.data))
            except httpx2.HTTPError:
                await asyncio.sleep(_PAUSE)

    async def _note(self, preview: Json) -> None:
        async with self._changed:
            self.previews[preview["name"]] = preview
            self.seen.append(preview)
            self._changed.notify_all()

    async def _stop_following(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
            self._following = None
        self.previews.clear()

    async def _close(self) -> None:
        await self._stop_following()
        for client in (self._client, self._browser):
            if client is not None:
                await client.aclose()
        self._client = self._browser = None


@asynccontextmanager
async def served(home: Path, settings: Mapping[str, str] | None = None) -> AsyncGenerator[Server]:
    """A server for the block; whatever happens in it, nothing runs on afterwards."""
    server = Server(home, settings)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        end_everything(home)


def end_everything(home: Path) -> None:
    """Kills what a server that was killed left running: its services and its previews."""
    for pid in using(home):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def using(home: Path) -> list[int]:
    """Processes whose command line or mark names this data folder."""
    marks = (str(home).encode(), f"PREVIEWDROP_RUN={Home(home).installation}-".encode())
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "cmdline").read_bytes() + b"\0" + (folder / "environ").read_bytes()
        except OSError:
            continue
        if int(folder.name) != os.getpid() and any(mark in text for mark in marks):
            found.append(int(folder.name))
    return found


def stage_of(preview: Json, name: str) -> Json:
    """A stage of the preview's newest deployment; nothing if it has not begun."""
    deployment = cast("Json", preview["deployment"] or {})
    stages = cast("list[Json]", deployment.get("stages", []))
    return next((stage for stage in stages if stage["name"] == name), Json())


def preview_path(name: str) -> str:
    return "/previews/" + "/".join(quote(part, safe="") for part in name.split("/"))
