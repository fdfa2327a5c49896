"""What a build may leave in place of its environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from previewdrop.domain.errors import StageFailed
from previewdrop.drivers.process import environments
from previewdrop.drivers.process.workplace import Workplace


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    place = Workplace(tmp_path / "builds" / "key-1", tmp_path / "cache")
    place.prepare({"api/requirements.txt": b"idna"}, None)
    return place


def test_what_the_build_sees_is_open_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        place = Workplace(tmp_path / "builds" / "key-1", tmp_path / "cache")
        place.prepare({"api/requirements.txt": b"idna"}, None)
    finally:
        os.umask(before)
    assert place.folder.stat().st_mode & 0o777 == 0o700
    assert (place.repository / "api").stat().st_mode & 0o777 == 0o755
    assert (place.repository / "api" / "requirements.txt").stat().st_mode & 0o777 == 0o644


def test_a_real_folder_is_taken_and_kept(place: Workplace, tmp_path: Path) -> None:
    (place.environment / "lib" / "python3" / "site-packages" / "a-1.dist-info").mkdir(parents=True)
    path = tmp_path / "environments" / "key"
    assert environments.complete(path) is None
    assert environments.keep(place.taken(None), path)["packages"] == 1
    assert environments.complete(path) == {"packages": 1, "bytes": 0}
    assert not place.environment.exists()
    environments.discard(path)
    assert list(path.parent.iterdir()) == []


def link(path: Path) -> None:
    path.symlink_to("/usr")


@pytest.mark.parametrize("leave", [link, os.mkfifo, Path.touch, Path.exists])
def test_anything_else_is_refused(place: Workplace, leave: Callable[[Path], object]) -> None:
    leave(place.environment)
    with pytest.raises(StageFailed, match="replaced the environment"):
        place.taken(None)
    place.clear()
    assert not place.folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_folder_of_another_owner_is_refused(place: Workplace) -> None:
    place.environment.mkdir()
    with pytest.raises(StageFailed, match="replaced the environment"):
        place.taken(1_900_000_000)


def test_a_mark_without_its_environment_means_nothing(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text("{}")
    assert environments.complete(tmp_path / "key") is None
    (tmp_path / "key").symlink_to("/usr")
    assert environments.complete(tmp_path / "key") is None
    assert environments.spare(tmp_path, (), 0) == [tmp_path / "key"]
    assert environments.spare(tmp_path, ("key",), 0) == []
