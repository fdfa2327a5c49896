"""A project's rules for pull requests: `github.…` among its settings on the server.

They are no part of previewdrop.toml, because a pull request must not change its own rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from previewdrop.domain.errors import BadConfig
from previewdrop.domain.nearest import nearest
from previewdrop.domain.pulls import PullPolicy

PREFIX = "github."


class PullRules(BaseModel):
    """Every field's description is its documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drafts: bool = Field(True, description="Whether drafts get previews.")
    bots: bool = Field(True, description="Whether pull requests of bots get previews.")
    demand: Literal["all", "label", "command"] = Field(
        "all", description="Which pull requests get one unasked: all, those with a label, none."
    )
    labels: tuple[str, ...] = Field(("preview",), description="Labels that ask for a preview.")
    never: tuple[str, ...] = Field(("no-preview",), description="Labels that forbid one.")
    bases: tuple[str, ...] = Field((), description="Base branches as globs; none is all.")
    branches: tuple[str, ...] = Field((), description="Branches with previews of their own.")
    forks: Literal["approve", "never"] = Field(
        "approve", description="Whether commits of forks can be approved."
    )
    fork_secrets: bool = Field(False, description="Whether approved forks get secret variables.")

    @property
    def policy(self) -> PullPolicy:
        return PullPolicy(
            drafts=self.drafts,
            bots=self.bots,
            demand=self.demand,
            labels=frozenset(self.labels),
            never=frozenset(self.never),
            bases=self.bases,
            forks=self.forks,
            fork_secrets=self.fork_secrets,
        )


def pull_rules(settings: Mapping[str, Any]) -> PullRules:
    """Those among a project's settings. BadConfig names the key that is unknown or wrong."""
    own = {
        key.removeprefix(PREFIX): value
        for key, value in settings.items()
        if key.startswith(PREFIX) and value is not None
    }
    try:
        return PullRules.model_validate(own)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            near = nearest(name, PullRules.model_fields)
            known = ", ".join(f"{PREFIX}{each}" for each in PullRules.model_fields)
            hint = f"Did you mean {PREFIX}{near}?" if near else f"Known keys: {known}."
            raise BadConfig(f"There is no setting {PREFIX}{name}.", hint) from error
        said = first["msg"].replace("Input should", "it should")
        raise BadConfig(f"{PREFIX}{name} is wrong: {said}.") from error
