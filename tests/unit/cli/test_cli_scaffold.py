"""The files that `init` writes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from previewdrop.cli import run
from previewdrop.cli.init import files_of, traits_of, write
from previewdrop.cli.scaffold import Traits, entrypoint, env_preview
from previewdrop.domain.app import AppFacts, AppObject, Dependencies, Lock, Migrations
from previewdrop.domain.dockerfile import Generated
from previewdrop.source.detect import detect

REPOSITORIES = Path(__file__).parents[2] / "fixtures" / "repos"


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
    wanted = {"Dockerfile": "FROM python\n", "bin/preview-entrypoint.sh": "#!/bin/sh\n"}
    assert write(tmp_path, wanted) == (["bin/preview-entrypoint.sh"], ["Dockerfile"])
    assert (tmp_path / "Dockerfile").read_text() == "FROM mine\n"
    assert (tmp_path / "bin" / "preview-entrypoint.sh").stat().st_mode & 0o111
    assert write(tmp_path, wanted)[0] == []


def test_an_ignore_file_goes_with_a_new_dockerfile_alone(tmp_path: Path) -> None:
    facts = AppFacts("", AppObject("main", "app"), Dependencies(Lock.REQUIREMENTS, ()))
    image = Generated("FROM python\n", "", ".git\n")
    assert files_of(tmp_path, facts, image)[".dockerignore"] == ".git\n"
    (tmp_path / "Dockerfile").symlink_to("docker/api")
    assert list(files_of(tmp_path, facts, image)) == [
        "Dockerfile",
        ".env.preview",
        "bin/preview-entrypoint.sh",
    ]


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
        ),
        migrations=Migrations("backend/alembic.ini", "backend/alembic", frozenset(), ()),
    )
    assert traits_of(tmp_path, facts) == Traits(
        module="app.main", libraries=frozenset({"asyncpg"}), alembic="alembic.ini"
    )


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


def test_init_of_a_workspace_is_understood_afterwards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(REPOSITORIES / "uv_workspace", tmp_path, dirs_exist_ok=True)
    before = detect(tmp_path)
    assert run(["init", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "app": "shop_api.main:app",
        "root": "services/api",
        "wrote": [
            "Dockerfile",
            ".dockerignore",
            "services/api/.env.preview",
            "services/api/bin/preview-entrypoint.sh",
        ],
        "kept": [],
    }
    after = detect(tmp_path)
    assert after.dockerfile == "Dockerfile"
    assert (after.root, after.import_path) == (before.root, before.import_path)


def test_init_of_an_app_in_a_folder_of_its_own(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORIES / "monorepo_one", tmp_path, dirs_exist_ok=True)
    assert run(["init", str(tmp_path)]) == 0
    assert "COPY requirements.txt ./\n" in (tmp_path / "backend/Dockerfile").read_text()
    assert (tmp_path / "backend/.dockerignore").exists()
    assert not (tmp_path / "Dockerfile").exists()


def test_init_of_what_is_not_fastapi(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("Error: No FastAPI was found")
    assert list(tmp_path.iterdir()) == []
    assert run(["init", str(tmp_path / "none")]) == 1
