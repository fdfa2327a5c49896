"""Projects in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, count
from typing import Any

from sqlalchemy import Select, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from previewdrop.domain.errors import Conflict, NotFound
from previewdrop.domain.naming import PROJECT_LENGTH
from previewdrop.domain.secret import Secret
from previewdrop.store.database import StateDatabase
from previewdrop.store.previews import tell
from previewdrop.store.pulls import untold
from previewdrop.store.secrets import SecretBox
from previewdrop.store.tables import Preview, Project, PullRequest, Variable

_TOLD_WITHIN = "2 hours"
"""A host that does not answer for so long is told of a removed project no more. One that does is
told of some two hundred pull requests an hour, see Pace."""


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
            there = select(Project).where(Project.gone_at.is_(None))
            taken = {project.name: project.source for project in await session.scalars(there)}
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
            .where(Project.gone_at.is_(None))
            .group_by(Project.id)
            .order_by(Project.name)
        )
        if source is not None:
            query = query.where(Project.source == source)
        async with self._database.transaction() as session:
            return [(row[0], row[1]) for row in await session.execute(query)]

    async def named(self, name: str) -> Project:
        async with self._database.transaction() as session:
            if project := await session.scalar(_named(name)):
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
            project = await session.scalar(_named(name).with_for_update())
            if project is None:
                raise NotFound(f"There is no project {name}.", "See `previewdrop project list`.")
            merged = {**project.settings, **settings}
            project.settings = {key: value for key, value in merged.items() if value is not None}
            if source is not None:
                project.source, project.login = source, self._sealed(login)
        return project

    async def forget(self, name: str) -> Sequence[int]:
        """Marks a project and its previews as unwanted; the ids of those that are still there.

        Its row goes when nothing of it is left, see `drop_forgotten`.
        """
        async with self._database.transaction() as session:
            project = await session.scalar(_named(name).with_for_update())
            if project is None:
                raise NotFound(f"There is no project {name}.", "See `previewdrop project list`.")
            project.present = False
            its = Preview.project_id == project.id
            unwanted = update(Preview).where(its, Preview.present)
            await session.execute(unwanted.values(present=False, generation=Preview.generation + 1))
            there = select(Preview.id).where(its, Preview.state != "removed")
            left = list(await session.scalars(there.order_by(Preview.id)))
            for preview_id in left:
                await tell(session, preview_id)
        return left

    async def drop_forgotten(self) -> list[str]:
        """Deletes unwanted projects of which nothing is left; their names.

        One without previews gives its name, its login and its variables away at once, and is
        deleted when its host was told the end of each pull request, or is none of ours any more.
        """
        left = select(Preview.id).where(
            Preview.project_id == Project.id, Preview.state != "removed"
        )
        gone = (
            update(Project)
            .where(~Project.present, Project.gone_at.is_(None), ~left.exists())
            .values(gone_at=func.now(), login=None)
            .returning(Project.id)
        )
        more = select(PullRequest.number).where(PullRequest.project_id == Project.id, untold())
        late = Project.gone_at < func.now() - text(f"interval '{_TOLD_WITHIN}'")
        ended = delete(Project).where(
            Project.gone_at.is_not(None), or_(Project.forge_id.is_(None), late, ~more.exists())
        )
        async with self._database.transaction() as session:
            its = Variable.project_id.in_(list(await session.scalars(gone)))
            await session.execute(delete(Variable).where(its))
            return list(await session.scalars(ended.returning(Project.name)))

    def _sealed(self, login: Secret | None) -> bytes | None:
        return None if login is None else self._box.encrypt(login)


def _named(name: str) -> Select[Project]:
    return select(Project).where(Project.name == name, Project.gone_at.is_(None))
