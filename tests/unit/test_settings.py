"""Settings of the control plane: defaults, what is refused, and their page.

Run this file to write docs/settings.md anew.
"""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from previewdrop.config.settings import Settings, load_settings, size_in_bytes
from previewdrop.domain.errors import BadConfig
from previewdrop.domain.spec import MIB, Limits, Timeouts

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

INTRODUCTION = """\
# Settings of the server

`previewdrop serve` reads its settings from the environment. None of them is needed.
An empty variable counts as unset.

Sizes are written as `512MiB`, `1.5GB` or in bytes. Domains may hold `{project}`.

| variable | default | meaning |
|---|---|---|
"""


def page() -> str:
    rows: list[str] = []
    for name, field in Settings.model_fields.items():
        if name == "home":
            default = "`previewdrop` in `$XDG_DATA_HOME` or `~/.local/share`"
        elif name == "docker_host":
            default = "`$DOCKER_HOST`, else `unix:///var/run/docker.sock`"
        elif field.default is None:
            default = "unset"
        elif name in ("memory", "build_memory") or name.endswith("_bytes"):
            default = f"`{field.default // MIB}MiB`"
        else:
            default = f"`{field.default}`"
        rows.append(f"| `PREVIEWDROP_{name.upper()}` | {default} | {field.description} |\n")
    return INTRODUCTION + "".join(rows)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch):
    for name in list(os.environ):
        if name.startswith("PREVIEWDROP_") or name == "DOCKER_HOST":
            monkeypatch.delenv(name)


def loaded(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(f"PREVIEWDROP_{name.upper()}", value)
    return load_settings()


def refusal(monkeypatch: pytest.MonkeyPatch, **values: str) -> BadConfig:
    with pytest.raises(BadConfig) as raised:
        loaded(monkeypatch, **values)
    return raised.value


def test_every_setting_is_described_on_its_page():
    assert all(field.description for field in Settings.model_fields.values())
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tests/unit/test_settings.py"


def test_the_defaults_are_those_of_the_contract(monkeypatch: pytest.MonkeyPatch):
    settings = loaded(monkeypatch)
    assert (settings.host, settings.port) == ("127.0.0.1", 7780)
    assert (settings.edge_port, settings.edge_http_port) == (7443, 7080)
    assert settings.domain == "{project}.localhost"
    assert settings.max_previews == 2
    assert settings.expire_days == 14
    assert settings.runtime == "auto"


def test_the_defaults_of_limits_and_times_agree_with_the_domain(monkeypatch: pytest.MonkeyPatch):
    settings = loaded(monkeypatch)
    assert settings.timeouts == Timeouts()
    ceilings, plain = settings.ceilings, Limits()
    assert ceilings.memory >= plain.memory
    assert ceilings.cpus >= plain.cpus


class TestHome:
    def test_is_absolute_however_it_is_written(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path / "me"))
        assert loaded(monkeypatch, home="data").home == tmp_path / "data"
        assert loaded(monkeypatch, home="~/data").home == tmp_path / "me" / "data"

    def test_is_in_the_users_data_folder_by_default(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        assert loaded(monkeypatch).home == tmp_path / ".local/share/previewdrop"
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
        assert loaded(monkeypatch).home == tmp_path / "xdg/previewdrop"
        assert loaded(monkeypatch, home="").home == tmp_path / "xdg/previewdrop"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch):
    settings = loaded(monkeypatch, postgres_url="", port="", sandbox="")
    assert settings.postgres_url is None
    assert settings.port == 7780


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MiB", 512 * MIB), ("1 GiB", 1024 * MIB), ("1.5GB", 1_500_000_000), ("512m", 512 * MIB),
        ("2K", 2048), ("1kb", 1000), ("1024", 1024), (" 7 B ", 7), (5, 5),
    ],
)  # fmt: skip
def test_sizes(text: str | int, size: int):
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1TiB", "1 2", "ten", "1e3", "nan"])
def test_other_texts_are_no_sizes(text: str):
    with pytest.raises(ValueError, match="is not a size"):
        size_in_bytes(text)


