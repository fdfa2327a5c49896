"""The example's own tests pass on main and on every branch of the story."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
STORY = EXAMPLES / "stories/four-engineers"
TOLD = tomllib.loads((STORY / "story.toml").read_text())
LAYERS = [
    (),
    *((branch["name"],) for branch in TOLD["branch"]),
    *((push["branch"], f"pushes/{push['branch']}") for push in TOLD["push"]),
]


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment made of the example's lock."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run(
        (Path(sys.executable).parent / "uv", "sync", "--quiet", "--locked"),
        cwd=EXAMPLES / TOLD["example"],
        env=os.environ | {"UV_PROJECT_ENVIRONMENT": str(environment)},
        check=True,
    )
    return environment / "bin/python"


@pytest.mark.parametrize("layers", LAYERS, ids=lambda layers: layers[-1] if layers else "main")
def test_its_own_tests_pass(tmp_path: Path, python: Path, layers: tuple[str, ...]) -> None:
    app = tmp_path / "app"
    shutil.copytree(EXAMPLES / TOLD["example"], app)
    for layer in layers:
        shutil.copytree(STORY / layer, app, dirs_exist_ok=True)
    done = subprocess.run(
        (python, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        cwd=app,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
