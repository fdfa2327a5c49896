"""Fetches what GitHub publishes of its API and its webhooks: by npm, once, into the environment."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = Path(sys.prefix) / "github"
MEMBERS = {
    "@octokit/openapi": {
        "package/generated/api.github.com.json": "api.github.com.json",
        "package/generated/ghes-3.19.json": "enterprise.json",
    },
    "@octokit/webhooks-examples": {"package/api.github.com/index.json": "webhooks.json"},
}
"""Files to keep of each package: the whole of them is 400 MB."""

_STAMP = FOLDER / "package-lock.json"


def main() -> None:
    """Does nothing if the pinned versions are there already."""
    pinned = (HERE / "package-lock.json").read_text()
    files = [FOLDER / name for members in MEMBERS.values() for name in members.values()]
    if _STAMP.is_file() and _STAMP.read_text() == pinned and all(map(Path.is_file, files)):
        return
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("github: The tests need npm for GitHub's API description: install Node.js.")
    FOLDER.mkdir(exist_ok=True)
    packages = json.loads(pinned)["packages"]
    for name, members in MEMBERS.items():
        entry = packages[f"node_modules/{name}"]
        fetch(npm, f"{name}@{entry['version']}", entry["integrity"], members)
    _STAMP.write_text(pinned)


def fetch(npm: str, package: str, integrity: str, members: dict[str, str]) -> None:
    """Downloads a package, compares its digest with the pinned one, and keeps these members."""
    print(f"github: Fetching {package} …", file=sys.stderr)  # noqa: T201
    with tempfile.TemporaryDirectory(dir=FOLDER) as work:
        command = (
            npm,
            "pack",
            package,
            "--loglevel=error",
            "--cache",
            work,
            "--pack-destination",
            work,
        )
        done = subprocess.run(command, cwd=work, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"github: npm cannot fetch {package}: {done.stderr.strip()}")
        (archive,) = Path(work).glob("*.tgz")
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if f"sha512-{digest}" != integrity:
            sys.exit(f"github: What npm fetched as {package} is not what package-lock.json pins.")
        with tarfile.open(archive) as tar:
            for member, name in members.items():
                content = tar.extractfile(member)
                assert content is not None, member
                path = FOLDER / name
                path.with_suffix(".new").write_bytes(content.read())
                path.with_suffix(".new").replace(path)


if __name__ == "__main__":
    main()
