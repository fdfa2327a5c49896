"""The machine's Docker Engine as the benchmarks use it: looked into, and cleaned up behind us."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import httpx2

SOCKET = "/var/run/docker.sock"
_WITHOUT_BUILDX = 23
"""Since then the client builds with BuildKit through its plug-in buildx alone."""


class Engine:
    """What is found and removed is named by a label, so nothing of anybody else's is touched."""

    def __init__(self) -> None:
        transport = httpx2.HTTPTransport(uds=SOCKET)
        self._client = httpx2.Client(transport=transport, base_url="http://docker", timeout=120)

    def answers(self) -> bool:
        if not Path(SOCKET).is_socket():
            return False
        try:
            return self._client.get("/_ping").is_success
        except httpx2.HTTPError:
            return False

    def containers(self, label: str) -> list[dict[str, Any]]:
        return self._get("/containers/json", label, all="true")

    def left(self, label: str) -> list[str]:
        """Everything that carries a label, by its name."""
        volumes = self._get("/volumes", label)["Volumes"] or ()
        return [
            *(each["Names"][0] for each in self.containers(label)),
            *(each["Name"] for each in self._get("/networks", label)),
            *(each["Name"] for each in volumes),
            *(each["Id"] for each in self._get("/images/json", label)),
        ]

    def memory(self, container: str) -> int:
        """Bytes of a container's control group, without what the kernel would give back."""
        query = {"stream": "false", "one-shot": "true"}
        found = self._client.get(f"/containers/{container}/stats", params=query)
        usage = found.raise_for_status().json()["memory_stats"]
        spare = usage["stats"].get("total_inactive_file", usage["stats"].get("inactive_file", 0))
        return int(usage["usage"]) - int(spare)

    def inspect(self, container: str) -> dict[str, Any]:
        return self._client.get(f"/containers/{container}/json").raise_for_status().json()

    def forget(self, label: str) -> None:
        """Removes everything that carries a label."""
        for each in self.containers(label):
            self._delete(f"/containers/{each['Id']}?force=true&v=true")
        for each in self._get("/networks", label):
            self._delete(f"/networks/{each['Id']}")
        for each in self._get("/volumes", label)["Volumes"] or ():
            self._delete(f"/volumes/{each['Name']}")
        for each in self._get("/images/json", label):
            self._delete(f"/images/{each['Id']}?force=true")

    def prune(self, words: Collection[str]) -> None:
        """Removes the build cache of steps that have such a word, of what follows, and no other."""
        while found := [one for one in descended(self._build_cache(), words) if not one["InUse"]]:
            removed: list[str] = []
            for each in found:
                query = {"all": "true", "filters": json.dumps({"id": [each["ID"]]})}
                answer = self._client.post("/build/prune", params=query).raise_for_status()
                removed += answer.json()["CachesDeleted"] or ()
            if not removed:  # what has a follower goes after it
                return

    def _build_cache(self) -> list[dict[str, Any]]:
        answer = self._client.get("/system/df", timeout=300).raise_for_status()
        return answer.json()["BuildCache"] or []

    def _get(self, path: str, label: str, **query: str) -> Any:
        filters = json.dumps({"label": [label]})
        answer = self._client.get(path, params={"filters": filters, **query})
        return answer.raise_for_status().json()

    def _delete(self, path: str) -> None:
        answer = self._client.delete(path)
        if answer.status_code not in (404, 409):
            answer.raise_for_status()


def descended(cache: Sequence[dict[str, Any]], words: Collection[str]) -> list[dict[str, Any]]:
    """The records with one of the words in their description, and those made on top of them."""
    found = {one["ID"]: one for one in cache if any(word in one["Description"] for word in words)}
    while more := {one["ID"]: one for one in cache if one.get("Parent") in found} | found:
        if len(more) == len(found):
            break
        found = more
    return list(found.values())


def client() -> str | None:
    """A `docker` on PATH that builds with BuildKit."""
    for folder in os.get_exec_path():
        program = shutil.which("docker", path=folder)
        if program and _builds(program):
            return program
    return None


def _builds(program: str) -> bool:
    said = subprocess.run(
        (program, "version", "--format", "{{.Client.Version}}"),
        capture_output=True,
        text=True,
        check=False,
    )
    major = said.stdout.partition(".")[0]
    if not major.isdecimal():
        return False
    plugged = subprocess.run((program, "buildx", "version"), capture_output=True, check=False)
    return int(major) < _WITHOUT_BUILDX or plugged.returncode == 0
