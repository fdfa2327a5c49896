"""Detection: every fixture repository, and what only a made one can show."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from previewdrop.domain.app import AppFacts
from previewdrop.domain.errors import StageFailed
from previewdrop.source.detect import detect
from previewdrop.source.detect import tree as tree_module

REPOSITORIES = Path(__file__).parents[1] / "fixtures" / "repos"
CASES = sorted(folder.name for folder in REPOSITORIES.iterdir() if folder.is_dir())
OF_DEPENDENCIES = (
    "lock",
    "files",
    "folder",
    "package",
    "requirements",
    "python",
    "requires_python",
    "image_python",
    "extras",
    "groups",
)


def flat(facts: AppFacts) -> dict[str, Any]:
    """The facts as expected.json spells them."""
    migrations = facts.migrations
    values: dict[str, Any] = {
        name: getattr(facts.dependencies, name) for name in OF_DEPENDENCIES
    } | {
        "root": facts.root,
        "app": facts.app.import_string,
        "factory": facts.app.factory,
        "import_path": facts.import_path,
        "command": facts.command,
        "dockerfile": facts.dockerfile,
        "project_name": facts.project_name,
        "project_version": facts.project_version,
        "scripts": facts.scripts,
        "migrations": migrations
        and {
            "config": migrations.config,
            "folder": migrations.folder,
            "revisions": sorted(migrations.revisions),
            "heads": migrations.heads,
        },
    }
    return json.loads(json.dumps(values))


@pytest.mark.parametrize("case", CASES)
def test_fixture_repository(case: str) -> None:
    folder = REPOSITORIES / case
    expected = json.loads((folder / "expected.json").read_text())
    given = expected.get("given", {})
    if "error" in expected:
        with pytest.raises(StageFailed) as caught:
            detect(folder, **given)
        for part in expected["error"]:
            assert part in caught.value.message
        for part in expected.get("hint", []):
            assert part in (caught.value.hint or "")
        assert caught.value.hint
        return
    facts = detect(folder, **given)
    wanted = dict(expected["facts"])
    for name in ("why", "warnings"):
        lines = getattr(facts, name)
        parts = wanted.pop(name, None)
        for part in parts or ():
            assert any(part in line for line in lines), (part, lines)
        if parts == []:
            assert lines == ()
    got = flat(facts)
    assert {name: got[name] for name in wanted} == wanted, "\n".join((*facts.why, *facts.warnings))


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 40


def test_the_same_repository_gives_the_same_facts() -> None:
    folder = REPOSITORIES / "uv_workspace"
    assert detect(folder) == detect(folder)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "repository"
    shutil.copytree(REPOSITORIES / "mission", folder)
    yield folder
    assert not (tmp_path / "ran").exists()


def test_nothing_of_the_repository_runs(repository: Path, tmp_path: Path) -> None:
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    for name in ("app/__init__.py", "app/main.py", "conftest.py", "setup.py", "sitecustomize.py"):
        path = repository / name
        path.write_text(trap + (path.read_text() if path.exists() else ""))
    assert detect(repository).app.import_string == "app.main:app"


def test_a_symlink_that_leads_out_is_not_read(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("fastapi\n")
    (repository / "requirements.txt").unlink()
    (repository / "requirements.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(StageFailed, match="no dependency file"):
        detect(repository)


def test_a_symlink_inside_is_followed(repository: Path) -> None:
    (repository / "requirements.txt").rename(repository / "locked.txt")
    (repository / "requirements.txt").symlink_to("locked.txt")
    assert detect(repository).dependencies.requirements == ("requirements.txt",)


def test_a_folder_that_links_to_itself_ends(repository: Path) -> None:
    (repository / "app" / "again").symlink_to(repository)
    assert detect(repository).app.import_string == "app.main:app"


def test_environments_are_not_searched(repository: Path) -> None:
    shutil.rmtree(repository / "app")
    (repository / "Dockerfile").unlink()
    for name in (".venv/lib", "env/lib", "node_modules/x", "migrations", "build"):
        (repository / name).mkdir(parents=True)
        (repository / name / "main.py").write_text("from fastapi import FastAPI\napp = FastAPI()\n")
    (repository / "env" / "pyvenv.cfg").write_text("")
    with pytest.raises(StageFailed, match="among the 0 Python files"):
        detect(repository)


def test_a_root_in_a_skipped_folder_is_searched(repository: Path) -> None:
    (repository / "tests").mkdir()
    for name in ("app", "requirements.txt"):
        shutil.move(repository / name, repository / "tests" / name)
    (repository / "Dockerfile").unlink()
    facts = detect(repository, root="tests")
    assert (facts.root, facts.app.import_string) == ("tests", "app.main:app")


def test_a_file_too_large_is_left_out(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "LARGEST_FILE", 1000)
    (repository / "app" / "generated.py").write_text("from fastapi import FastAPI\n" * 100)
    assert detect(repository).app.import_string == "app.main:app"


def test_a_repository_with_too_many_files_says_so(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_module, "MOST_ENTRIES", 12)
    (repository / "zzz").mkdir()
    for number in range(20):
        (repository / "zzz" / f"{number}.txt").write_text("")
    facts = detect(repository)
    assert any("so many files" in warning for warning in facts.warnings)


@pytest.mark.parametrize(
    "source",
    [
        "a = b\nb = a\n" * 300,
        "app = " + "x if y else " * 900 + "FastAPI()\n",
        "app = " + "(" * 150 + "FastAPI()" + ")" * 150 + "\n",
        "x = '\\d'\napp = FastAPI()\n",
        "def f():\n    return g()\ndef g():\n    return f()\napp = f()\n",
        "from main import *\nfrom main import app\napp = app\n",
        "class A(B): ...\nclass B(A): ...\napp = A()\n",
        "app = \0\n",
        "-" * 20000 + "1\n",
    ],
    ids=range(9),
)
def test_strange_code_neither_crashes_nor_takes_long(repository: Path, source: str) -> None:
    (repository / "Dockerfile").unlink()
    (repository / "odd.py").write_text(f"from fastapi import FastAPI\n{source}")
    assert detect(repository).app.import_string in ("app.main:app", "odd:app")
