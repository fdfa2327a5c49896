"""The exact argv, input and environment of every git command."""

from pathlib import Path

from previewdrop.domain.secret import Secret
from previewdrop.source import commands

M = Path("/home/mirrors/shop.git")
A, B = "a" * 40, "b" * 40
GIT = ("git", "--git-dir=/home/mirrors/shop.git")
FETCH = (
    *GIT,
    "fetch",
    "--quiet",
    "--force",
    "--no-tags",
    "--no-recurse-submodules",
    "--no-auto-maintenance",
    "--no-write-commit-graph",
)
URL = "https://git.example/shop"


def test_asking_a_remote_repository():
    assert commands.list_heads(M, URL).argv == (*GIT, "ls-remote", "--quiet", "--heads", "--", URL)
    assert commands.list_head(M, URL).argv == (
        *GIT, "ls-remote", "--quiet", "--symref", "--", URL, "HEAD",
    )  # fmt: skip


def test_fetching_one_commit_or_everything():
    assert commands.fetch(M, URL, "refs/heads/x").argv == (
        *FETCH, "--depth=1", "--", URL, "refs/heads/x",
    )  # fmt: skip
    assert commands.fetch_all(M, URL, shallow=False).argv == (
        *FETCH, "--prune", "--", URL, "+refs/heads/*:refs/fetched/*",
    )  # fmt: skip
    assert commands.fetch_all(M, URL, shallow=True).argv == (
        *FETCH, "--prune", "--unshallow", "--", URL, "+refs/heads/*:refs/fetched/*",
    )  # fmt: skip


def test_packing_from_a_folder_reads_its_objects_only():
    command = commands.pack(M, Path("/src/.git/objects"), A, [B])
    assert command.argv == (
        *GIT, "pack-objects", "--revs", "--quiet", "--window=0", "--compression=1",
        "/home/mirrors/shop.git/objects/pack/pack",
    )  # fmt: skip
    assert command.input.decode().splitlines() == [
        f"--shallow {A}", f"{A}^{{commit}}", "--not", f"{B}^{{tree}}",
    ]  # fmt: skip
    assert command.objects == Path("/src/.git/objects")


def test_reading_the_mirror():
    assert commands.show(M, A).argv == (
        *GIT, "log", "-1", "--no-show-signature", "--no-color",
        "--format=%H%x00%an%x00%aI%x00%s%x00%b", f"{A}^{{commit}}", "--",
    )  # fmt: skip
    assert commands.list_tree(M, A).argv == (
        *GIT, "ls-tree", "-r", "-l", "-z", "--full-tree", f"{A}^{{commit}}",
    )  # fmt: skip
    blobs = commands.read_blobs(M, [A, B])
    assert blobs.argv == (*GIT, "cat-file", "--batch", "--buffer")
    assert blobs.input == f"{A}\n{B}\n".encode()
    assert commands.read_modules(M, A).argv == (
        *GIT, "config", "--no-includes", f"--blob={A}", "--list", "-z",
    )  # fmt: skip
    assert commands.read_setting(M, Path("/src/.git/config"), "remote.origin.url").argv == (
        *GIT, "config", "--no-includes", "--file=/src/.git/config", "--get", "remote.origin.url",
    )  # fmt: skip
    assert commands.changes(M, A, B).argv == (
        *GIT, "diff-tree", "-r", "-z", "--name-only", "--no-renames", A, B, "--",
    )  # fmt: skip


def test_tidying_the_mirror():
    assert commands.repack(M).argv == (*GIT, "repack", "-a", "-d", "-q", "--window=0")
    assert commands.prune(M).argv == (*GIT, "prune", "--expire=now")


def test_the_environment_is_ours_alone():
    inherited = {
        "PATH": "/usr/bin",
        "https_proxy": "http://proxy:3128",
        "HOME": "/home/ali",
        "GIT_DIR": "/elsewhere",
        "GIT_CONFIG_COUNT": "7",
        "GIT_SSH_COMMAND": "evil",
        "LD_PRELOAD": "/evil.so",
        "DATABASE_URL": "postgresql://secret",
    }
    variables = commands.environment(commands.fetch(M, URL, "refs/heads/x"), inherited)
    settings = {
        variables.pop(f"GIT_CONFIG_KEY_{index}"): variables.pop(f"GIT_CONFIG_VALUE_{index}")
        for index in range(int(variables.pop("GIT_CONFIG_COUNT")))
    }
    assert variables == {
        "PATH": "/usr/bin",
        "https_proxy": "http://proxy:3128",
        "HOME": "/nonexistent",
        "XDG_CONFIG_HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "LANGUAGE": "C",
        "GIT_ALLOW_PROTOCOL": "http:https:ssh:git",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_SSH_COMMAND": commands.SSH,
        "GIT_TERMINAL_PROMPT": "0",
    }
    assert settings == dict(commands.SETTINGS)
    assert settings["core.hooksPath"] == "/dev/null"
    assert settings["protocol.ext.allow"] == "never"
    assert settings["credential.helper"] == ""


def test_a_login_travels_in_the_environment_for_its_own_site_only():
    header = commands.authorization(Secret("s3cr3t-token"))
    command = commands.Command(("git", "fetch"), header=("https://git.example/", header))
    variables = commands.environment(command, {})
    last = int(variables["GIT_CONFIG_COUNT"]) - 1
    assert variables[f"GIT_CONFIG_KEY_{last}"] == "http.https://git.example/.extraHeader"
    assert (
        variables[f"GIT_CONFIG_VALUE_{last}"]
        == "Authorization: Basic eC1hY2Nlc3MtdG9rZW46czNjcjN0LXRva2Vu"
    )
    assert commands.authorization(Secret("ali:pw")).reveal() == "Authorization: Basic YWxpOnB3"
    assert "s3cr3t" not in repr(command)
    assert "eC1h" not in repr(command)


def test_a_folder_of_objects_is_quoted_against_the_list_separator():
    command = commands.pack(M, Path('/a:b/"c\\d'), A, [])
    variables = commands.environment(command, {})
    assert variables["GIT_ALTERNATE_OBJECT_DIRECTORIES"] == '"/a:b/\\"c\\\\d"'
