"""The files that `init` writes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from previewdrop.cli import run
from previewdrop.cli.init import traits_of, write
from previewdrop.cli.scaffold import Traits, dockerfile, entrypoint, env_preview, files
from previewdrop.domain.app import AppFacts, AppObject, Dependencies, Lock, Migrations


def test_a_dockerfile_for_uv() -> None:
    text = dockerfile(
        Traits(
            module="shop.main", variable="api", lock=Lock.UV, python="3.13",
            libraries=frozenset({"uvicorn"}),
        )
    )  # fmt: skip
    assert text.count("FROM python:3.13-slim") == 2
    assert "COPY pyproject.toml uv.lock ./\n" in text
    assert "uv sync --locked --no-dev --no-install-project\nCOPY . .\n" in text
    assert "--mount=type=cache" in text
    assert "USER app" in text
    assert "MODULE_NAME=shop.main \\\n    VARIABLE_NAME=api" in text
    assert (
        'CMD ["sh", "-c", "exec uvicorn \\"$MODULE_NAME:$VARIABLE_NAME\\" --host 0.0.0.0 '
        '--port \\"$PORT\\""]\n'
    ) in text
    assert "reload" not in text
    assert "pip install uvicorn" not in text


@pytest.mark.parametrize(
    ("lock", "step"),
    [
        (Lock.REQUIREMENTS, "uv pip install -r requirements.txt -r extra.txt"),
        (Lock.POETRY, "poetry export"),
        (Lock.PIPFILE, "pipenv requirements"),
        (Lock.PYPROJECT, "uv pip install ."),
        (Lock.SETUP_CFG, "uv pip install ."),
    ],
)
def test_each_kind_of_lock_has_its_own_install(lock: Lock, step: str) -> None:
    text = dockerfile(Traits(lock=lock, requirements=("requirements.txt", "extra.txt")))
    assert step in text
    assert "uv pip install uvicorn" in text


def test_requirements_that_include_others_or_the_repository_itself() -> None:
    both = ("requirements.txt", "requirements/base.txt")
    text = dockerfile(Traits(inputs=both))
    assert "COPY requirements/base.txt requirements/base.txt\nRUN" in text
    whole = dockerfile(Traits(inputs=both, whole=True))
    assert whole.index("COPY . .") < whole.index("install -r requirements.txt")


def test_no_dockerfile_where_the_lock_stands_above_the_app() -> None:
    assert list(files(Traits(lock=None))) == [".env.preview", "bin/preview-entrypoint.sh"]


def test_a_factory_is_called() -> None:
    assert "exec uvicorn --factory " in dockerfile(Traits(factory=True))


@pytest.mark.parametrize(
    ("libraries", "scheme"),
    [
        ({"asyncpg"}, "postgresql+asyncpg"),
        ({"psycopg"}, "postgresql+psycopg"),
        (set(), "postgresql"),
    ],
)
def test_the_template_keeps_to_the_installed_driver(libraries: set[str], scheme: str) -> None:
    text = env_preview(Traits(libraries=frozenset(libraries)))
    assert f"\nDATABASE_URL={scheme}://preview:preview@db:5432/preview\n" in text


def test_the_entrypoint_runs_what_there_is(tmp_path: Path) -> None:
    script = tmp_path / "entrypoint.sh"
    script.write_text(entrypoint(Traits(module="shop.main", alembic="db/alembic.ini")))
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("alembic", "python"):
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $*"\n')
        (tools / name).chmod(0o755)

    def run() -> str:
        done = subprocess.run(
            ["bash", str(script)],
            cwd=tmp_path,
            env={"PATH": f"{tools}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
            timeout=30,
        )
        return done.stdout

    assert "alembic" not in run()
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "alembic.ini").touch()
    (tmp_path / "src" / "shop").mkdir(parents=True)
    (tmp_path / "src" / "shop" / "seed_preview.py").touch()
    assert "alembic -c db/alembic.ini upgrade head\n" in run()
    assert "python -m shop.seed_preview\n" in run()


def test_files_are_written_once_and_never_again(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM mine\n")
    assert write(tmp_path, Traits()) == (
        [".env.preview", "bin/preview-entrypoint.sh"],
        ["Dockerfile"],
    )
    assert (tmp_path / "Dockerfile").read_text() == "FROM mine\n"
    assert (tmp_path / "bin" / "preview-entrypoint.sh").stat().st_mode & 0o111
    assert write(tmp_path, Traits())[0] == []


def test_traits_of_a_monorepo(tmp_path: Path) -> None:
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend" / "requirements.txt").write_text("fastapi[standard]==0.115\nasyncpg\n")
    facts = AppFacts(
        root="backend",
        app=AppObject("app.main", "create_app", factory=True),
        dependencies=Dependencies(
            Lock.REQUIREMENTS,
            ("backend/requirements.txt",),
            folder="backend",
            requirements=("backend/requirements.txt",),
            python=">=3.11,<3.13",
        ),
        migrations=Migrations("backend/alembic.ini", "backend/alembic", frozenset(), ()),
    )
    assert traits_of(tmp_path, facts) == Traits(
        module="app.main",
        variable="create_app",
        factory=True,
        lock=Lock.REQUIREMENTS,
        requirements=("requirements.txt",),
        inputs=("requirements.txt",),
        python="3.11",
        libraries=frozenset({"uvicorn", "asyncpg"}),
        alembic="alembic.ini",
    )


def test_traits_of_a_workspace_and_of_local_requirements(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("fastapi\n-e ./lib\n")
    app = AppObject("app.main", "app")
    local = Dependencies(
        Lock.REQUIREMENTS, ("requirements.txt",), requirements=("requirements.txt",)
    )
    assert traits_of(tmp_path, AppFacts("", app, local)).whole
    above = Dependencies(Lock.UV, ("uv.lock", "api/pyproject.toml"))
    assert traits_of(tmp_path, AppFacts("api", app, above)).lock is None


def test_init_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "requirements.txt").write_text("fastapi\nuvicorn\n")
    (tmp_path / "main.py").write_text("from fastapi import FastAPI\n\napi = FastAPI()\n")
    (tmp_path / "Dockerfile").write_text("FROM python:3.12\n")
    assert run(["init", str(tmp_path)]) == 0
    assert capsys.readouterr().out == (
        f"FastAPI application main:api in {tmp_path}\n"
        "  ✓ wrote  .env.preview\n"
        "  ✓ wrote  bin/preview-entrypoint.sh\n"
        "  – kept   Dockerfile\n"
        "Commit them, then deploy with `previewdrop up`.\n"
    )
    assert "python -m seed_preview" in (tmp_path / "bin" / "preview-entrypoint.sh").read_text()


def test_init_of_what_is_not_fastapi(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("Error: No FastAPI was found")
    assert list(tmp_path.iterdir()) == []
    assert run(["init", str(tmp_path / "none")]) == 1
