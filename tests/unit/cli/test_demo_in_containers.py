"""What is claimed of previews in containers, on an Engine that answers from a table."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any, cast

import httpx2
import pytest
from rich.console import Console

from previewdrop.cli import demo_in_containers
from previewdrop.cli.client import Api
from previewdrop.cli.demo_checklist import Checklist, Unproven
from previewdrop.cli.demo_engine import Engine
from previewdrop.cli.demo_in_containers import InContainers
from previewdrop.cli.demo_live import Engineer
from previewdrop.cli.demo_reach import Place
from previewdrop.cli.demo_visit import Visitor
from previewdrop.domain.errors import BadConfig, Unavailable

Make = Callable[..., Any]
OURS = "3f9a5b7c9d"
SERVICES = f"previewdrop-{OURS}-services"


class Docker:
    """An Engine's answers: what it has may be changed."""

    def __init__(self) -> None:
        self.containers: list[dict[str, Any]] = []
        self.networks: list[dict[str, Any]] = []
        self.layers: dict[str, list[str]] = {}
        self.broken: Exception | None = None

    def add(self, role: str, address: str, preview: str | None = None, deployment: int = 0) -> None:
        labels = {"previewdrop.installation": OURS, "previewdrop.role": role}
        network, name = SERVICES, f"/previewdrop-{OURS}-{role}"
        if preview:
            labels |= {"previewdrop.preview": preview}
            network, name = (
                f"previewdrop-{OURS}-{deployment}",
                f"/previewdrop-{OURS}-{deployment}-web",
            )
        self.containers.append(
            {
                "Names": [name],
                "Labels": labels,
                "State": "running",
                "ImageID": f"sha256:{deployment}",
                "NetworkSettings": {"Networks": {network: {"IPAddress": address}}},
            }
        )
        self.networks.append({"Name": network, "Labels": labels})

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if self.broken:
            raise self.broken
        if filters := request.url.params.get("filters"):
            assert json.loads(filters) == {"label": [f"previewdrop.installation={OURS}"]}
        path = request.url.path
        if path == "/containers/json":
            return httpx2.Response(200, json=self.containers)
        if path == "/networks":
            return httpx2.Response(200, json=self.networks)
        if path == "/images/json":
            tags = [f"previewdrop-{OURS}/{project}:0a1b" for project in ("shop", "other")]
            return httpx2.Response(200, json=[{"RepoTags": tags}, {"RepoTags": None}])
        if path.startswith("/images/"):
            layers = self.layers[path.split("/")[2]]
            return httpx2.Response(200, json={"RootFS": {"Layers": layers}})
        if path.startswith("/containers/"):
            return httpx2.Response(200, json={"Config": {"Env": ["PATH=/bin", "PORT=3000"]}})
        return httpx2.Response(404, json={"message": "nothing"})


class World:
    """Two previews, each alone on its network, with all layers but the last in common."""

    def __init__(self, docker: Docker, api: Api, make_preview: Make, make_deployment: Make) -> None:
        self.docker = docker
        self.runtime = InContainers(api, Engine(OURS, httpx2.MockTransport(docker)))
        self.cast: dict[str, Engineer] = {}
        docker.add("db", "10.213.255.242")
        docker.add("cache", "10.213.255.243")
        for number, who in enumerate(("Ali", "Ben"), 1):
            preview = make_preview(name=f"shop/{who}", deployment=make_deployment(id=number))
            docker.add("web", f"10.213.{number}.4", f"shop/{who}", number)
            docker.layers[f"sha256:{number}"] = ["base", "dependencies", f"code of {who}"]
            data = (
                f"postgresql://u:p@10.213.{number}.2:5432/d",
                f"redis://u:p@10.213.{number}.3:6379/1",
            )
            self.cast[who] = Engineer(who, preview, cast("Visitor", None), *data)

    def failed(self) -> dict[str, str | None]:
        """The claims that do not hold, each with what was said."""
        checks = Checklist(Console(file=io.StringIO()))
        self.runtime.prove_apart(checks, self.cast)
        return {check.claim: check.note for check in checks.checks if not check.passed}


@pytest.fixture
def docker() -> Docker:
    return Docker()


