"""Files as tars, in which the Engine takes them into a container and hands them out.

https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/PutContainerArchive
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

from previewdrop.domain.secret import Secret


def folder_of(name: str, files: Mapping[str, str], secrets: Mapping[str, Secret]) -> bytes:
    """A tar of the folder `name`: files for all to read, secrets for root alone."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        folder = tarfile.TarInfo(name)
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for file, text in files.items():
            _add(tar, f"{name}/{file}", text, 0o644)
        for file, secret in secrets.items():
            _add(tar, f"{name}/{file}", secret.reveal(), 0o600)
    return output.getvalue()


def file_of(name: str, text: str) -> bytes:
    """A tar of one file that root alone may read."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        _add(tar, name, text, 0o600)
    return output.getvalue()


def text_of(tar: bytes) -> str:
    """The text of the first file in a tar, as the Engine hands out one file."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        for member in opened:
            if content := opened.extractfile(member):
                return content.read().decode()
    return ""


def _add(tar: tarfile.TarFile, name: str, text: str, mode: int) -> None:
    content = text.encode()
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    tar.addfile(info, io.BytesIO(content))
