"""Folders that several processes make at once, and what a killed one leaves behind."""

import os
import signal
import time
import zipfile

import pytest
from PIL import Image

from vislab.data.annotations import Annotated
from vislab.data.formats import read_annotated, write_annotated
from vislab.data.making import alone_with, put_in_place, work_folder
from vislab.errors import DataError


def at_once(count, work):
    """Do the work in so many processes that begin at the same moment; return their exit codes."""
    moment = time.time() + 0.2
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            code = 9
            try:
                time.sleep(max(0.0, moment - time.time()))
                code = work(number)
            finally:
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


@pytest.fixture
def voc(tmp_path, monkeypatch):
    """Return a zip of fifty images and their annotations, and see to it that home is empty."""
    monkeypatch.setenv("VISLAB_HOME", str(tmp_path / "home"))
    Image.new("RGB", (20, 20)).save(tmp_path / "grey.jpg")
    pixels = (tmp_path / "grey.jpg").read_bytes()
    box = "<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    size = "<size><width>20</width><height>20</height><depth>3</depth></size>"
    with zipfile.ZipFile(tmp_path / "voc.zip", "w") as made:
        for number in range(50):
            made.writestr(f"JPEGImages/{number}.jpg", pixels)
            text = f"<filename>{number}.jpg</filename><object><name>a</name>{box}</object>"
            made.writestr(f"Annotations/{number}.xml", f"<annotation>{text}{size}</annotation>")
    return tmp_path / "voc.zip"


def test_of_three_processes_that_read_one_zip_at_once_each_reads_all_of_it(voc, monkeypatch):
    for turn in range(10):
        home = voc.parent / f"home {turn}"
        monkeypatch.setenv("VISLAB_HOME", str(home))
        assert at_once(3, lambda _: len(read_annotated(voc).members)) == [50, 50, 50]
        assert len(read_annotated(voc).members) == 50, "what is kept is whole"
        assert len(list((home / "unpacked").iterdir())) == 1, "nothing is left beside it"


def test_killed_while_it_unpacks_nobody_waits_for_it_and_its_half_is_removed(voc, monkeypatch):
    from vislab.data import archives

    def killed(_):
        count = archives.Meter.count

        def die(self, size, name):
            if name == "JPEGImages/30.jpg":
                os.kill(os.getpid(), signal.SIGKILL)
            count(self, size, name)

        monkeypatch.setattr(archives.Meter, "count", die)
        return len(read_annotated(voc).members)

    assert at_once(1, killed) == [-signal.SIGKILL]
    (half,) = (voc.parent / "home/unpacked").glob(".*.unpacking")
    assert len(list(half.rglob("*.jpg"))) == 31
    begun = time.monotonic()
    assert len(read_annotated(voc).members) == 50
    assert time.monotonic() - begun < 2
    assert not list((voc.parent / "home/unpacked").glob(".*"))


def test_a_set_written_twice_at_once_is_written_once_and_whole(voc, tmp_path):
    annotated = read_annotated(voc)

    def write(_):
        try:
            write_annotated(annotated, tmp_path / "coco", "coco")
        except DataError as error:
            return 1 if "is there already; name a folder that is new" in str(error) else 8
        return 0

    assert sorted(at_once(3, write)) == [0, 1, 1]
    assert isinstance(read_annotated(tmp_path / "coco"), Annotated)
    assert len(read_annotated(tmp_path / "coco").members) == 50
    assert not list(tmp_path.glob(".*"))


def test_work_that_a_living_process_is_at_is_no_leftover(tmp_path):
    with work_folder(tmp_path / "made", "half") as first:
        (first / "file").touch()
        with work_folder(tmp_path / "made", "half") as second:
            assert second != first
            assert (first / "file").exists()
            assert put_in_place(second, tmp_path / "made")
        (tmp_path / "made" / "theirs").touch()
        assert not put_in_place(first, tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["theirs"]


@pytest.mark.parametrize("name", ["set", "a[b]*?"])
def test_a_leftover_of_another_name_is_left_alone(tmp_path, name):
    for left in (f".{name}.0a.half", ".another.0a.half", ".ab.0a.half"):
        (tmp_path / left).mkdir()
    with work_folder(tmp_path / name, "half") as work:
        put_in_place(work, tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [name, ".another.0a.half", ".ab.0a.half"]
    )


def test_a_long_wait_is_said(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("VISLAB_HOME", str(tmp_path))
    monkeypatch.setattr("vislab.runs.locks.PATIENCE", 0.1)

    def hold(_):
        with alone_with(tmp_path / "made", "the set"):
            (tmp_path / "held").touch()
            time.sleep(0.6)
        return 0

    child = os.fork()
    if child == 0:
        os._exit(hold(0))
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    with alone_with(tmp_path / "made", "the set"):
        pass
    os.waitpid(child, 0)
    assert "waiting for another process that is at work on the set" in capfd.readouterr().err


def test_a_home_where_nothing_can_be_locked_is_named(tmp_path, monkeypatch):
    (tmp_path / "home").write_text("a file where a folder should be")
    monkeypatch.setenv("VISLAB_HOME", str(tmp_path / "home"))
    refused = pytest.raises(DataError, match=r"home/locks cannot be written to .*VISLAB_HOME")
    with refused, alone_with(tmp_path / "made", "the set"):
        raise AssertionError("made all the same")
