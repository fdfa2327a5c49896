"""What names an image, and the port that it says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from previewdrop.drivers.base import ImageSpec
from previewdrop.drivers.docker.image import exposed_port, image_key

SPEC = ImageSpec("Dockerfile", "")


@pytest.mark.parametrize(
    ("config", "port"),
    [
        ({}, None),
        ({"ExposedPorts": None, "Env": None}, None),
        ({"ExposedPorts": {"8000/tcp": {}}}, 8000),
        ({"ExposedPorts": {"9000/tcp": {}, "3000/tcp": {}}}, 3000),
        ({"ExposedPorts": {"9000/tcp": {}, "8080/tcp": {}}}, 8080),
        ({"ExposedPorts": {"53/udp": {}}}, None),
        ({"ExposedPorts": {"8000/tcp": {}}, "Env": ["A=b", "PORT=5000"]}, 5000),
        ({"ExposedPorts": {"8000/tcp": {}}, "Env": ["PORT=$X"]}, 8000),
    ],
)
def test_the_port_of_an_image(config: dict[str, object], port: int | None) -> None:
    assert exposed_port(config) == port


def test_everything_that_decides_is_in_the_key() -> None:
    keys = {
        image_key("a", SPEC, "Dockerfile", ()),
        image_key("b", SPEC, "Dockerfile", ()),
        image_key("a", SPEC, "Other", ()),
        image_key("a", replace(SPEC, target="runner"), "Dockerfile", ()),
        image_key("a", replace(SPEC, args=(("A", "1"),)), "Dockerfile", ()),
        image_key("a", SPEC, "Dockerfile", ("UV_INDEX",)),
    }
    assert len(keys) == 6
    assert image_key("a", SPEC, "Dockerfile", ("A", "B")) == image_key(
        "a", SPEC, "Dockerfile", ("B", "A")
    )
