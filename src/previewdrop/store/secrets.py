"""Secrets at rest: encryption with keys that rotate, and passwords that are derived, not stored.

Two files, both readable by their owner alone. The key file has one Fernet key a line, the newest
first; it encrypts what people enter. The seed file beside it never changes: passwords of databases
and caches are derived from it, so that rotating keys changes none of them.
"""

from __future__ import annotations

import base64
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from previewdrop.domain.errors import ServerError
from previewdrop.domain.secret import Secret

_SEED_BYTES = 32
_OWNER_ONLY = 0o600


class SecretBox:
    """Encrypts and decrypts secrets, and derives passwords.

    `warnings` are sentences about permissions that were mended when the files were opened.
    """

    def __init__(self, key_file: Path, keys: Iterable[str], seed: bytes) -> None:
        self._key_file = key_file
        self._keys = tuple(keys)
        self._fernet = _fernet(self._keys, key_file)
        self._seed = seed
        self.warnings: tuple[str, ...] = ()

    @classmethod
    def open(cls, key_file: Path, *, data_exists: bool) -> SecretBox:
        """The box whose keys are in `key_file` and whose seed is in `seed_file(key_file)`.

        Missing files are created, unless `data_exists`: new keys could not read what was
        encrypted with the lost ones, so that is a ServerError. Files that others may read are
        closed to them and `warnings` says so; files of another user are refused.
        """
        seed_path = seed_file(key_file)
        for path in (key_file, seed_path):
            if not path.exists():
                if data_exists:
                    raise ServerError(
                        f"{path} is missing, and without it stored secrets cannot be read.",
                        "Put it back from a backup, or remove all data and begin anew.",
                    )
                content = Fernet.generate_key() if path == key_file else _new_seed()
                _create(path, content + b"\n")
        warnings = tuple(filter(None, (_mended(key_file), _mended(seed_path))))
        box = cls(key_file, _lines(key_file), _decoded_seed(seed_path))
        box.warnings = warnings
        return box

    def encrypt(self, secret: Secret) -> bytes:
        """The secret as an encrypted token: URL-safe ASCII."""
        return self._fernet.encrypt(secret.reveal().encode())

    def decrypt(self, token: bytes) -> Secret:
        """What `encrypt` was given; ServerError if no key of the file fits."""
        try:
            return Secret(self._fernet.decrypt(token).decode())
        except InvalidToken as error:
            raise self._unreadable() from error

    def rotate(self) -> None:
        """Puts a new key in front. Old tokens are still read; `renew` them, then `retire`."""
        self._replace((Fernet.generate_key().decode(), *self._keys))

    def renew(self, token: bytes) -> bytes:
        """The same secret under the newest key; ServerError if no key of the file fits."""
        try:
            return self._fernet.rotate(token)
        except InvalidToken as error:
            raise self._unreadable() from error

    def retire(self) -> None:
        """Forgets all keys but the newest. Tokens that were not renewed are lost."""
        self._replace(self._keys[:1])

    def derive(self, purpose: str) -> Secret:
        """A password for a purpose: always the same, 43 URL-safe characters, 256 bits.

        Different purposes have unrelated passwords. A purpose names its preview in full, such as
        `database:shop/pr-42`.
        """
        if not purpose:
            raise ValueError("a derived password needs a purpose")
        info = b"previewdrop password\0" + purpose.encode("utf-8", "surrogateescape")
        raw = HKDF(SHA256(), length=32, salt=None, info=info).derive(self._seed)
        return Secret(base64.urlsafe_b64encode(raw).rstrip(b"=").decode())

    def _replace(self, keys: tuple[str, ...]) -> None:
        fernet = _fernet(keys, self._key_file)
        temporary = _written(self._key_file, "".join(f"{key}\n" for key in keys).encode())
        temporary.replace(self._key_file)
        _sync_folder(self._key_file.parent)
        self._keys, self._fernet = keys, fernet

    def _unreadable(self) -> ServerError:
        return ServerError(
            f"A stored secret cannot be decrypted with the keys in {self._key_file}.",
            "Put back the key file that it was encrypted with, or set the secret again.",
        )


def seed_file(key_file: Path) -> Path:
    """Where the seed of a key file lies: `secret.key` has `secret.seed` beside it."""
    return key_file.with_suffix(".seed")


def _fernet(keys: Iterable[str], key_file: Path) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as error:
        raise ServerError(
            f"{key_file} does not hold keys, one a line.", "Put it back from a backup."
        ) from error


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except UnicodeDecodeError as error:
        raise ServerError(f"{path} is damaged.", "Put it back from a backup.") from error


def _new_seed() -> bytes:
    return base64.urlsafe_b64encode(secrets.token_bytes(_SEED_BYTES))


def _decoded_seed(path: Path) -> bytes:
    try:
        (line,) = _lines(path)
        seed = base64.b64decode(line, altchars=b"-_", validate=True)
    except ValueError:
        seed = b""
    if len(seed) != _SEED_BYTES:
        raise ServerError(f"{path} is damaged.", "Put it back from a backup.")
    return seed


def _create(path: Path, content: bytes) -> None:
    """Makes the file at once with its content; whoever comes second finds the first one's."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = _written(path, content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        temporary.unlink()
    _sync_folder(path.parent)


def _written(path: Path, content: bytes) -> Path:
    """A new file beside `path`, closed to others, that is safely on the disk."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mended(path: Path) -> str | None:
    found = path.stat()
    if found.st_uid not in (os.geteuid(), 0):
        raise ServerError(
            f"{path} belongs to another user, who could change it.",
            "Give it to the user that runs PreviewDrop.",
        )
    if not stat.S_IMODE(found.st_mode) & 0o077:
        return None
    try:
        path.chmod(_OWNER_ONLY)
    except OSError as error:
        raise ServerError(
            f"{path} can be read by others and could not be closed to them.",
            f"Run chmod 600 {path}.",
        ) from error
    return f"{path} could be read by others; it is closed to them now. Think of rotating the keys."
