"""Names in zips as other programs write them, and archives that are no honest ones."""

import io
import struct
import zipfile

import pytest

from vislab.data.tree import Tree
from vislab.data.zips import named_members, require_honest
from vislab.errors import DataError


def packed(path, names, *, flag=True, content=b"x"):
    """Write a zip whose names are these bytes, with or without the mark of UTF-8."""
    stand_in = [f"{number:0{len(name)}d}" for number, name in enumerate(names)]
    with zipfile.ZipFile(path, "w") as opened:
        for name in stand_in:
            opened.writestr(name, content)
    raw = bytearray(path.read_bytes())
    for name, meant in zip(stand_in, names, strict=True):
        start = 0
        while (start := raw.find(name.encode(), start)) >= 0:
            raw[start : start + len(meant)] = meant
            start += len(meant)
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = 0
        while (start := raw.find(mark, start)) >= 0:
            raw[start + at : start + at + 2] = struct.pack("<H", 0x800 if flag else 0)
            start += 4
    path.write_bytes(raw)
    return path


def names_in(path):
    with zipfile.ZipFile(path) as opened:
        return list(named_members(opened, path))


def test_backslashes_are_folders(tmp_path):
    path = packed(tmp_path / "a.zip", [rb"pets\cat\1.jpg", rb"pets\dog\2.jpg"])
    assert names_in(path) == ["pets/cat/1.jpg", "pets/dog/2.jpg"]
    assert Tree(path).read("pets/cat/1.jpg") == b"x"


@pytest.mark.parametrize(
    ("encoding", "word"), [("utf-8", "Käfer 猫"), ("cp437", "Käfer"), ("cp866", "кот")]
)
def test_names_without_the_mark_of_utf_8_are_read_as_they_were_meant(tmp_path, encoding, word):
    path = packed(tmp_path / "a.zip", [f"{word}/1.jpg".encode(encoding)], flag=False)
    assert names_in(path) == [f"{word}/1.jpg"]


def test_cyrillic_that_another_program_took_for_signs_is_repaired(tmp_path):
    wrong = "кот/1.jpg".encode("cp866").decode("cp437")
    assert wrong != "кот/1.jpg"
    path = packed(tmp_path / "a.zip", [wrong.encode()])
    assert names_in(path) == ["кот/1.jpg"]


def test_an_alphabet_that_cannot_be_told_is_refused(tmp_path):
    path = packed(tmp_path / "a.zip", ["狗狗/1.jpg".encode("gbk")], flag=False)
    with pytest.raises(DataError, match="does not say in which alphabet its names are written"):
        names_in(path)


def test_members_that_overlap_are_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("a.jpg", bytes(1000))
        opened.writestr("b.jpg", bytes(1000))
    with zipfile.ZipFile(path) as opened:
        opened.infolist()[1].header_offset = 10
        with pytest.raises(DataError, match=r"its members 'a\.jpg' and 'b\.jpg' overlap"):
            named_members(opened, path)


def test_a_member_is_judged_by_what_it_claims_before_it_is_read(tmp_path):
    held = io.BytesIO()
    with (
        zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as opened,
        opened.open("labels/0.txt", "w") as member,
    ):
        for _ in range(120):
            member.write(bytes(1 << 20))
    path = tmp_path / "a.zip"
    path.write_bytes(held.getvalue())
    with pytest.raises(DataError, match=r"labels/0\.txt unpacks to 126 MB, over the 67 MB"):
        Tree(path).text("labels/0.txt")
    (info,) = zipfile.ZipFile(path).infolist()
    with pytest.raises(DataError, match="times its size: a bomb"):
        require_honest(info, "labels/0.txt", 1 << 30)
