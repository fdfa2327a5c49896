"""pyproject.toml: the project, its dependencies in every dialect, its uv workspace."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field

from previewdrop.source.detect import toml
from previewdrop.source.detect.requirements import normalised, parse_requirement
from previewdrop.source.detect.toml import Table
from previewdrop.source.detect.tree import Tree, inside, join


@dataclass(frozen=True, slots=True)
class Pyproject:
    """One pyproject.toml.

    `dependencies`, `extras` and `groups` hold normalised names. `local` are folders of the
    repository that dependencies come from, `workspace` names that the uv workspace provides,
    `sources` the folders whose content becomes importable when the project is installed,
    `dynamic` the requirements files that the dependencies are taken from.
    """

    path: str
    folder: str
    name: str | None = None
    version: str | None = None
    scripts: dict[str, str] = field(default_factory=lambda: dict[str, str]())
    requires_python: str | None = None
    dependencies: frozenset[str] = frozenset()
    extras: dict[str, frozenset[str]] = field(default_factory=lambda: dict[str, frozenset[str]]())
    groups: dict[str, frozenset[str]] = field(default_factory=lambda: dict[str, frozenset[str]]())
    local: tuple[str, ...] = ()
    workspace: frozenset[str] = frozenset()
    members: tuple[str, ...] | None = None
    excluded: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    dynamic: tuple[str, ...] = ()
    entrypoint: str | None = None
    poetry: bool = False

    @property
    def declares(self) -> bool:
        """Whether it names any dependency at all."""
        return bool(self.dependencies or self.extras or self.groups or self.dynamic)

    @property
    def installs(self) -> frozenset[str]:
        """Everything it names, in extras and groups too."""
        return self.dependencies.union(*self.extras.values(), *self.groups.values())

    def has_member(self, folder: str) -> bool:
        """Whether its uv workspace holds the project in `folder`."""
        if self.members is None:
            return False
        if folder == self.folder:
            return True
        prefix = f"{self.folder}/" if self.folder else ""
        if not folder.startswith(prefix):
            return False
        relative = folder.removeprefix(prefix)
        return any(_globs(relative, pattern) for pattern in self.members) and not any(
            _globs(relative, pattern) for pattern in self.excluded
        )


def read_pyproject(tree: Tree, folder: str) -> Pyproject | None:
    """The pyproject.toml of a folder, None if there is none; StageFailed if it is not TOML."""
    path = join(folder, "pyproject.toml")
    if not tree.has(path):
        return None
    document = toml.read(tree, path)
    if document is None:
        return None
    project = toml.table(document, "project")
    poetry = toml.table(document, "tool", "poetry")
    extras = {
        name: _names(value) for name, value in toml.table(project, "optional-dependencies").items()
    }
    groups = _groups(toml.table(document, "dependency-groups"))
    extras.update(_poetry_extras(poetry))
    groups.update(_poetry_groups(poetry))
    uv = toml.table(document, "tool", "uv")
    workspace = toml.table(uv, "workspace")
    sources = toml.table(uv, "sources")
    return Pyproject(
        path=path,
        folder=folder,
        name=toml.string(project.get("name")) or toml.string(poetry.get("name")),
        version=toml.string(project.get("version")) or toml.string(poetry.get("version")),
        scripts=_scripts(project, poetry),
        requires_python=toml.string(project.get("requires-python"))
        or _poetry_python(toml.table(poetry, "dependencies").get("python")),
        dependencies=_names(project.get("dependencies"))
        | _poetry_names(toml.table(poetry, "dependencies")),
        extras=extras,
        groups=groups,
        local=_local(folder, sources, poetry),
        workspace=frozenset(
            normalised(name) for name in sources if toml.table(sources, name).get("workspace")
        ),
        members=toml.strings(workspace.get("members")) if "workspace" in uv else None,
        excluded=toml.strings(workspace.get("exclude")),
        sources=_source_folders(folder, document),
        dynamic=_dynamic(folder, project, document),
        entrypoint=toml.string(toml.table(document, "tool", "fastapi").get("entrypoint")),
        poetry="dependencies" in poetry,
    )


def _names(value: object) -> frozenset[str]:
    found = (parse_requirement(item).name for item in toml.strings(value))
    return frozenset(name for name in found if name)


def _groups(document: Table) -> dict[str, frozenset[str]]:
    """PEP 735 groups with what they include; an include that goes in a circle adds nothing."""

    def names(group: str, seen: frozenset[str]) -> frozenset[str]:
        if group in seen:
            return frozenset()
        value = spelled.get(normalised(group))
        included = (toml.string(item.get("include-group")) for item in toml.tables(value))
        return _names(value).union(*(names(name, seen | {group}) for name in included if name))

    spelled = {normalised(name): value for name, value in document.items()}
    return {group: names(group, frozenset()) for group in document}


def _poetry_names(dependencies: Table) -> frozenset[str]:
    """Names of Poetry's table; those that only extras install are left out."""
    return frozenset(
        normalised(name)
        for name, value in dependencies.items()
        if name != "python" and not toml.table(value).get("optional")
    )


