"""`init`: write the files that a FastAPI repository lacks for previews."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from previewdrop.cli.options import Json, print_json
from previewdrop.cli.scaffold import Traits, files
from previewdrop.domain.app import AppFacts
from previewdrop.domain.dockerfile import Generated
from previewdrop.domain.errors import BadInput

commands = typer.Typer(rich_markup_mode=None)

_LIBRARIES = ("asyncpg", "psycopg")


@commands.command("init")
def init(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="Folder of the repository. Else: here.")
    ] = ".",
    json: Json = False,
) -> None:
    """Write the files that a FastAPI repository lacks for previews.

    Dockerfile, .env.preview and bin/preview-entrypoint.sh, written for what the repository is, and
    .dockerignore beside a new Dockerfile. Files that are there are kept as they are. None of them
    is needed to deploy.

    \b
    Examples:
      previewdrop init
      previewdrop init ~/code/shop
    """
    top = Path(path).expanduser()
    if not top.is_dir():
        raise BadInput(f"There is no folder {path}.", "Give the folder of a repository.")
    facts, image = _read(top)
    wrote, kept = write(top, files_of(top, facts, image))
    if json:
        print_json(
            {"app": facts.app.import_string, "root": facts.root, "wrote": wrote, "kept": kept}
        )
        return
    typer.echo(f"FastAPI application {facts.app.import_string} in {top / facts.root}")
    for name in wrote:
        typer.echo(f"  ✓ wrote  {name}")
    for name in kept:
        typer.echo(f"  – kept   {name}")
    if wrote:
        typer.echo("Commit them, then deploy with `previewdrop up`.")


def files_of(top: Path, facts: AppFacts, image: Generated) -> dict[str, str]:
    """The text of each file by its path relative to the repository's top.

    The Dockerfile stands in the folder it is built from: the app's, or the top where the app
    needs more than its own folder.
    """
    dockerfile = posixpath.join(image.context, "Dockerfile")
    found = {dockerfile: image.text}
    if not os.path.lexists(top / dockerfile):
        # Beside somebody's own Dockerfile it might keep out what that one copies.
        found[posixpath.join(image.context, ".dockerignore")] = image.ignore
    own = files(traits_of(top, facts))
    return found | {posixpath.join(facts.root, name): text for name, text in own.items()}


def write(top: Path, wanted: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Writes what is missing below `top`; the names of the files written, and of those kept."""
    wrote: list[str] = []
    kept: list[str] = []
    for name, text in wanted.items():
        target = top / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("x", encoding="utf-8") as file:
                file.write(text)
            if name.endswith(".sh"):
                target.chmod(target.stat().st_mode | 0o111)
        except FileExistsError:
            kept.append(name)
        except OSError as error:
            raise BadInput(f"{target} cannot be written: {error.strerror}.") from error
        else:
            wrote.append(name)
    return wrote, kept


def traits_of(top: Path, facts: AppFacts) -> Traits:
    """What the files depend on, from what detection found in the repository at `top`."""
    text = "\n".join(_text(top / each) for each in facts.dependencies.files).lower()
    migrations = facts.migrations
    return Traits(
        module=facts.app.module,
        libraries=frozenset(each for each in _LIBRARIES if _names(each, text)),
        alembic=os.path.relpath(migrations.config, facts.root or ".") if migrations else None,
    )


def _read(top: Path) -> tuple[AppFacts, Generated]:
    """What detection finds; its error says what was looked at and which setting mends it."""
    # The one place where the command line needs the server's own reading of a repository.
    from previewdrop.config.project_file import load
    from previewdrop.source.detect import detect
    from previewdrop.source.image import generated

    config = load(top)
    facts = detect(top, root=config.root, app=config.app)
    return facts, generated(top, facts, python=config.python)


def _names(library: str, text: str) -> bool:
    """Whether a lock or requirements file names a library as one."""
    return re.search(rf"(?<![\w.-]){library}(?![\w.-])", text) is not None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
