"""The JSON of the containers, volumes and network of the data services, built and not sent.

https://docs.docker.com/reference/api/engine/version/v1.41/
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path, PurePosixPath
from typing import Any

from previewdrop.domain.spec import MIB
from previewdrop.drivers.docker import labels

Json = dict[str, Any]

DATABASE, CACHE = "db", "cache"
"""The roles, which are also the names by which previews know the services."""
SOCKETS = PurePosixPath("/run/previewdrop")
"""Where a service's own folder of the host is inside its container: only its socket is there."""
CONFIG = PurePosixPath("/etc/previewdrop")
"""The folder of `files`, and of `password` where there is one."""
POSTGRES_MAJOR = "previewdrop.postgres"
"""A volume's label: which PostgreSQL made the data in it."""

_HOME_PREFIX = 28
_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")
"""The images' entrypoints give the data to their user, and become that user."""
_SCRIPT_MEMORY = 2048 * MIB


def _no_limits() -> dict[str, int]:
    return {}


@dataclass(frozen=True, slots=True)
class Service:
    """One service's container, but for what this machine decides.

    `files` are texts put into CONFIG for everybody to read, `data` is where the volume is.
    `memory` and `shm` are in bytes; `ulimits` are soft and hard in one. `stop_within` is the
    seconds from `stop_signal` to SIGKILL.
    """

    role: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    files: Mapping[str, str]
    data: str
    stop_signal: str
    stop_within: int
    memory: int
    processes: int
    health: tuple[str, ...]
    shm: int = 64 * MIB
    ulimits: Mapping[str, int] = field(default_factory=_no_limits)


def database(image: str, major: int, files: Mapping[str, str]) -> Service:
    """PostgreSQL as the official image starts it, with `files["postgresql.conf"]`.

    The superuser's password is read from CONFIG/password when the data is made. PGDATA is that of
    the official images from 18 on, so that no two major versions ever share a folder.
    """
    locale = "--encoding=UTF8 --locale=C"
    if major >= 17:
        locale += " --locale-provider=builtin --builtin-locale=C.UTF-8"
    return Service(
        role=DATABASE,
        image=image,
        command=("postgres", "-c", f"config_file={CONFIG / 'postgresql.conf'}"),
        environment={
            "PGDATA": f"/var/lib/postgresql/{major}/docker",
            "POSTGRES_PASSWORD_FILE": str(CONFIG / "password"),
            "POSTGRES_INITDB_ARGS": locale,
            # When memory ends, a session goes and not the server.
            # https://www.postgresql.org/docs/18/kernel-resources.html#LINUX-MEMORY-OVERCOMMIT
            "PG_OOM_ADJUST_FILE": "/proc/self/oom_score_adj",
            "PG_OOM_ADJUST_VALUE": "500",
        },
        files=files,
        data="/var/lib/postgresql",
        stop_signal="SIGINT",
        stop_within=30,
        memory=4096 * MIB,
        processes=640,
        health=("CMD", "pg_isready", "--quiet", f"--host={SOCKETS}", "--username=postgres"),
        shm=256 * MIB,
    )


def cache(image: str, files: Mapping[str, str]) -> Service:
    """Valkey with `files["valkey.conf"]`. What scripts take is bounded: docs/decisions/0004.

    Address space cannot be bounded by Docker; RLIMIT_DATA bounds what is allocated in it.
    """
    asked = "printf 'PING\\r\\n' >&3 && read -rt 3 _ <&3"
    return Service(
        role=CACHE,
        image=image,
        command=("valkey-server", str(CONFIG / "valkey.conf")),
        environment={},
        files=files,
        data="/data",
        stop_signal="SIGTERM",
        stop_within=15,
        memory=_SCRIPT_MEMORY + 1024 * MIB,
        processes=128,
        # Without a password any answer, "NOAUTH" that is, says that it lives.
        health=(
            "CMD-SHELL",
            f"if command -v valkey-cli; then valkey-cli -s {SOCKETS / 'valkey.sock'} ping;"
            f' else exec bash -c "exec 3<>/dev/tcp/127.0.0.1/6379 && {asked}"; fi',
        ),
        ulimits={"data": _SCRIPT_MEMORY, "nofile": 8192},
    )


