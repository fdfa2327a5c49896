"""Build contexts: what is sent, in which bytes, and what decides about them."""

import io
import os
import socket
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from previewdrop.domain.errors import StageFailed
from previewdrop.drivers.docker.context import walk
from previewdrop.drivers.docker.context.survey import Context, survey

MIB = 1 << 20
LIMIT = 64 * MIB


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    top = tmp_path / "commit"
    write(
        top, {"Dockerfile": "FROM scratch\n", "app/main.py": "app = 1\n", "run.sh": "#!/bin/sh\n"}
    )
    (top / "run.sh").chmod(0o700)
    return top


def write(top: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def names(context: Context) -> list[str]:
    return [entry.path for entry in context.entries]


def members(context: Context) -> dict[str, tarfile.TarInfo]:
    with opened(context) as tar:
        return {member.name: member for member in tar}


def opened(context: Context) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(b"".join(context.pack())))


def test_a_context_is_a_tar_of_the_folder(repository: Path):
    context = survey(repository, "Dockerfile", LIMIT)
    with opened(context) as tar:
        assert tar.getnames() == ["Dockerfile", "app", "app/main.py", "run.sh"]
        content = tar.extractfile("app/main.py")
        assert content is not None
        assert content.read() == b"app = 1\n"
    assert (context.files, context.bytes) == (3, len("FROM scratch\napp = 1\n#!/bin/sh\n"))
    assert (context.dockerfile, context.notes) == ("Dockerfile", ())


def test_owners_times_and_masks_are_not_sent(repository: Path):
    (repository / "app").chmod(0o700)
    (repository / "app/main.py").chmod(0o640)
    for member in members(survey(repository, "Dockerfile", LIMIT)).values():
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
        assert member.mtime == 0
        assert member.mode == (0o755 if member.isdir() or member.name == "run.sh" else 0o644)


def test_the_same_content_gives_the_same_bytes_wherever_and_whenever(
    repository: Path, tmp_path: Path
):
    other = tmp_path / "other"
    for name in ("run.sh", "app/main.py", "Dockerfile"):
        write(other, {name: (repository / name).read_bytes()})
    (other / "run.sh").chmod(0o755)
    os.utime(other / "run.sh", (1, 1))
    first, second = survey(repository, "Dockerfile", LIMIT), survey(other, "./Dockerfile", LIMIT)
    assert first.digest == second.digest
    assert b"".join(first.pack()) == b"".join(second.pack())


def test_names_modes_kinds_and_contents_decide_the_digest(repository: Path):
    digests = [survey(repository, "Dockerfile", LIMIT).digest]

    def changed() -> bool:
        digests.append(survey(repository, "Dockerfile", LIMIT).digest)
        return digests[-1] not in digests[:-1]

    (repository / "app/main.py").write_text("app = 2\n")
    assert changed()
    (repository / "app/main.py").chmod(0o755)
    assert changed()
    (repository / "app/main.py").rename(repository / "app/name.py")
    assert changed()
    (repository / "empty").mkdir()
    assert changed()
    (repository / "link").symlink_to("app")
    assert changed()
    (repository / "link").unlink()
    (repository / "link").symlink_to("run.sh")
    assert changed()


def test_what_is_left_out_does_not_decide(repository: Path):
    write(repository, {".dockerignore": "*.log\nnode_modules\n", "a.log": "1"})
    write(repository, {"node_modules/x/y.js": "1"})
    context = survey(repository, "Dockerfile", LIMIT)
    assert names(context) == [".dockerignore", "Dockerfile", "app", "app/main.py", "run.sh"]
    write(repository, {"a.log": "2", "b.log": "3", "node_modules/x/y.js": "2"})
    assert survey(repository, "Dockerfile", LIMIT).digest == context.digest


def test_folders_of_what_is_taken_back_in_are_sent(repository: Path):
    write(
        repository, {".dockerignore": "*\n!app/**/keep.py\n", "app/a/b/keep.py": "", "app/c/d": ""}
    )
    context = survey(repository, "Dockerfile", LIMIT)
    assert names(context) == [
        "Dockerfile", "app", "app/a", "app/a/b", "app/a/b/keep.py",
    ]  # fmt: skip


