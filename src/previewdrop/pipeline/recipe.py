"""What an environment is resolved from, taken down at the deployment and kept sealed with it.

The checkout belongs to the preview as soon as something of it runs, and variables change; what is
started again later must neither read the one nor see the other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from previewdrop.config.project import ProjectConfig
from previewdrop.domain.errors import BadTemplate
from previewdrop.domain.secret import Secret
from previewdrop.domain.template import TEMPLATE_BYTES, decode
from previewdrop.domain.variables import Layer, branch_layers
from previewdrop.store.previews import PreviewRow
from previewdrop.store.variables import StoredVariable


@dataclass(frozen=True, slots=True)
class Recipe:
    """The env template's text (None if the commit has none), its name, and the layers over it."""

    template: str | None
    file: str
    layers: tuple[Layer, ...]

    @property
    def secrets(self) -> list[Secret]:
        """What must never be read in a log."""
        return [Secret(layer.values[name]) for layer in self.layers for name in layer.secrets]

    @property
    def values(self) -> tuple[tuple[str, Secret], ...]:
        """Every variable, of the highest layer that has it."""
        found = {name: value for layer in self.layers for name, value in layer.values.items()}
        return tuple((name, Secret(value)) for name, value in found.items())

    @property
    def build_secrets(self) -> tuple[tuple[str, Secret], ...]:
        """The variables that package indexes need, those of the highest layer."""
        return tuple((name, value) for name, value in self.values if name.startswith("UV_"))

    def sealed(self) -> Secret:
        """All of it as one secret text."""
        layers = [[one.name, dict(one.values), sorted(one.secrets)] for one in self.layers]
        return Secret(json.dumps([self.template, self.file, layers]))

    @classmethod
    def unsealed(cls, text: Secret) -> Recipe:
        template, file, layers = json.loads(text.reveal())
        return cls(template, file, tuple(_layer_from(one) for one in layers))


def read_recipe(
    folder: Path,
    config: ProjectConfig,
    root: str,
    row: PreviewRow,
    variables: Sequence[StoredVariable],
) -> Recipe:
    """The recipe of a commit that was just exported to `folder`; nothing of it has run yet.

    BadTemplate for a template that cannot be read.
    """
    for name in config.env_files(root):
        place = folder / name
        if not place.is_file():
            continue
        if place.stat().st_size > TEMPLATE_BYTES:
            raise BadTemplate(f"{name} is larger than {TEMPLATE_BYTES // 1024} KiB.")
        return Recipe(decode(place.read_bytes(), name), name, layers_for(row, variables))
    return Recipe(None, config.env_file, layers_for(row, variables))


def layers_for(row: PreviewRow, variables: Sequence[StoredVariable]) -> tuple[Layer, ...]:
    """Project variables, overrides of branches the most exact last, then the preview's own.

    A preview that gets no secrets gets none of any.
    """
    variables = [each for each in variables if row.preview.secrets or not each.secret]
    everywhere = [v for v in variables if v.branch is None and v.preview is None]
    globs = {v.branch for v in variables if v.branch is not None}
    overrides = {
        glob: _layer(f"variables for {glob}", [v for v in variables if v.branch == glob])
        for glob in globs
    }
    own = [v for v in variables if v.preview == row.preview.slug]
    return (
        _layer("project variables", everywhere),
        *branch_layers(overrides, row.preview.branch),
        _layer(f"variables of {row.name}", own),
    )


def _layer(name: str, variables: Sequence[StoredVariable]) -> Layer:
    values = {variable.name: variable.value.reveal() for variable in variables}
    return Layer(name, values, frozenset(v.name for v in variables if v.secret))


def _layer_from(kept: list[Any]) -> Layer:
    name, values, secrets = kept
    return Layer(name, values, frozenset(secrets))
