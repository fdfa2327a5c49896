"""What GitHub publishes is fetched once, and only as it was pinned."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from github_standin import prepare

MEMBERS = {"package/index.json": "kept.json"}


@pytest.fixture
def archive() -> bytes:
    """A package of npm's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in ("package/index.json", "package/other.json"):
            entry = tarfile.TarInfo(name)
            entry.size = 2
            tar.addfile(entry, io.BytesIO(b"[]"))
    return buffer.getvalue()


@pytest.fixture
def npm(tmp_path: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An npm that has this package and no other."""
    monkeypatch.setattr(prepare, "FOLDER", tmp_path)
    (tmp_path / "archive").write_bytes(archive)
    program = tmp_path / "npm"
    program.write_text(
        "#!/bin/sh\n"
        '[ "$2" = known@1.0 ] || { echo "404 $2" >&2; exit 1; }\n'
        f'cp "{tmp_path}/archive" known-1.0.tgz\n'
    )
    program.chmod(0o755)
    return program


def test_what_is_needed_is_kept(npm: Path, archive: bytes) -> None:
    digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    prepare.fetch(str(npm), "known@1.0", f"sha512-{digest}", MEMBERS)
    assert (prepare.FOLDER / "kept.json").read_text() == "[]"
    assert {each.name for each in prepare.FOLDER.iterdir()} == {"archive", "kept.json", "npm"}


def test_what_was_not_pinned_is_refused(npm: Path) -> None:
    with pytest.raises(SystemExit, match=r"not what package-lock\.json pins"):
        prepare.fetch(str(npm), "known@1.0", "sha512-other", MEMBERS)
    assert not (prepare.FOLDER / "kept.json").exists()


def test_what_is_not_there_is_told(npm: Path) -> None:
    with pytest.raises(SystemExit, match="npm cannot fetch other@2: 404 other@2"):
        prepare.fetch(str(npm), "other@2", "sha512-other", MEMBERS)


def test_npm_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "FOLDER", tmp_path)
    monkeypatch.setattr(prepare, "_STAMP", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="The tests need npm"):
        prepare.main()
