"""Each claim of the demo holds for previews that are right, and fails for one that is not."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, cast

import httpx2
import pytest
from rich.console import Console

from previewdrop.cli import demo_data
from previewdrop.cli.demo_checklist import Checklist
from previewdrop.cli.demo_in_processes import InProcesses, build_cached, environment
from previewdrop.cli.demo_live import Engineer, prove_live
from previewdrop.cli.demo_visit import Visitor
from previewdrop.domain.errors import Unavailable

Make = Callable[..., Any]
ALICE = {"id": 1, "email": "alice@example.com", "name": "Alice"}
PATHS = ["/health", "/api/v1/users", "/api/v1/users/{user_id}", "/api/v1/projects"]
CLAIMS = [
    "All four URLs answer over HTTPS, /health with 200",
    "/docs is Swagger UI",
    "/openapi.json lists each branch's own paths",
    "HTTP redirects to HTTPS",
    "Browsers get HTTP/2",
    "users.email is contact_email in Ali's database alone",
    "Ben's search by the old column works",
    "Chloe's key format is in her Redis database alone",
    "Nobody gets into another's database",
    "Nobody gets into another's Redis database",
    "One environment serves all four",
]


class Site:
    """A preview that answers from tables; `Visitor` is what it stands in for."""

    def __init__(self, who: str, url: str) -> None:
        self.url = url
        self.spoken = "h2"
        paths = [*PATHS, *(["/api/v1/users/search"] if who == "Ben" else [])]
        self.answers: dict[str, tuple[int, Any]] = {
            "/health": (200, {"status": "ok"}),
            "/docs": (200, "<script>SwaggerUIBundle()</script>"),
            "/openapi.json": (200, {"paths": {path: {} for path in paths}}),
            "/api/v1/users": (200, [ALICE]),
            "/api/v1/users/1": (200, ALICE),
            "/api/v1/users/search?email=ALICE": (200, [ALICE]),
        }
        self.location = f"{url}/health?from=http"

    def get(self, path: str) -> httpx2.Response:
        status, body = self.answers[path]
        return (
            httpx2.Response(status, text=body)
            if isinstance(body, str)
            else httpx2.Response(status, json=body)
        )

    def read(self, path: str) -> Any:
        status, body = self.answers[path]
        if status != 200:
            raise Unavailable(f"{path} answers {status}.")
        return body

    def plain(self, path: str, port: int) -> httpx2.Response:
        return httpx2.Response(308, headers={"Location": self.location})

    def protocol(self) -> str:
        return self.spoken


class World:
    """Four previews as they should be, and their data."""

    def __init__(self, make_preview: Make, make_deployment: Make, make_stage: Make) -> None:
        self.columns = {who: {"id", "name", "email"} for who in ("Ben", "Chloe", "You")}
        self.columns["Ali"] = {"id", "name", "contact_email"}
        self.keys = {who: {"cache:user:1"} for who in ("Ali", "Ben", "You")}
        self.keys["Chloe"] = {"user:1:cache"}
        self.doors: set[tuple[str, object]] = set()
        self.sites: dict[str, Site] = {}
        self.cast: dict[str, Engineer] = {}
        for number, who in enumerate(("Ali", "Ben", "Chloe", "You"), 1):
            url = f"https://{who.lower()}.shop.localhost:7443"
            made = "reused" if number > 1 else "built, 24 packages"
            build = make_stage("build", cached=number > 1, note=f"environment 3f9a {made}")
            preview = make_preview(
                url=url,
                database={"name": f"shop_{who}", "user": who, "schema": None},
                redis={"db": number},
                deployment=make_deployment(stages=[build]),
            )
            self.sites[who] = Site(who, url)
            visitor = cast("Visitor", self.sites[who])
            self.cast[who] = Engineer(who, preview, visitor, who, who)

    def columns_of(self, url: str, table: str) -> set[str]:
        assert table == "users"
        return self.columns[url]

    def keys_of(self, url: str) -> set[str]:
        return self.keys[url]

    def opens(self, url: str, other: object) -> bool:
        return (url, other) in self.doors

    def stage(self, who: str) -> Any:
        deployment = self.cast[who].preview["deployment"]
        assert deployment is not None
        return deployment["stages"][0]

    def failed(self, http_port: int | None = 7080) -> list[str]:
        """The claims that do not hold, after all were looked at."""
        checks = Checklist(Console(file=io.StringIO()))
        prove_live(checks, self.cast, http_port)
        InProcesses().prove_apart(checks, self.cast)
        claims = [check.claim for check in checks.checks]
        assert claims == [claim for claim in CLAIMS if http_port or claim != CLAIMS[3]]
        return [check.claim for check in checks.checks if not check.passed]


@pytest.fixture
def world(
    make_preview: Make, make_deployment: Make, make_stage: Make, monkeypatch: pytest.MonkeyPatch
) -> World:
    world = World(make_preview, make_deployment, make_stage)
    monkeypatch.setattr(demo_data, "columns", world.columns_of)
    monkeypatch.setattr(demo_data, "keys", world.keys_of)
    monkeypatch.setattr(demo_data, "may_enter", world.opens)
    monkeypatch.setattr(demo_data, "may_select", world.opens)
    return world


def test_all_claims_hold(world: World) -> None:
    assert world.failed() == []


def test_without_an_http_port_nothing_is_said_of_redirects(world: World) -> None:
    assert world.failed(http_port=None) == []


def _health(world: World) -> None:
    world.sites["Ben"].answers["/health"] = (503, {"status": "unavailable"})


def _docs(world: World) -> None:
    world.sites["You"].answers["/docs"] = (200, "<h1>Hello</h1>")


def _missing_path(world: World) -> None:
    world.sites["Ali"].answers["/openapi.json"] = (200, {"paths": {"/health": {}}})


def _wrong_branch(world: World) -> None:
    world.sites["Ali"].answers["/openapi.json"] = world.sites["Ben"].answers["/openapi.json"]


def _redirect(world: World) -> None:
    world.sites["Ali"].location = "http://elsewhere"


def _http1(world: World) -> None:
    world.sites["Chloe"].spoken = "http/1.1"


def _not_renamed(world: World) -> None:
    world.columns["Ali"] = {"id", "name", "email"}


def _renamed_for_all(world: World) -> None:
    world.columns["You"] = {"id", "name", "contact_email"}


def _search_breaks(world: World) -> None:
    world.sites["Ben"].answers["/api/v1/users/search?email=ALICE"] = (500, "broken")


def _search_finds_nothing(world: World) -> None:
    world.sites["Ben"].answers["/api/v1/users/search?email=ALICE"] = (200, [])


def _shared_redis(world: World) -> None:
    for keys in world.keys.values():
        keys |= {"user:1:cache", "cache:user:1"}


def _no_key(world: World) -> None:
    world.keys["Chloe"] = set()


def _not_seeded(world: World) -> None:
    world.sites["You"].answers["/api/v1/users"] = (200, [])


def _open_database(world: World) -> None:
    world.doors.add(("Ali", "shop_Ben"))


def _open_redis(world: World) -> None:
    world.doors.add(("Chloe", 2))


def _two_environments(world: World) -> None:
    world.stage("You")["note"] = "environment 77aa reused"


def _built_twice(world: World) -> None:
    world.stage("You")["cached"] = False


@pytest.mark.parametrize(
    ("spoil", "claim"),
    [
        (_health, 0),
        (_docs, 1),
        (_missing_path, 2),
        (_wrong_branch, 2),
        (_redirect, 3),
        (_http1, 4),
        (_not_renamed, 5),
        (_renamed_for_all, 5),
        (_search_breaks, 6),
        (_search_finds_nothing, 6),
        (_shared_redis, 7),
        (_no_key, 7),
        (_not_seeded, 7),
        (_open_database, 8),
        (_open_redis, 9),
        (_two_environments, 10),
        (_built_twice, 10),
    ],
)
def test_a_claim_that_is_not_true_fails_alone(
    world: World, spoil: Callable[[World], None], claim: int
) -> None:
    spoil(world)
    assert world.failed() == [CLAIMS[claim]]


def test_what_the_build_stage_says(world: World, make_preview: Make) -> None:
    assert environment(world.cast["Ali"].preview) == "environment 3f9a"
    assert not build_cached(world.cast["Ali"].preview)
    assert build_cached(world.cast["Ben"].preview)
    assert environment(make_preview(deployment=None)) == ""
