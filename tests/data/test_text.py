"""Text in the encodings that people's programs write, and in those that are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vislab.data.text import text_of
from vislab.errors import DataError

TEXT = "path,label\nкот/1.jpg,кот\nKäfer 猫,b\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_every_way_of_unicode_is_read(encoding):
    assert text_of(TEXT.encode(encoding), "a file") == TEXT


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_alike_whatever_ended_them(end):
    assert text_of(TEXT.replace("\n", end).encode(), "a file") == TEXT


@pytest.mark.parametrize(
    ("encoding", "line"), [("cp1251", 2), ("cp866", 2), ("latin-1", 3), ("gb18030", 2)]
)
def test_other_encodings_are_refused_with_the_line(encoding, line):
    content = TEXT.encode(encoding, errors="replace").replace(b"?", b"")
    with pytest.raises(DataError, match=rf"^labels\.csv, line {line}: byte 0x.* is no UTF-8; save"):
        text_of(content, "labels.csv")


def test_a_mark_without_its_encoding_behind_it_is_refused():
    with pytest.raises(DataError, match=r"line 1: byte .* is no UTF-16"):
        text_of(b"\xff\xfea\x00b", "a file")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\ufeff\0")))
def test_what_is_written_in_utf_8_comes_back(text):
    assert text_of(text.encode(), "a file") == text
