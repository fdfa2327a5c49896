"""The control plane's settings: `PREVIEWDROP_…` variables, each with a default that works.

Every field's description is its documentation; `docs/settings.md` is checked against them.
"""

from __future__ import annotations

import os
import re
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from previewdrop.config.home import default_home
from previewdrop.domain.errors import BadConfig
from previewdrop.domain.spec import MIB, Limits, Timeouts

_DOMAIN = re.compile(r"(?=.{1,180}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.(?!\Z)|\Z))+")
_SIZE = re.compile(r"(?i)\s*(\d+(?:\.\d+)?)\s*(B|KB|KIB|MB|MIB|GB|GIB|K|M|G)?\s*")
_UNITS = {
    "": 1, "B": 1,
    "K": 1024, "KIB": 1024, "KB": 1000,
    "M": MIB, "MIB": MIB, "MB": 1000**2,
    "G": 1024 * MIB, "GIB": 1024 * MIB, "GB": 1000**3,
}  # fmt: skip


def size_in_bytes(value: Any) -> Any:
    """`"512MiB"`, `"1.5 GB"` or a number of bytes as an integer; ValueError for anything else."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        if not match:
            raise ValueError(f"{value!r} is not a size; write it as 512MiB or 1GiB")
        return int(float(match[1]) * _UNITS[(match[2] or "").upper()])
    return value


Size = Annotated[int, BeforeValidator(size_in_bytes)]


def _whole(path: Path) -> Path:
    return path.expanduser().absolute()


def _domain(text: str) -> str:
    """In lower case, as host names are compared; nothing but `{project}` is replaced later."""
    domain = text.lower().strip(".")
    if not _DOMAIN.fullmatch(domain.replace("{project}", "project")):
        raise ValueError("should be a domain such as preview.example.com or {project}.localhost")
    return domain


def web_address(text: str) -> str:
    """The address of a site, without a last slash; ValueError for a login, a query and the like."""
    try:
        parts = urlsplit(text.strip())
        name, _ = parts.hostname, parts.port
    except ValueError:
        name, parts = None, urlsplit("")
    there = name and parts.scheme in ("http", "https") and "@" not in parts.netloc
    if not there or parts.query or parts.fragment or not text.strip().isprintable():
        raise ValueError("should be an address such as https://previews.example.com")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


_PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
"""RFC 1918."""
_SMALLEST_POOL = 20
"""64 networks of /26 each, in bits."""


def _pool(text: str) -> str:
    try:
        pool = IPv4Network(text.strip())
    except ValueError as error:
        raise ValueError(f"should be a network such as 10.213.0.0/16 ({error})") from error
    if not any(pool.subnet_of(private) for private in _PRIVATE):
        raise ValueError("should be a network in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")
    if pool.prefixlen > _SMALLEST_POOL:
        raise ValueError(f"should have room for 64 networks of /26: /{_SMALLEST_POOL} or larger")
    return str(pool)


def default_docker_host() -> str:
    """`$DOCKER_HOST`, as other programs of Docker take it, or the Engine's usual socket."""
    return os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


