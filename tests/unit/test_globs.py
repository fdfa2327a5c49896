"""Glob patterns: paths that pushes change, and branches."""

import pytest

from previewdrop.domain.globs import by_specificity, matches, touches


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("uv.lock", "uv.lock", True),
        ("uv.lock", "backend/uv.lock", False),
        ("backend/**", "backend/app/main.py", True),
        ("backend/**", "backend", False),
        ("backend/", "backend/app/main.py", True),
        ("backend/", "backend", False),
        ("backend/*", "backend/app/main.py", False),
        ("*.py", "main.py", True),
        ("*.py", "app/main.py", False),
        ("**/*.py", "main.py", True),
        ("**/*.py", "a/b/main.py", True),
        ("src/**/x.py", "src/x.py", True),
        ("src/**/x.py", "src/a/b/x.py", True),
        ("src/**/x.py", "src/a/b/y.py", False),
        ("a/**/b/**/c", "a/1/b/2/b/3/c", True),
        ("a/**/b/**/c", "a/1/2/c", False),
        ("**", "any/thing", True),
        ("**", "thing", True),
        ("a/**/**", "a/b", True),
        ("a/**/**", "a", False),
        ("file?.txt", "file1.txt", True),
        ("file?.txt", "file/.txt", False),
        ("[ab].txt", "a.txt", True),
        ("[!ab].txt", "a.txt", False),
        ("[a.txt", "[a.txt", True),
        ("a.b", "axb", False),
        ("FEATURE/*", "feature/x", False),
    ],
)
def test_a_pattern_fits_the_whole_path(pattern: str, path: str, fits: bool):
    assert matches(pattern, path) is fits


def test_a_push_counts_when_one_path_fits_one_pattern():
    assert touches(("backend/**", "uv.lock"), ["docs/a.md", "backend/x.py"])
    assert not touches(("backend/**", "uv.lock"), ["docs/a.md"])
    assert not touches((), ["docs/a.md"])


def test_the_most_specific_pattern_comes_last():
    patterns = ["feature/new-auth", "**", "feature/*", "feature/new-*", "release/*"]
    assert by_specificity(patterns, "feature/new-auth") == (
        "**",
        "feature/*",
        "feature/new-*",
        "feature/new-auth",
    )


def test_a_pattern_of_many_wildcards_is_quick():
    assert not matches("*a" * 40 + "b", "a" * 200)
    assert not matches("**/" + "**/a/" * 40 + "b", "a/" * 200 + "a")
