"""Fetching whole sets: once, again, after a kill, and with files that somebody put there."""

import hashlib
import io
import tarfile
from functools import partial

import pytest

from vislab.data import catalogue
from vislab.data import get as module
from vislab.data.bar import silent
from vislab.data.catalogue import Card, File
from vislab.errors import DataError, UnknownName

get = partial(module.get, progress=silent)


def sha256(contents):
    return hashlib.sha256(contents).hexdigest()


def packed(members):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for name, contents in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents))
    return held.getvalue()


ARCHIVE = packed({"inner/a.jpg": b"image", "inner/b.jpg": b"another"})
LABELS = b"labels"
SOURCES = {"http://x/set.tgz": ARCHIVE, "http://x/labels.mat": LABELS}


@pytest.fixture
def world(tmp_path, monkeypatch):
    """One set named `some`; what is downloaded is written down in the returned list."""
    monkeypatch.setenv("VISLAB_HOME", str(tmp_path))
    fetched = []

    def download(urls, to, *, sha256=None, md5=None, size=None, progress=None):
        fetched.append((to.name, sha256, md5, size))
        to.write_bytes(SOURCES[urls[0]])
        return hashlib.sha256(SOURCES[urls[0]]).hexdigest()

    monkeypatch.setattr(module, "download", download)
    return fetched


def install(monkeypatch, **changed):
    told = {
        **dict.fromkeys(("title", "what", "task", "size", "expect", "owner", "terms"), ""),
        **dict.fromkeys(("homepage", "paper"), ""),
        **{"name": "some", "classes": 2, "splits": {}, "year": 2000},
        "files": (
            File(
                name="set.tgz",
                urls=("http://x/set.tgz",),
                sha256=sha256(ARCHIVE),
                bytes=len(ARCHIVE),
                unpack=True,
                gives="jpg",
            ),
            File(name="labels.mat", urls=("http://x/labels.mat",)),
        ),
    }
    card = Card(**{**told, **changed})
    monkeypatch.setattr(catalogue, "card", lambda name: card)
    folder = catalogue.folder("some")
    folder.mkdir(parents=True)
    return folder


def test_everything_is_fetched_checked_unpacked_and_marked(world, monkeypatch):
    folder = install(monkeypatch)
    assert get("some") == folder
    assert (folder / "jpg/a.jpg").read_bytes() == b"image"
    assert sorted(path.name for path in folder.iterdir()) == [
        ".complete", "jpg", "labels.mat", "labels.mat.sha256", "set.tgz",
    ]  # fmt: skip
    assert world == [
        ("set.tgz", sha256(ARCHIVE), None, len(ARCHIVE)),
        ("labels.mat", None, None, None),
    ]
    assert catalogue.is_here("some")


def test_a_second_call_does_nothing_even_when_the_archive_was_deleted(world, monkeypatch):
    folder = install(monkeypatch)
    get("some")
    (folder / "set.tgz").unlink()
    get("some")
    assert len(world) == 2


def test_what_is_lost_is_fetched_again(world, monkeypatch):
    folder = install(monkeypatch)
    get("some")
    (folder / "labels.mat").unlink()
    get("some")
    assert [name for name, *_ in world] == ["set.tgz", "labels.mat", "labels.mat"]
    assert world[-1][1] == sha256(LABELS), "what was trusted at first is now required"


def test_files_put_there_by_hand_are_checked_and_used(world, monkeypatch):
    folder = install(monkeypatch)
    (folder / "set.tgz").write_bytes(ARCHIVE)
    (folder / "labels.mat").write_bytes(LABELS)
    get("some")
    assert world == []
    assert (folder / "jpg/b.jpg").exists()
    assert (folder / "labels.mat.sha256").read_text() == f"{sha256(LABELS)}  labels.mat\n"


def test_what_was_unpacked_by_hand_needs_no_archive(world, monkeypatch):
    folder = install(monkeypatch)
    (folder / "jpg").mkdir()
    get("some")
    assert [name for name, *_ in world] == ["labels.mat"]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [(ARCHIVE + b"x", "bytes and should have"), (ARCHIVE[::-1], "has checksum")],
)
def test_a_wrong_file_put_there_by_hand_is_refused_and_left_alone(world, monkeypatch, wrong, why):
    folder = install(monkeypatch)
    (folder / "set.tgz").write_bytes(wrong)
    with pytest.raises(DataError, match=f"{why}.*Move it away"):
        get("some")
    assert (folder / "set.tgz").read_bytes() == wrong
    assert not (folder / ".complete").exists()


def test_a_file_trusted_at_first_may_not_change_later(world, monkeypatch):
    folder = install(monkeypatch)
    get("some")
    (folder / "labels.mat").write_bytes(b"others")
    (folder / ".complete").unlink()
    with pytest.raises(DataError, match=r"labels\.mat has checksum"):
        get("some")


def test_an_md5_is_checked_where_there_is_nothing_better(world, monkeypatch):
    good = hashlib.md5(LABELS).hexdigest()
    for md5 in (good, "0" * 32):
        monkeypatch.setenv("VISLAB_HOME", str(catalogue.home() / md5))
        folder = install(monkeypatch, files=(File(name="labels.mat", md5=md5),))
        (folder / "labels.mat").write_bytes(LABELS)
        if md5 == good:
            get("some")
        else:
            with pytest.raises(DataError, match=f"{good} and should have {md5}"):
                get("some")


def test_killed_while_unpacking_the_next_call_finishes(world, monkeypatch):
    folder = install(monkeypatch)

    def killed(archive, into, *, progress):
        into.mkdir()
        (into / "half").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "unpack", killed)
        with pytest.raises(KeyboardInterrupt):
            get("some")
    assert not catalogue.is_here("some")
    assert not (folder / "jpg").exists()
    get("some")
    assert sorted(path.name for path in (folder / "jpg").iterdir()) == ["a.jpg", "b.jpg"]
    assert not [path for path in folder.iterdir() if path.name.endswith(".whole")]


def test_an_archive_of_two_folders_is_not_guessed_at(world, monkeypatch):
    folder = install(monkeypatch, files=(File(name="set.tgz", unpack=True, gives="jpg"),))
    two = packed({"one/a": b"", "two/b": b""})
    (folder / "set.tgz").write_bytes(two)
    with pytest.raises(DataError, match="should hold one folder and holds 2"):
        get("some")
    assert not (folder / "jpg").exists()


def test_a_manual_set_is_not_downloaded_but_told_of_and_adopted(world, monkeypatch):
    folder = install(monkeypatch, manual="Ask the owner, put it to FOLDER:")
    with pytest.raises(DataError, match=r"Ask the owner, put it to .*some:\n  set\.tgz"):
        get("some")
    (folder / "jpg").mkdir()
    (folder / "labels.mat").write_bytes(LABELS)
    assert get("some") == folder
    assert world == []


def test_an_archive_that_takes_more_than_unpacking_is_left_to_the_user(world, monkeypatch):
    folder = install(
        monkeypatch, manual="Sort them.", files=(File(name="val.tar", gives="val", bytes=3),)
    )
    (folder / "val.tar").write_bytes(b"tar")
    with pytest.raises(DataError, match=r"Sort them\.\n  val\.tar \(3 bytes\) unpacked to .*val"):
        get("some")


def test_offline_sets_need_nothing(world):
    get("digits")
    assert world == []
    assert not catalogue.folder("digits").exists()


def test_an_unknown_set_is_an_unknown_name(world):
    with pytest.raises(UnknownName, match="Did you mean 'mnist'"):
        get("mnsit")
