"""A project's rules for pull requests: `github.…` among its settings on the server.

They are no part of previewdrop.toml, because a pull request must not change its own rules.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

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
    approvals: tuple[str, ...] = Field(
        ("approve-preview",), description="Labels that approve a commit of a fork."
    )
    fork_secrets: bool = Field(False, description="Whether approved forks get secret variables.")

    @model_validator(mode="after")
    def _asked_by_a_label(self) -> Self:
        if self.demand == "label" and not self.labels:
            raise ValueError('with demand="label" and no labels nothing would get a preview')
        return self

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
            approvals=frozenset(self.approvals),
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
        raise _explained(error) from error


def rule(key: str, value: object) -> Any:
    """The value of a `github.…` key as it is kept. A text may be TOML, or a list with commas.

    None takes the key back. BadConfig for a key that is unknown or a value that cannot be its;
    whether it goes with the others `pull_rules` tells.
    """
    name = key.removeprefix(PREFIX)
    if isinstance(value, str):
        value = _read(name, value)
    if value is None and name in PullRules.model_fields:
        return None
    try:
        made = PullRules.model_validate({name: value})
    except ValidationError as error:
        raise _explained(error) from error
    return made.model_dump(mode="json")[name]


def _read(name: str, text: str) -> object:
    try:
        value: object = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    if name in _LISTS and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _explained(error: ValidationError) -> BadConfig:
    first = error.errors(include_url=False)[0]
    said = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    if not first["loc"]:
        return BadConfig(f"{PREFIX}labels is wrong: {said}.")
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        near = nearest(name, PullRules.model_fields)
        known = ", ".join(f"{PREFIX}{each}" for each in PullRules.model_fields)
        hint = f"Did you mean {PREFIX}{near}?" if near else f"Known keys: {known}."
        return BadConfig(f"There is no setting {PREFIX}{name}.", hint)
    return BadConfig(f"{PREFIX}{name} is wrong: {said}.", PullRules.model_fields[name].description)


_LISTS = frozenset(
    name for name, field in PullRules.model_fields.items() if isinstance(field.default, tuple)
)
