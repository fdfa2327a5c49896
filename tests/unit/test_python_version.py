"""Which Python an image gets."""

from __future__ import annotations

import pytest

from previewdrop.domain.python_version import image_python


@pytest.mark.parametrize(
    ("wanted", "wish", "version"),
    [
        (None, None, "3.12"),
        (None, "3.13.1", "3.13"),
        ("3.11", None, "3.11"),
        ("3.13.2", "3.11", "3.13"),
        ("cpython@3.10", None, "3.10"),
        (">=3.9", None, "3.12"),
        (">=3.11,<3.13", "3.13", "3.12"),
        (">=3.11, <3.12", None, "3.11"),
        (">=3.13", None, "3.13"),
        (">=3.14", None, "3.14"),
        (">=3.20", None, "3.20"),
        ("<=3.12", None, "3.11"),
        ("==3.10.*", None, "3.10"),
        ("!=3.12.*,>3.10", None, "3.13"),
        ("~=3.11", None, "3.12"),
        ("~=3.11.2", None, "3.11"),
        ("^3.11", None, "3.12"),
        ("~3.11", None, "3.11"),
        (">=3.9,<3.10 || >=3.13", None, "3.13"),
        ("nonsense", None, "3.12"),
    ],
)
def test_the_version_of_python(wanted: str | None, wish: str | None, version: str) -> None:
    assert image_python(wanted, wish) == version
