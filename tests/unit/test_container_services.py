"""What the containers of the data services are made of, and what pulling an image says."""

import io
import json
import tarfile
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from previewdrop.domain.errors import ServerError
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import MIB
from previewdrop.drivers.docker import labels
from previewdrop.drivers.docker.service import archives, pull
from previewdrop.drivers.docker.service import commands as service_commands
from previewdrop.services import postgres_container, valkey_container
from previewdrop.services.postgres_container import PostgresContainer
from previewdrop.services.valkey_container import ValkeyContainer

FOLDER = Path("/home/sockets/docker-db")
IMAGE = {"Config": {"Env": ["PATH=/bin", "PG_MAJOR=18"]}}
POSTGRES = PostgresContainer("postgres:18", FOLDER, Secret("the password"))
VALKEY = ValkeyContainer("valkey/valkey:9.1", FOLDER, Secret("the password"), 64)
BODIES = [
    service_commands.container(program.service(IMAGE), "abc", FOLDER)
    for program in (POSTGRES, VALKEY)
]


def test_postgres():
    body = BODIES[0]
    fingerprint = body["Labels"].pop(labels.FINGERPRINT)
    assert len(fingerprint) == 64
    assert body == {
        "Image": "postgres:18",
        "Cmd": ["postgres", "-c", "config_file=/etc/previewdrop/postgresql.conf"],
        "Env": [
            "PGDATA=/var/lib/postgresql/18/docker",
            "POSTGRES_PASSWORD_FILE=/etc/previewdrop/password",
            "POSTGRES_INITDB_ARGS=--encoding=UTF8 --locale=C --locale-provider=builtin"
            " --builtin-locale=C.UTF-8",
            "PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj",
            "PG_OOM_ADJUST_VALUE=500",
        ],
        "Labels": {"previewdrop.installation": "abc", "previewdrop.role": "db"},
        "StopSignal": "SIGINT",
        "StopTimeout": 30,
        "Healthcheck": {
            "Test": [
                "CMD",
                "pg_isready",
                "--quiet",
                "--host=/run/previewdrop",
                "--username=postgres",
            ],
            "Interval": 30_000_000_000,
            "Timeout": 10_000_000_000,
            "Retries": 3,
        },
        "HostConfig": {
            "NetworkMode": "previewdrop-abc-services",
            "Mounts": [
                {
                    "Type": "volume",
                    "Source": "previewdrop-abc-db",
                    "Target": "/var/lib/postgresql",
                },
                {"Type": "bind", "Source": str(FOLDER), "Target": "/run/previewdrop"},
            ],
            "RestartPolicy": {"Name": "unless-stopped"},
            "CapDrop": ["ALL"],
            "CapAdd": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"],
            "SecurityOpt": ["no-new-privileges"],
            "Sysctls": {"net.ipv4.ip_forward": "0"},
            "Memory": 4096 * MIB,
            "MemorySwap": 4096 * MIB,
            "PidsLimit": 640,
            "ShmSize": 256 * MIB,
            "Ulimits": [],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}},
        },
    }
    body["Labels"][labels.FINGERPRINT] = fingerprint


def test_valkey():
    body = BODIES[1]
    assert body["Cmd"] == ["valkey-server", "/etc/previewdrop/valkey.conf"]
    assert body["StopSignal"] == "SIGTERM"
    host = body["HostConfig"]
    assert host["Mounts"][0]["Source"] == "previewdrop-abc-cache"
    assert host["Mounts"][0]["Target"] == "/data"
    assert {"Name": "data", "Soft": 2048 * MIB, "Hard": 2048 * MIB} in host["Ulimits"]
    assert host["Memory"] == host["MemorySwap"] == 3072 * MIB


@pytest.mark.parametrize("body", BODIES)
def test_nothing_is_published_and_no_password_is_said(body: service_commands.Json):
    assert "PortBindings" not in body["HostConfig"]
    assert "the password" not in json.dumps(body)


def test_the_fingerprint_tells_image_and_configuration_and_no_password():
    def fingerprint(image: str = "valkey/valkey:9.1", numbers: int = 64, key: str = "x"):
        program = ValkeyContainer(image, FOLDER, Secret(key), numbers)
        body = service_commands.container(program.service(IMAGE), "abc", FOLDER)
        return body["Labels"][labels.FINGERPRINT]

    assert fingerprint() == fingerprint(key="another")
    assert len({fingerprint(), fingerprint("valkey/valkey:9.2"), fingerprint(numbers=65)}) == 3


