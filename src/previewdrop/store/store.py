"""The control plane's own state, whole."""

from __future__ import annotations

from previewdrop.store.database import StateDatabase
from previewdrop.store.deployments import Deployments
from previewdrop.store.previews import Previews
from previewdrop.store.projects import Projects
from previewdrop.store.secrets import SecretBox
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
