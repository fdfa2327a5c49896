"""What the demo claims of previews that run in Docker's containers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from urllib.parse import urlsplit, urlunsplit

from previewdrop.cli.client import Api
from previewdrop.cli.demo_checklist import Checklist, Unproven, expect
from previewdrop.cli.demo_engine import Container, Engine
from previewdrop.cli.demo_live import Cast, Engineer
from previewdrop.cli.demo_reach import Place, reached
from previewdrop.cli.demo_runtime import Held
from previewdrop.cli.views import Preview

_WEB = "web"
_ROLES = {"postgresql": "db", "redis": "cache"}


class InContainers:
    """The docker runtime: each preview has an image, containers and a network of its own."""

    reused_claim = "The push installed no dependency anew"
    gone_claim = "No container, network or image of theirs is left"
    ended_claim = "It leaves no process and no running container behind"

    reasons: Mapping[str, str]
    tries: Sequence[tuple[str, str]]

    def __init__(self, api: Api, engine: Engine) -> None:
        self.reasons = {"data services": "kept, they serve all previews"}
        ours = f"docker ps --filter label=previewdrop.installation={engine.installation}"
        self.tries = [(ours, "their containers")]
        self._api = api
        self._engine = engine
        self._layers: dict[str, list[str]] = {}
        self._held: set[str] = set()

    def installed(self, previews: Sequence[Preview]) -> str | None:
        images = [self._layers_of(each) for each in previews]
        shared = _shared(images) if len(images) > 1 else 0
        if not shared or any(len(layers) != shared + 1 for layers in images):
            return None
        return (
            f"The dependencies were installed once: of {shared + 1} layers the images share "
            f"{shared}, and the code comes last."
        )

    def prove_apart(self, checks: Checklist, cast: Cast) -> None:
        checks.prove("Nobody reaches another's container or services", lambda: self._walls(cast))
        checks.prove("One layer of dependencies serves all four", lambda: self._one_layer(cast))

    def reused(self, before: Preview, after: Preview) -> str:
        old, new = self._layers.get(before["name"], []), self._layers_of(after)
        expect(old != new, "The image is the same, and the code is another.")
        shared, count = _shared([old, new]), len(new)
        expect(shared == count - 1 == len(old) - 1, f"{shared} of {count} layers are as before.")
        return f"{shared} of {count} layers reused"

    def held(self, previews: Sequence[Preview]) -> Held:
        self._held |= {each["name"] for each in previews}
        containers = [each.name for each in self._engine.containers() if each.preview in self._held]
        networks = [
            name for name, preview in self._engine.networks().items() if preview in self._held
        ]
        projects = {name.partition("/")[0] for name in self._held}
        images = [each for each in self._engine.images() if each.partition(":")[0] in projects]
        return {"containers": containers, "networks": networks, "images": images}

    def kept(self) -> Held:
        services = [each.name for each in self._engine.containers() if each.preview is None]
        return {"data services": services}

    def running(self) -> list[str]:
        return [each.name for each in self._engine.containers() if each.running]

    def lasting(self, url: str) -> str:
        """At the address of the service's own network: a preview's goes with the preview."""
        parts = urlsplit(url)
        service = next(
            (
                each
                for each in self._engine.containers()
                if each.preview is None and each.role == _ROLES.get(parts.scheme)
            ),
            None,
        )
        host = service and service.addresses.get(
            f"previewdrop-{self._engine.installation}-services"
        )
        if not host:
            return url  # a server of the user's own
        login = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{login}@{host}:{parts.port}"))

    def _one_layer(self, cast: Cast) -> str:
        """Layers have the times of their files: one that was made twice has two digests."""
        layers = {who: self._layers_of(each.preview) for who, each in cast.items()}
        self._layers |= {each.preview["name"]: layers[who] for who, each in cast.items()}
        shared = _shared(layers.values())
        for who, own in layers.items():
            expect(len(own) == shared + 1, f"{who}'s image shares {shared} of {len(own)} layers.")
        return f"{shared} of {shared + 1} layers are shared, the last is the code"

    def _walls(self, cast: Cast) -> str:
        places = {who: self._places(each) for who, each in cast.items()}
        tried = 0
        for who, each in cast.items():
            others = [(other, place) for other in cast if other != who for place in places[other]]
            answers = reached(
                self._api, each.preview, [*places[who], *(place for _, place in others)]
            )
            own, foreign = answers[: len(places[who])], answers[len(places[who]) :]
            expect(all(own), f"{who} does not reach {who}'s own container and services.")
            for (other, place), open_ in zip(others, foreign, strict=True):
                expect(not open_, f"{who} reaches {other}'s {place[0]}:{place[1]}.")
            tried += len(others)
        return f"{tried} of {tried} tries from inside refused"

    def _places(self, engineer: Engineer) -> list[Place]:
        """Where a preview's app, database and cache are reached in its network."""
        web = self._web(engineer.preview)
        address = next(iter(web.addresses.values()))
        data = [urlsplit(url) for url in (engineer.database_url, engineer.redis_url)]
        return [
            (address, self._engine.port(web)),
            *((parts.hostname or "", parts.port or 0) for parts in data),
        ]

    def _layers_of(self, preview: Preview) -> list[str]:
        return self._engine.layers(self._web(preview).image)

    def _web(self, preview: Preview) -> Container:
        """The newest one: the one before may still be answering its last requests."""
        deployment = preview["deployment"]
        ending = f"-{deployment['id'] if deployment else 0}-{_WEB}"
        for each in self._engine.containers():
            if each.preview == preview["name"] and each.name.endswith(ending):
                return each
        raise Unproven(f"No container of {preview['name']} runs.")


def _shared(images: Collection[Sequence[str]]) -> int:
    """How many layers, from the base on, are the same in all of them."""
    levels = zip(*images, strict=False)
    return sum(1 for _ in takewhile(lambda level: len({*level}) == 1, levels))
