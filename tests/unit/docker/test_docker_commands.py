"""The JSON of previews' containers and networks."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from previewdrop.domain.naming import names_for
from previewdrop.domain.spec import MIB, Limits, Process, RunSpec
from previewdrop.drivers.docker import commands, labels
from previewdrop.drivers.docker.commands import Place, Walls
from previewdrop.drivers.docker.subnets import Subnet

SUBNET = Subnet(IPv4Network("10.213.0.64/26"), 1)
PLACE = Place("previewdrop-0123456789-shop_pr_1", SUBNET, address="10.213.0.68")
WALLS = Walls(Limits(memory=256 * MIB, cpus=0.5, processes=64, files=1024, log_bytes=4 * MIB))
SPEC = RunSpec(
    installation="0123456789",
    names=names_for("shop", "pr-1", "{project}.localhost"),
    deployment=7,
    source="/nowhere",
    root="",
    import_path=("",),
    artifact={"image": "sha256:abc"},
    environment={"PORT": "3000", "SECRET": "hush"},
    port=3000,
    web=Process("web", ()),
)


def test_a_web_container_is_started_as_its_image_says_and_walled_in() -> None:
    body = commands.container(SPEC, SPEC.web, "web", PLACE, WALLS)
    fingerprint = body["Labels"].pop(labels.FINGERPRINT)
    assert len(fingerprint) == 32
    assert body == {
        "Image": "sha256:abc",
        "Env": [
            "FORWARDED_ALLOW_IPS=10.213.0.65",
            "PORT=3000",
            "SECRET=hush",
            "PREVIEWDROP_RUN=0123456789-7.web",
        ],
        "Labels": {
            "previewdrop.installation": "0123456789",
            "previewdrop.preview": "shop/pr-1",
            "previewdrop.deployment": "7",
            "previewdrop.role": "web",
            "previewdrop.address": "10.213.0.68",
        },
        "HostConfig": {
            "NetworkMode": PLACE.network,
            "Init": True,
            "CapDrop": ["ALL"],
            "CapAdd": list(commands.CAPABILITIES),
            "SecurityOpt": ["no-new-privileges"],
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "Memory": 256 * MIB,
            "MemorySwap": 256 * MIB,
            "CpuPeriod": 100_000,
            "CpuQuota": 50_000,
            "PidsLimit": 64,
            "ShmSize": 128 * MIB,
            "Ulimits": [
                {"Name": "nofile", "Soft": 1024, "Hard": 1024},
                {"Name": "core", "Soft": 0, "Hard": 0},
            ],
            "LogConfig": {
                "Type": "json-file",
                "Config": {"max-size": str(2 * MIB), "max-file": "2"},
            },
        },
        "NetworkingConfig": {
            "EndpointsConfig": {
                PLACE.network: {
                    "Aliases": ["web"],
                    "IPAMConfig": {"IPv4Address": "10.213.0.68"},
                }
            }
        },
    }


def test_a_command_of_ours_takes_the_entrypoint_s_place() -> None:
    text = commands.container(SPEC, Process("worker", "arq x"), "worker", PLACE, WALLS)
    assert (text["Entrypoint"], text["Cmd"]) == (["/bin/sh"], ["-c", "arq x"])
    words = commands.container(SPEC, Process("x", ("alembic", "current")), "x", PLACE, WALLS)
    assert (words["Entrypoint"], words["Cmd"]) == (["alembic"], ["current"])


def test_a_command_beside_the_app_shares_its_network_and_is_not_started_again() -> None:
    place = Place(PLACE.network, SUBNET, beside="previewdrop-0123456789-7-web")
    body = commands.container(SPEC, Process("x", "true"), labels.COMMAND, place, WALLS)
    assert body["HostConfig"]["NetworkMode"] == "container:previewdrop-0123456789-7-web"
    assert body["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert "NetworkingConfig" not in body
    assert body["Labels"][labels.ADDRESS] == ""


def test_the_fingerprint_tells_another_environment() -> None:
    other = RunSpec(
        **{name: getattr(SPEC, name) for name in SPEC.__dataclass_fields__}
        | {"environment": {"PORT": "3000", "SECRET": "other"}}
    )
    first, second = (
        commands.container(each, SPEC.web, "web", PLACE, WALLS)["Labels"][labels.FINGERPRINT]
        for each in (SPEC, other)
    )
    assert first != second


def test_the_engine_starts_again_what_nobody_watches_over() -> None:
    body = commands.container(SPEC, Process("worker", "arq x"), "worker", PLACE, WALLS)
    assert body["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}


def test_an_image_s_own_labels_count_for_nothing() -> None:
    """Docker keeps those of the image that the container does not set itself."""
    web = commands.container(SPEC, SPEC.web, "web", PLACE, WALLS)["Labels"]
    worker = commands.container(SPEC, Process("worker", "x"), "worker", PLACE, WALLS)["Labels"]
    assert web.keys() == worker.keys()


def test_the_oci_runtime_is_asked_for_where_one_is_set() -> None:
    walls = Walls(WALLS.limits, "runsc")
    host = commands.container(SPEC, SPEC.web, "web", PLACE, walls)["HostConfig"]
    assert host["Runtime"] == "runsc"
    assert host["ExtraHosts"] == ["db:10.213.0.66", "cache:10.213.0.67"]


def test_a_user_s_own_trusted_proxies_stay() -> None:
    spec = RunSpec(
        **{name: getattr(SPEC, name) for name in SPEC.__dataclass_fields__}
        | {"environment": {"FORWARDED_ALLOW_IPS": "*"}}
    )
    assert commands.environment(spec, "web", PLACE)["FORWARDED_ALLOW_IPS"] == "*"


def test_a_network_hands_out_its_upper_half_and_its_bridge_is_known_to_the_firewall() -> None:
    body = commands.network("0123456789", "shop/pr-1", "name", SUBNET)
    assert body["IPAM"]["Config"] == [
        {"Subnet": "10.213.0.64/26", "IPRange": "10.213.0.96/27", "Gateway": "10.213.0.65"}
    ]
    assert body["Options"] == {"com.docker.network.bridge.name": "pd0123456-1"}
    assert body["Labels"] == {
        "previewdrop.installation": "0123456789",
        "previewdrop.preview": "shop/pr-1",
    }


@pytest.mark.parametrize("index", [0, 1023, 2**18 - 1])
def test_a_bridge_s_name_fits_into_the_kernel_s_fifteen_characters(index: int) -> None:
    name = commands.bridge("f" * 10, Subnet(SUBNET.network, index))
    assert len(name) <= 15
    assert name.startswith(commands.bridge_prefix("f" * 10))


def test_a_service_has_the_same_address_in_every_network() -> None:
    assert commands.connection("the-db", "db", SUBNET) == {
        "Container": "the-db",
        "EndpointConfig": {"Aliases": ["db"], "IPAMConfig": {"IPv4Address": "10.213.0.66"}},
    }