@given(st.integers(min_value=0, max_value=2**40))
def test_a_size_in_bytes_is_exact(number: int):
    assert size_in_bytes(str(number)) == size_in_bytes(f"{number}B") == number


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("port", "http", "should be a valid integer"),
        ("port", "70000", "less than or equal to 65535"),
        ("postgres_port", "70000", "less than or equal to 65535"),
        ("redis_port", "-1", "greater than or equal to 0"),
        ("memory", "lots", "'lots' is not a size"),
        ("memory", "0", "greater than 0"),
        ("cpus", "nan", "finite number"),
        ("cpus", "inf", "finite number"),
        ("grace", "inf", "finite number"),
        ("sandbox", "maybe", "'auto', 'require' or 'off'"),
        ("runtime", "vm", "'auto', 'process' or 'docker'"),
        ("build_cpus", "0", "greater than 0"),
        ("build_memory", "2 gigs", "is not a size"),
        ("docker_subnets", "10.213.0.0", "room for 64 networks"),
        ("docker_subnets", "10.213.0.0/21", "room for 64 networks"),
        ("docker_subnets", "10.213.0.1/16", "should be a network such as"),
        ("docker_subnets", "fd00::/48", "should be a network such as"),
        ("docker_subnets", "8.0.0.0/8", "should be a network in"),
        ("docker_subnets", "127.0.0.0/8", "should be a network in"),
        ("docker_subnets", "172.0.0.0/8", "should be a network in"),
        ("concurrency", "0", "greater than or equal to 1"),
        ("domain", "{projekt}.localhost", "should be a domain"),
        ("domain", "a b", "should be a domain"),
        ("domain", "-a.example", "should be a domain"),
        ("domain", "a..example", "should be a domain"),
        ("domain", "x" * 200, "should be a domain"),
    ],
)
def test_a_wrong_value_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
):
    error = refusal(monkeypatch, **{name: value})
    assert error.message.startswith(f"PREVIEWDROP_{name.upper()} is wrong: ")
    assert sentence in error.message
    assert error.hint == Settings.model_fields[name].description


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("preview.example.com", "preview.example.com"),
        ("Preview.Example.com.", "preview.example.com"),
        ("{project}.preview.example.com", "{project}.preview.example.com"),
        ("p-{project}.example.com", "p-{project}.example.com"),
        ("localhost", "localhost"),
    ],
)
def test_domains(monkeypatch: pytest.MonkeyPatch, text: str, domain: str):
    assert loaded(monkeypatch, domain=text).domain == domain


@pytest.mark.parametrize("pool", ["10.0.0.0/8", "172.20.0.0/16", " 192.168.16.0/20 "])
def test_pools_of_networks(monkeypatch: pytest.MonkeyPatch, pool: str):
    assert loaded(monkeypatch, docker_subnets=pool).docker_subnets == pool.strip()


class TestDockerHost:
    def test_is_the_usual_socket(self, monkeypatch: pytest.MonkeyPatch):
        assert loaded(monkeypatch).docker_host == "unix:///var/run/docker.sock"

    def test_is_that_of_other_programs(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("DOCKER_HOST", "unix:///run/user/1000/docker.sock")
        assert loaded(monkeypatch).docker_host == "unix:///run/user/1000/docker.sock"
        assert loaded(monkeypatch, docker_host="").docker_host.endswith("1000/docker.sock")

    def test_ours_wins(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2375")
        assert loaded(monkeypatch, docker_host="unix:///ours.sock").docker_host == (
            "unix:///ours.sock"
        )

    def test_empty_counts_as_unset(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("DOCKER_HOST", "")
        assert loaded(monkeypatch, docker_host="").docker_host == "unix:///var/run/docker.sock"


def test_passwords_in_urls_are_not_shown(monkeypatch: pytest.MonkeyPatch):
    settings = loaded(monkeypatch, postgres_url="postgresql://admin:hunter2@db/x")
    assert isinstance(settings.postgres_url, SecretStr)
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())


def test_settings_do_not_change(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match="frozen"):
        loaded(monkeypatch).port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://Previews.example.com/", "https://previews.example.com"),
        ("http://10.0.0.7:7780", "http://10.0.0.7:7780"),
        ("https://example.com/previewdrop/", "https://example.com/previewdrop"),
    ],
)
def test_the_public_address(monkeypatch: pytest.MonkeyPatch, text: str, address: str):
    assert loaded(monkeypatch, public_url=text).public_url == address


@pytest.mark.parametrize(
    "text",
    ["previews.example.com", "https://", "https://me:pw@x.com", "https://x.com/?a", "ftp://x"],
)
def test_what_is_no_public_address(monkeypatch: pytest.MonkeyPatch, text: str):
    with pytest.raises(BadConfig, match="PREVIEWDROP_PUBLIC_URL is wrong: should be an address"):
        loaded(monkeypatch, public_url=text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
