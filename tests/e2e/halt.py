"""Holds up what runs in containers and builds, which reach nothing of this machine: by signals.

A process halts until it gets SIGUSR1. It is found in /proc, so nobody has to tell that it is there.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from e2e.containers import BASE, app

PROGRAM = """\
\"\"\"Halts until SIGUSR1: python halt.py PLACE TOKEN\"\"\"
import signal

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
signal.signal(signal.SIGUSR1, lambda *_: None)  # that it is caught says that it is ready
signal.sigwait({signal.SIGUSR1})
print("passed", flush=True)
"""

DOCKERFILE = f"""\
FROM {BASE}
COPY . .
CMD ["sh", "-c", "{{command}} && exec python -m uvicorn main:app --host 0.0.0.0 --port $PORT"]
"""

PLACES = ("build", "release", "start", "post-deploy")
_BIT = 1 << (signal.SIGUSR1 - 1)


class Halt:
    """Processes that halt with one `token`, which no other test has."""

    def __init__(self, token: str) -> None:
        self._token = token

    def app(self, place: str) -> dict[str, str | bytes | None]:
        """The healthy app, held up at that place."""
        command = f"python halt.py {place} {self._token}"
        files = app(**{"halt.py": PROGRAM})
        if place == "build":
            return {**files, "Dockerfile": f"FROM {BASE}\nCOPY . .\nRUN {command}\n"}
        if place == "start":
            return {**files, "Dockerfile": DOCKERFILE.format(command=command)}
        return {**files, "previewdrop.toml": f'{place.replace("-", "_")} = "{command}"\n'}

    def at(self, place: str) -> list[int]:
        """The processes that halt there now."""
        words = f"halt.py\0{place}\0{self._token}\0".encode()
        found: list[int] = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                argv, status = (folder / "cmdline").read_bytes(), (folder / "status").read_text()
            except OSError:
                continue
            caught = status.partition("SigCgt:\t")[2].partition("\n")[0]
            if argv.endswith(words) and int(caught or "0", 16) & _BIT:
                found.append(int(folder.name))
        return found

    async def arrived(self, place: str) -> None:
        """Returns when a process halts there."""
        async with asyncio.timeout(60):
            while not self.at(place):  # noqa: ASYNC110 - the machine tells nobody
                await asyncio.sleep(0.05)

    def let_on(self, place: str) -> None:
        """Lets those on that halt there now."""
        for pid in self.at(place):
            try:
                os.kill(pid, signal.SIGUSR1)
            except ProcessLookupError:
                continue

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Whoever halts anywhere during the block is let on."""

        async def let_all_on() -> None:
            while True:
                for place in PLACES:
                    self.let_on(place)
                await asyncio.sleep(0.1)

        letting = asyncio.create_task(let_all_on())
        try:
            yield
        finally:
            letting.cancel()
            await asyncio.wait({letting})