@pytest.fixture
def world(
    docker: Docker,
    api: Api,
    make_preview: Make,
    make_deployment: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    """What is asked for inside a preview reaches its own network and no other."""

    def inside(_: Api, preview: Any, places: list[Place]) -> list[bool]:
        own = f"10.213.{preview['deployment']['id']}."
        return [host.startswith(own) for host, _ in places]

    monkeypatch.setattr(demo_in_containers, "reached", inside)
    return World(docker, api, make_preview, make_deployment)


def test_all_claims_hold(world: World) -> None:
    assert world.failed() == {}


def test_somebody_who_reaches_another_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_(_: Api, __: Any, places: list[Place]) -> list[bool]:
        return [True] * 3 + [host == "10.213.2.2" for host, _ in places[3:]]

    monkeypatch.setattr(demo_in_containers, "reached", open_)
    assert world.failed() == {
        "Nobody reaches another's container or services": "Ali reaches Ben's 10.213.2.2:5432."
    }


def test_a_proof_from_an_inside_that_reaches_nothing_is_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(_: Api, __: Any, places: list[Place]) -> list[bool]:
        return [False] * len(places)

    monkeypatch.setattr(demo_in_containers, "reached", closed)
    assert "does not reach Ali's own" in str(world.failed().popitem()[1])


def test_dependencies_that_were_installed_twice_are_two_layers(world: World) -> None:
    world.docker.layers["sha256:2"][1] = "dependencies again"
    assert world.failed() == {
        "One layer of dependencies serves all four": "Ali's image shares 1 of 3 layers."
    }
    assert world.runtime.installed([each.preview for each in world.cast.values()]) is None


def test_one_sentence_on_what_the_images_share(world: World) -> None:
    previews = [each.preview for each in world.cast.values()]
    assert world.runtime.installed(previews) == (
        "The dependencies were installed once: of 3 layers the images share 2, and the code comes "
        "last."
    )
    assert world.runtime.installed(previews[:1]) is None


def test_a_push_has_the_layers_of_before_under_its_code(
    world: World, make_preview: Make, make_deployment: Make
) -> None:
    world.failed()
    before = world.cast["Ben"].preview
    after = make_preview(name="shop/Ben", deployment=make_deployment(id=3))
    world.docker.add("web", "10.213.2.5", "shop/Ben", 3)
    world.docker.layers["sha256:3"] = ["base", "dependencies", "new code"]
    assert world.runtime.reused(before, after) == "2 of 3 layers reused"
    world.docker.layers["sha256:3"] = ["base", "dependencies again", "new code"]
    with pytest.raises(Unproven, match="1 of 3 layers"):
        world.runtime.reused(before, after)
    world.docker.layers["sha256:3"] = world.docker.layers["sha256:2"]
    with pytest.raises(Unproven, match="the code is another"):
        world.runtime.reused(before, after)


def test_what_previews_hold_and_what_is_kept(world: World) -> None:
    previews = [each.preview for each in world.cast.values()]
    names = [f"previewdrop-{OURS}-{number}" for number in (1, 2)]
    assert world.runtime.held(previews) == {
        "containers": [f"{name}-web" for name in names],
        "networks": names,
        "images": ["shop:0a1b"],
    }
    services = [f"previewdrop-{OURS}-{role}" for role in ("cache", "db")]
    assert world.runtime.kept() == {"data services": services}
    assert {*world.runtime.kept()} == {*world.runtime.reasons}
    world.docker.containers.pop()
    assert world.runtime.held([])["containers"] == [f"{names[0]}-web"]


def test_what_runs_when_the_server_has_stopped(world: World) -> None:
    for each in world.docker.containers[1:]:
        each["State"] = "exited"
    assert world.runtime.running() == [f"previewdrop-{OURS}-db"]


def test_credentials_are_tried_where_the_services_stand(world: World) -> None:
    ali = world.cast["Ali"]
    assert world.runtime.lasting(ali.database_url) == "postgresql://u:p@10.213.255.242:5432/d"
    assert world.runtime.lasting(ali.redis_url) == "redis://u:p@10.213.255.243:6379/1"
    del world.docker.containers[0]
    assert world.runtime.lasting(ali.database_url) == ali.database_url


def test_a_preview_without_a_container_is_said(world: World) -> None:
    world.docker.containers.clear()
    with pytest.raises(Unproven, match="No container of shop/Ali runs"):
        world.runtime.installed([world.cast["Ali"].preview])


def test_an_engine_that_does_not_answer(world: World, docker: Docker) -> None:
    docker.broken = httpx2.ConnectError("Connection refused")
    with pytest.raises(Unavailable, match=r"No Docker Engine answers at .*Connection refused"):
        world.runtime.running()


def test_an_engine_that_refuses(docker: Docker) -> None:
    with pytest.raises(Unavailable, match="404 for /version"):
        Engine(OURS, httpx2.MockTransport(docker)).check()


def test_an_engine_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREVIEWDROP_DOCKER_HOST", "tcp://10.0.0.7:2376")
    with pytest.raises(BadConfig, match=r"tcp://10\.0\.0\.7:2376"):
        Engine(OURS)
