"""Archives that mean harm, archives that are damaged, and a run that is killed half-way."""

import gzip
import io
import os
import stat
import tarfile
import zipfile
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vislab.data import archives
from vislab.data.bar import silent
from vislab.errors import DataError

unpack = partial(archives.unpack, progress=silent)
FILES = {"set/a.txt": b"first", "set/deep/er/b.bin": bytes(range(256)) * 99, "set/empty": b""}


def make_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, contents in members.items():
            archive.writestr(name if isinstance(name, zipfile.ZipInfo) else str(name), contents)
    return path


def make_tar(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, contents in members.items():
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents))
    return path


def tar_entry(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_entry(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


MAKERS = {
    "x.zip": make_zip,
    "x.tar": make_tar,
    "x.tar.gz": partial(make_tar, mode="w:gz"),
    "x.TGZ": partial(make_tar, mode="w:gz"),
    "x.tar.xz": partial(make_tar, mode="w:xz"),
}


def inside(folder):
    return sorted(path.name for path in folder.iterdir())


def everything(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", MAKERS)
def test_what_was_packed_comes_out_and_nothing_is_left_beside_it(tmp_path, name):
    archive = MAKERS[name](tmp_path / name, FILES)
    unpack(archive, tmp_path / "out")
    assert everything(tmp_path / "out") == FILES
    assert inside(tmp_path) == sorted([name, "out"])


def test_a_gz_gives_one_file_without_its_ending(tmp_path):
    (tmp_path / "labels.idx.gz").write_bytes(gzip.compress(b"payload"))
    unpack(tmp_path / "labels.idx.gz", tmp_path / "out")
    assert everything(tmp_path / "out") == {"labels.idx": b"payload"}


def test_folders_that_hold_nothing_come_out_too(tmp_path):
    unpack(make_zip(tmp_path / "x.zip", {"set/none/": b""}), tmp_path / "zip")
    entry = tar_entry("set/none", tarfile.DIRTYPE)
    unpack(make_tar(tmp_path / "x.tar", {entry: b""}), tmp_path / "tar")
    assert (tmp_path / "zip/set/none").is_dir()
    assert (tmp_path / "tar/set/none").is_dir()


OUTSIDE = [
    "../evil",
    "set/../../evil",
    "/evil",
    "C:/evil",
    "C:evil",
    "..\\evil",
    "\\evil",
    "a/../b",
]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", ["x.zip", "x.tar"])
def test_a_path_that_could_lead_outside_is_refused_by_name(tmp_path, kind, name):
    archive = MAKERS[kind](tmp_path / kind, {"good.txt": b"fine", name: b"evil"})
    with pytest.raises(DataError, match="is refused: its member") as caught:
        unpack(archive, tmp_path / "in" / "out")
    assert repr(name) in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]


@pytest.mark.parametrize(
    "entry",
    [
        tar_entry("evil", tarfile.SYMTYPE, "/etc"),
        tar_entry("evil", tarfile.SYMTYPE, "../.."),
        tar_entry("evil", tarfile.LNKTYPE, "/etc/passwd"),
        tar_entry("evil", tarfile.LNKTYPE, "good.txt"),
        tar_entry("evil", tarfile.CHRTYPE),
        tar_entry("evil", tarfile.BLKTYPE),
        tar_entry("evil", tarfile.FIFOTYPE),
    ],
    ids=["symlink", "symlink up", "hardlink", "inner hardlink", "character", "block", "fifo"],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, entry):
    archive = make_tar(tmp_path / "x.tar", {"good.txt": b"fine", entry: b""})
    with pytest.raises(DataError, match=r"'evil' is a link or a device"):
        unpack(archive, tmp_path / "out")
    assert inside(tmp_path) == ["x.tar"]


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, mode):
    archive = make_zip(tmp_path / "x.zip", {zip_entry("evil", mode): b"/etc"})
    with pytest.raises(DataError, match=r"'evil' is a link or a device"):
        unpack(archive, tmp_path / "out")


def test_a_file_written_through_a_link_planted_before_it_goes_nowhere(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    planted = {tar_entry("door", tarfile.SYMTYPE, str(victim)): b"", "door/evil": b"evil"}
    with pytest.raises(DataError, match="'door'"):
        unpack(make_tar(tmp_path / "x.tar", planted), tmp_path / "out")
    assert inside(victim) == []


def test_permissions_are_not_taken_over(tmp_path):
    info = tarfile.TarInfo("tool")
    info.mode = 0o6777
    unpack(make_tar(tmp_path / "x.tar", {info: b"#!"}), tmp_path / "out")
    assert (tmp_path / "out/tool").stat().st_mode & 0o6111 == 0


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_more_than_the_limit_is_refused_and_removed(tmp_path, name):
    archive = MAKERS[name](tmp_path / name, {"a": b"x" * 600, "b": b"x" * 600})
    with pytest.raises(DataError, match=r"'b' makes it unpack to over 1\.0 kB, the limit"):
        unpack(archive, tmp_path / "out", largest=1000)
    assert inside(tmp_path) == [name]
    unpack(archive, tmp_path / "out", largest=1200)


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_a_bomb_is_known_by_its_ratio(tmp_path, name, monkeypatch):
    monkeypatch.setattr(archives, "HARMLESS", 100_000)
    archive = MAKERS[name](tmp_path / name, {"zeros": bytes(5_000_000)})
    with pytest.raises(DataError, match=r"'zeros' makes it unpack to over .*: a bomb"):
        unpack(archive, tmp_path / "out")
    assert inside(tmp_path) == [name]
    unpack(archive, tmp_path / "out", ratio=2000)


def test_a_size_that_lies_is_not_believed(tmp_path):
    archive = make_zip(tmp_path / "x.zip", {"zeros": bytes(50_000)})
    held = archive.read_bytes()
    real, claimed = (50_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    assert held.count(real) >= 2  # in the local header and in the directory
    archive.write_bytes(held.replace(real, claimed))
    with pytest.raises(DataError):
        unpack(archive, tmp_path / "out", largest=20_000)
    assert inside(tmp_path) == ["x.zip"]


def test_a_disk_without_room_is_said_in_words(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "x.zip", FILES)
    usage = archives.shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match=r"x\.zip does not fit.*make room"):
        unpack(archive, tmp_path / "out")
    assert inside(tmp_path) == ["x.zip"]


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9])
def test_an_archive_cut_short_leaves_nothing(tmp_path, name, keep):
    noise = {"set/noise": os.urandom(100_000)}
    archive = MAKERS[name](tmp_path / name, noise)
    held = archive.read_bytes()
    archive.write_bytes(held[: int(keep * len(held))])
    with pytest.raises(DataError, match="damaged or not what its name says"):
        unpack(archive, tmp_path / "out")
    assert inside(tmp_path) == [name]


