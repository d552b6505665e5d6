"""Answers are written beside a user's pictures and over none of them."""

import pytest
from PIL import Image

from vislab.runs import figures
from vislab.runs.own_pngs import free_stem, is_ours, marked
from vislab.runs.writing import write_bytes


def test_a_stem_is_numbered_until_none_of_its_files_is_taken(tmp_path):
    taken = {(tmp_path / name).resolve() for name in ("a-mask.png", "a-2-over.png", "b.png")}
    assert free_stem(tmp_path, "a", ["-mask", "-over"], taken) == "a-3"
    assert free_stem(tmp_path, "a", ["-over"], taken) == "a"
    assert free_stem(tmp_path, "b", ["-mask"], taken) == "b"
    assert free_stem(tmp_path, "b", [""], taken) == "b-2"


@pytest.fixture
def drawn(tmp_path):
    """A figure as a report keeps it, a picture with our mark, and one of a user's."""
    import numpy as np

    picture = np.zeros((1, 4, 4, 3), dtype=np.uint8)
    write_bytes(tmp_path / "figure.png", figures.to_png(figures.picture_grid(picture)))
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
    assert free_stem(drawn, name, [""], set()) == stem
