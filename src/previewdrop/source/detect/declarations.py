"""What the repository itself says it serves: Dockerfile, Procfile, compose file, variables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from previewdrop.source.detect.compose import Service, read_services
from previewdrop.source.detect.dockerfile import Image, Start, parse_dockerfile
from previewdrop.source.detect.runs import Run, read_line, read_words
from previewdrop.source.detect.shell import UNKNOWN, expand
from previewdrop.source.detect.tree import Tree, inside, join, parents, within

_DOCKERFILES = (
    "Dockerfile", "Containerfile", "Dockerfile.prod", "Dockerfile.production",
    "docker/Dockerfile", "deploy/Dockerfile", "build/Dockerfile",
)  # fmt: skip
_DOTENV = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Declaration:
    """One place that says what to serve.

    `origin` names it for people. `folder` is where the command runs, relative to the repository's
    top; `workdir` the same place inside an image. `run` is what a command starts; `target` an
    import string that variables spell out; `script` the shell script that `run` was read from.
    """

    origin: str
    folder: str
    run: Run = field(default_factory=Run)
    target: str | None = None
    workdir: str = "/"
    script: str | None = None

    @property
    def working_folder(self) -> str:
        """Where the command ends up after a `cd`, relative to the repository's top."""
        folder = self.run.folder
        moved = self.repository_path(folder) if folder else None
        return self.folder if moved is None else moved

    @property
    def bases(self) -> list[str]:
        """The folders the command imports from, the first one first."""
        server = self.run.server
        named = [server.folder] if server and server.folder else []
        mapped = [self.repository_path(path, moved=True) for path in (*named, *self.run.paths)]
        return [*(path for path in mapped if path is not None), self.working_folder]

    def repository_path(self, path: str, *, moved: bool = False) -> str | None:
        """A path as the command sees it, relative to the repository's top; None if outside.

        An absolute one is a path inside an image. `moved` counts a `cd` in front.
        """
        if not path or UNKNOWN in path:
            return None
        if path.startswith("/"):
            workdir = self.workdir.rstrip("/")
            if not workdir or not within(path.rstrip("/"), workdir):
                return None
            return join(self.folder, path.removeprefix(workdir).strip("/"))
        joined = join(self.working_folder if moved else self.folder, path)
        return joined if inside(joined) else None


@dataclass(frozen=True, slots=True)
class Declared:
    """Everything declared for one folder, the most binding first.

    `dockerfile` is the one a container runtime would build, `images` all that were read.
    `releases` are commands that some platform runs before traffic.
    """

    declarations: tuple[Declaration, ...]
    dockerfile: str | None = None
    images: tuple[Image, ...] = ()
    releases: tuple[str, ...] = ()


def read_declared(tree: Tree, root: str) -> Declared:
    """Reads the files of `root`, then those of the repository's top."""
    folders = [root, ""] if root else [""]
    services = [service for folder in folders for service in read_services(tree, folder)]
    services.sort(key=lambda service: service.context != root)
    template = _template(tree, folders)
    paths = dict.fromkeys(_dockerfiles(tree, folders, root, services))
    images = {path: parse_dockerfile(tree.text(path) or "") for path in paths}
    found: list[Declaration] = []
    for path, image in images.items():
        environment = {**image.variables, **template}
        found += _from_image(path, image, environment, _folder_of(path, folders))
    for folder in folders:
        found += _from_procfile(tree, folder, template)
    for service in services:
        image = images.get(service.dockerfile, Image())
        environment = {**image.variables, **service.environment, **template}
        found += _from_service(service, image, environment)
    found += _from_variables(tree, folders, images, services, template)
    return Declared(
        declarations=tuple(found),
        dockerfile=_buildable(tree, root, images),
        images=tuple(images.values()),
        releases=tuple(_releases(tree, folders)),
    )


def _from_image(
    path: str, image: Image, environment: Mapping[str, str], folder: str
) -> Iterator[Declaration]:
    run = _image_run(image.entrypoint, image.command, environment)
    start = image.command or image.entrypoint
    if start is not None and not run.nothing:
        yield Declaration(f"{path} (line {start.line})", folder, run, workdir=image.workdir)


def _image_run(
    entrypoint: Start | None, command: Start | None, variables: Mapping[str, str]
) -> Run:
    """An ENTRYPOINT for the shell ignores the CMD; one in words gets the CMD's words."""
    if entrypoint is not None and entrypoint.shell is not None:
        return read_line(entrypoint.shell, variables)
    words = entrypoint.words if entrypoint else ()
    if command is None:
        return _run(words, variables)
    if command.shell is not None:
        return _run((*words, "sh", "-c", command.shell), variables)
    return _run((*words, *command.words), variables)