def test_a_flipped_bit_in_a_zip_is_noticed(tmp_path):
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as made:
        made.writestr("a", b"ordinary contents")
    archive.write_bytes(archive.read_bytes().replace(b"ordinary", b"Ordinary"))
    with pytest.raises(DataError, match="damaged"):
        unpack(archive, tmp_path / "out")


def test_an_unknown_kind_lists_the_known_ones(tmp_path):
    (tmp_path / "x.rar").touch()
    with pytest.raises(DataError, match=r"x\.rar is no archive known here; zip, gz and \.tar"):
        unpack(tmp_path / "x.rar", tmp_path / "out")


def test_what_is_there_already_is_not_touched(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("precious")
    with pytest.raises(DataError, match="is there already"):
        unpack(make_zip(tmp_path / "x.zip", FILES), tmp_path / "out")
    assert everything(tmp_path / "out") == {"mine": b"precious"}


def test_killed_half_way_it_leaves_no_target_and_the_next_run_succeeds(tmp_path):
    archive = make_zip(tmp_path / "x.zip", FILES)
    child = os.fork()
    if child == 0:  # stops dead after the first member, as on a power cut: no cleaning up
        archives.Meter.count = lambda self, size, name: os._exit(7) if "b.bin" in name else None
        try:
            unpack(archive, tmp_path / "out")
        finally:
            os._exit(8)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert not (tmp_path / "out").exists()
    (half,) = tmp_path.glob(".out.*.unpacking")
    assert (half / "set/a.txt").exists()
    unpack(archive, tmp_path / "out")
    assert everything(tmp_path / "out") == FILES
    assert inside(tmp_path) == ["out", "x.zip"]


def test_progress_ends_at_the_size_of_the_archive(tmp_path):
    seen = []
    archive = make_zip(tmp_path / "x.zip", FILES)

    class Watch:
        def __init__(self, what, total):
            seen.append((what, total))

        def __enter__(self):
            return seen.append

        def __exit__(self, *told):
            pass

    archives.unpack(archive, tmp_path / "out", progress=Watch)
    assert seen[0] == ("unpacking x.zip", archive.stat().st_size)
    assert seen[1:] == sorted(seen[1:])
    assert 0 < seen[-1] <= archive.stat().st_size


PIECES = st.sampled_from(
    ["..", ".", "", "a", "b", "C:", "~", " ", "con", "\\", "..\\", "ä", "x" * 99]
)
NAMES = st.one_of(st.lists(PIECES, max_size=6).map("/".join), st.text(max_size=12))


@settings(max_examples=150, deadline=None)
@given(names=st.lists(NAMES, min_size=1, max_size=4), kind=st.sampled_from(["x.zip", "x.tar"]))
def test_whatever_the_names_nothing_lands_outside(tmp_path_factory, names, kind):
    root = tmp_path_factory.mktemp("any")
    try:
        archive = MAKERS[kind](root / kind, dict.fromkeys(names, b"contents"))
    except (ValueError, IndexError):
        return  # no archive can hold such a name
    into = root / "deep" / "er" / "out"
    try:
        unpack(archive, into)
    except DataError:
        assert not into.exists()
    found = [path for path in root.rglob("*") if path.is_file() and path != archive]
    assert all(path.is_relative_to(into) for path in found)