def test_a_folder_that_is_left_out_is_not_read(repository: Path, monkeypatch: pytest.MonkeyPatch):
    write(repository, {".dockerignore": "app\n!docs/*\n"})
    entered: list[str] = []
    before = walk.Place.child

    def child(place: walk.Place, name: str) -> walk.Place:
        entered.append(name)
        return before(place, name)

    monkeypatch.setattr(walk.Place, "child", child)
    survey(repository, "Dockerfile", LIMIT)
    assert sorted(entered) == [".dockerignore", "Dockerfile", "app", "run.sh"]


def test_an_ignore_file_named_after_the_dockerfile_goes_first(repository: Path):
    write(repository, {".dockerignore": "app", "docker/api": "FROM scratch\n"})
    write(repository, {"docker/api.dockerignore": "run.sh"})
    context = survey(repository, "docker/api", LIMIT)
    assert "app/main.py" in names(context)
    assert "run.sh" not in names(context)
    assert "app" not in names(survey(repository, "Dockerfile", LIMIT))


def test_a_bad_pattern_is_named_with_its_file(repository: Path):
    write(repository, {"backend/.dockerignore": "ok\n[\n", "backend/Dockerfile": ""})
    with pytest.raises(StageFailed, match=r"^backend/\.dockerignore, line 2: '\[' cannot be used"):
        survey(repository / "backend", "Dockerfile", LIMIT, top=repository)


def test_links_are_sent_as_links(repository: Path):
    (repository / "passwd").symlink_to("/etc/passwd")
    (repository / "etc").symlink_to("/etc")
    (repository / "loop").symlink_to("loop")
    (repository / "up").symlink_to("../../" + "x" * 200)
    context = survey(repository, "Dockerfile", LIMIT)
    found = members(context)
    assert all(found[name].issym() for name in ("passwd", "etc", "loop", "up"))
    assert found["passwd"].linkname == "/etc/passwd"
    assert found["up"].linkname == "../../" + "x" * 200
    assert not any(name.startswith("etc/") for name in names(context))


def test_long_and_unusual_names_arrive(repository: Path):
    long = "d" * 120 + "/" + "f" * 240
    raw = os.fsdecode(b"caf\xe9")
    write(repository, {long: "1", "übung": "2", raw: "3", "a\nb": "4"})
    found = members(survey(repository, "Dockerfile", LIMIT))
    assert {long, "übung", raw, "a\nb"} < set(found)


def test_what_is_no_file_is_left_out_with_a_note(repository: Path, monkeypatch: pytest.MonkeyPatch):
    os.mkfifo(repository / "app/pipe")
    monkeypatch.chdir(repository)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("app.sock")
        context = survey(repository, "Dockerfile", LIMIT)
    assert context.notes == (
        "app.sock is neither a file, a folder nor a link: left out.",
        "app/pipe is neither a file, a folder nor a link: left out.",
    )
    assert names(context) == ["Dockerfile", "app", "app/main.py", "run.sh"]


def test_many_notes_are_counted(repository: Path):
    for number in range(8):
        os.mkfifo(repository / f"pipe{number}")
    notes = survey(repository, "Dockerfile", LIMIT).notes
    assert len(notes) == 6
    assert notes[-1] == "3 more were left out."


