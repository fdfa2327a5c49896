"""The example as a Git repository with code-only changes to push."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples" / "fastapi-shop"
_WHO = ("-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.com")


class Repository:
    """A copy of the example under version control."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._changes = 0
        left_out = shutil.ignore_patterns(".venv", "__pycache__", ".pytest_cache", ".ruff_cache")
        shutil.copytree(EXAMPLE, path, ignore=left_out)
        self._git("init", "--quiet", "--initial-branch=main")
        self._commit("First commit")

    def change(self, branch: str = "main") -> None:
        """One more commit on the branch that changes code and no dependency."""
        self._git("switch", "--quiet", branch)
        self._changes += 1
        with (self.path / "app" / "main.py").open("a") as file:
            file.write(f"\nCHANGE = {self._changes}\n")
        self._commit(f"Change {self._changes}")

    def branch(self, name: str) -> None:
        """A branch with a change of its own."""
        self._git("switch", "--quiet", "--create", name, "main")
        self.change(name)

    def _commit(self, message: str) -> None:
        self._git("add", "--all", "--force")
        self._git(*_WHO, "commit", "--quiet", "--message", message)

    def _git(self, *arguments: str) -> None:
        clean = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", *arguments], cwd=self.path, check=True, env=clean)
