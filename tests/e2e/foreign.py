"""Images that a Dockerfile may name and this machine cannot use."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import tarfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from docker_engine import SOCKET, client

ELSEWHERE = "previewdrop-tests/elsewhere:1"
"""An image for another kind of processor than this machine's."""


@asynccontextmanager
async def registry() -> AsyncGenerator[str]:
    """The address of a registry that answers, and has no image."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await reader.read(1) != b"\x16":  # TLS, which it does not speak
                await reader.readuntil(b"\r\n\r\n")
                body = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "unknown"}]}'
                head = f"HTTP/1.1 404 Not Found\r\nContent-Length: {len(body)}\r\n"
                writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    serving = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with serving:
        yield f"127.0.0.1:{serving.sockets[0].getsockname()[1]}"


def make_elsewhere() -> None:
    """An image for arm64, whose shell this machine cannot run, in the format of `docker save`."""
    program = b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + b"\xb7\0" + b"\0" * 44
    layer = archive({"bin/sh": program})
    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    config = {
        "architecture": "arm64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [ELSEWHERE], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config).encode(), "layer.tar": layer}
    image = archive({**files, "manifest.json": json.dumps(manifest).encode()})
    with client(SOCKET) as docker:
        answer = docker.post("/v1.41/images/load", content=image)
    assert answer.is_success, answer.text
    assert "error" not in answer.text, answer.text


def archive(files: Mapping[str, bytes]) -> bytes:
    """A tar of executable files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
