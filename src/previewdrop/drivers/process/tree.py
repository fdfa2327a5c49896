"""Folders as a whole: given to another account, measured, removed."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path


def give(folder: Path, owner: int | None) -> None:
    """Makes `owner` own everything in the folder; None leaves it as it is.

    The folder itself comes last, so one that has the owner was given as a whole. Links are not
    followed. Nothing of the account may run in it yet: it could swap what is walked.
    """
    if owner is None:
        return
    for _, folders, files, descriptor in os.fwalk(folder, topdown=False, follow_symlinks=False):
        for name in (*folders, *files):
            os.chown(name, owner, owner, dir_fd=descriptor, follow_symlinks=False)
    os.chown(folder, owner, owner)


def free_size(folder: Path) -> int:
    """Bytes of all files in the folder, as far as they are not links to others."""
    return sum(
        os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_size
        for _, _, files, descriptor in os.fwalk(folder)
        for name in files
    )


def remove_tree(folder: Path) -> None:
    """Removes a folder with all in it, also where a process closed folders to itself.

    Nothing may run in it any more.
    """
    if folder.is_symlink():
        folder.unlink()
        return
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except PermissionError:
        folder.chmod(stat.S_IRWXU)
        for parent, folders, _ in os.walk(folder):
            for name in folders:
                if not Path(parent, name).is_symlink():
                    Path(parent, name).chmod(stat.S_IRWXU)
        shutil.rmtree(folder)
