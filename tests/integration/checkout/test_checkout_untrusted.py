"""Content that means harm, and settings of a repository that would run something."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from previewdrop.domain.errors import BadSource, Unavailable
from previewdrop.source.checkout import Checkouts

FILE, EXECUTABLE, LINK, TREE = "100644", "100755", "120000", "040000"
Files = Callable[[Path], dict[str, bytes]]


async def exported(checkouts: Checkouts, repository: Any, target: Path):
    source = str(repository.path)
    sha = await checkouts.fetch(source, branch="main")
    return await checkouts.export(source, sha, target)


def left_in(target: Path) -> list[str]:
    return [entry.name for entry in target.parent.iterdir()] if target.parent.exists() else []


def commits_below(mirrors: Path) -> list[Path]:
    return list(mirrors.glob("*.git/refs/commits/*"))


async def test_nothing_of_the_source_runs(
    repository: Any, checkouts: Checkouts, target: Path, tmp_path: Path
):
    marker = tmp_path / "ran"
    touch = f"touch {marker};"
    repository.commit(a_txt="1", _gitattributes="* filter=evil diff=evil merge=evil\n")
    for key in (
        "core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.pager", "core.editor",
        "core.alternateRefsCommand", "core.askPass", "uploadpack.packObjectsHook",
        "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv", "diff.external",
        "credential.helper", "alias.pack-objects", "remote.origin.uploadpack",
    ):  # fmt: skip
        repository.git("config", key, f"!{touch}" if "alias" in key else touch)
    repository.git("config", "filter.evil.required", "true")
    repository.git("config", "extensions.partialClone", "origin")
    repository.git("config", "remote.origin.url", f"ext::sh -c '{touch}'")
    hooks = repository.path / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "reference-transaction", "pre-auto-gc", "post-upload-pack"):
        (hooks / name).write_text(f"#!/bin/sh\n{touch}\n")
        (hooks / name).chmod(0o755)
    repository.git("status", check=False)
    assert marker.exists(), "git in that folder would run them"
    marker.unlink()
    await checkouts.resolve(str(repository.path), "main")
    await checkouts.default_branch(str(repository.path))
    await exported(checkouts, repository, target)
    assert (target / "a.txt").read_bytes() == b"1"
    assert not marker.exists()
    with pytest.raises(BadSource):
        await checkouts.fetch(str(repository.path), commit="1" * 40)
    assert not marker.exists()


async def test_attributes_do_not_change_what_is_deployed(
    repository: Any, checkouts: Checkouts, target: Path, files_of: Files
):
    attributes = (
        "hidden.txt export-ignore\nsubst.txt export-subst\ncrlf.txt text eol=crlf\n"
        "ident.txt ident\nwide.txt working-tree-encoding=UTF-16\n"
    )
    files = {
        ".gitattributes": attributes,
        "hidden.txt": "x",
        "subst.txt": "$Format:%H$",
        "crlf.txt": "a\nb\n",
        "ident.txt": "$Id$",
        "raw.bin": b"\r\n\x00\xff",
        "empty": "",
    }
    repository.commit_files(files)
    await exported(checkouts, repository, target)
    assert files_of(target) == {
        name: text.encode() if isinstance(text, str) else text for name, text in files.items()
    }


async def test_modes_and_links_inside(repository: Any, checkouts: Checkouts, target: Path):
    (repository.path / "bin").mkdir()
    (repository.path / "bin/run").write_text("#!/bin/sh\n")
    (repository.path / "bin/run").chmod(0o755)
    (repository.path / "bin/link").symlink_to("../readme")
    (repository.path / "folder").symlink_to("bin")
    (repository.path / "dangling").symlink_to("nowhere")
    repository.commit(readme="x")
    previous = os.umask(0o077)
    try:
        export = await exported(checkouts, repository, target)
    finally:
        os.umask(previous)
    assert export.files == 5
    assert (target / "bin/run").stat().st_mode & 0o777 == 0o755
    assert (target / "readme").stat().st_mode & 0o777 == 0o644
    assert (target / "bin").stat().st_mode & 0o777 == 0o755
    assert (target / "bin/link").read_text() == "x"
    assert (target / "folder/run").exists()
    assert (target / "dangling").is_symlink()


@pytest.mark.parametrize(
    ("links", "named"),
    [
        ({"passwd": "/etc/passwd"}, "passwd"),
        ({"deep/out": "../../x"}, "deep/out"),
        ({"d/up": "..", "sly": "d/up/../x"}, "sly"),
    ],
)
async def test_links_that_lead_out(
    repository: Any, checkouts: Checkouts, target: Path, links: dict[str, str], named: str
):
    for name, to in links.items():
        (repository.path / name).parent.mkdir(exist_ok=True)
        (repository.path / name).symlink_to(to)
    repository.commit(a_txt="1")
    with pytest.raises(BadSource, match=f"symbolic link {named} leads out"):
        await exported(checkouts, repository, target)
    assert left_in(target) == []


@pytest.mark.parametrize(
    "name", [b".git", b".GIT", b"git~1", b"..", b"a\\b", ".g\u200cit".encode(), b"x" * 300]
)
async def test_names_that_cannot_be_written(
    repository: Any, checkouts: Checkouts, target: Path, name: bytes
):
    folder = repository.tree((FILE, "blob", repository.blob(b"evil"), b"config"))
    repository.commit_tree((TREE, "tree", folder, name))
    with pytest.raises(BadSource, match="The file name"):
        await exported(checkouts, repository, target)
    assert left_in(target) == []


async def test_a_link_and_a_folder_of_the_same_name(
    repository: Any, checkouts: Checkouts, target: Path, tmp_path: Path
):
    folder = repository.tree((FILE, "blob", repository.blob(b"evil"), b"file"))
    other = repository.blob(b"elsewhere")
    repository.commit_tree((LINK, "blob", other, b"a"), (TREE, "tree", folder, b"a"))
    with pytest.raises(BadSource, match="twice"):
        await exported(checkouts, repository, target)
    blob = repository.blob(b"1")
    repository.commit_tree((FILE, "blob", blob, b"a"), (EXECUTABLE, "blob", blob, b"a"))
    with pytest.raises(BadSource, match="twice"):
        await exported(checkouts, repository, target)
    assert left_in(target) == []


async def test_too_large(repository: Any, tmp_path: Path, target: Path):
    small = Checkouts(tmp_path / "mirrors", tmp_path / "checkouts", 100_000)
    repository.commit(a_txt="x" * 60_000, b_bin="y" * 50_000)
    with pytest.raises(BadSource, match=r"the largest is a\.txt with 0\.1 MiB"):
        await exported(small, repository, target)
    assert left_in(target) == []


async def test_a_pack_beyond_all_bounds(
    repository: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: Path
):
    monkeypatch.setattr("previewdrop.source.checkout.PACK_SLACK", 10_000)
    small = Checkouts(tmp_path / "mirrors", tmp_path / "checkouts", 100_000)
    repository.commit(a_bin=os.urandom(500_000))
    with pytest.raises(BadSource, match="more than a commit may hold"):
        await exported(small, repository, target)
    repository.git("rm", "--quiet", "a.bin")
    repository.commit(b_txt="1")
    await exported(small, repository, target)
    assert (target / "b.txt").read_bytes() == b"1"


async def test_a_tree_of_ten_billion_files(repository: Any, checkouts: Checkouts, target: Path):
    tree = repository.tree(
        *((FILE, "blob", repository.blob(b"x"), f"{n}".encode()) for n in range(10))
    )
    for _ in range(9):
        tree = repository.tree(*((TREE, "tree", tree, f"{n}".encode()) for n in range(10)))
    repository.git("update-ref", "refs/heads/main", repository.git("commit-tree", "-m", "x", tree))
    with pytest.raises(BadSource, match="more than 5000 files"):
        await exported(checkouts, repository, target)
    assert left_in(target) == []


async def test_lfs_pointers_are_reported(repository: Any, checkouts: Checkouts, target: Path):
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 12\n"
    repository.commit_files(
        {f"data/{number}.bin": pointer for number in range(5)}
        | {"doc.md": "version https://git-lfs.github.com/spec/v1 is how a pointer begins"}
    )
    lines: list[str] = []
    source = str(repository.path)
    sha = await checkouts.fetch(source, branch="main")
    export = await checkouts.export(source, sha, target, lines.append)
    (warning,) = export.warnings
    assert "data/0.bin, data/1.bin, data/2.bin and 2 more hold only a pointer" in warning
    assert lines == [f"Warning: {warning}"]
    assert (await checkouts.export(source, sha, target)).warnings == (warning,)


async def test_a_repository_that_lacks_objects(repository: Any, checkouts: Checkouts, target: Path):
    repository.commit(a_txt="1")
    blob = repository.git("rev-parse", "HEAD:a.txt")
    (repository.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(BadSource, match="has not got all of its objects"):
        await exported(checkouts, repository, target)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root can mount")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)],
        check=False, capture_output=True,
    )  # fmt: skip
    if done.returncode:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_full_disk_while_fetching(
    repository: Any, tmp_path: Path, target: Path, tiny_disk: Path
):
    repository.commit(a_bin=os.urandom(5_000_000))
    full = Checkouts(tiny_disk, tmp_path / "checkouts", 10_000_000)
    with pytest.raises(Unavailable, match="disk is full"):
        await exported(full, repository, target)
    assert not commits_below(tiny_disk)


async def test_a_full_disk_while_exporting(
    repository: Any, tmp_path: Path, tiny_disk: Path, monkeypatch: pytest.MonkeyPatch
):
    repository.commit(a_bin=os.urandom(2_500_000), b_bin=os.urandom(2_500_000))
    full = Checkouts(tmp_path / "mirrors", tiny_disk, 10_000_000)
    with pytest.raises(Unavailable, match="disk is full"):
        await exported(full, repository, tiny_disk / "1")
    usage = shutil._ntuple_diskusage  # pyright: ignore
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 40, 0, 1 << 40))
    with pytest.raises(Unavailable, match="disk is full"):
        await exported(full, repository, tiny_disk / "1")
    assert left_in(tiny_disk / "1") == []