def test_a_context_that_is_too_large_says_what_is_large(repository: Path):
    write(repository, {"backend/.dockerignore": "", "backend/Dockerfile": "FROM scratch\n"})
    write(repository, {f"backend/data/{n}.bin": bytes(MIB) for n in range(3)})
    write(repository, {"backend/media/a/film": bytes(2 * MIB), "backend/dump": bytes(MIB // 2)})
    with pytest.raises(StageFailed) as caught:
        survey(repository / "backend", "Dockerfile", MIB, top=repository)
    assert caught.value.message == (
        "The build context is at least 5.5 MiB large and may be 1.0 MiB at the most. "
        "Largest in it: data 3.0 MiB, media 2.0 MiB, dump 512.0 KiB."
    )
    assert caught.value.hint == "List in backend/.dockerignore what the image does not need."


def test_a_file_with_holes_is_not_read_to_find_that_it_is_too_large(repository: Path):
    with (repository / "sparse").open("wb") as file:
        file.truncate(1 << 42)
    with pytest.raises(StageFailed, match=r"at least 4096\.0 GiB .* Largest in it: sparse 4096"):
        survey(repository, "Dockerfile", LIMIT)


def test_the_limit_itself_is_allowed(repository: Path):
    size = survey(repository, "Dockerfile", LIMIT).bytes
    assert survey(repository, "Dockerfile", size).bytes == size
    with pytest.raises(StageFailed, match="The build context is at least"):
        survey(repository, "Dockerfile", size - 1)
    with pytest.raises(StageFailed, match="The build context is at least"):
        survey(repository, "Dockerfile", size, {"Dockerfile.x": b"1"})


def test_too_many_files_are_refused(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(walk, "MOST_ENTRIES", 3)
    with pytest.raises(StageFailed, match="more than 3 files and folders"):
        survey(repository, "Dockerfile", LIMIT)


def test_a_large_file_comes_in_pieces(repository: Path):
    content = os.urandom(3 * MIB + 77)
    write(repository, {"large": content, "small": "1"})
    context = survey(repository, "Dockerfile", LIMIT)
    pieces = list(context.pack())
    assert max(map(len, pieces)) <= MIB
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        found = tar.extractfile("large")
        assert found is not None
        assert found.read() == content
        assert tar.getnames()[-1] == "small"


def test_many_small_files_come_in_few_pieces(repository: Path):
    write(repository, {f"many/{number}": "1" for number in range(2000)})
    pieces = list(survey(repository, "Dockerfile", LIMIT).pack())
    assert max(map(len, pieces)) <= MIB
    assert len(pieces) < 10


def test_a_generated_dockerfile_is_sent_whatever_patterns_say(repository: Path):
    write(repository, {".dockerignore": "**", ".previewdrop.Dockerfile.dockerignore": "nothing"})
    extra = {".previewdrop.Dockerfile": b"FROM python\n"}
    context = survey(repository, ".previewdrop.Dockerfile", LIMIT, extra)
    assert names(context) == [".previewdrop.Dockerfile"]
    with opened(context) as tar:
        found = tar.extractfile(context.dockerfile)
        assert found is not None
        assert found.read() == b"FROM python\n"
    other = survey(
        repository, ".previewdrop.Dockerfile", LIMIT, {".previewdrop.Dockerfile": b"FROM debian\n"}
    )
    assert other.digest != context.digest


def test_an_extra_file_replaces_whatever_has_its_name(repository: Path):
    write(repository, {"generated/x": "1"})
    (repository / "other").symlink_to("/etc/passwd")
    context = survey(
        repository, "Dockerfile", LIMIT, {"generated": b"a", "other": b"b", "run.sh": b"c"}
    )
    assert names(context) == ["Dockerfile", "app", "app/main.py", "generated", "other", "run.sh"]
    found = members(context)
    assert all(found[name].isfile() and found[name].size == 1 for name in ("generated", "other"))
    assert found["run.sh"].mode == 0o644


@pytest.mark.parametrize("name", ["a/b", "..", ".", ""])
def test_an_extra_file_has_a_plain_name(repository: Path, name: str):
    with pytest.raises(ValueError, match="plain names"):
        survey(repository, "Dockerfile", LIMIT, {name: b""})


def test_a_dockerfile_outside_of_the_context_is_sent_too(repository: Path):
    write(repository, {"docker/api": "FROM scratch\n", "docker/api.dockerignore": "x.py"})
    write(repository, {"app/x.py": "", "app/.dockerignore": "main.py"})
    context = survey(repository / "app", "../docker/api", LIMIT, top=repository)
    assert names(context) == [context.dockerfile, ".dockerignore", "main.py"]
    with opened(context) as tar:
        found = tar.extractfile(context.dockerfile)
        assert found is not None
        assert found.read() == b"FROM scratch\n"


def test_a_dockerfile_that_only_seems_to_be_outside_is_taken_from_the_context(repository: Path):
    write(repository, {"app/Dockerfile": "FROM scratch\n"})
    context = survey(repository / "app", "../app/Dockerfile", LIMIT, top=repository)
    assert (context.dockerfile, names(context)) == ("Dockerfile", ["Dockerfile", "main.py"])


def test_a_linked_dockerfile_is_the_one_it_links_to(repository: Path):
    write(repository, {"docker/api": "FROM scratch\n", "app/.dockerignore": "**"})
    write(repository, {"app/inner": "FROM scratch\n"})
    (repository / "app/Dockerfile").symlink_to("../docker/link")
    (repository / "docker/link").symlink_to("api")
    context = survey(repository / "app", "Dockerfile", LIMIT, top=repository)
    assert context.dockerfile.startswith(".dockerfile.")
    (repository / "docker/link").unlink()
    (repository / "docker/link").symlink_to("../app/inner")
    context = survey(repository / "app", "Dockerfile", LIMIT, top=repository)
    assert context.dockerfile == "inner"
    assert names(context) == ["inner"]


def test_patterns_for_a_repository_without_any_give_way_to_its_own(repository: Path):
    assert "run.sh" not in names(survey(repository, "Dockerfile", LIMIT, ignore="*.sh\n"))
    write(repository, {".dockerignore": "nothing\n"})
    assert "run.sh" in names(survey(repository, "Dockerfile", LIMIT, ignore="*.sh\n"))


@pytest.mark.parametrize(
    "dockerfile",
    ["missing", "app", "app/missing", "run.sh/x", "linked/main.py", "out", "loop", "."],
)
def test_a_dockerfile_that_is_no_file_of_the_commit_is_refused(repository: Path, dockerfile: str):
    (repository / "linked").symlink_to("app")
    (repository / "out").symlink_to("/etc/passwd")
    (repository / "loop").symlink_to("loop")
    with pytest.raises(StageFailed):
        survey(repository, dockerfile, LIMIT)


@pytest.mark.parametrize("dockerfile", ["../secret", "/etc/passwd", "app/../../secret", ".."])
def test_nothing_outside_of_the_commit_is_read(repository: Path, tmp_path: Path, dockerfile: str):
    (tmp_path / "secret").write_text("FROM scratch\n")
    with pytest.raises(StageFailed, match=r"is outside of the repository"):
        survey(repository, dockerfile, LIMIT)
    with pytest.raises(StageFailed):
        survey(repository / "app", "../" + dockerfile.removeprefix("/"), LIMIT, top=repository)


def test_a_linked_context_or_ignore_file_is_refused(repository: Path, tmp_path: Path):
    write(tmp_path / "elsewhere", {"Dockerfile": "", "sub/Dockerfile": "", "ignore": ""})
    (repository / "linked").symlink_to(tmp_path / "elsewhere")
    for folder in ("linked", "linked/sub", "missing", "run.sh"):
        with pytest.raises(StageFailed, match=f"^{folder} is not a folder"):
            survey(repository / folder, "Dockerfile", LIMIT, top=repository)
    with pytest.raises(StageFailed, match="links are not followed"):
        survey(repository, "linked/Dockerfile", LIMIT)
    (repository / ".dockerignore").symlink_to(tmp_path / "elsewhere/ignore")
    with pytest.raises(StageFailed, match=r"^\.dockerignore is a link"):
        survey(repository, "Dockerfile", LIMIT)


def test_an_ignore_file_that_is_too_large_is_refused(repository: Path):
    write(repository, {".dockerignore": "#" * 140_000})
    with pytest.raises(StageFailed, match=r"^\.dockerignore is larger than 128 KiB"):
        survey(repository, "Dockerfile", LIMIT)


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _truncate(path: Path) -> None:
    os.truncate(path, 1)


def _overwrite(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder_to_link(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))
    path.parent.symlink_to("moved")


@pytest.mark.parametrize(
    "change", [Path.unlink, _append, _truncate, _overwrite, _link, _pipe, _folder_to_link]
)
@pytest.mark.parametrize("size", [8, 3 * MIB])
def test_a_file_that_changes_meanwhile_ends_the_tar(
    repository: Path, change: Callable[[Path], None], size: int
):
    write(repository, {"app/main.py": b"x" * size})
    context = survey(repository, "Dockerfile", LIMIT)
    change(repository / "app/main.py")
    with pytest.raises(StageFailed) as caught:
        list(context.pack())
    assert caught.value.message == "app/main.py changed while the build context was read."


def test_a_file_that_changes_while_it_is_packed_ends_the_tar(repository: Path):
    write(repository, {"app/main.py": bytes(4 * MIB)})
    packing = survey(repository, "Dockerfile", LIMIT).pack()
    next(packing)
    _append(repository / "app/main.py")
    with pytest.raises(StageFailed, match="changed while"):
        list(packing)


def test_packing_can_be_broken_off_and_begun_again(repository: Path):
    write(repository, {"app/main.py": bytes(4 * MIB)})
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    context = survey(repository, "Dockerfile", LIMIT)
    for _ in range(3):
        packing = context.pack()
        next(packing)
        del packing
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208
    assert len(members(context)) == 4
