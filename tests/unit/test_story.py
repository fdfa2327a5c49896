"""The story's branches fit the example they are laid over."""

import difflib
import tomllib
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
STORY = EXAMPLES / "stories/four-engineers"
TOLD: dict[str, Any] = tomllib.loads((STORY / "story.toml").read_text())
SHOP = EXAMPLES / TOLD["example"]
FOLDERS = [branch["name"] for branch in TOLD["branch"]] + [
    f"pushes/{push['branch']}" for push in TOLD["push"]
]


def changes(folder: str) -> dict[str, list[str]]:
    """Lines that a folder adds to or takes from the example, by file."""
    result: dict[str, list[str]] = {}
    for file in sorted((STORY / folder).rglob("*")):
        if file.is_dir() or "__pycache__" in file.parts:
            continue
        path = file.relative_to(STORY / folder)
        base = (SHOP / path).read_text() if (SHOP / path).exists() else ""
        lines = difflib.unified_diff(
            base.splitlines(), file.read_text().splitlines(), n=0, lineterm=""
        )
        result[str(path)] = [
            line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")
        ]
    return result


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_branch_changes_little_and_nothing_by_accident(folder: str) -> None:
    """A file that was copied from an older example would show up as a large difference."""
    changed = changes(folder)
    assert changed
    for path, lines in changed.items():
        assert lines, f"{path} does not differ from the example"
        assert len(lines) <= 25, f"{path} differs in {len(lines)} lines: {lines}"


def test_every_folder_is_told_of() -> None:
    top = {path.relative_to(STORY).as_posix() for path in STORY.glob("*/*") if path.is_dir()}
    assert top - {"pushes/you"} == {branch["name"] for branch in TOLD["branch"]}


def test_only_ali_touches_the_schema() -> None:
    schema = {name for name in FOLDERS if {"app/models.py"} & changes(name).keys()}
    assert schema == {"ali/rename-email"}
    assert "alembic/versions/0004_contact_email.py" in changes("ali/rename-email")


def test_ben_reads_the_old_column() -> None:
    assert any("User.email" in line for line in changes("ben/email-search")["app/routes/users.py"])


def test_chloe_changes_the_key_and_nothing_else() -> None:
    assert changes("chloe/cache-keys") == {
        "app/cache.py": [
            '-    return f"cache:user:{user_id}"',
            '+    return f"user:{user_id}:cache"',
        ]
    }


def test_yours_touches_none_of_it() -> None:
    assert changes("you/health-version").keys() == {"app/health.py"}


def test_the_template_is_the_guides() -> None:
    lines = (SHOP / ".env.preview").read_text().splitlines()
    assert lines == [
        "# .env.preview",
        "DATABASE_URL=postgresql+asyncpg://preview:preview@db:5432/preview",
        "REDIS_URL=redis://cache:6379/0",
        "SECRET_KEY=preview-only-not-for-production",
        "PREVIEW_URL=${PREVIEW_URL}",
        "API_V1_PREFIX=/api/v1",
        'CORS_ORIGINS=["${PREVIEW_URL}", "http://localhost:3000"]',
    ]
