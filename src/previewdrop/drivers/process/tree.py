"""Folders as a whole: given to another account, measured, removed."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from contextlib import suppress
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
    """Bytes of all files in the folder, as far as it is open to us; links are not followed.

    Nothing may run in it any more.
    """
    size, folders = 0, [os.fspath(folder)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    size += entry.stat(follow_symlinks=False).st_size
    return size


def remove_tree(folder: Path) -> None:
    """Removes a folder with all in it, also where a process closed folders to itself.

    Whatever else stands there is removed too. Nothing may run in it any more.
    """
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            folder.unlink()
            return
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except (PermissionError, RecursionError) as error:
        # Closed to us, or nested deeper than Python can follow: these two need no stack.
        for command in (("chmod", "-R", "u+rwx"), ("rm", "-rf")):
            done = subprocess.run((*command, "--", folder), capture_output=True, check=False)
        if done.returncode:
            raise OSError(f"{folder} cannot be removed") from error