def _run(words: Iterable[str], variables: Mapping[str, str]) -> Run:
    run = read_words(tuple(words), variables)
    extra = tuple(path for path in variables.get("PYTHONPATH", "").split(":") if path)
    return Run(
        run.server, run.file, run.module, run.script, run.program, run.folder,
        tuple(dict.fromkeys((*run.paths, *extra))), run.before,
    )  # fmt: skip


def _from_procfile(
    tree: Tree, folder: str, environment: Mapping[str, str]
) -> Iterator[Declaration]:
    for line in (tree.text(path := join(folder, "Procfile")) or "").splitlines():
        name, colon, command = line.partition(":")
        if colon and name.strip() == "web":
            yield Declaration(path, folder, read_line(command.strip(), environment))


def _releases(tree: Tree, folders: list[str]) -> Iterator[str]:
    for folder in folders:
        for line in (tree.text(join(folder, "Procfile")) or "").splitlines():
            name, _, command = line.partition(":")
            if name.strip() == "release" and command.strip():
                yield command.strip()


def _from_service(
    service: Service, image: Image, environment: Mapping[str, str]
) -> Iterator[Declaration]:
    if service.command is None and service.entrypoint is None:
        return

    def start(value: str | tuple[str, ...] | None) -> Start | None:
        if value is None:
            return None
        if isinstance(value, tuple):
            return Start(0, words=tuple(expand(word, environment) for word in value))
        # Compose splits a text into words itself, without a shell; the result is the same here.
        return Start(0, shell=value)

    entrypoint = start(service.entrypoint) or image.entrypoint
    run = _image_run(entrypoint, start(service.command), environment)
    if not run.nothing:
        origin = f"{service.file} (service {service.name})"
        folder = service.context if inside(service.context) else ""
        yield Declaration(origin, folder, run, workdir=service.workdir or image.workdir)


def _from_variables(
    tree: Tree,
    folders: list[str],
    images: Mapping[str, Image],
    services: Iterable[Service],
    template: Mapping[str, str],
) -> Iterator[Declaration]:
    """MODULE_NAME, VARIABLE_NAME and APP_MODULE, as images for FastAPI use them."""
    places = [(_template_path(tree, folders) or ".env.preview", folders[0], "/", template)]
    for service in services:
        folder = service.context if inside(service.context) else ""
        places.append((service.file, folder, service.workdir or "/", service.environment))
    for path, image in images.items():
        places.append((path, _folder_of(path, folders), image.workdir, image.variables))
    merged: dict[str, str] = {}
    for *_, variables in reversed(places):
        merged |= variables
    for origin, folder, workdir, variables in places:
        target = variables.get("APP_MODULE", "")
        name = "APP_MODULE"
        if ":" not in target and "MODULE_NAME" in variables:
            target = f"{variables['MODULE_NAME']}:{merged.get('VARIABLE_NAME') or 'app'}"
            name = "MODULE_NAME"
        if ":" in target and UNKNOWN not in target:
            yield Declaration(f"{name} in {origin}", folder, target=target, workdir=workdir)


def _template_path(tree: Tree, folders: list[str]) -> str | None:
    paths = (join(folder, ".env.preview") for folder in folders)
    return next((path for path in paths if tree.has(path)), None)


def _template(tree: Tree, folders: list[str]) -> dict[str, str]:
    path = _template_path(tree, folders)
    found: dict[str, str] = {}
    for name, value in _DOTENV.findall(tree.text(path) or "") if path else []:
        value = expand(value.strip("\"'"), found)
        if UNKNOWN not in value:
            found[name] = value
    return found


def _dockerfiles(
    tree: Tree, folders: list[str], root: str, services: Iterable[Service]
) -> Iterator[str]:
    for folder in folders:
        names = (join(folder, name) for name in _DOCKERFILES)
        yield from (path for path in names if tree.has(path))
        if folder == root:
            described = (service.dockerfile for service in services if service.context == root)
            yield from (path for path in described if inside(path) and tree.has(path))


def _folder_of(path: str, folders: list[str]) -> str:
    """The build context a Dockerfile is meant for: the nearest of the folders above it."""
    above = [folder for folder in parents(path.rpartition("/")[0]) if folder in folders]
    return above[0] if above else ""


def _buildable(tree: Tree, root: str, images: Mapping[str, Image]) -> str | None:
    own = join(root, "Dockerfile")
    if own in images:
        return own
    top = images.get("Dockerfile")
    # One at the top of a monorepo may well be another application's.
    return "Dockerfile" if top and (top.python or top.command or top.entrypoint) else None
