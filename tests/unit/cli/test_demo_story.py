"""The story is read, and becomes a repository whose commits are the same every time."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from previewdrop.cli.demo_repository import make_repository, push
from previewdrop.cli.story import find_examples, load_story
from previewdrop.domain.errors import BadSource

NAMES = ["ali/rename-email", "ben/email-search", "chloe/cache-keys", "you/health-version"]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(("git", *arguments), cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().strip()


def test_the_story_tells_who_does_what() -> None:
    story = load_story()
    assert [change.branch for change in story.branches] == NAMES
    assert [change.author for change in story.branches] == ["Ali", "Ben", "Chloe", "You"]
    assert [change.branch for change in story.pushes] == ["you/health-version"]
    assert story.example == "fastapi-shop"
    changes = (story.main, *story.branches, *story.pushes)
    assert all(change.files.is_dir() for change in changes)


def test_a_story_without_pushes(tmp_path: Path) -> None:
    folder = tmp_path / "stories" / "short"
    folder.mkdir(parents=True)
    (folder / "story.toml").write_text(
        'title = "Short"\nexample = "app"\n'
        '[main]\nauthor = "You"\nemail = "you@example.com"\nmessage = "First"\n'
        '[[branch]]\nname = "b"\nauthor = "Ben"\nemail = "ben@example.com"\n'
        'message = "Second"\ntell = "Ben works."\n'
    )
    story = load_story("short", tmp_path)
    assert (story.pushes, story.branches[0].files) == ((), folder / "b")
    assert story.main.files == tmp_path / "app"


def test_each_branch_is_one_commit_on_top_of_the_example(tmp_path: Path) -> None:
    folder = tmp_path / "demo" / "shop"
    assert make_repository(folder, load_story())
    assert git(folder, "branch", "--format=%(refname:short)").split() == sorted([*NAMES, "main"])
    for name in NAMES:
        assert git(folder, "rev-list", "--count", f"main..{name}") == "1"
    assert git(folder, "log", "-1", "--format=%an <%ae> %s", "ali/rename-email") == (
        "Ali <ali@example.com> Rename users.email to contact_email"
    )
    changed = git(folder, "diff", "--name-only", "main", "chloe/cache-keys")
    assert changed == "app/cache.py"
    assert (folder / ".env.preview").is_file()
    assert git(folder, "status", "--porcelain") == ""
    assert [each.name for each in folder.parent.iterdir()] == ["shop"]


def test_the_same_story_gives_the_same_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = load_story()
    make_repository(tmp_path / "one", story)
    config = tmp_path / "gitconfig"
    config.write_text(
        "[user]\nname = Somebody\n[core]\nautocrlf = true\n[commit]\ngpgSign = true\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    make_repository(tmp_path / "two", story)
    refs = [git(tmp_path / name, "for-each-ref", "refs/heads") for name in ("one", "two")]
    assert refs[0] == refs[1]


def test_files_of_the_same_size_and_time_are_told_apart(tmp_path: Path) -> None:
    """An installed package gives all its files the same time; Chloe's file has kept its size."""
    examples = tmp_path / "examples"
    shutil.copytree(find_examples(), examples, ignore=shutil.ignore_patterns(".venv"))
    for file in examples.rglob("*"):
        os.utime(file, (1779278400, 1779278400))
    make_repository(tmp_path / "shop", load_story(examples=examples))
    assert "user:{user_id}:cache" in git(tmp_path / "shop", "show", "chloe/cache-keys:app/cache.py")


def test_what_tools_leave_behind_stays_out(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    make_repository(folder, load_story())
    files = git(folder, "ls-files", "--", ".")
    assert "__pycache__" not in files
    assert ".venv" not in files
    assert "bin/preview-entrypoint.sh" in files
    assert git(folder, "ls-files", "--stage", "bin").startswith("100755")


def test_a_repository_that_is_there_is_kept(tmp_path: Path) -> None:
    folder, story = tmp_path / "shop", load_story()
    make_repository(folder, story)
    pushed = push(folder, story.pushes[0])
    assert not make_repository(folder, story)
    assert git(folder, "rev-parse", "you/health-version") == pushed


def test_a_push_is_one_more_commit_on_its_branch(tmp_path: Path) -> None:
    folder, story = tmp_path / "shop", load_story()
    make_repository(folder, story)
    before = git(folder, "rev-parse", "you/health-version")
    pushed = push(folder, story.pushes[0])
    assert git(folder, "rev-parse", "you/health-version^") == before
    assert git(folder, "show", f"{pushed}:app/main.py").count('version="1.1.0"') == 1


def test_without_git_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadSource, match="git is not installed"):
        make_repository(tmp_path / "demo" / "shop", load_story())
    assert [*(tmp_path / "demo").iterdir()] == []


def test_something_else_in_its_place_is_not_touched(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "mine").write_text("mine")
    with pytest.raises(BadSource, match="Move away what lies there"):
        make_repository(folder, load_story())
    assert [each.name for each in folder.iterdir()] == ["mine"]


def test_the_examples_of_this_checkout_are_found() -> None:
    assert (find_examples() / "fastapi-shop" / "app" / "main.py").is_file()