class TestPostgresConfiguration:
    def test_is_the_embedded_one_with_sockets_of_a_container(self):
        config = postgres_container.server_config(18)
        lines = dict(line.split(" = ") for line in config.splitlines() if " = " in line)
        assert lines["listen_addresses"] == "'*'"
        assert lines["unix_socket_directories"] == "'/var/run/postgresql, /run/previewdrop'"
        assert lines["unix_socket_permissions"] == "0777"
        assert lines["hba_file"] == "'/etc/previewdrop/pg_hba.conf'"
        assert lines["max_connections"] == "400"
        assert lines["port"] == "5432"
        assert lines["io_method"] == "sync"

    def test_has_nothing_that_the_version_does_not_know(self):
        assert "io_method" not in postgres_container.server_config(17)
        assert "\nreserved_connections" in postgres_container.server_config(16)
        assert "\nreserved_connections" not in postgres_container.server_config(15)
        assert "superuser_reserved_connections" in postgres_container.server_config(15)
        old = POSTGRES.service({"Config": {"Env": ["PG_MAJOR=16"]}})
        assert old.environment["POSTGRES_INITDB_ARGS"] == "--encoding=UTF8 --locale=C"
        assert old.environment["PGDATA"] == "/var/lib/postgresql/16/docker"

    def test_lets_the_superuser_in_over_the_socket_alone(self):
        assert postgres_container.hba_text() == (
            "local all all scram-sha-256\n"
            "host all postgres all reject\n"
            "host all all all scram-sha-256\n"
        )

    def test_the_superuser_proves_its_password(self):
        assert POSTGRES.admin_url.reveal() == (
            "postgresql://postgres:the%20password@/postgres?host=%2Fhome%2Fsockets%2Fdocker-db"
            "&port=5432&require_auth=scram-sha-256"
        )
        assert POSTGRES.reach() == ("db", 5432)

    @pytest.mark.parametrize("environment", [None, ["PG_MAJOR="], ["PG_MAJOR=eighteen"]])
    def test_an_image_must_say_its_version(self, environment: list[str] | None):
        with pytest.raises(ServerError, match="PREVIEWDROP_POSTGRES_IMAGE"):
            POSTGRES.service({"Config": {"Env": environment}})


def test_valkey_s_configuration_is_the_embedded_one_with_a_container_s_socket():
    config = valkey_container.server_config(64)
    assert 'unixsocket "/run/previewdrop/valkey.sock"\n' in config
    assert config.endswith("bind * -::*\nunixsocketperm 777\ndir /data\n")
    for line in ("port 6379", "databases 64", "aclfile users.acl", "maxmemory 512mb"):
        assert f"{line}\n" in config
    url = VALKEY.admin_url.reveal()
    assert url == "unix://:the%20password@/home/sockets/docker-db/valkey.sock?db=0"
    assert VALKEY.reach() == ("cache", 6379)


def test_volumes_say_whose_they_are_and_which_postgresql_made_them():
    assert service_commands.volume("abc", "db", 18) == {
        "Name": "previewdrop-abc-db",
        "Labels": {
            "previewdrop.installation": "abc",
            "previewdrop.role": "db",
            "previewdrop.postgres": "18",
        },
    }
    volume = service_commands.volume("abc", "cache", None)
    assert service_commands.maker_of(volume) is None
    assert service_commands.maker_of({"Labels": None}) is None
    assert service_commands.maker_of(service_commands.volume("abc", "db", 17)) == "17"


def test_the_network_has_no_way_out():
    body = service_commands.home_network("abc", IPv4Network("10.213.255.240/28"))
    assert body["Name"] == "previewdrop-abc-services"
    assert body["Internal"]
    assert service_commands.subnets_of(body) == ["10.213.255.240/28"]
    assert service_commands.subnets_of({"IPAM": None}) == []


def test_the_network_s_subnet_is_the_last_free_one():
    pool = IPv4Network("10.213.0.0/24")
    taken = [IPv4Network("10.213.0.192/26"), IPv4Network("10.213.0.0/25")]
    free = [str(each) for each in service_commands.home_subnets(pool, taken)]
    assert free == [f"10.213.0.{last}/28" for last in (176, 160, 144, 128)]
    assert list(service_commands.home_subnets(pool, [pool])) == []


def test_files_are_readable_by_all_and_secrets_by_root():
    tar = archives.folder_of("conf", {"a.conf": "ä"}, {"password": Secret("hidden")})
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        members = {each.name: (each.mode, each.uid) for each in opened}
    assert members == {"conf": (0o755, 0), "conf/a.conf": (0o644, 0), "conf/password": (0o600, 0)}
    assert archives.text_of(tar) == "ä"
    assert archives.text_of(archives.file_of("users.acl", "user x")) == "user x"
    assert archives.text_of(archives.folder_of("empty", {}, {})) == ""


@pytest.mark.parametrize(
    ("reference", "whole"),
    [
        ("postgres:18", "postgres:18"),
        ("postgres", "postgres:latest"),
        ("registry:5000/team/postgres", "registry:5000/team/postgres:latest"),
        ("registry:5000/postgres:18", "registry:5000/postgres:18"),
        ("postgres@sha256:0123", "postgres@sha256:0123"),
    ],
)
def test_one_tag_is_pulled(reference: str, whole: str):
    assert pull.with_tag(reference) == whole


def test_what_pulling_says():
    bar = {"status": "Downloading", "progressDetail": {"current": 1, "total": 2}, "id": "ab"}
    done = {"status": "Pull complete", "progressDetail": {}, "id": "ab"}
    broken = {"errorDetail": {"message": "manifest unknown."}, "error": "manifest unknown."}
    assert [pull.progress(each) for each in (bar, done, {"status": "Digest: x"}, broken)] == [
        None,
        "ab: Pull complete",
        "Digest: x",
        None,
    ]
    failures = [pull.failure(each) for each in (bar, broken, {"error": "no"})]
    assert failures == [None, "manifest unknown", "no"]
