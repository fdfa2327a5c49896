"""Secrets at rest: keys, rotation, derived passwords, and files that are missing or damaged."""

import re
import stat
import threading
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from previewdrop.domain.errors import ServerError
from previewdrop.domain.secret import Secret
from previewdrop.store.secrets import SecretBox, seed_file

SECRET = Secret("pässwörd ✓")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "secret.key"


def opened(key_file: Path, *, data_exists: bool = False) -> SecretBox:
    return SecretBox.open(key_file, data_exists=data_exists)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_encrypted_is_read_again_by_another_box(key_file: Path):
    token = opened(key_file).encrypt(SECRET)
    assert SECRET.reveal().encode() not in token
    assert opened(key_file, data_exists=True).decrypt(token) == SECRET


def test_the_same_secret_is_never_encrypted_the_same(key_file: Path):
    box = opened(key_file)
    assert box.encrypt(SECRET) != box.encrypt(SECRET)


def test_files_are_closed_to_others_and_nothing_else_is_left(key_file: Path):
    opened(key_file).rotate()
    assert {path.name for path in key_file.parent.iterdir()} == {"secret.key", "secret.seed"}
    assert mode(key_file) == mode(seed_file(key_file)) == 0o600


def test_rotation_keeps_old_tokens_readable(key_file: Path):
    box = opened(key_file)
    old = box.encrypt(SECRET)
    box.rotate()
    new = box.encrypt(SECRET)
    newest, oldest = key_file.read_text().split()
    assert Fernet(newest).decrypt(new).decode() == SECRET.reveal()
    assert Fernet(oldest).decrypt(old).decode() == SECRET.reveal()
    assert opened(key_file).decrypt(old) == opened(key_file).decrypt(new) == SECRET


def test_retired_keys_read_only_what_was_renewed(key_file: Path):
    box = opened(key_file)
    lost, kept = box.encrypt(SECRET), box.encrypt(SECRET)
    box.rotate()
    kept = box.renew(kept)
    box.retire()
    assert len(key_file.read_text().split()) == 1
    again = opened(key_file)
    assert again.decrypt(kept) == SECRET
    with pytest.raises(ServerError, match="cannot be decrypted"):
        again.decrypt(lost)
    with pytest.raises(ServerError, match="cannot be decrypted"):
        again.renew(lost)


def test_a_token_of_other_keys_is_refused_without_showing_it(key_file: Path, tmp_path: Path):
    token = opened(tmp_path / "other" / "secret.key").encrypt(SECRET)
    with pytest.raises(ServerError) as raised:
        opened(key_file).decrypt(token)
    assert str(key_file) in raised.value.message
    assert token.decode() not in str(raised.value)


@pytest.mark.parametrize("missing", ["secret.key", "secret.seed"])
def test_a_lost_file_is_not_replaced_while_there_is_data(key_file: Path, missing: str):
    opened(key_file)
    (key_file.parent / missing).unlink()
    with pytest.raises(ServerError) as raised:
        opened(key_file, data_exists=True)
    assert missing in raised.value.message
    assert not (key_file.parent / missing).exists()


@pytest.mark.parametrize("content", [b"", b"not a key\n", b"\xff\xfe", b"short"])
@pytest.mark.parametrize("name", ["secret.key", "secret.seed"])
def test_a_damaged_file_is_named(key_file: Path, name: str, content: bytes):
    opened(key_file)
    (key_file.parent / name).write_bytes(content)
    with pytest.raises(ServerError) as raised:
        opened(key_file)
    assert name in raised.value.message


def test_files_that_others_may_read_are_closed_and_told(key_file: Path):
    assert opened(key_file).warnings == ()
    key_file.chmod(0o644)
    warnings = opened(key_file).warnings
    assert mode(key_file) == 0o600
    assert len(warnings) == 1
    assert str(key_file) in warnings[0]
    assert opened(key_file).warnings == ()


def test_files_of_another_user_are_refused(key_file: Path, monkeypatch: pytest.MonkeyPatch):
    opened(key_file)
    owner = key_file.stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    if owner == 0:
        monkeypatch.setattr(Path, "stat", _owned_by(4321))
    with pytest.raises(ServerError, match="belongs to another user"):
        opened(key_file)


def _owned_by(user: int):
    original = Path.stat

    def changed(self: Path, **options: bool):
        found = list(original(self, **options))
        found[stat.ST_UID] = user
        return type(original(self))(found)

    return changed


def test_two_that_create_at_once_share_one_key(key_file: Path):
    boxes: list[SecretBox] = []
    gate = threading.Barrier(8)

    def create():
        gate.wait()
        boxes.append(opened(key_file))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    token = boxes[0].encrypt(SECRET)
    assert [box.decrypt(token) for box in boxes] == [SECRET] * 8
    assert len({box.derive("x") for box in boxes}) == 1


class TestDerived:
    def test_is_the_same_for_ever_whatever_happens_to_the_keys(self, key_file: Path):
        box = opened(key_file)
        before = box.derive("database:shop/pr-42")
        box.rotate()
        box.retire()
        key_file.unlink()
        assert opened(key_file).derive("database:shop/pr-42") == before

    def test_differs_by_purpose_and_installation(self, key_file: Path, tmp_path: Path):
        box, other = opened(key_file), opened(tmp_path / "other" / "secret.key")
        derived = [
            box.derive("database:shop/pr-42"),
            box.derive("database:shop/pr-43"),
            box.derive("cache:shop/pr-42"),
            other.derive("database:shop/pr-42"),
        ]
        assert len(set(derived)) == 4

    def test_is_url_safe_and_long(self, key_file: Path):
        box = opened(key_file)
        for number in range(50):
            assert re.fullmatch(r"[A-Za-z0-9_-]{43}", box.derive(f"p{number}").reveal())

    def test_is_what_it_was_in_earlier_versions(self, key_file: Path):
        opened(key_file)
        seed_file(key_file).write_bytes(b"A" * 43 + b"=\n")
        assert (
            opened(key_file).derive("database:shop/pr-42").reveal()
            == "1QMnDDUPIOi7n04i6gm01XtceFndlnZQZ4CWpv9iEfY"
        )

    def test_needs_a_purpose(self, key_file: Path):
        with pytest.raises(ValueError):
            opened(key_file).derive("")
