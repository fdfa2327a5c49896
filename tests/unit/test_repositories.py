"""The repositories that other tests deploy are what they claim to be."""

import ast
import tomllib
from pathlib import Path

import pytest

from repositories import APPS, OVER_SHOP, commit, fixture, git, make_repository

NAMES = sorted(path.name for path in APPS.iterdir() if path.is_dir())
OWN_DEPENDENCIES = OVER_SHOP | {
    "gunicorn_command",
    "malformed_requirements",
    "mission",
    "not_fastapi",
    "unsatisfiable_requirements",
}


def test_the_same_files_make_the_same_commit(tmp_path: Path) -> None:
    first = make_repository(tmp_path, {"a.txt": "a"}, name="first")
    second = make_repository(tmp_path, {"a.txt": "a"}, name="second")
    assert git(first, "rev-parse", "HEAD") == git(second, "rev-parse", "HEAD")
    assert git(first, "log", "--format=%an <%ae> %at") == ("Ali <ali@example.com> 1779278400")


def test_a_branch_starts_where_the_last_commit_was(tmp_path: Path) -> None:
    repository = make_repository(tmp_path, {"a.txt": "a", "b.txt": "b"}, branch="trunk")
    made = commit(repository, {"a.txt": None, "run.sh": "#!/bin/sh"}, "Mend", branch="feature/a'b")
    again = commit(repository, {"c.txt": b"\xff"}, branch="feature/a'b", author="Ben")
    assert git(repository, "rev-parse", "feature/a'b^") == made
    assert git(repository, "rev-parse", "HEAD") == again
    assert git(repository, "ls-tree", "--name-only", "HEAD").split() == ["b.txt", "c.txt", "run.sh"]
    assert git(repository, "ls-tree", "HEAD", "run.sh").startswith("100755")
    assert git(repository, "log", "-1", "--format=%an %cn") == "Ben Ali"
    commit(repository, {"b.txt": "B"}, branch="trunk")
    assert git(repository, "log", "--format=%s") == "Change\nFirst commit"


def test_an_unknown_fixture_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no_such_app"):
        make_repository(tmp_path, "no_such_app")


@pytest.mark.parametrize("name", NAMES)
def test_a_fixture_becomes_a_repository(tmp_path: Path, name: str) -> None:
    repository = make_repository(tmp_path, name)
    kept = set(git(repository, "-c", "core.quotePath=off", "ls-files").splitlines())
    assert kept == fixture(name).keys()
    assert git(repository, "status", "--porcelain") == ""


@pytest.mark.parametrize("name", NAMES)
def test_only_what_is_meant_to_be_wrong_is_wrong(name: str) -> None:
    files = {path: content for path, content in fixture(name).items() if isinstance(content, bytes)}
    if name not in OWN_DEPENDENCIES:
        assert files["requirements.txt"] == (APPS / "healthy/requirements.txt").read_bytes()
    for path, content in files.items():
        if path.endswith(".toml"):
            tomllib.loads(content.decode())
        if path.endswith(".py") and name != "syntax_error":
            ast.parse(content)
    if name == "syntax_error":
        with pytest.raises(SyntaxError):
            ast.parse(files["main.py"])


def test_every_fixture_is_in_the_table() -> None:
    table = (APPS / "README.md").read_text().splitlines()
    assert sorted(line.split("`")[1] for line in table if line.startswith("| `")) == NAMES
