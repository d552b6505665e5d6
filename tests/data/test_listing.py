import contextlib
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from vislab.data.listing import Listing, Reader
from vislab.errors import DataError


def listing(sources, rows):
    """A listing of (source, member, split) rows of one class."""
    return Listing(
        name="set",
        classes=("cat",),
        sources=tuple(sources),
        source_of=np.array([source for source, _, _ in rows], dtype=np.uint8),
        members=tuple(member for _, member, _ in rows),
        labels=np.zeros(len(rows), dtype=np.int64),
        splits=np.array([split for _, _, split in rows], dtype=np.uint8),
    )


def test_rows_of_a_split_ascend_and_the_splits_make_up_the_whole(tmp_path):
    splits = [2, 0, 1, 0, 0, 2, 1]
    images = listing([tmp_path], [(0, f"{i}.jpg", split) for i, split in enumerate(splits)])
    assert len(images) == 7
    assert images.rows("train").tolist() == [1, 3, 4]
    assert images.rows("val").tolist() == [2, 6]
    assert images.rows("test").tolist() == [0, 5]


def test_an_image_is_named_with_its_archive_but_without_its_folder(tmp_path):
    archive = tmp_path / "train.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("cat/1.jpg", b"x")
    images = listing([tmp_path, archive], [(0, "dog/2.jpg", 0), (1, "cat/1.jpg", 0)])
    assert [images.where(row) for row in (0, 1)] == ["dog/2.jpg", "train.zip/cat/1.jpg"]
    assert images.path(0) == tmp_path / "dog" / "2.jpg"


def test_a_reader_gives_each_thread_the_right_bytes_from_folder_and_archive(tmp_path):
    archive = tmp_path / "a.zip"
    wanted = {}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for i in range(40):
            wanted[1, f"{i}.jpg"] = bytes([i]) * (5000 + i)
            opened.writestr(f"{i}.jpg", wanted[1, f"{i}.jpg"])
    for i in range(40):
        wanted[0, f"{i}.jpg"] = bytes([100 + i]) * (300 + i)
        (tmp_path / f"{i}.jpg").write_bytes(wanted[0, f"{i}.jpg"])
    reader = Reader([tmp_path, archive])
    with ThreadPoolExecutor(6) as pool:
        for place, content in zip(wanted, pool.map(lambda p: reader.read(*p), wanted), strict=True):
            assert content == wanted[place]


def test_a_file_that_went_away_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jpg cannot be read: No such file"):
        Reader([tmp_path]).read(0, "cat/gone.jpg")


def test_a_member_that_is_not_in_the_archive_is_named(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("here.jpg", b"x")
    with pytest.raises(DataError, match=r"a\.zip/gone\.jpg cannot be read"):
        Reader([archive]).read(0, "gone.jpg")


@pytest.mark.parametrize(
    "packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_damaged_member_is_refused_only_when_it_is_read(tmp_path, packing):
    """Each byte is broken once: zlib.error, LZMAError and EOFError are no BadZipFile."""
    archive = tmp_path / "a.zip"
    body = np.random.default_rng(0).integers(0, 9, 90, dtype=np.uint8).tobytes()
    with zipfile.ZipFile(archive, "w", packing) as opened:
        opened.writestr("whole.jpg", body)
        start = opened.fp.tell()
        opened.writestr("cat/1.jpg", body)
        end = opened.fp.tell()
    sound = archive.read_bytes()
    refused = 0
    for place in range(start + 30 + len("cat/1.jpg"), end):
        archive.write_bytes(sound[:place] + bytes([sound[place] ^ 0x55]) + sound[place + 1 :])
        reader = Reader([archive])
        assert reader.read(0, "whole.jpg") == body
        with contextlib.suppress(DataError):
            assert reader.read(0, "cat/1.jpg") == body  # some bits of a packing mean nothing
            continue
        refused += 1
    assert refused > 0.8 * (end - start - 39)


def test_an_archive_cut_off_inside_a_member_says_so(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("1.jpg", bytes(100))
    content = bytearray(archive.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 20 : at + 28] = (10**6).to_bytes(4, "little") * 2  # both sizes claim a megabyte
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"1\.jpg cannot be read: \w+"):
        Reader([archive]).read(0, "1.jpg")


def test_a_locked_member_is_refused(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("1.jpg", b"x")
    content = bytearray(archive.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match="encrypted"):
        Reader([archive]).read(0, "1.jpg")


def test_a_member_that_claims_over_half_a_gigabyte_is_not_unpacked(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("1.jpg", b"x")
    content = bytearray(archive.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = (600 << 20).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.zip/1\.jpg unpacks to 629 MB"):
        Reader([archive]).read(0, "1.jpg")
