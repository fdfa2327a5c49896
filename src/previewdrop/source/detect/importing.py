"""Module names and files: which folder has to be importable, and what a module is called then."""

from __future__ import annotations

import keyword
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from previewdrop.source.detect.tree import Tree, join, parents, within


def module_name(path: str, base: str) -> str | None:
    """What the file is called when `base` is importable; None when no import statement could."""
    relative = path.removeprefix(f"{base}/") if base else path
    parts = relative.removesuffix(".py").split("/")
    if len(parts) > 1 and parts[-1] == "__init__":
        parts.pop()
    valid = all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)
    return ".".join(parts) if valid else None


def module_file(tree: Tree, module: str, base: str) -> str | None:
    """The file of a module or package below `base`."""
    stem = join(base, module.replace(".", "/"))
    return next((path for path in (f"{stem}.py", f"{stem}/__init__.py") if tree.has(path)), None)


def locate(tree: Tree, module: str, bases: Iterable[str]) -> tuple[str, str] | None:
    """(base, file) of a module in the first of `bases` that has it."""
    for base in dict.fromkeys(bases):
        if path := module_file(tree, module, base):
            return base, path
    return None


def locate_below(tree: Tree, module: str, root: str) -> tuple[str, str] | None:
    """(base, file) of a module in the shallowest folder below `root` that has it."""
    return locate(tree, module, (folder for folder in tree.folders if within(folder, root)))


def bases_of(path: str) -> Iterator[str]:
    """The folders from which a file could be imported, nearest first."""
    return parents(path.rpartition("/")[0])


def infer_base(
    tree: Tree,
    path: str,
    root: str,
    imports: Iterable[str],
    deepest_relative: int,
    installed: Collection[str],
) -> str:
    """The folder that must be importable for `path` to work.

    Decided by what the file itself and those beside it import: a base gets a vote for each
    absolute import that it can serve. `installed` are distributions, which take a name from
    local files. Without evidence `src` of the root, else the root, else the nearest possible.
    """
    possible = [base for base in bases_of(path) if module_name(path, base)]
    # `from ..x` needs two packages above the module.
    possible = possible[deepest_relative:] or possible[-1:]
    if not possible:
        return path.rpartition("/")[0]
    foreign = {name.replace("-", "_") for name in installed} | sys.stdlib_module_names
    votes: Counter[str] = Counter()
    for module in imports:
        head = module.partition(".")[0]
        if head not in foreign:
            votes.update(base for base in possible if _serves(tree, module, base))
    source = join(root, "src")
    return max(
        possible,
        key=lambda base: (
            votes[base],
            base == source and not tree.has(join(source, "__init__.py")),
            base == root,
            len(base),
        ),
    )


def _serves(tree: Tree, module: str, base: str) -> bool:
    head, _, rest = module.partition(".")
    second = rest.partition(".")[0]
    folder = join(base, head)
    if tree.has(f"{folder}.py"):
        return not rest
    if not second:
        return any(name.endswith(".py") for name in tree.names(folder))
    return module_file(tree, second, folder) is not None or tree.has_folder(join(folder, second))
