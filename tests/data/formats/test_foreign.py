"""Forms that are not read are refused by their name, and nothing else is taken for one."""

import json

import pytest

from tests.data.formats.sets import image
from vislab.data.formats import read_annotated, recognise
from vislab.errors import DataError

FORMS = {
    "labelme": ("1.json", {"shapes": [], "imagePath": "1.png"}),
    "Create ML": ("a.json", [{"image": "1.png", "annotations": [{"coordinates": {"x": 1}}]}]),
    "the VGG Image Annotator": ("v.json", {"_via_img_metadata": {}}),
    "Label Studio": ("l.json", [{"annotations": [{"result": [{"original_width": 40}]}]}]),
    "Supervisely": ("ann/1.png.json", {"objects": [{"classTitle": "a"}]}),
    "captions": ("c.json", {"images": [], "annotations": [{"caption": "a"}]}),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_json_of_another_form_is_named(tmp_path, form, encoding):
    file, told = FORMS[form]
    image(tmp_path / "images" / "1.png")
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(json.dumps(told).encode(encoding))
    assert recognise(tmp_path) == "another"
    with pytest.raises(DataError, match=f"holds annotations of {form}.*{file}"):
        read_annotated(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        "filename,width,height,class,xmin,ymin,xmax,ymax",
        "image_id;bbox;source",
        "Image\tX1\tY1\tX2\tY2\tlabel",
        "filename,file_size,region_count,region_shape_attributes",
    ],
)
def test_boxes_in_a_table_are_named(tmp_path, header):
    image(tmp_path / "train" / "1.png")
    image(tmp_path / "test" / "2.png")
    (tmp_path / "labels.csv").write_text(f"{header}\n1.png\n")
    with pytest.raises(DataError, match=r"holds boxes in a table \(labels\.csv\)"):
        read_annotated(tmp_path)


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("KITTI", "Car 0.00 0 1.85 387.6 181.5 423.8 203.1 1.67 1.87 3.69 -16.5 2.39 58.5 1.57"),
        ("DOTA", "2753 2408 2861 2385 2888 2468 2805 2502 plane 0"),
    ],
)
def test_texts_of_another_form_are_named(tmp_path, form, line):
    image(tmp_path / "images" / "1.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "1.txt").write_text(line + "\n")
    with pytest.raises(DataError, match=f"holds labels of {form}"):
        read_annotated(tmp_path)


def test_class_folders_stay_class_folders_whatever_lies_beside_the_images(tmp_path):
    for kind in ("cat", "dog"):
        image(tmp_path / kind / "1.png")
        (tmp_path / kind / "1.json").write_text('{"shapes": [], "imagePath": "1.png"}')
    assert recognise(tmp_path) is None


def test_tables_without_boxes_and_other_jsons_are_none(tmp_path):
    image(tmp_path / "images" / "1.png")
    (tmp_path / "labels.csv").write_text("path,label\n1.png,a\n")
    (tmp_path / "settings.json").write_text('{"shapes": 3}')
    assert recognise(tmp_path) is None
    with pytest.raises(DataError, match="no annotations that are recognised"):
        read_annotated(tmp_path)
