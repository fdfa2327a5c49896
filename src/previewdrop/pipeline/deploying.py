"""One deployment under way: what it works for and what it works with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from pydantic import TypeAdapter

from previewdrop.config.home import Home
from previewdrop.config.project import ProjectConfig
from previewdrop.config.pull_rules import PREFIX
from previewdrop.config.settings import Settings
from previewdrop.domain.app import AppFacts
from previewdrop.domain.naming import Names, names_for
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import PROCESS
from previewdrop.drivers.base import Drivers
from previewdrop.pipeline.choice import RuntimeChoice
from previewdrop.pipeline.hosts import Hosts
from previewdrop.pipeline.journal import Journal
from previewdrop.pipeline.recipe import Recipe
from previewdrop.source.checkout import Checkouts
from previewdrop.store.previews import PreviewRow
from previewdrop.store.store import Store
from previewdrop.store.variables import StoredVariable

_FACTS = TypeAdapter(AppFacts)


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every deployment works with."""

    home: Home
    settings: Settings
    store: Store
    drivers: Drivers
    checkouts: Checkouts
    http: httpx2.AsyncBaseTransport
    choice: RuntimeChoice
    hosts: Hosts

    def names(self, row: PreviewRow) -> Names:
        return names_for(row.project.name, row.preview.slug, self.settings.domain)

    def url(self, row: PreviewRow) -> str:
        """The public URL of a preview, without a closing slash."""
        return self.url_of(self.names(row))

    def url_of(self, names: Names) -> str:
        port = "" if self.settings.edge_port == 443 else f":{self.settings.edge_port}"
        return f"https://{names.host}{port}"

    def password(self, names: Names, purpose: str) -> Secret:
        """The same password for the same preview and purpose, always."""
        return self.store.box.derive(f"{purpose}:{names.full}")

    def folder(self, deployment_id: int) -> Path:
        """Where the commit of a deployment is exported to."""
        return self.home.checkouts / str(deployment_id)


@dataclass(frozen=True, slots=True)
class Deploying:
    """One attempt: the preview as it was when it began, and where to write down what happens."""

    shop: Workshop
    row: PreviewRow
    deployment_id: int
    commit: str
    variables: Sequence[StoredVariable]
    journal: Journal

    @property
    def names(self) -> Names:
        return self.shop.names(self.row)

    @property
    def folder(self) -> Path:
        return self.shop.folder(self.deployment_id)

    @property
    def server_settings(self) -> Mapping[str, Any]:
        """The project's settings on the server, without those that are not the repository's."""
        settings = self.row.project.settings
        own = ("max_previews", PREFIX)
        return {key: value for key, value in settings.items() if not key.startswith(own)}


@dataclass(frozen=True, slots=True)
class Detected:
    """What the repository is, and how it wants to be deployed."""

    facts: AppFacts
    config: ProjectConfig
    recipe: Recipe
    runtime: str = PROCESS

    def as_json(self) -> dict[str, Any]:
        """Everything but the recipe, which is kept sealed."""
        facts = _FACTS.dump_python(self.facts, mode="json")
        config = self.config.model_dump(mode="json")
        return {"facts": facts, "config": config, "runtime": self.runtime}

    @classmethod
    def from_json(cls, made: Mapping[str, Any], recipe: Recipe) -> Detected:
        facts = _FACTS.validate_json(json.dumps(made["facts"]))
        config = ProjectConfig.model_validate(made["config"])
        return cls(facts, config, recipe, made.get("runtime", PROCESS))
