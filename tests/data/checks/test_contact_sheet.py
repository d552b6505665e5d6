import numpy as np
import pytest
from PIL import Image, ImageChops

from vislab.data.arrays import Arrays
from vislab.data.checks.contact_sheet import contact_sheet
from vislab.data.folders import list_folder

COLOURS = ((200, 30, 30), (30, 160, 40), (40, 60, 210))


def boxes(sheet, colour, side):
    """Count squares of one colour by how many pixels have it."""
    pixels = np.asarray(sheet).astype(int)
    return (np.abs(pixels - colour).max(axis=-1) < 4).sum() / side**2


def fill(root, names, count, size=(60, 40)):
    for name, colour in zip(names, COLOURS, strict=False):
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", size, colour).save(root / name / f"{i:02}.png")


def test_a_row_for_each_class_in_order_and_the_images_asked_for(tmp_path):
    fill(tmp_path, ["a", "b", "c"], 5)
    sheet = contact_sheet(list_folder(tmp_path), per_class=3, side=32)
    assert [boxes(sheet, colour, 32) for colour in COLOURS] == [3, 3, 3]
    middles = []
    for colour in COLOURS:
        rows = np.flatnonzero((np.asarray(sheet) == colour).all(axis=-1).any(axis=1))
        middles.append(rows.mean())
    assert middles == sorted(middles)


def test_a_class_with_fewer_images_leaves_the_rest_of_its_row_empty(tmp_path):
    fill(tmp_path, ["a", "b"], 2)
    (tmp_path / "b" / "01.png").unlink()
    sheet = contact_sheet(list_folder(tmp_path), per_class=4, side=30)
    assert [boxes(sheet, colour, 30) for colour in COLOURS[:2]] == [2, 1]


def test_images_are_spaced_evenly_from_the_first_to_the_last():
    pixels = np.zeros((9, 6, 6, 3), dtype=np.uint8)
    pixels[...] = np.arange(9).reshape(-1, 1, 1, 1) * 20 + 10
    arrays = Arrays(
        "ramp", ("x",), pixels, np.zeros(9, dtype=np.int64), np.zeros(9, dtype=np.uint8)
    )
    sheet = contact_sheet(arrays, per_class=3, side=20)
    shades = [shade for shade in range(10, 190, 20) if boxes(sheet, (shade,) * 3, 20) >= 1]
    assert shades == [10, 90, 170]


def test_of_many_classes_some_are_drawn_from_the_first_to_the_last():
    n = 30
    pixels = np.zeros((n, 6, 6, 3), dtype=np.uint8)
    pixels[..., 0] = np.arange(n).reshape(-1, 1, 1) * 8
    pixels[..., 2] = 200
    labels, splits = np.arange(n), np.zeros(n, dtype=np.uint8)
    arrays = Arrays("many", tuple(f"c{i}" for i in range(n)), pixels, labels, splits)
    sheet = contact_sheet(arrays, side=24, classes=4)
    drawn = [i for i in range(n) if boxes(sheet, (i * 8, 0, 200), 24) >= 1]
    assert drawn == [0, 10, 19, 29]


def test_a_damaged_image_is_a_crossed_box(tmp_path):
    fill(tmp_path, ["a", "b"], 2)
    whole = contact_sheet(list_folder(tmp_path), per_class=2, side=40)
    (tmp_path / "b" / "01.png").write_bytes(b"no image")
    sheet = contact_sheet(list_folder(tmp_path), per_class=2, side=40)
    assert sheet.size == whole.size
    left, top, right, bottom = ImageChops.difference(sheet, whole).getbbox()
    assert (right - left, bottom - top) == (40, 40)
    box = np.asarray(sheet.crop((left, top, right, bottom)).convert("L"))
    assert (np.diagonal(box) < 200).all()
    assert (np.diagonal(box[::-1]) < 200).all()
    assert box[20, 5] == box[5, 20] == 255


@pytest.mark.parametrize(
    "name", ["кошка", "犬", "قطة", "बिल्ली", "🐈", "a\nb", "\udcff\udcfe", "x" * 400, "\u200b", "  "]
)
def test_a_name_in_any_script_is_drawn_and_never_runs_into_the_images(name):
    pixels = np.full((2, 8, 8, 3), (10, 200, 90), dtype=np.uint8)
    labels, splits = np.array([0, 1]), np.zeros(2, dtype=np.uint8)
    sheet = contact_sheet(Arrays(name, (name, "plain"), pixels, labels, splits), side=40)
    assert boxes(sheet, (10, 200, 90), 40) == 2
    assert sheet.width < 900


def test_a_name_that_the_font_lacks_is_replaced_by_the_number_of_the_class():
    pixels = np.full((3, 8, 8, 3), 128, dtype=np.uint8)
    labels, splits = np.array([0, 1, 2]), np.zeros(3, dtype=np.uint8)

    def drawn(second):
        return contact_sheet(Arrays("set", ("a", second, "c"), pixels, labels, splits))

    assert drawn("犬").tobytes() == drawn("class 1").tobytes() == drawn("猫").tobytes()
    assert drawn("chien").tobytes() != drawn("class 1").tobytes()
    assert drawn("a\nb").tobytes() == drawn("a b").tobytes()  # never on two lines


def test_the_middle_square_is_shown(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        striped = Image.new("RGB", (120, 40), COLOURS[0])
        striped.paste(COLOURS[2], (40, 0, 80, 40))
        striped.save(tmp_path / name / "1.png")
    sheet = contact_sheet(list_folder(tmp_path), side=40)
    assert boxes(sheet, COLOURS[2], 40) == 2
    assert boxes(sheet, COLOURS[0], 40) == 0
