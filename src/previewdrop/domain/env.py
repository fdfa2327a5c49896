"""The complete environment of a preview: precedence, references, and URLs of its own services.

From low to high: the template in the commit, the layers in the order given (project variables,
overrides for branches, overrides for the preview), PreviewDrop's own variables.

A reference `${NAME}` is looked up in PreviewDrop's variables, then in the layers, highest first,
then in the earlier lines of the template. A value that refers to its own name means the value
that it overrides. Values of a layer are templates too; its secrets are not: they are taken as
they are. Nothing is ever read from the server's own environment.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from previewdrop.domain import urls
from previewdrop.domain.errors import BadTemplate
from previewdrop.domain.nearest import nearest
from previewdrop.domain.secret import Secret
from previewdrop.domain.template import Reference, Text, parse, pieces
from previewdrop.domain.urls import CacheAccess, DatabaseAccess
from previewdrop.domain.variables import (
    RESERVED,
    Layer,
    OwnVariables,
    check_variable,
    refers_to_itself,
    reserved,
)

TEMPLATE_FILE = ".env.preview"

LONGEST_VALUE = 128 * 1024 - 1
"""Linux takes no longer single variable: MAX_ARG_STRLEN, https://man7.org/linux/man-pages/man2/execve.2.html"""

LARGEST_ENVIRONMENT = 1024 * 1024
"""Half of what Linux takes for arguments and environment together by default."""

_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything a preview's processes get, what to redact, and notes for people.

    `secret_names` are the variables that are, or contain, a secret. `secrets` are the values to
    redact: the secrets themselves, also percent-encoded, and values that were made from them.
    """

    variables: dict[str, str] = field(repr=False)
    secret_names: frozenset[str]
    secrets: frozenset[Secret]
    notes: tuple[str, ...] = ()


def resolve(
    template: str | None,
    layers: Sequence[Layer],
    own: OwnVariables,
    file: str = TEMPLATE_FILE,
) -> Environment:
    """The environment of a preview.

    `template` is the text of the template, None if the commit has none; `file` its name in
    messages. `layers` go from low to high. BadTemplate for an invalid line, an unknown variable
    or a cycle; BadName for a name that cannot be set.
    """
    return _Resolution(_definitions(template, layers, file), own).environment()


@dataclass(frozen=True, slots=True, eq=False)
class _Definition:
    """One value that somebody gave a name. A higher `rank` wins; `line` is the template's."""

    name: str
    value: Text = field(repr=False)
    where: str
    rank: int
    line: int | None = None
    secret: bool = False


@dataclass(frozen=True, slots=True)
class _Value:
    text: str
    secret: bool = False


def _definitions(
    template: str | None, layers: Sequence[Layer], file: str
) -> dict[str, list[_Definition]]:
    """What people set, by name, from low to high; reserved names are refused or left out."""
    found: dict[str, list[_Definition]] = {}
    rank = 0
    for line in parse(template or "", file):
        where = f"{file}, line {line.number}"
        value: Text = (line.value,) if line.literal else pieces(line.value, where)
        if line.name in RESERVED:
            if line.literal or not refers_to_itself(line.name, line.value):
                raise reserved(line.name, where)
            continue
        rank += 1
        found.setdefault(line.name, []).append(
            _Definition(line.name, value, where, rank, line.number)
        )
    for layer in layers:
        rank += 1
        for name, text in layer.values.items():
            check_variable(name, text)
            if name in RESERVED:
                continue
            secret = name in layer.secrets
            where = f"{name} in the {layer.name}"
            value = (text,) if secret else pieces(text, where)
            found.setdefault(name, []).append(_Definition(name, value, where, rank, None, secret))
    return found


