"""Compose files: the service that is built from this repository, its command and variables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from previewdrop.source.detect.tree import Tree, join
from previewdrop.source.detect.yaml import Value, parse_yaml

_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")


@dataclass(frozen=True, slots=True)
class Service:
    """One service with a `build`.

    `context` is the folder it is built from, relative to the repository's top, `dockerfile` the
    path of its Dockerfile. `command` and `entrypoint` are words, or one text that compose splits.
    """

    file: str
    name: str
    context: str
    dockerfile: str
    command: str | tuple[str, ...] | None
    entrypoint: str | tuple[str, ...] | None
    environment: dict[str, str]
    workdir: str | None


def read_services(tree: Tree, folder: str) -> Iterator[Service]:
    """The services that are built, in the order of the first compose file of a folder."""
    path = next((join(folder, name) for name in _NAMES if tree.has(join(folder, name))), None)
    if path is None:
        return
    document = parse_yaml(tree.text(path) or "")
    for name, service in _table(_table(document).get("services")).items():
        body = _table(service)
        if body.get("build") is None:
            continue
        build = body["build"]
        described = _table(build)
        context = build if isinstance(build, str) else _text(described.get("context")) or "."
        dockerfile = _text(described.get("dockerfile")) or "Dockerfile"
        yield Service(
            file=path,
            name=name,
            context=join(folder, context),
            dockerfile=join(join(folder, context), dockerfile),
            command=_command(body.get("command")),
            entrypoint=_command(body.get("entrypoint")),
            environment=_environment(body.get("environment")),
            workdir=_text(body.get("working_dir")),
        )


def _table(value: Value) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) and value else None


def _command(value: Value) -> str | tuple[str, ...] | None:
    if isinstance(value, list):
        return tuple(item.replace("$$", "$") for item in value if isinstance(item, str))
    return value.replace("$$", "$") if isinstance(value, str) and value else None


def _environment(value: Value) -> dict[str, str]:
    if isinstance(value, dict):
        return {name: item for name, item in value.items() if isinstance(item, str)}
    items = value if isinstance(value, list) else []
    pairs = (item.partition("=") for item in items if isinstance(item, str) and "=" in item)
    return {name: text for name, _, text in pairs}