class Settings(BaseSettings):
    """Where PreviewDrop listens, what it uses, and what a preview may use at most."""

    model_config = SettingsConfigDict(
        env_prefix="PREVIEWDROP_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    home: Annotated[Path, AfterValidator(_whole)] = Field(
        default_factory=default_home, description="The data folder."
    )
    host: str = Field("127.0.0.1", description="Address of the control plane's API.")
    port: int = Field(7780, ge=0, le=65535, description="Port of the API; 0 takes a free one.")
    edge_host: str = Field("127.0.0.1", description="Address on which previews are served.")
    edge_port: int = Field(7443, ge=0, le=65535, description="HTTPS port of the previews.")
    edge_http_port: int = Field(7080, ge=0, le=65535, description="HTTP port; only redirects.")
    domain: Annotated[str, AfterValidator(_domain)] = Field(
        "{project}.localhost",
        description="Domain under which previews get their host names; `{project}` is replaced.",
    )
    public_url: Annotated[str, AfterValidator(web_address)] | None = Field(
        None,
        description="Where GitHub reaches this server's `/webhooks/github`; else nothing is sent.",
    )

    github_url: Annotated[str, AfterValidator(web_address)] = Field(
        "https://github.com", description="The GitHub of the next two; an Enterprise Server too."
    )
    github_token: SecretStr | None = Field(
        None, description="Token of a person, by which GitHub is connected without another step."
    )
    github_webhook_secret: SecretStr | None = Field(
        None, description="Secret of webhooks that were made by hand."
    )

    postgres_url: SecretStr | None = Field(
        None, description="Your PostgreSQL, as an administrator, instead of the embedded one."
    )
    postgres_port: int = Field(7781, ge=0, le=65535, description="Port of the embedded PostgreSQL.")
    state_url: SecretStr | None = Field(
        None,
        description="Database of PreviewDrop's own state; else `previewdrop` on that server.",
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Your Valkey 9.1 or newer, as an administrator, instead of the embedded one.",
    )
    redis_port: int = Field(7782, ge=0, le=65535, description="Port of the embedded Valkey.")
    redis_databases: int = Field(1024, ge=2, description="Numbered databases of that Valkey.")
    caddy_admin: str | None = Field(
        None, description="Admin address of your Caddy, instead of the embedded one."
    )

    runtime: Literal["auto", "process", "docker"] = Field(
        "auto",
        description="Where previews run; `auto` takes docker for repositories with a Dockerfile "
        "where a Docker Engine answers, else process.",
    )
    sandbox: Literal["auto", "require", "off"] = Field(
        "auto",
        description="`auto` uses a sandbox where there is one, `require` refuses to start without, "
        "`off` runs previews without.",
    )
    docker_host: str = Field(
        default_factory=default_docker_host, description="The Docker Engine's socket."
    )
    docker_subnets: Annotated[str, AfterValidator(_pool)] = Field(
        "10.213.0.0/16",
        description="Private network of which each preview's own network takes a /26.",
    )
    oci_runtime: str | None = Field(
        None, description="Docker's runtime for previews, such as `runsc`; else the Engine's own."
    )
    postgres_image: str = Field(
        "postgres:18", description="Image of the PostgreSQL that serves the docker runtime."
    )
    redis_image: str = Field(
        "valkey/valkey:9.1", description="Image of the Valkey that serves the docker runtime."
    )
    max_previews: int = Field(2, ge=1, description="Live previews of a project at the same time.")
    concurrency: int = Field(
        8, ge=1, le=64, description="Deployments that may be under way at the same time."
    )

    memory: Size = Field(1024 * MIB, gt=0, description="Most memory a preview may ask for.")
    cpus: float = Field(2.0, gt=0, description="Most CPUs a preview may ask for.")
    processes: int = Field(256, ge=8, description="Most processes and threads of a preview.")
    files: int = Field(4096, ge=64, description="Most open files of a preview's process.")
    log_bytes: Size = Field(10 * MIB, gt=0, description="Most bytes kept of a process's log.")
    source_bytes: Size = Field(512 * MIB, gt=0, description="Largest commit that is exported.")
    environments_bytes: Size = Field(
        4096 * MIB, ge=0, description="Dependency environments kept though no preview uses them."
    )
    image_bytes: Size = Field(
        10240 * MIB, ge=0, description="Docker images kept though no preview uses them."
    )
    build_cache_bytes: Size = Field(
        10240 * MIB, ge=0, description="Most bytes kept of Docker's build cache."
    )
    context_bytes: Size = Field(1024 * MIB, gt=0, description="Largest context of a Docker build.")
    build_memory: Size = Field(2048 * MIB, gt=0, description="Most memory of a Docker build.")
    build_cpus: float | None = Field(
        None, gt=0, description="Most CPUs of a Docker build; else all of them."
    )

    fetch_timeout: float = Field(300, gt=0, description="Seconds for a fetch.")
    build_timeout: float = Field(900, gt=0, description="Seconds for a build.")
    release_timeout: float = Field(600, gt=0, description="Seconds for the release command.")
    health_timeout: float = Field(60, gt=0, description="Seconds until /health must answer 200.")
    post_deploy_timeout: float = Field(
        600, gt=0, description="Seconds for the post-deploy command."
    )
    grace: float = Field(30, ge=0, description="Seconds between SIGTERM and SIGKILL.")
    expire_days: float = Field(14, gt=0, description="Days without push or request until removal.")

    @property
    def ceilings(self) -> Limits:
        return Limits(
            memory=self.memory,
            cpus=self.cpus,
            processes=self.processes,
            files=self.files,
            log_bytes=self.log_bytes,
        )

    @property
    def timeouts(self) -> Timeouts:
        return Timeouts(
            fetch=self.fetch_timeout,
            build=self.build_timeout,
            release=self.release_timeout,
            health=self.health_timeout,
            post_deploy=self.post_deploy_timeout,
            grace=self.grace,
        )


def load_settings() -> Settings:
    """The settings of this process's environment; BadConfig names the variable that is wrong."""
    try:
        return Settings()  # pyright: ignore[reportCallIssue]
    except ValidationError as error:
        first = error.errors()[0]
        name = f"PREVIEWDROP_{first['loc'][0]}".upper()
        what = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
        field = Settings.model_fields[str(first["loc"][0])]
        raise BadConfig(f"{name} is wrong: {what}.", field.description) from error
