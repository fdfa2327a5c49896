"""The JSON of a preview's containers and network, built and not sent.

https://docs.docker.com/reference/api/engine/version/v1.41/
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from previewdrop.domain.spec import Limits, Process, RunSpec
from previewdrop.drivers.docker import labels
from previewdrop.drivers.docker.subnets import COMPANIONS, Subnet
from previewdrop.drivers.marks import MARK

Json = dict[str, Any]

CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID")
"""What entrypoints need that change owners and users inside their image; all others are dropped."""

_RESTARTS = 3
_LOG_FILES = 2
_CPU_PERIOD = 100_000
"""Microseconds. `NanoCpus` would be refused where it is more than the machine has."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a container runs: its network, and `address` if it has a fixed one there.

    `beside` is the name of a container whose network namespace it shares instead.
    """

    network: str
    subnet: Subnet
    address: str | None = None
    beside: str | None = None


@dataclass(frozen=True, slots=True)
class Walls:
    """What no repository may change: ceilings, and the OCI runtime (None is the Engine's own)."""

    limits: Limits
    oci_runtime: str | None = None


def container(spec: RunSpec, process: Process, role: str, place: Place, walls: Walls) -> Json:
    """A process of the preview, or (`role` is `command`) a command beside it."""
    body: Json = {
        "Image": spec.artifact["image"],
        "Env": [f"{name}={value}" for name, value in environment(spec, role, place).items()],
        "Labels": {
            labels.INSTALLATION: spec.installation,
            labels.PREVIEW: spec.names.full,
            labels.DEPLOYMENT: str(spec.deployment),
            labels.ROLE: role,
            labels.ADDRESS: place.address or "",
        },
        **_started_by(process),
        "HostConfig": {
            "NetworkMode": f"container:{place.beside}" if place.beside else place.network,
            "Init": True,
            "CapDrop": ["ALL"],
            "CapAdd": list(CAPABILITIES),
            "SecurityOpt": ["no-new-privileges"],
            "RestartPolicy": _restarted(role),
            **_run_by(walls.oci_runtime, place.subnet),
            **_limited(walls.limits),
        },
    }
    if not place.beside:
        endpoint: Json = {"Aliases": [role]}
        if place.address:
            endpoint["IPAMConfig"] = {"IPv4Address": place.address}
        body["NetworkingConfig"] = {"EndpointsConfig": {place.network: endpoint}}
    body["Labels"][labels.FINGERPRINT] = _fingerprint(body)
    return body


def execution(command: Process, mark: str) -> Json:
    """A command inside a container that runs; its processes are known by `mark`."""
    argv = _argv(command.command)
    return {
        "AttachStdout": True,
        "AttachStderr": True,
        "Cmd": list(argv),
        "Env": [f"{MARK}={mark}"],
    }


def environment(spec: RunSpec, role: str, place: Place) -> dict[str, str]:
    """The preview's variables, our mark, and the edge's address as the servers' trusted proxy."""
    return {
        "FORWARDED_ALLOW_IPS": place.subnet.gateway,
        **spec.environment,
        MARK: mark_of(spec, role),
    }


def mark_of(spec: RunSpec, role: str) -> str:
    return f"{spec.installation}-{spec.deployment}.{role}"


def network(installation: str, preview: str, name: str, subnet: Subnet) -> Json:
    """A bridge of the preview's own, named so that the firewall knows it."""
    return {
        "Name": name,
        "CheckDuplicate": True,
        "Driver": "bridge",
        "EnableIPv6": False,
        "IPAM": {
            "Config": [
                {
                    "Subnet": str(subnet.network),
                    "IPRange": subnet.handed_out,
                    "Gateway": subnet.gateway,
                }
            ]
        },
        "Options": {"com.docker.network.bridge.name": bridge(installation, subnet)},
        "Labels": {labels.INSTALLATION: installation, labels.PREVIEW: preview},
    }


def bridge(installation: str, subnet: Subnet) -> str:
    """The name of the bridge's interface, which Linux bounds at 15 characters."""
    return f"{bridge_prefix(installation)}{subnet.index:x}"


def bridge_prefix(installation: str) -> str:
    return f"pd{installation[:7]}-"


def connection(container_name: str, alias: str, subnet: Subnet) -> Json:
    """A service's place in a preview's network."""
    return {
        "Container": container_name,
        "EndpointConfig": {
            "Aliases": [alias],
            "IPAMConfig": {"IPv4Address": subnet.companion(alias)},
        },
    }


def _restarted(role: str) -> Json:
    """The Engine starts only what nobody watches over: the app comes back once it is healthy."""
    if role in (labels.COMMAND, labels.WEB):
        return {"Name": "no", "MaximumRetryCount": 0}
    return {"Name": "on-failure", "MaximumRetryCount": _RESTARTS}


def _started_by(process: Process) -> Json:
    """Nothing for the image's own command. What we start takes the place of its entrypoint."""
    argv = _argv(process.command)
    return {"Entrypoint": list(argv[:1]), "Cmd": list(argv[1:])} if argv else {}


def _run_by(oci_runtime: str | None, subnet: Subnet) -> Json:
    """gVisor has a network of its own, in which Docker's name server does not answer.

    https://github.com/google/gvisor/issues/7469
    """
    if oci_runtime is None:
        return {}
    hosts = [f"{alias}:{subnet.companion(alias)}" for alias in COMPANIONS]
    return {"Runtime": oci_runtime, "ExtraHosts": hosts}


def _argv(command: str | tuple[str, ...]) -> tuple[str, ...]:
    return ("/bin/sh", "-c", command) if isinstance(command, str) else command


def _limited(limits: Limits) -> Json:
    return {
        "Memory": limits.memory,
        "MemorySwap": limits.memory,
        "CpuPeriod": _CPU_PERIOD,
        "CpuQuota": int(limits.cpus * _CPU_PERIOD),
        "PidsLimit": limits.processes,
        "ShmSize": limits.memory // 2,
        "Ulimits": [
            {"Name": "nofile", "Soft": limits.files, "Hard": limits.files},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "LogConfig": {
            "Type": "json-file",
            "Config": {
                "max-size": str(max(1024, limits.log_bytes // _LOG_FILES)),
                "max-file": str(_LOG_FILES),
            },
        },
    }


def _fingerprint(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]