def _poetry_groups(poetry: Table) -> dict[str, frozenset[str]]:
    groups = {
        name: _poetry_names(toml.table(value, "dependencies"))
        for name, value in toml.table(poetry, "group").items()
    }
    if "dev-dependencies" in poetry:
        groups["dev"] = groups.get("dev", frozenset()) | _poetry_names(
            toml.table(poetry, "dev-dependencies")
        )
    return groups


def _poetry_extras(poetry: Table) -> dict[str, frozenset[str]]:
    return {name: _names(value) for name, value in toml.table(poetry, "extras").items()}


def _poetry_python(value: object) -> str | None:
    """Poetry's constraint as a PEP 440 specifier: `^3.11` is `>=3.11,<4`."""
    constraint = toml.string(value)
    if constraint is None or constraint == "*":
        return None
    parts: list[str] = []
    for part in constraint.replace(" ", "").split("||")[0].split(","):
        bare = part.lstrip("^~=<>!")
        numbers = bare.removesuffix(".*").split(".")
        if not all(number.isdecimal() and len(number) < 6 for number in numbers):
            continue
        if part.startswith("^"):
            parts += [f">={bare}", f"<{int(numbers[0]) + 1}"]
        elif part.startswith("~") and not part.startswith("~="):
            parts += [f">={bare}", f"<{numbers[0]}.{int((*numbers, '0')[1]) + 1}"]
        elif part[0].isdigit():
            parts.append(f"=={bare}")
        else:
            parts.append(part)
    return ",".join(parts) or None


def _scripts(project: Table, poetry: Table) -> dict[str, str]:
    found = {**toml.table(poetry, "scripts"), **toml.table(project, "scripts")}
    return {name: value for name, value in sorted(found.items()) if isinstance(value, str)}


def _local(folder: str, sources: Table, poetry: Table) -> tuple[str, ...]:
    tables = [toml.table(sources, name) for name in sources]
    dependencies = toml.table(poetry, "dependencies")
    tables += [toml.table(dependencies, name) for name in dependencies]
    paths = (toml.string(item.get("path")) for item in tables)
    folders = (join(folder, path) for path in paths if path)
    return tuple(dict.fromkeys(path for path in folders if inside(path)))


def _source_folders(folder: str, document: Table) -> tuple[str, ...]:
    """Where build backends are told to find packages, relative to the repository's top."""
    tool = toml.table(document, "tool")
    setuptools = toml.table(tool, "setuptools")
    named: list[object] = [*toml.strings(toml.table(setuptools, "packages", "find").get("where"))]
    named.append(toml.table(setuptools, "package-dir").get(""))
    named += [item.get("from") for item in toml.tables(toml.table(tool, "poetry").get("packages"))]
    wheel = toml.table(tool, "hatch", "build", "targets", "wheel")
    named += [item.rpartition("/")[0] for item in toml.strings(wheel.get("packages"))]
    backend = toml.table(tool, "uv", "build-backend")
    named.append(backend.get("module-root"))
    texts = (item for item in named if isinstance(item, str) and item)
    return tuple(dict.fromkeys(path for path in (join(folder, t) for t in texts) if inside(path)))


def _dynamic(folder: str, project: Table, document: Table) -> tuple[str, ...]:
    if "dependencies" not in toml.strings(project.get("dynamic")):
        return ()
    dynamic = toml.table(document, "tool", "setuptools", "dynamic", "dependencies")
    hook = toml.table(document, "tool", "hatch", "metadata", "hooks", "requirements_txt")
    files = toml.strings(dynamic.get("file")) or toml.strings(hook.get("files"))
    return tuple(path for path in (join(folder, name) for name in files) if inside(path))


def _globs(path: str, pattern: str) -> bool:
    """Whether a folder matches a workspace's glob; `*` stays within one part of the path."""
    parts, patterns = path.split("/"), join("", pattern).split("/")
    if "**" in patterns:
        return fnmatch.fnmatchcase(path, "/".join(patterns).replace("**", "*"))
    return len(parts) == len(patterns) and all(
        fnmatch.fnmatchcase(part, glob) for part, glob in zip(parts, patterns, strict=True)
    )
