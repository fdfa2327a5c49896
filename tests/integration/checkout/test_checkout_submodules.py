"""Submodules: of folders, of servers, nested, and those that are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from previewdrop.domain.errors import BadSource
from previewdrop.source.checkout import Checkouts

Make = Callable[[str], Any]
Files = Callable[[Path], dict[str, bytes]]
GITLINK = "160000"


def add_module(repository: Any, path: str, url: str, sha: str) -> str:
    """Commits a submodule without cloning it, as a hostile branch could."""
    modules = repository.path / ".gitmodules"
    before = modules.read_text() if modules.exists() else ""
    modules.write_text(f'{before}[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n')
    repository.git("add", ".gitmodules")
    repository.git("update-index", "--add", "--cacheinfo", f"{GITLINK},{sha},{path}")
    repository.git("commit", "--quiet", "-m", "Add a submodule")
    return repository.git("rev-parse", "HEAD")


async def exported(checkouts: Checkouts, source: str, target: Path):
    sha = await checkouts.fetch(source, branch="main")
    return await checkouts.export(source, sha, target)


async def test_nested_submodules_of_folders(
    new_repository: Make, checkouts: Checkouts, target: Path, files_of: Files
):
    shop, lib, core = (new_repository(name) for name in ("shop", "lib", "core"))
    pinned = core.commit(core_txt="pinned")
    core.commit(core_txt="newer")
    lib_sha = (lib.commit(lib_txt="1"), add_module(lib, "vendor/core", "../core", pinned))[1]
    shop.commit(a_txt="1")
    add_module(shop, "libs/lib", str(lib.path), lib_sha)
    export = await exported(checkouts, str(shop.path), target)
    found = files_of(target)
    assert found["libs/lib/vendor/core/core.txt"] == b"pinned"
    assert found["libs/lib/lib.txt"] == b"1"
    assert export.files == len(found) == 5
    assert not [name for name in found if ".git/" in name]
    assert await checkouts.sweep([str(shop.path)]) == [], "mirrors of submodules stay"
    assert len(await checkouts.sweep([])) == 3


async def test_a_submodule_that_is_checked_out_is_taken_from_there(
    new_repository: Make, checkouts: Checkouts, target: Path, files_of: Files
):
    shop, lib = new_repository("shop"), new_repository("lib")
    lib.commit(lib_txt="1")
    shop.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(lib.path), "l")
    shop.commit(a_txt="1")
    shutil.rmtree(lib.path)
    await exported(checkouts, str(shop.path), target)
    assert files_of(target)["l/lib.txt"] == b"1"


async def test_relative_submodules_of_a_server(
    new_repository: Make, checkouts: Checkouts, target: Path, daemon: str, files_of: Files
):
    shop, lib = new_repository("shop"), new_repository("lib")
    sha = lib.commit(lib_txt="pinned")
    lib.commit(lib_txt="newer")
    add_module(shop, "l", "../lib", sha)
    await exported(checkouts, f"{daemon}/shop", target)
    assert files_of(target)["l/lib.txt"] == b"pinned"


@pytest.mark.parametrize(
    "url", ["/etc", "file:///srv/other", "ext::sh -c 'touch /tmp/pwned'", "-evil", "../../../x"]
)
async def test_submodules_that_a_server_may_not_name(
    new_repository: Make, checkouts: Checkouts, target: Path, daemon: str, url: str
):
    shop = new_repository("shop")
    add_module(shop, "l", url, shop.commit(a_txt="1"))
    with pytest.raises(BadSource, match="The submodule l cannot be used"):
        await exported(checkouts, f"{daemon}/shop", target)
    assert not (target / "l").exists()


async def test_a_submodule_that_cannot_be_fetched_is_named(
    new_repository: Make, checkouts: Checkouts, target: Path, daemon: str
):
    shop, lib = new_repository("shop"), new_repository("lib")
    lib.commit(lib_txt="1")
    add_module(shop, "libs/lib", "../lib", "1" * 40)
    for source in (str(shop.path), f"{daemon}/shop"):
        with pytest.raises(BadSource, match=f"submodule libs/lib .* no commit {'1' * 40}"):
            await exported(checkouts, source, target)
    shutil.rmtree(lib.path)
    for source in (str(shop.path), f"{daemon}/shop"):
        with pytest.raises(BadSource, match="submodule libs/lib"):
            await exported(checkouts, source, target)


async def test_cycles_are_refused(new_repository: Make, checkouts: Checkouts, target: Path):
    one, two = new_repository("one"), new_repository("two")
    first = one.commit(a_txt="1")
    second = add_module(two, "one", "../one", first)
    add_module(one, "two", "../two", second)
    with pytest.raises(BadSource, match="It contains itself"):
        await exported(checkouts, str(one.path), target)


async def test_submodules_count_for_the_limits_and_for_links(
    new_repository: Make, tmp_path: Path, target: Path
):
    small = Checkouts(tmp_path / "mirrors", tmp_path / "checkouts", 100_000)
    shop, lib = new_repository("shop"), new_repository("lib")
    sha = lib.commit(b_txt="y" * 60_000)
    shop.commit(a_txt="x" * 60_000)
    add_module(shop, "l", "../lib", sha)
    with pytest.raises(BadSource, match=r"the largest is l/b\.txt"):
        await exported(small, str(shop.path), target)
    (lib.path / "up").symlink_to("../a.txt")
    (lib.path / "out").symlink_to("../../a.txt")
    lib.git("rm", "--quiet", "b.txt")
    add_module(shop, "l2", "../lib", lib.commit(c_txt="1"))
    shop.git("rm", "--quiet", "--cached", "l")
    shop.git("commit", "--quiet", "-m", "Without it")
    with pytest.raises(BadSource, match="symbolic link l2/out leads out"):
        await exported(small, str(shop.path), target)


async def test_a_gitlink_without_an_entry_is_an_empty_folder(
    repository: Any, checkouts: Checkouts, target: Path
):
    repository.commit(a_txt="1")
    repository.git("update-index", "--add", "--cacheinfo", f"{GITLINK},{'1' * 40},stray")
    repository.git("commit", "--quiet", "-m", "Stray")
    export = await exported(checkouts, str(repository.path), target)
    assert list((target / "stray").iterdir()) == []
    assert "stray is a submodule without an entry in .gitmodules" in export.warnings[0]
