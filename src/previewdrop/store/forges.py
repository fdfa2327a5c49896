"""Connected code hosts in the store, their credentials encrypted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, case, delete, func, select, update

from previewdrop.domain.errors import NotFound
from previewdrop.domain.secret import Secret
from previewdrop.store.database import StateDatabase
from previewdrop.store.secrets import SecretBox
from previewdrop.store.tables import Forge, Project


@dataclass(frozen=True, slots=True)
class StoredForge:
    """A code host. `credentials` are by name: those of an App, or a token; each is a secret."""

    id: int
    kind: str
    url: str
    slug: str | None
    app: int | None
    credentials: Mapping[str, Secret]


class Forges:
    """Every method is one transaction."""

    def __init__(self, database: StateDatabase, box: SecretBox) -> None:
        self._database = database
        self._box = box

    async def add(
        self,
        kind: str,
        url: str,
        credentials: Mapping[str, Secret],
        *,
        slug: str | None = None,
        app: int | None = None,
    ) -> StoredForge:
        """Keeps a host; the same App again replaces its credentials."""
        revealed = {name: secret.reveal() for name, secret in credentials.items()}
        sealed = self._box.encrypt(Secret(json.dumps(revealed)))
        async with self._database.transaction() as session:
            same = select(Forge).where(
                Forge.kind == kind, Forge.url == url, Forge.app.is_not_distinct_from(app)
            )
            forge = await session.scalar(same.with_for_update())
            if forge is None:
                forge = Forge(kind=kind, url=url, app=app)
                session.add(forge)
            forge.slug, forge.sealed = slug, sealed
            await session.flush()
            await session.refresh(forge)
        return self._opened(forge)

    async def all(self) -> Sequence[StoredForge]:
        async with self._database.transaction() as session:
            return [self._opened(one) for one in await session.scalars(select(Forge))]

    async def get(self, forge_id: int) -> StoredForge:
        async with self._database.transaction() as session:
            if forge := await session.get(Forge, forge_id):
                return self._opened(forge)
        raise NotFound("This code host is not connected any more.")

    async def remove(self, forge_id: int) -> None:
        """Its projects stay, as repositories that nobody tells us about."""
        async with self._database.transaction() as session:
            await session.execute(delete(Forge).where(Forge.id == forge_id))

    async def link(
        self, project_id: int, forge_id: int, repository: int, name: str, installation: int | None
    ) -> None:
        """Records which repository on which host a project is.

        What people wrote before it was that one is no command to us.
        """
        same = and_(Project.forge_id == forge_id, Project.repository == repository)
        values = {
            "forge_id": forge_id,
            "repository": repository,
            "repository_name": name,
            "installation": installation,
            "comments_read": case((same, Project.comments_read), else_=func.now()),
        }
        async with self._database.transaction() as session:
            await session.execute(update(Project).where(Project.id == project_id).values(**values))

    async def projects(self, forge_id: int, repository: int | None = None) -> Sequence[Project]:
        """Those on a host, or those of one repository there: a monorepo may be several."""
        query = select(Project).where(Project.forge_id == forge_id, Project.present)
        if repository is not None:
            query = query.where(Project.repository == repository)
        async with self._database.transaction() as session:
            return (await session.scalars(query.order_by(Project.id))).all()

    async def renamed(self, forge_id: int, repository: int, name: str, source: str) -> None:
        """Follows a repository that was renamed or transferred."""
        same = Project.forge_id == forge_id, Project.repository == repository
        values = {"repository_name": name, "source": source}
        async with self._database.transaction() as session:
            await session.execute(update(Project).where(*same).values(**values))

    async def marked(self, project_id: int, mark: str | None) -> None:
        """Keeps what the host gave with its last list of pull requests."""
        async with self._database.transaction() as session:
            await session.execute(
                update(Project).where(Project.id == project_id).values(pulls_mark=mark)
            )

    async def read_comments(self, project_id: int, until: datetime) -> None:
        """Keeps until when comments were looked at."""
        async with self._database.transaction() as session:
            await session.execute(
                update(Project).where(Project.id == project_id).values(comments_read=until)
            )

    def _opened(self, forge: Forge) -> StoredForge:
        revealed = json.loads(self._box.decrypt(forge.sealed).reveal())
        credentials = {name: Secret(value) for name, value in revealed.items()}
        return StoredForge(forge.id, forge.kind, forge.url, forge.slug, forge.app, credentials)