class _Resolution:
    """The state of one `resolve`: what is known already and what is being worked out."""

    def __init__(self, definitions: dict[str, list[_Definition]], own: OwnVariables) -> None:
        self._definitions = definitions
        self._own = own
        self._fixed = own.fixed()
        self._passwords = {
            access.password for access in (own.database, own.cache) if access is not None
        }
        self._done: dict[_Definition, _Value] = {}
        self._size = 0
        self._under_way: list[_Definition] = []
        self._notes: dict[str, str] = {}

    def environment(self) -> Environment:
        values = {name: self._final(name) for name in self._names()}
        for name in sorted(self._fixed.keys() & self._definitions.keys()):
            given = self._definitions[name][-1]
            if given.value != (self._fixed[name],) and _references(given.value) != (name,):
                self._notes[name] = f"{name}: {self._fixed[name]}, in place of {given.where}"
        return Environment(
            variables={name: value.text for name, value in values.items()},
            secret_names=frozenset(name for name, value in values.items() if value.secret),
            secrets=self._to_redact(values),
            notes=tuple(self._notes.values()),
        )

    def _names(self) -> list[str]:
        """In the order in which the values that count were given, so that references go back."""
        given = sorted(self._definitions, key=lambda name: self._definitions[name][-1].rank)
        names: dict[str, None] = dict.fromkeys((*given, *self._fixed))
        if self._own.database:
            names["DATABASE_URL"] = None
        if self._own.cache:
            names["REDIS_URL"] = None
        return list(names)

    def _to_redact(self, values: Mapping[str, _Value]) -> frozenset[Secret]:
        """URLs of our own are left out: with the password redacted they are still worth reading."""
        found = {password.reveal() for password in self._passwords}
        for name, value in values.items():
            ours = name in ("DATABASE_URL", "REDIS_URL") or name in self._fixed
            service = urls.is_database_url(value.text) or urls.is_cache_url(value.text)
            if value.secret and not ours and not (service and self._shows_password(value.text)):
                found.add(value.text)
        for definitions in self._definitions.values():
            found.update(self._value(d).text for d in definitions if d.secret)
        return frozenset(Secret(form) for text in found if text for form in _forms(text))

    def _shows_password(self, url: str) -> bool:
        return any(quote(password.reveal(), safe="") in url for password in self._passwords)

    def _final(self, name: str) -> _Value:
        """The value that a preview, or a reference from elsewhere, sees under this name."""
        if name in self._fixed:
            return _Value(self._fixed[name], secret=name.endswith("_PASSWORD"))
        known = self._definitions.get(name)
        given = self._value(known[-1]) if known else None
        if name == "DATABASE_URL" and self._own.database:
            return self._own_database_url(name, given.text if given else "", self._own.database)
        if name == "REDIS_URL" and self._own.cache:
            return self._own_cache_url(name, given.text if given else "", self._own.cache)
        if given is None:
            raise KeyError(name)
        return self._placeholders_replaced(name, given)

    def _placeholders_replaced(self, name: str, value: _Value) -> _Value:
        if not urls.has_placeholder_host(value.text):
            return value
        if self._own.database and urls.is_database_url(value.text):
            return self._own_database_url(name, value.text, self._own.database)
        if self._own.cache and urls.is_cache_url(value.text):
            return self._own_cache_url(name, value.text, self._own.cache)
        return value

    def _own_database_url(self, name: str, like: str, access: DatabaseAccess) -> _Value:
        rewritten = urls.database_url(access, like)
        scheme = rewritten.scheme
        now = (
            f"now schema {access.schema} of {access.name}"
            if access.schema
            else f"now {access.name}"
        )
        if not like:
            note = f"{name}: {now}"
        elif scheme is None:
            note = (
                f'{name}: no PostgreSQL URL, {now}; set isolation = "none" in [database] to keep it'
            )
        else:
            note = f"{name}: {scheme} kept, {now}"
        self._note_url(name, like, note, rewritten)
        return _Value(rewritten.url, secret=True)

    def _own_cache_url(self, name: str, like: str, access: CacheAccess) -> _Value:
        rewritten = urls.cache_url(access, like)
        now = f"now database {access.number}"
        if not like:
            note = f"{name}: {now}"
        elif rewritten.scheme is None:
            note = f"{name}: {now} over {rewritten.url.partition(':')[0]}://"
        else:
            note = f"{name}: {rewritten.scheme} kept, {now}"
        self._note_url(name, like, note, rewritten)
        return _Value(rewritten.url, secret=True)

    def _note_url(self, name: str, like: str, note: str, rewritten: urls.Rewritten) -> None:
        host = urls.host_of(like)
        ours = {access.host for access in (self._own.database, self._own.cache) if access}
        if host and host not in urls.PLACEHOLDER_HOSTS | ours:
            note += f", not {host}"
        if rewritten.dropped:
            note += f", without {', '.join(rewritten.dropped)}"
        self._notes[name] = note

    def _value(self, definition: _Definition) -> _Value:
        """What one definition comes to, before any rewriting of URLs."""
        if definition in self._done:
            return self._done[definition]
        if definition in self._under_way:
            raise self._cycle(definition)
        if len(self._under_way) >= _DEEPEST:
            raise BadTemplate(
                f"{definition.where}: more than {_DEEPEST} variables refer to each other."
            )
        self._under_way.append(definition)
        value = self._joined(definition.value, definition)
        self._under_way.pop()
        if definition.secret:
            value = _Value(value.text, secret=True)
        self._done[definition] = value
        self._size += _bytes(value.text)
        if self._size > LARGEST_ENVIRONMENT:
            raise BadTemplate(
                f"{definition.where}: all variables together are longer than "
                f"{LARGEST_ENVIRONMENT} bytes."
            )
        return value

    def _joined(self, text: Text, definition: _Definition) -> _Value:
        joined: list[str] = []
        size = 0
        secret = False
        for piece in text:
            value = _Value(piece) if isinstance(piece, str) else self._referred(piece, definition)
            secret = secret or value.secret
            size += _bytes(value.text)
            if size > LONGEST_VALUE:
                raise BadTemplate(
                    f"{definition.where}: the value is longer than {LONGEST_VALUE} bytes."
                )
            joined.append(value.text)
        return _Value("".join(joined), secret)

    def _referred(self, reference: Reference, definition: _Definition) -> _Value:
        found = self._look_up(reference, definition)
        if reference.default is not None and (found is None or not found.text):
            return self._joined(reference.default, definition)
        if found is None:
            raise self._unknown(reference.name, definition)
        return found

    def _look_up(self, reference: Reference, definition: _Definition) -> _Value | None:
        name = reference.name
        own_url = (name == "DATABASE_URL" and self._own.database is not None) or (
            name == "REDIS_URL" and self._own.cache is not None
        )
        if name in self._fixed and name != definition.name:
            return self._final(name)
        known = self._definitions.get(name, [])
        lower = bisect_left(known, definition.rank, key=lambda other: other.rank)
        below = known[lower - 1] if lower else None
        if name == definition.name:
            if below:
                return self._value(below)
            return _Value("") if own_url or name in self._fixed else None
        if own_url or (known and None in (definition.line, known[-1].line)):
            return self._final(name)
        return self._placeholders_replaced(name, self._value(below)) if below else None

    def _cycle(self, definition: _Definition) -> BadTemplate:
        start = self._under_way.index(definition)
        path = " → ".join(d.name for d in (*self._under_way[start:], definition))
        return BadTemplate(
            f"{definition.where}: these variables refer to each other: {path}.",
            "Give one of them a value of its own.",
        )

    def _unknown(self, name: str, definition: _Definition) -> BadTemplate:
        later = [d for d in self._definitions.get(name, ()) if d.rank > definition.rank]
        if name == definition.name:
            return BadTemplate(
                f"{definition.where}: {name} refers to itself and is set nowhere else.",
                f"Set {name} for the project, or write ${{{name}:-default}}.",
            )
        if later:
            if path := self._path_back(later[-1], definition):
                shown = " → ".join((definition.name, *path))
                return BadTemplate(
                    f"{definition.where}: these variables refer to each other: {shown}.",
                    "Give one of them a value of its own.",
                )
            return BadTemplate(
                f"{definition.where}: {name} is set only later, on line {later[0].line}.",
                "Move that line up.",
            )
        return BadTemplate(f"{definition.where}: {name} is not known.", self._nearest(name))

    def _path_back(self, start: _Definition, goal: _Definition) -> tuple[str, ...]:
        """The names on the way from `start` to `goal` by references, in any order of lines."""
        came_from = {start.name: ""}
        queue = deque([start])
        while queue:
            here = queue.popleft()
            if here.name == goal.name:
                path = [here.name]
                while came_from[path[-1]]:
                    path.append(came_from[path[-1]])
                return tuple(reversed(path))
            for name in _references(here.value):
                if name in self._definitions and name not in came_from:
                    came_from[name] = here.name
                    queue.append(self._definitions[name][-1])
        return ()

    def _nearest(self, name: str) -> str:
        services = (
            ("DATABASE_URL", "PREVIEW_DATABASE_", self._own.database, "database"),
            ("REDIS_URL", "PREVIEW_REDIS_", self._own.cache, "cache"),
        )
        for url, prefix, access, noun in services:
            if access is None and (name == url or name.startswith(prefix)):
                return f"The project's previews have no {noun} of their own."
        if near := nearest(name, self._names()):
            return f"Did you mean {near}? Otherwise set {name} for the project."
        return f"Set {name} for the project, or write ${{{name}:-default}}."


def _references(text: Text) -> tuple[str, ...]:
    found: list[str] = []
    for piece in text:
        if isinstance(piece, Reference):
            found.append(piece.name)
            found.extend(_references(piece.default or ()))
    return tuple(found)


def _forms(text: str) -> tuple[str, str]:
    return text, quote(text, safe="", errors="surrogateescape")


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))
