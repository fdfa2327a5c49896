"""Commits of any repository: looked up, fetched into a mirror, exported to a folder."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from previewdrop.domain.errors import BadSource, NoAccess, Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.source import commands
from previewdrop.source.address import Address, parse_address
from previewdrop.source.export import (
    Export,
    exports_in,
    finished_export,
    remove_export,
    write_export,
)
from previewdrop.source.git import TooMuchOutput, run
from previewdrop.source.local import LocalRepository, find_repository
from previewdrop.source.mirror import Mirror, mirror_folder
from previewdrop.source.parts import gather
from previewdrop.source.refs import SHA, check_sha, full_ref, unknown_branch, unknown_commit
from previewdrop.source.refusals import disk_full, is_disk_full, refusal
from previewdrop.source.remote import PACK_SLACK, RemoteRepository, remote_repository
from previewdrop.source.tree import missing_object

LogLine = Callable[[str], None]
"""Takes one line for the deployment's log, without its newline."""

_FILES = 100_000
_TIMEOUT = 300.0
_COMMITS_KEPT = 100
_PACKS_KEPT = 30
_HAVE = 4
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit. `title` is its first line and `author` a name, without control characters.

    `body` is what follows the title in its message, as it was written.
    """

    sha: str
    title: str
    author: str
    date: datetime
    body: str = ""

    @property
    def message(self) -> str:
        return f"{self.title}\n\n{self.body}"


class Checkouts:
    """Mirrors of repositories below `mirrors`, exported commits below `checkouts`.

    A `source` is a URL or a folder of this machine. `branch` is a branch's name or a full ref such
    as `refs/pull/42/head`. `credentials` are `user:password` or a token for the site of an http
    source. `byte_limit` and `file_limit` bound one export with its submodules.

    Every method raises BadSource for what the user must mend, Unavailable for what passes by itself
    or took longer than `timeout` seconds. Cancelled, each stops the git processes it started.
    """

    def __init__(
        self, mirrors: Path, checkouts: Path, byte_limit: int, *, file_limit: int = _FILES
    ) -> None:
        self._folder = mirrors
        self._checkouts = checkouts
        self._byte_limit = byte_limit
        self._file_limit = file_limit
        self._mirrors: dict[str, Mirror] = {}
        self._targets: dict[Path, asyncio.Lock] = {}

    async def default_branch(
        self, source: str, *, timeout: float = _TIMEOUT, credentials: Secret | None = None
    ) -> str:
        """The branch that a work tree is on, or that a remote repository calls its default."""
        address = parse_address(source)
        async with _within(timeout, address):
            if address.folder:
                return find_repository(address.folder).default_branch()
            remote = self._remote(address, self._mirror(address), credentials)
            return await remote.default_branch()

    async def branches(
        self, source: str, *, timeout: float = _TIMEOUT, credentials: Secret | None = None
    ) -> dict[str, str]:
        """Every branch with the sha that it points to now."""
        address = parse_address(source)
        async with _within(timeout, address):
            if address.folder:
                return find_repository(address.folder).branches()
            return await self._remote(address, self._mirror(address), credentials).branches()

    async def resolve(
        self,
        source: str,
        branch: str,
        *,
        timeout: float = _TIMEOUT,
        credentials: Secret | None = None,
    ) -> Commit:
        """The commit that a branch points to now. A remote branch is fetched on the way."""
        address, ref = parse_address(source), full_ref(branch)
        async with _within(timeout, address):
            if address.folder:
                sha = _tip(find_repository(address.folder), ref, address)
            else:
                sha = await self._fetch_ref(address, ref, credentials)
            return await self._show(address, self._mirror(address), sha)

    async def commit(
        self,
        source: str,
        sha: str,
        *,
        timeout: float = _TIMEOUT,
        credentials: Secret | None = None,
    ) -> Commit:
        """The commit with a sha or a prefix of one.

        In a remote repository a prefix is found among the fetched commits and the tips of branches,
        a whole sha everywhere.
        """
        address, wanted = parse_address(source), check_sha(sha)
        mirror = self._mirror(address)
        async with _within(timeout, address):
            if address.folder:
                find_repository(address.folder)
            else:
                wanted = await self._complete(address, wanted, credentials)
                await self._obtain(address, mirror, wanted, credentials)
            return await self._show(address, mirror, wanted)

    async def fetch(
        self,
        source: str,
        *,
        branch: str | None = None,
        commit: str | None = None,
        log: LogLine = lambda line: None,
        timeout: float = _TIMEOUT,
        credentials: Secret | None = None,
    ) -> str:
        """Copies a commit into the mirror, with what it needs and the mirror has not got.

        Give the whole sha of a `commit`, or a `branch` for the commit that it points to now.
        Returns the sha. A commit that is in the mirror already costs nothing.
        """
        address = parse_address(source)
        async with _within(timeout, address):
            if commit is None:
                if branch is None:
                    raise BadSource("Neither a branch nor a commit was named.")
                log(f"Fetching {branch} of {address.text}")
                return await self._fetch_ref(address, full_ref(branch), credentials)
            sha = _whole(commit)
            mirror = self._mirror(address)
            if not mirror.has(sha):
                log(f"Fetching {sha[:7]} of {address.text}")
            await self._obtain(address, mirror, sha, credentials)
            return sha

    async def export(
        self,
        source: str,
        sha: str,
        target: Path,
        log: LogLine = lambda line: None,
        *,
        timeout: float = _TIMEOUT,
    ) -> Export:
        """Writes exactly that commit, which was fetched before, to the folder `target`.

        There is no `.git` in it; submodules are in it and are fetched where needed, without a
        login: the commit names them, and must not choose what a login reads. The folder appears
        whole or not at all. When the same commit is there already it is left alone, another one is
        replaced.
        """
        address, wanted = parse_address(source), _whole(sha)
        key = f"{address.text} {wanted}"
        lock = self._targets.setdefault(target, asyncio.Lock())
        async with _within(timeout, address), lock:
            if done := finished_export(target, key):
                return done
            mirror = self._mirror(address)
            if not mirror.has(wanted):
                raise BadSource(f"Commit {wanted} of {address.text} was not fetched.")
            mirror.touch(wanted)

            async def obtain(place: Address, module_sha: str) -> Mirror:
                log(f"Fetching submodule {place.text} at {module_sha[:7]}")
                module = self._mirror(place, within=address)
                mirror.add_module(module.path.name)
                try:
                    return await self._obtain(place, module, module_sha)
                except NoAccess as error:
                    raise _not_public(place) from error

            parts = await gather(
                address, mirror, wanted, obtain, files=self._file_limit, size=self._byte_limit
            )
            export = await write_export(parts, target, key)
            for warning in export.warnings:
                log(f"Warning: {warning}")
            return export

    async def changes(self, source: str, before: str, after: str) -> tuple[str, ...]:
        """The paths in which two fetched commits differ."""
        address = parse_address(source)
        mirror = self._mirror(address)
        command = commands.changes(mirror.path, _whole(before), _whole(after))
        finished = await run(command, limit=self._file_limit * 512)
        if finished.code:
            raise refusal(finished.errors, address.text)
        return tuple(finished.output.decode("utf-8", "surrogateescape").split("\0")[:-1])

    async def remove_mirror(self, source: str) -> None:
        """Forgets everything that was fetched of a source; does nothing if that is nothing."""
        await self._mirror(parse_address(source)).remove()

    async def remove_export(self, target: Path) -> None:
        """Removes an exported folder; does nothing if there is none."""
        async with self._targets.setdefault(target, asyncio.Lock()):
            await remove_export(target)
        self._targets.pop(target, None)

    async def sweep(self, sources: Collection[str]) -> list[str]:
        """Removes the mirrors of all other sources and tidies those that stay; names the removed.

        Mirrors of their submodules stay too. Of each mirror the commits that were used last are
        kept.
        """
        kept: set[str] = set()
        for source in sources:
            mirror = self._mirror(parse_address(source))
            kept |= {mirror.path.name, *mirror.modules()}
        removed: list[str] = []
        for path in sorted(self._folder.glob("*.git")):
            mirror = self._mirrors.setdefault(path.name, Mirror(path))
            if path.name in kept:
                await _tidy(mirror)
            else:
                await mirror.remove()
                removed.append(path.name)
        return removed

    async def sweep_exports(self, wanted: Collection[Path]) -> list[str]:
        """Removes each export below `checkouts` that is not wanted, finished or not. Names them."""
        names = {target.name for target in wanted if target.parent == self._checkouts}
        removed = sorted(exports_in(self._checkouts) - names)
        for name in removed:
            await self.remove_export(self._checkouts / name)
        return removed

    def _mirror(self, address: Address, within: Address | None = None) -> Mirror:
        """That of a project's repository, or of a submodule of it, which no other project reads."""
        # An address has no line breaks, so that neither can pass for the other.
        place = f"{within.text}\n{address.text}" if within else address.text
        name = mirror_folder(place)
        return self._mirrors.setdefault(name, Mirror(self._folder / name))

    def _remote(
        self, address: Address, mirror: Mirror, credentials: Secret | None
    ) -> RemoteRepository:
        mirror.create()
        return remote_repository(address, mirror, self._byte_limit, credentials)

    async def _fetch_ref(self, address: Address, ref: str, credentials: Secret | None) -> str:
        mirror = self._mirror(address)
        if address.folder:
            sha = _tip(find_repository(address.folder), ref, address)
            if not ref.startswith("refs/heads/"):
                sha = (await self._show(address, mirror, sha)).sha
            await self._obtain(address, mirror, sha)
            return sha
        async with mirror.locked() as lock:
            tip = await self._remote(address, mirror, credentials).fetch_ref(ref, lock)
            sha = (await self._show(address, mirror, tip)).sha
            mirror.keep(sha)
            return sha

    async def _obtain(
        self, address: Address, mirror: Mirror, sha: str, credentials: Secret | None = None
    ) -> Mirror:
        """The mirror, with the commit in it."""
        if mirror.has(sha):
            mirror.touch(sha)
            return mirror
        async with mirror.locked() as lock:
            if not mirror.has(sha):
                mirror.create()
                if address.folder:
                    await self._copy(find_repository(address.folder), address, mirror, sha, lock)
                else:
                    await self._remote(address, mirror, credentials).fetch_commit(sha, lock)
                    await self._show(address, mirror, sha)
                mirror.keep(sha)
        return mirror

    async def _copy(
        self, repository: LocalRepository, address: Address, mirror: Mirror, sha: str, lock: int
    ) -> None:
        have = mirror.commits()[:_HAVE]
        command = commands.pack(mirror.path, repository.objects, sha, have)
        finished = await run(command, lock=lock, file_bytes=self._byte_limit + PACK_SLACK)
        if finished.code:
            if "bad revision" in finished.errors:
                raise unknown_commit(sha, address.text)
            if re.search(r"unable to read|missing|bad object|could not read", finished.errors):
                raise missing_object(f"a part of commit {sha}")
            raise refusal(finished.errors, address.text)
        mirror.add_shallow(sha)

    async def _complete(self, address: Address, prefix: str, credentials: Secret | None) -> str:
        if SHA.fullmatch(prefix):
            return prefix
        mirror = self._mirror(address)
        known = set(mirror.commits())
        found = {sha for sha in known if sha.startswith(prefix)}
        if not found:
            tips = (await self._remote(address, mirror, credentials).branches()).values()
            found = {sha for sha in tips if sha.startswith(prefix)}
        if len(found) > 1:
            raise BadSource(f"{prefix} is the beginning of several commits.", "Give more digits.")
        if not found:
            raise BadSource(
                f"{address.text} has no branch at a commit {prefix}….", "Give all 40 digits."
            )
        return found.pop()

    async def _show(self, address: Address, mirror: Mirror, sha: str) -> Commit:
        mirror.create()
        objects = find_repository(address.folder).objects if address.folder else None
        try:
            finished = await run(commands.show(mirror.path, sha, objects))
        except TooMuchOutput as error:
            raise BadSource(f"The message of commit {sha} is too long.") from error
        if finished.code:
            if "ambiguous" in finished.errors:
                raise BadSource(f"{sha} is the beginning of several commits.", "Give more digits.")
            raise unknown_commit(sha, address.text)
        full, author, date, title, body = finished.output.decode(errors="replace").split("\0", 4)
        moment = datetime.fromisoformat(date)
        return Commit(full, _plain(title), _plain(author), moment, body.strip())


