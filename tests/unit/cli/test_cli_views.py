"""The command line's idea of the API's objects is the API's own."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from previewdrop.cli import views
from previewdrop.web.api import schema

PAIRS = [
    (views.Stage, schema.StageView),
    (views.Failure, schema.FailureView),
    (views.Deployment, schema.DeploymentView),
    (views.Database, schema.DatabaseView),
    (views.Redis, schema.RedisView),
    (views.Preview, schema.PreviewView),
    (views.Project, schema.ProjectView),
    (views.Variable, schema.VariableView),
    (views.LogEntry, schema.LogEntry),
    (views.Connection, schema.ConnectionView),
]


@pytest.mark.parametrize(("view", "model"), PAIRS, ids=lambda each: each.__name__)
def test_the_fields_are_the_same(view: type, model: type[BaseModel]) -> None:
    assert set(view.__annotations__) == {
        field.serialization_alias or name for name, field in model.model_fields.items()
    }
