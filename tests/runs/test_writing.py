import errno
import json
import os
import subprocess
from pathlib import Path

import pytest

from vislab.errors import RunError
from vislab.runs.writing import finite, replacing, write_bytes, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_takes_the_old_files_place_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    write_text(path, "größer")
    assert path.read_bytes() == "größer".encode()
    assert names(tmp_path) == ["a.txt"]


def test_a_reader_sees_the_old_file_until_the_block_ends(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with replacing(path) as file:
        file.write(b"new and longer")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new and longer"


def test_an_error_in_the_block_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")

    def stopped():
        with replacing(path) as file:
            file.write(b"half of")
            raise KeyError

    with pytest.raises(KeyError):
        stopped()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_the_bytes_reach_the_disk_before_the_name_changes(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    seen = []
    real = os.fsync

    def fsync(descriptor):
        part = next(tmp_path.glob("*.part"))
        seen.append((part.read_bytes(), path.read_bytes()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_bytes(path, b"new")
    assert seen == [(b"new", b"old")]


def test_a_full_disk_keeps_the_old_file_and_says_what_to_do(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"the disk is full: .*a\.bin .* free some space"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


@pytest.fixture
def tiny_disk(tmp_path):
    """A real disk of 64 KiB, where this process may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "vislab-test", str(place)]
    try:
        mounted = subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("a disk cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full_keeps_the_old_file(tiny_disk):
    path = tiny_disk / "a.bin"
    write_bytes(path, b"old")
    with pytest.raises(RunError, match="the disk is full"):
        write_bytes(path, bytes(200_000))
    assert path.read_bytes() == b"old"
    assert names(tiny_disk) == ["a.bin"]


def test_a_folder_that_is_missing_or_a_file_is_named(tmp_path):
    with pytest.raises(RunError, match=r"gone/a\.bin could not be written: No such file"):
        write_bytes(tmp_path / "gone" / "a.bin", b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunError, match=r"file/a\.bin could not be written: Not a directory"):
        write_bytes(tmp_path / "file" / "a.bin", b"")
    with pytest.raises(RunError, match="File name too long"):
        write_bytes(tmp_path / ("a" * 300), b"")


def test_json_has_no_nan_so_null_stands_for_it(tmp_path):
    content = {"a": [1.5, float("nan"), (float("inf"), True)], "ü": {"b": float("-inf")}, "n": 3}
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"a": [1.5, None, [None, True]], "ü": {"b": None}, "n": 3}
    assert "ü" in text
    assert finite(content)["a"][2] == [None, True]
