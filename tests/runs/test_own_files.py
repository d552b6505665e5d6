"""Answers are written beside a user's images and over none of them."""

import pytest
from PIL import Image

from vislab.runs import figures
from vislab.runs.own_files import free_stem, is_ours, marked
from vislab.runs.writing import write_bytes


def test_a_stem_is_numbered_until_none_of_its_files_is_taken(tmp_path):
    taken = {(tmp_path / name).resolve() for name in ("a-mask.png", "a-2-over.png", "b.png")}
    assert free_stem(tmp_path, "a", ["-mask.png", "-over.png"], taken) == "a-3"
    assert free_stem(tmp_path, "a", ["-over.png"], taken) == "a"
    assert free_stem(tmp_path, "b", ["-mask.png"], taken) == "b"
    assert free_stem(tmp_path, "b", [".png"], taken) == "b-2"


@pytest.fixture
def drawn(tmp_path):
    """A figure as a report keeps it, an image with our mark, and one of a user's."""
    import numpy as np

    image = np.zeros((1, 4, 4, 3), dtype=np.uint8)
    write_bytes(tmp_path / "figure.png", figures.to_png(figures.image_grid(image)))
    plain = Image.new("RGB", (2, 2))
    plain.save(tmp_path / "mask.png", pnginfo=marked())
    plain.save(tmp_path / "theirs.png")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    Image.new("1", (20_000, 12_000)).save(tmp_path / "huge.png")  # Pillow refuses to open it
    return tmp_path


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("figure", "figure"),
        ("mask", "mask"),
        ("theirs", "theirs-2"),
        ("broken", "broken-2"),
        ("huge", "huge-2"),
    ],
)  # fmt: skip
def test_only_files_written_here_are_written_over(drawn, name, stem):
    assert is_ours(drawn / f"{name}.png") == (name == stem)
    assert free_stem(drawn, name, [".png"], set()) == stem


def test_an_answer_in_json_is_known_by_its_mark_and_so_is_what_it_lists(tmp_path):
    (tmp_path / "a.json").write_text('{"written by": "vislab", "files": ["a.flo"]}')
    for name in ("a.flo", "a.csv", "b.json", "c.flo"):
        (tmp_path / name).write_text("{}")
    ours = {name: is_ours(tmp_path / name) for name in ("a.json", "a.flo", "a.csv", "b.json")}
    assert ours == {"a.json": True, "a.flo": True, "a.csv": False, "b.json": False}
    assert free_stem(tmp_path, "a", [".json", ".flo"], set()) == "a"
    assert free_stem(tmp_path, "a", [".json", ".csv"], set()) == "a-2"
    assert free_stem(tmp_path, "c", [".json", ".flo"], set()) == "c-2"


@pytest.mark.parametrize("text", ["", "[]", '{"written by": "vislab", "files": 3}', "\x00"])
def test_a_damaged_answer_is_not_ours(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    assert not is_ours(tmp_path / "a.json")