async def _tidy(mirror: Mirror) -> None:
    """Lets go of commits that were not used lately, and packs the rest anew when that pays."""
    if len(mirror.commits()) <= _COMMITS_KEPT and mirror.packs() <= _PACKS_KEPT:
        return
    async with mirror.locked() as lock:
        for sha in mirror.commits()[_COMMITS_KEPT:]:
            mirror.forget(sha)
        for command in (commands.repack(mirror.path), commands.prune(mirror.path)):
            finished = await run(command, lock=lock)
            if finished.code:
                raise refusal(finished.errors, str(mirror.path))


@contextlib.asynccontextmanager
async def _within(timeout: float, address: Address) -> AsyncGenerator[None, None]:
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError as error:
        raise Unavailable(
            f"{address.text} was not read within {timeout:g} s.", "It is tried again."
        ) from error
    except PermissionError as error:
        raise BadSource(
            f"The server may not open {error.filename}.", "Let the server's user read it."
        ) from error
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(address.text) from error
        raise


def _not_public(place: Address) -> BadSource:
    return BadSource(
        f"{place.text} is not there, or is not public.",
        "Submodules are fetched without a login: correct its url in .gitmodules, make it public, "
        "or commit its files instead.",
    )


def _tip(repository: LocalRepository, ref: str, address: Address) -> str:
    sha = repository.find(ref)
    if sha is None:
        raise unknown_branch(ref, repository.branches(), address.text)
    return sha


def _whole(sha: str) -> str:
    whole = check_sha(sha)
    if not SHA.fullmatch(whole):
        raise BadSource(f"{sha} is not a whole sha.", "Look it up first, or give all 40 digits.")
    return whole


def _plain(text: str) -> str:
    return _UNPRINTABLE.sub(" ", text).strip()
