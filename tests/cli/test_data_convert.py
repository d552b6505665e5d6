"""`vislab data check` and `convert` on annotated images, as a user types them."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.sets import image, voc, voc_object, yolo
from vislab.cli.main import main
from vislab.data.formats import read_annotated, recognise


@pytest.fixture
def cats(tmp_path):
    for stem in "abcde":
        voc(tmp_path / "cats", stem, voc_object(box=(3, 4, 20, 25)))
    return tmp_path / "cats"


@pytest.mark.parametrize("form", ["coco", "voc", "yolo", "masks"])
def test_convert_writes_another_form_and_says_what_it_did(cats, tmp_path, capsys, form):
    into = tmp_path / "new" / form
    assert main(["data", "convert", str(cats), str(into), "--to", form]) == 0
    said = capsys.readouterr().out
    assert f"5 images (4 train, 1 test), voc to {form}: {into}" in said
    assert "note: no split came with the set; one was drawn" in said
    assert recognise(into) == form
    back = read_annotated(into)
    assert back.official
    if form != "masks":
        np.testing.assert_allclose(back.instances.boxes, [[2, 3, 20, 25]] * 5)
    assert main(["data", "check", str(into), "--sheet", str(tmp_path / "s.png")]) == 0


def test_convert_refuses_flaws_unless_told_to_leave_their_images_out(cats, tmp_path, capsys):
    voc(cats, "a", voc_object(box=(90, 90, 99, 99)))
    into = tmp_path / "new"
    assert main(["data", "convert", str(cats), str(into), "--to", "yolo"]) == 1
    complaint = capsys.readouterr().err
    assert "Annotations/a.xml, object 1: its box lies outside the image" in complaint
    assert "--skip-bad" in complaint
    assert not into.exists()
    assert main(["data", "convert", str(cats), str(into), "--to", "yolo", "--skip-bad"]) == 0
    assert "left out: 1 of " in capsys.readouterr().out
    assert len(read_annotated(into)) == 4


def test_convert_writes_into_nothing_that_is_there(cats, capsys):
    assert main(["data", "convert", str(cats), str(cats), "--to", "coco"]) == 1
    assert "is there already" in capsys.readouterr().err


def test_convert_of_a_heap_of_images_says_what_would_be_understood(tmp_path, capsys):
    image(tmp_path / "cat" / "1.png")
    assert main(["data", "convert", str(tmp_path), str(tmp_path / "new"), "--to", "coco"]) == 1
    assert "holds no annotations that are recognised" in capsys.readouterr().err


def test_check_recognises_annotations_and_draws_them(cats, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    assert main(["data", "check", str(cats), "--sheet", str(sheet)]) == 0
    page = capsys.readouterr().out
    assert "cats (VOC): 5 images, 1 class, 5 objects" in page
    assert page.endswith(f"contact sheet: {sheet}\n")
    assert Image.open(sheet).width > 600


def test_check_returns_1_for_a_flaw_and_json_names_it(cats, tmp_path, capsys):
    voc(cats, "b", voc_object(box=(9, 9, 2, 20)))
    words = ["data", "check", str(cats), "--sheet", str(tmp_path / "s.png"), "--json"]
    assert main(words) == 1
    found = json.loads(capsys.readouterr().out)
    (problem,) = found["spoils"]
    assert problem["places"] == ["Annotations/b.xml, object 1: (8, 8) to (2, 20)"]


def test_check_opens_a_zip_of_annotated_images(tmp_path, capsys):
    yolo(tmp_path / "set", ["0 .5 .5 .5 .5"], "1")
    yolo(tmp_path / "set", ["0 .5 .5 .5 .5"], "2")
    archive = tmp_path / "boxes.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for file in sorted((tmp_path / "set").rglob("*.*")):
            opened.write(file, file.relative_to(tmp_path))
    assert main(["data", "check", str(archive), "--sheet", str(tmp_path / "s.png")]) == 0
    assert "boxes (YOLO): 2 images, 1 class, 2 objects" in capsys.readouterr().out


def test_a_folder_of_classes_is_checked_as_before(tmp_path, capsys):
    for name in ("cat", "dog"):
        for number in range(12):
            image(tmp_path / "set" / name / f"{name}{number}.png", (64, 64))
    assert main(["data", "check", str(tmp_path / "set"), "--sheet", str(tmp_path / "s.png")]) == 0
    assert "always saying the same class is right for 50.0 %" in capsys.readouterr().out
