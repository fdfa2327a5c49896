"""What the demo claims of four previews that are live: proved through their public URLs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from previewdrop.cli import demo_data
from previewdrop.cli.client import Api, preview_path
from previewdrop.cli.demo_checklist import Checklist, Unproven, expect
from previewdrop.cli.demo_visit import Visitor
from previewdrop.cli.views import Connection, Preview

ALI, BEN, CHLOE = "Ali", "Ben", "Chloe"

_API_PATHS = {"/health", "/api/v1/users", "/api/v1/users/{user_id}", "/api/v1/projects"}
_SEEDED = "alice@example.com"


@dataclass(frozen=True, slots=True)
class Engineer:
    """Somebody of the story with a live preview, its credentials, and a browser on it."""

    who: str
    preview: Preview
    visitor: Visitor
    database_url: str
    redis_url: str

    @property
    def database(self) -> str:
        found = self.preview["database"]
        return found["name"] if found else ""

    @property
    def redis(self) -> int:
        found = self.preview["redis"]
        return found["db"] if found else -1


Cast = Mapping[str, Engineer]


def introduce(api: Api, previews: Mapping[str, Preview], ca_file: Path) -> dict[str, Engineer]:
    """Everybody with the credentials that the server gives for each preview."""
    cast: dict[str, Engineer] = {}
    for who, preview in previews.items():
        connection: Connection = api.get(preview_path(preview["name"], "connection"))
        database_url, redis_url = connection["database_url"], connection["redis_url"]
        if not database_url or not redis_url:
            raise Unproven(f"{preview['name']} has no database or no Redis database.")
        visitor = Visitor(preview["url"], ca_file)
        cast[who] = Engineer(who, preview, visitor, database_url, redis_url)
    return cast


def prove_live(checks: Checklist, cast: Cast, http_port: int | None) -> None:
    """All four work, and none sees anything of another."""
    checks.prove("All four URLs answer over HTTPS, /health with 200", lambda: _health(cast))
    checks.prove("/docs is Swagger UI", lambda: _docs(cast))
    checks.prove("/openapi.json lists each branch's own paths", lambda: _openapi(cast))
    if http_port:
        checks.prove("HTTP redirects to HTTPS", lambda: _redirect(cast, http_port))
    checks.prove("Browsers get HTTP/2", lambda: _http2(cast))
    checks.prove("users.email is contact_email in Ali's database alone", lambda: _columns(cast))
    checks.prove("Ben's search by the old column works", lambda: _search(cast))
    checks.prove("Chloe's key format is in her Redis database alone", lambda: _keys(cast))
    checks.prove("Nobody gets into another's database", lambda: _database_walls(cast))
    checks.prove("Nobody gets into another's Redis database", lambda: _redis_walls(cast))


def _health(cast: Cast) -> None:
    for each in cast.values():
        answer = each.visitor.get("/health")
        expect(answer.status_code == 200, f"{each.who}'s /health answered {answer.status_code}.")


def _docs(cast: Cast) -> None:
    for each in cast.values():
        answer = each.visitor.get("/docs")
        shown = answer.status_code == 200 and "SwaggerUIBundle" in answer.text
        expect(shown, f"{each.who}'s /docs is not Swagger UI: {answer.status_code}.")


def _openapi(cast: Cast) -> str:
    counts: list[str] = []
    for each in cast.values():
        paths = set(each.visitor.read("/openapi.json").get("paths", ()))
        missing = _API_PATHS - paths
        expect(not missing, f"{each.who}'s /openapi.json lacks {', '.join(sorted(missing))}.")
        searches = "/api/v1/users/search" in paths
        expect(searches == (each.who == BEN), f"{each.who}'s API is not of that branch.")
        counts.append(f"{each.who} {len(paths)}")
    return ", ".join(counts)


def _redirect(cast: Cast, http_port: int) -> None:
    for each in cast.values():
        answer = each.visitor.plain("/health?from=http", http_port)
        wanted, said = f"{each.preview['url']}/health?from=http", answer.headers.get("Location")
        expect(
            answer.status_code in (301, 308) and said == wanted,
            f"{each.who}'s HTTP port answered {answer.status_code} {said}.",
        )


def _http2(cast: Cast) -> None:
    for each in cast.values():
        protocol = each.visitor.protocol()
        expect(protocol == "h2", f"{each.who}'s URL speaks {protocol or 'HTTP/1.1 only'}.")


def _columns(cast: Cast) -> None:
    for each in cast.values():
        found = demo_data.columns(each.database_url, "users")
        wanted = {"id", "name", "contact_email" if each.who == ALI else "email"}
        expect(found == wanted, f"{each.who}'s users have {', '.join(sorted(found))}.")


def _search(cast: Cast) -> str:
    found = cast[BEN].visitor.read("/api/v1/users/search?email=ALICE")
    expect([user.get("email") for user in found] == [_SEEDED], f"Ben's search found {found}.")
    return f"it finds {_SEEDED}"


def _keys(cast: Cast) -> str:
    """Each preview is asked for a user first, which puts the user into its cache."""
    seen: dict[str, str] = {}
    for each in cast.values():
        users = each.visitor.read("/api/v1/users")
        expect(bool(users), f"{each.who}'s database was not seeded.")
        user = users[0]["id"]
        each.visitor.read(f"/api/v1/users/{user}")
        formats = {True: f"user:{user}:cache", False: f"cache:user:{user}"}
        wanted, other = formats[each.who == CHLOE], formats[each.who != CHLOE]
        found = demo_data.keys(each.redis_url)
        expect(
            wanted in found and other not in found,
            f"{each.who}'s keys are {', '.join(sorted(found)) or 'none'}.",
        )
        seen[each.who] = wanted
    return f"{seen[CHLOE]}, elsewhere {seen[BEN]}"


def _database_walls(cast: Cast) -> str:
    tried = 0
    for each in cast.values():
        for other in cast.values():
            if other is not each:
                entered = demo_data.may_enter(each.database_url, other.database)
                expect(not entered, f"{each.who} can connect to {other.who}'s {other.database}.")
                tried += 1
    return f"{tried} of {tried} tries refused"


def _redis_walls(cast: Cast) -> str:
    tried = 0
    for each in cast.values():
        for other in cast.values():
            if other is not each:
                selected = demo_data.may_select(each.redis_url, other.redis)
                expect(not selected, f"{each.who} can select {other.who}'s database {other.redis}.")
                tried += 1
    return f"{tried} of {tried} tries refused"
