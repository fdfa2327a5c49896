"""Projects in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, count
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from previewdrop.domain.errors import Conflict, NotFound
from previewdrop.domain.naming import PROJECT_LENGTH
from previewdrop.domain.secret import Secret
from previewdrop.store.database import StateDatabase
from previewdrop.store.secrets import SecretBox
from previewdrop.store.tables import Preview, Project


class Projects:
    """Every method is one transaction. A `source` holds no password; a `login` is one."""

    def __init__(self, database: StateDatabase, box: SecretBox) -> None:
        self._database = database
        self._box = box

    def login(self, project: Project) -> Secret | None:
        """What the project's repository asks for; ServerError if no key fits."""
        return None if project.login is None else self._box.decrypt(project.login)

    async def add(
        self, name: str, source: str, settings: Mapping[str, Any], login: Secret | None = None
    ) -> Project:
        """A new project; Conflict if the name is taken by another repository."""
        async with self._database.transaction() as session:
            row = insert(Project).values(
                name=name, source=source, login=self._sealed(login), settings=dict(settings)
            )
            created = await session.scalar(row.on_conflict_do_nothing().returning(Project))
            if created:
                return created
        raise Conflict(
            f"There is a project {name} already.", "Give this one another name with --project."
        )

    async def add_named_after(
        self, name: str, source: str, settings: Mapping[str, Any], login: Secret | None = None
    ) -> Project:
        """A new project called `name`, or `name-2` and so on where other repositories have it.

        Conflict if the repository is a project already.
        """
        async with self._database.transaction() as session:
            await session.execute(text("SELECT pg_advisory_xact_lock(7781)"))
            taken = {
                project.name: project.source for project in await session.scalars(select(Project))
            }
            if source in taken.values():
                raise Conflict(f"{source} is a project already.", "See `previewdrop project list`.")
            numbered = (f"{name[: PROJECT_LENGTH - 4]}-{number}" for number in count(2))
            free = next(one for one in chain([name], numbered) if one not in taken)
            project = Project(
                name=free, source=source, login=self._sealed(login), settings=dict(settings)
            )
            session.add(project)
            await session.flush()
            await session.refresh(project)
        return project

    async def all(self, source: str | None = None) -> Sequence[tuple[Project, int]]:
        """Projects by name, each with its number of previews; those of `source` only, if given."""
        present = Preview.state != "removed"
        query = (
            select(Project, func.count(Preview.id).filter(present))
            .outerjoin(Preview, Preview.project_id == Project.id)
            .group_by(Project.id)
            .order_by(Project.name)
        )
        if source is not None:
            query = query.where(Project.source == source)
        async with self._database.transaction() as session:
            return [(row[0], row[1]) for row in await session.execute(query)]

    async def named(self, name: str) -> Project:
        async with self._database.transaction() as session:
            if project := await session.scalar(select(Project).where(Project.name == name)):
                return project
        raise NotFound(f"There is no project {name}.", "See `previewdrop project list`.")

    async def by_id(self, project_id: int) -> Project:
        async with self._database.transaction() as session:
            if project := await session.get(Project, project_id):
                return project
        raise NotFound("This project was removed.")

    async def change(
        self,
        name: str,
        settings: Mapping[str, Any],
        source: str | None = None,
        login: Secret | None = None,
    ) -> Project:
        """Sets settings, takes those back whose value is None, and follows a moved repository.

        With a `source` the login is replaced too, by none if there is none.
        """
        async with self._database.transaction() as session:
            query = select(Project).where(Project.name == name).with_for_update()
            project = await session.scalar(query)
            if project is None:
                raise NotFound(f"There is no project {name}.", "See `previewdrop project list`.")
            merged = {**project.settings, **settings}
            project.settings = {key: value for key, value in merged.items() if value is not None}
            if source is not None:
                project.source, project.login = source, self._sealed(login)
        return project

    async def forget(self, name: str) -> bool:
        """Marks a project as unwanted; its row goes when its last preview is gone."""
        async with self._database.transaction() as session:
            project = await session.scalar(select(Project).where(Project.name == name))
            if project is None:
                raise NotFound(f"There is no project {name}.", "See `previewdrop project list`.")
            project.present = False
        return True

    async def drop_forgotten(self) -> list[str]:
        """Deletes unwanted projects that have no preview left; their names."""
        left = select(Preview.id).where(
            Preview.project_id == Project.id, Preview.state != "removed"
        )
        query = delete(Project).where(~Project.present, ~left.exists()).returning(Project.name)
        async with self._database.transaction() as session:
            return list(await session.scalars(query))

    def _sealed(self, login: Secret | None) -> bytes | None:
        return None if login is None else self._box.encrypt(login)
