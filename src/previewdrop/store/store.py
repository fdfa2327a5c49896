"""The control plane's own state, whole."""

from __future__ import annotations

from sqlalchemy import select

from previewdrop.domain.errors import ServerError
from previewdrop.store.asks import Asks
from previewdrop.store.database import StateDatabase
from previewdrop.store.deployments import Deployments
from previewdrop.store.forges import Forges
from previewdrop.store.previews import Previews
from previewdrop.store.projects import Projects
from previewdrop.store.pulls import Pulls
from previewdrop.store.secrets import SecretBox
from previewdrop.store.tables import Deployment, Forge, Project, Variable
from previewdrop.store.variables import Variables


class Store:
    """Projects, variables, previews and deployments on one database."""

    def __init__(self, database: StateDatabase, box: SecretBox) -> None:
        self.database = database
        self.box = box
        self.projects = Projects(database, box)
        self.variables = Variables(database, box)
        self.previews = Previews(database)
        self.deployments = Deployments(database)
        self.pulls = Pulls(database)
        self.forges = Forges(database, box)
        self.asks = Asks(database)

    async def check_keys(self) -> None:
        """ServerError if something is stored that was encrypted with a key that is not there."""
        sealed = (Variable.value, Project.login, Deployment.recipe, Forge.sealed)
        async with self.database.transaction() as session:
            tokens = [
                await session.scalar(select(one).where(one.is_not(None)).limit(1)) for one in sealed
            ]
        try:
            for token in filter(None, tokens):
                self.box.decrypt(token)
        except ServerError as error:
            raise ServerError(
                error.message,
                "Put back the key file that it was encrypted with, or begin anew with another "
                "PREVIEWDROP_STATE_URL.",
            ) from error
