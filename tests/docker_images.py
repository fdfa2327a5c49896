"""Images for tests of the docker runtime, built over the base images that the tests have made."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping

import httpx2

from previewdrop.drivers.docker.engine import DEFAULT_HOST, Engine, socket_of

SOCKET = socket_of(DEFAULT_HOST)
PYTHON = "python:3.12-slim"
_UVICORN_TAG = "previewdrop-tests/uvicorn:1"
UVICORN = f"""\
FROM {PYTHON}
RUN pip install --no-cache-dir uvicorn
WORKDIR /app
ENV PORT=3000 PYTHONUNBUFFERED=1
EXPOSE 3000
CMD ["sh", "-c", "exec python -m uvicorn main:app --host 0.0.0.0 --port $PORT"]
"""


def build(tag: str, files: Mapping[str, str], dockerfile: str) -> str:
    """Builds with BuildKit and returns the image's id; AssertionError with all that was said."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in {**files, "Dockerfile": dockerfile}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    transport = httpx2.HTTPTransport(uds=SOCKET)
    with httpx2.Client(transport=transport, base_url="http://docker", timeout=300) as client:
        query = {"version": "2", "t": tag}
        answer = client.post("/v1.41/build", params=query, content=buffer.getvalue())
        said = [json.loads(line) for line in answer.text.splitlines() if line]
        assert answer.is_success, said
        assert not [each for each in said if "error" in each], said
        return client.get(f"/v1.41/images/{tag}/json").raise_for_status().json()["Id"]


def uvicorn_image(files: Mapping[str, str]) -> str:
    """The id of an image that serves `main:app` of these files, made once for the same files."""
    build(_UVICORN_TAG, {}, UVICORN)
    digest = hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).hexdigest()[:12]
    return build(f"previewdrop-tests/app:{digest}", files, f"FROM {_UVICORN_TAG}\nCOPY . .\n")


async def left_on_engine(installation: str) -> list[str]:
    """Containers, networks and volumes that carry the installation's label."""
    engine = Engine(SOCKET)
    filters = {"label": [f"previewdrop.installation={installation}"]}
    try:
        containers, networks, volumes = await asyncio.gather(
            engine.get("/containers/json", {"all": True, "filters": filters}),
            engine.get("/networks", {"filters": filters}),
            engine.get("/volumes", {"filters": filters}),
        )
    finally:
        await engine.aclose()
    return [
        *(f"container {each['Names'][0]}" for each in containers),
        *(f"network {each['Name']}" for each in networks),
        *(f"volume {each['Name']}" for each in volumes["Volumes"] or ()),
    ]
