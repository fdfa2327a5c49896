"""Project variables in the store, encrypted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from previewdrop.domain.secret import Secret
from previewdrop.store.database import StateDatabase
from previewdrop.store.secrets import SecretBox
from previewdrop.store.tables import Variable


@dataclass(frozen=True, slots=True)
class StoredVariable:
    """A decrypted variable. For branches matching the glob `branch`, or one preview's slug."""

    name: str
    value: Secret
    secret: bool
    branch: str | None = None
    preview: str | None = None


class Variables:
    """Every method is one transaction."""

    def __init__(self, database: StateDatabase, box: SecretBox) -> None:
        self._database = database
        self._box = box

    async def of(self, project_id: int) -> Sequence[StoredVariable]:
        """All variables of a project, by name."""
        query = (
            select(Variable)
            .where(Variable.project_id == project_id)
            .order_by(Variable.name, Variable.branch, Variable.preview)
        )
        async with self._database.transaction() as session:
            rows = (await session.scalars(query)).all()
        return [
            StoredVariable(
                row.name, self._box.decrypt(row.value), row.secret, row.branch, row.preview
            )
            for row in rows
        ]

    async def put(self, project_id: int, variables: Sequence[StoredVariable]) -> None:
        """Sets the variables, all or none."""
        async with self._database.transaction() as session:
            for variable in variables:
                row = insert(Variable).values(
                    project_id=project_id,
                    name=variable.name,
                    value=self._box.encrypt(variable.value),
                    secret=variable.secret,
                    branch=variable.branch,
                    preview=variable.preview,
                )
                await session.execute(
                    row.on_conflict_do_update(
                        index_elements=["project_id", "name", "branch", "preview"],
                        set_={"value": row.excluded.value, "secret": row.excluded.secret},
                    )
                )

    async def remove(
        self, project_id: int, name: str, branch: str | None, preview: str | None
    ) -> bool:
        """Whether there was one to remove."""
        query = delete(Variable).where(
            Variable.project_id == project_id,
            Variable.name == name,
            Variable.branch.is_not_distinct_from(branch),
            Variable.preview.is_not_distinct_from(preview),
        )
        async with self._database.transaction() as session:
            result = await session.execute(query.returning(Variable.id))
            return result.first() is not None
