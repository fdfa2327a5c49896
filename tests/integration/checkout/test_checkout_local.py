"""Repositories in folders of this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from previewdrop.domain.errors import BadSource
from previewdrop.source.checkout import Checkouts

Make = Callable[[str], Any]
Files = Callable[[Path], dict[str, bytes]]


async def test_a_branch_is_resolved_fetched_and_exported(
    repository: Any, checkouts: Checkouts, target: Path, files_of: Files
):
    repository.commit("First", app__main_py="print(1)\n")
    sha = repository.commit("Add contact e-mail\n\nBody", readme_md="Hi\n")
    (repository.path / "readme.md").write_text("not committed")
    (repository.path / "untracked").write_text("not committed")
    assert await checkouts.branches(str(repository.path)) == {"main": sha}
    commit = await checkouts.resolve(str(repository.path), "main")
    assert (commit.sha, commit.title, commit.author) == (sha, "Add contact e-mail", "Ali")
    assert commit.date.tzinfo
    assert await checkouts.fetch(str(repository.path), commit=sha) == sha
    export = await checkouts.export(str(repository.path), sha, target)
    assert files_of(target) == {"app/main.py": b"print(1)\n", "readme.md": b"Hi\n"}
    assert (export.files, export.bytes, export.warnings) == (2, 12, ())
    assert [entry.name for entry in target.parent.iterdir() if entry.name[0] != "."] == ["1"]


async def test_fetch_by_branch_follows_pushes_and_force_pushes(
    repository: Any, checkouts: Checkouts, target: Path, files_of: Files
):
    source = str(repository.path)
    first = repository.commit(a_txt="1")
    assert await checkouts.fetch(source, branch="main") == first
    second = repository.commit(a_txt="2")
    assert await checkouts.fetch(source, branch="main") == second
    repository.git("reset", "--quiet", "--hard", first)
    rewritten = repository.commit(b_txt="3")
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "--quiet", "--prune=now")
    assert await checkouts.fetch(source, branch="main") == rewritten
    await checkouts.export(source, rewritten, target)
    assert files_of(target) == {"a.txt": b"1", "b.txt": b"3"}
    await checkouts.fetch(source, commit=second)
    await checkouts.export(source, second, target)
    assert files_of(target) == {"a.txt": b"2"}, "the replaced commit is still in the mirror"


async def test_a_fetch_copies_only_what_is_new(
    repository: Any, checkouts: Checkouts, mirror: Callable[[], Path]
):
    source = str(repository.path)
    repository.commit(big_bin=os.urandom(400_000))
    await checkouts.fetch(source, branch="main")
    before = {pack.name for pack in mirror().glob("objects/pack/*.pack")}
    repository.commit(small_txt="x")
    await checkouts.fetch(source, branch="main")
    (new,) = [p for p in mirror().glob("objects/pack/*.pack") if p.name not in before]
    assert new.stat().st_size < 2000
    sha = await checkouts.fetch(source, branch="main")
    assert len(list(mirror().glob("objects/pack/*.pack"))) == 2
    assert sha


async def test_a_commit_in_the_mirror_survives_its_source(
    repository: Any, checkouts: Checkouts, target: Path, files_of: Files
):
    sha = repository.commit(a_txt="1")
    await checkouts.fetch(str(repository.path), branch="main")
    shutil.rmtree(repository.path)
    await checkouts.fetch(str(repository.path), commit=sha)
    await checkouts.export(str(repository.path), sha, target)
    assert files_of(target) == {"a.txt": b"1"}


@pytest.mark.parametrize(
    "branch",
    ["feature/new/auth", "🚀-émoji", "x" * 200, "it's", '"q"', "$(touch${IFS}pwned)", "a;b|c"],
)
async def test_odd_branch_names(repository: Any, checkouts: Checkouts, branch: str):
    sha = repository.commit(a_txt="1")
    repository.git("branch", branch)
    assert (await checkouts.resolve(str(repository.path), branch)).sha == sha
    repository.git("pack-refs", "--all")
    assert await checkouts.fetch(str(repository.path), branch=branch) == sha


async def test_a_name_too_long_for_a_file_is_an_unknown_branch(
    repository: Any, checkouts: Checkouts
):
    repository.commit(a_txt="1")
    for branch in ("x" * 250, "🚀" * 250):
        with pytest.raises(BadSource, match="has no branch"):
            await checkouts.resolve(str(repository.path), branch)


async def test_where_a_repository_may_be(
    repository: Any, checkouts: Checkouts, tmp_path: Path, new_repository: Make
):
    sha = repository.commit(backend__main_py="1")
    bare = new_repository("bare")
    bare.git("clone", "--quiet", "--bare", str(repository.path), str(tmp_path / "b.git"))
    bare.git("clone", "--quiet", "--shared", str(repository.path), str(tmp_path / "shared"))
    shallow = f"file://{repository.path}"
    bare.git("clone", "--quiet", "--depth=1", shallow, str(tmp_path / "shallow"))
    repository.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "work:tree"))
    places = [
        repository.path / "backend",
        tmp_path / "b.git",
        tmp_path / "shared",
        tmp_path / "shallow",
        tmp_path / "work:tree",
    ]
    for number, place in enumerate(places):
        assert await checkouts.fetch(str(place), branch="main") == sha
        export = await checkouts.export(str(place), sha, tmp_path / "out" / str(number))
        assert export.files == 1
    assert await checkouts.fetch(f"file://{repository.path}", branch="main") == sha
    assert await checkouts.default_branch(str(tmp_path / "work:tree")) == "side"
    assert await checkouts.default_branch(str(repository.path)) == "main"


async def test_the_default_branch(repository: Any, checkouts: Checkouts):
    source = str(repository.path)
    with pytest.raises(BadSource, match="no commits yet"):
        await checkouts.default_branch(source)
    repository.commit(a_txt="1")
    repository.git("checkout", "--quiet", "-b", "feature/x")
    assert await checkouts.default_branch(source) == "feature/x"
    repository.git("checkout", "--quiet", "--detach")
    assert await checkouts.default_branch(source) == "main"
    repository.git("branch", "-m", "main", "trunk")
    with pytest.raises(BadSource, match="no branch checked out"):
        await checkouts.default_branch(source)


async def test_commits_are_found_by_prefix(repository: Any, checkouts: Checkouts):
    source = str(repository.path)
    first = repository.commit("One \x1b[31mred", a_txt="1")
    repository.commit(a_txt="2")
    found = await checkouts.commit(source, first[:8].upper())
    assert (found.sha, found.title) == (first, "One  [31mred")
    with pytest.raises(BadSource, match="has no commit"):
        await checkouts.commit(source, "0" * 40)
    with pytest.raises(BadSource, match="has no commit"):
        await checkouts.commit(source, "00000000")
    tree = repository.git("rev-parse", "HEAD^{tree}")
    for method in (checkouts.commit(source, tree), checkouts.fetch(source, commit=tree)):
        with pytest.raises(BadSource, match="has no commit"):
            await method


async def test_bad_sources(repository: Any, checkouts: Checkouts, tmp_path: Path):
    source = str(repository.path)
    with pytest.raises(BadSource, match="no commits yet"):
        await checkouts.resolve(source, "main")
    sha = repository.commit(a_txt="1")
    with pytest.raises(BadSource, match="Did you mean ‘main’"):
        await checkouts.resolve(source, "mian")
    with pytest.raises(BadSource, match="has no commit"):
        await checkouts.fetch(source, commit="0" * 40)
    with pytest.raises(BadSource, match="was not fetched"):
        await checkouts.export(source, sha, tmp_path / "x")
    with pytest.raises(BadSource, match="not a whole sha"):
        await checkouts.fetch(source, commit=sha[:8])
    with pytest.raises(BadSource, match="not in a Git repository"):
        await checkouts.resolve(str(tmp_path), "main")
    with pytest.raises(BadSource, match="There is no folder"):
        await checkouts.resolve(str(tmp_path / "nothing"), "main")
    with pytest.raises(BadSource, match="cannot be the name"):
        await checkouts.resolve(source, "../../../etc/passwd")
    repository.git("update-ref", "refs/heads/tmp", sha)
    (repository.path / ".git/refs/heads/tmp").write_text("0" * 40 + "\n")
    with pytest.raises(BadSource, match="has no commit"):
        await checkouts.resolve(source, "tmp")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_a_repository_of_somebody_else(
    repository: Any, checkouts: Checkouts, target: Path, files_of: Files
):
    sha = repository.commit(a_txt="1")
    for entry in (repository.path, *repository.path.rglob("*")):
        os.lchown(entry, 65534, 65534)
    await checkouts.resolve(str(repository.path), "main")
    await checkouts.fetch(str(repository.path), branch="main")
    await checkouts.export(str(repository.path), sha, target)
    assert files_of(target) == {"a.txt": b"1"}


async def test_exporting_again_changes_nothing(
    repository: Any, checkouts: Checkouts, target: Path, files_of: Files
):
    source = str(repository.path)
    first = repository.commit(a_txt="1")
    await checkouts.fetch(source, branch="main")
    one = await checkouts.export(source, first, target)
    (target / "made-by-the-app").write_text("x")
    assert await checkouts.export(source, first, target) == one
    assert sorted(files_of(target)) == ["a.txt", "made-by-the-app"], "it was left alone"
    second = repository.commit(a_txt="2")
    await checkouts.fetch(source, branch="main")
    await checkouts.export(source, second, target)
    assert files_of(target) == {"a.txt": b"2"}


async def test_many_at_once(repository: Any, checkouts: Checkouts, tmp_path: Path):
    source = str(repository.path)
    for number in range(10):
        repository.git("checkout", "--quiet", "-b", f"b{number}")
        repository.commit(a_txt=str(number))

    async def one(number: int) -> bytes:
        sha = await checkouts.fetch(source, branch=f"b{number}")
        folder = tmp_path / "out" / str(number)
        await asyncio.gather(*(checkouts.export(source, sha, folder) for _ in range(2)))
        return (folder / "a.txt").read_bytes()

    found = await asyncio.gather(*(one(number) for number in range(10)))
    assert found == [str(number).encode() for number in range(10)]


async def test_what_changed_between_two_commits(repository: Any, checkouts: Checkouts):
    source = str(repository.path)
    first = repository.commit(a_txt="1", backend__b_txt="1")
    await checkouts.fetch(source, commit=first)
    second = repository.commit(backend__b_txt="2", c_txt="3")
    await checkouts.fetch(source, commit=second)
    assert await checkouts.changes(source, first, second) == ("backend/b.txt", "c.txt")


async def test_sweeping(
    repository: Any, checkouts: Checkouts, tmp_path: Path, new_repository: Make
):
    other = new_repository("other")
    sources = [str(repository.path), str(other.path)]
    for source, made in zip(sources, (repository, other), strict=True):
        made.commit(a_txt=source)
        sha = await checkouts.fetch(source, branch="main")
        await checkouts.export(source, sha, tmp_path / "checkouts" / made.path.name)
    (tmp_path / "checkouts" / ".gone.1234.part").mkdir()
    kept = tmp_path / "checkouts" / "shop"
    assert await checkouts.sweep_exports([kept]) == ["gone", "other"]
    assert sorted(entry.name for entry in kept.parent.iterdir()) == [".shop.export.json", "shop"]
    (removed,) = await checkouts.sweep(sources[:1])
    assert removed.startswith("other-")
    assert len(list((tmp_path / "mirrors").iterdir())) == 2
    await checkouts.remove_mirror(sources[0])
    await checkouts.remove_export(kept)
    assert not list((tmp_path / "mirrors").iterdir())
    assert not list(kept.parent.iterdir())
    await checkouts.remove_mirror(sources[0])


async def test_a_mirror_is_packed_anew_and_lets_old_commits_go(
    repository: Any,
    checkouts: Checkouts,
    target: Path,
    mirror: Callable[[], Path],
    monkeypatch: pytest.MonkeyPatch,
):
    source = str(repository.path)
    monkeypatch.setattr("previewdrop.source.checkout._COMMITS_KEPT", 2)
    shas = [repository.commit(a_txt=str(number)) for number in range(5)]
    for number, sha in enumerate(shas):
        await checkouts.fetch(source, commit=sha)
        os.utime(mirror() / "refs/commits" / sha, (number, number))
    assert await checkouts.sweep([source]) == []
    assert len(list(mirror().glob("objects/pack/*.pack"))) == 1
    assert sorted(path.name for path in mirror().glob("refs/commits/*")) == sorted(shas[-2:])
    repository.git("--git-dir", str(mirror()), "fsck", "--strict")
    await checkouts.export(source, shas[-1], target)
    await checkouts.fetch(source, commit=shas[0])
    await checkouts.export(source, shas[0], target)
    assert (target / "a.txt").read_bytes() == b"0"