def container(service: Service, installation: str, sockets: Path) -> Json:
    """The container, with its fingerprint among its labels. It publishes no port.

    `sockets` is the service's own folder on the host.
    """
    body: Json = {
        "Image": service.image,
        "Cmd": list(service.command),
        "Env": [f"{name}={value}" for name, value in service.environment.items()],
        "Labels": {labels.INSTALLATION: installation, labels.ROLE: service.role},
        "StopSignal": service.stop_signal,
        "StopTimeout": service.stop_within,
        "Healthcheck": {
            "Test": list(service.health),
            "Interval": _nanoseconds(30),
            "Timeout": _nanoseconds(10),
            "Retries": 3,
        },
        "HostConfig": {
            "NetworkMode": labels.name_of(installation, "services"),
            "Mounts": [
                {
                    "Type": "volume",
                    "Source": labels.name_of(installation, service.role),
                    "Target": service.data,
                },
                {"Type": "bind", "Source": str(sockets), "Target": str(SOCKETS)},
            ],
            "RestartPolicy": {"Name": "unless-stopped"},
            "CapDrop": ["ALL"],
            "CapAdd": list(_CAPABILITIES),
            "SecurityOpt": ["no-new-privileges"],
            # It stands in every preview's network, and Linux lets it inherit the host's setting.
            "Sysctls": {"net.ipv4.ip_forward": "0"},
            "Memory": service.memory,
            "MemorySwap": service.memory,
            "PidsLimit": service.processes,
            "ShmSize": service.shm,
            "Ulimits": [
                {"Name": name, "Soft": limit, "Hard": limit}
                for name, limit in service.ulimits.items()
            ],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}},
        },
    }
    text = json.dumps([body, dict(service.files)], sort_keys=True)
    body["Labels"][labels.FINGERPRINT] = hashlib.sha256(text.encode()).hexdigest()
    return body


def volume(installation: str, role: str, major: int | None) -> Json:
    """The volume of a service's data; `major` is PostgreSQL's version."""
    made_by = {} if major is None else {POSTGRES_MAJOR: str(major)}
    return {
        "Name": labels.name_of(installation, role),
        "Labels": {labels.INSTALLATION: installation, labels.ROLE: role, **made_by},
    }


def home_network(installation: str, subnet: IPv4Network) -> Json:
    """A bridge without a way out, on which the services stand before previews are connected."""
    return {
        "Name": labels.name_of(installation, "services"),
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Internal": True,
        "EnableIPv6": False,
        "IPAM": {"Config": [{"Subnet": str(subnet)}]},
        "Options": {"com.docker.network.bridge.enable_icc": "false"},
        "Labels": {labels.INSTALLATION: installation, labels.ROLE: "services"},
    }


def home_subnets(pool: IPv4Network, taken: Collection[IPv4Network]) -> Iterator[IPv4Network]:
    """The free /28 networks of the pool from its end: previews take theirs from its start."""
    size = 1 << (32 - _HOME_PREFIX)
    for start in range(int(pool[-1]) + 1 - size, int(pool[0]) - 1, -size):
        subnet = IPv4Network((start, _HOME_PREFIX))
        if not any(subnet.overlaps(other) for other in taken):
            yield subnet


def subnets_of(network: Mapping[str, Any]) -> list[str]:
    """The subnets of a network; `network` is its inspection."""
    ipam: Json = network.get("IPAM") or {}
    configs: list[Json] = ipam.get("Config") or []
    return [str(config["Subnet"]) for config in configs if config.get("Subnet")]


def maker_of(volume: Mapping[str, Any]) -> str | None:
    """The PostgreSQL that made the data in a volume; `volume` is its inspection."""
    found: Mapping[str, str] = volume.get("Labels") or {}
    return found.get(POSTGRES_MAJOR)


def variable(image: Mapping[str, Any], name: str) -> str | None:
    """The value of an environment variable that an image sets; `image` is its inspection."""
    for pair in image["Config"].get("Env") or ():
        key, _, value = pair.partition("=")
        if key == name:
            return value
    return None


def _nanoseconds(seconds: int) -> int:
    return seconds * 1_000_000_000
