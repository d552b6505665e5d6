"""The annotated sets of the catalogue, as their archives hold them, in miniature."""

import hashlib
import io
import json
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from vislab.data import catalogue
from vislab.data import get as module
from vislab.data.annotated_images import annotated


def jpeg(shade):
    held = io.BytesIO()
    Image.new("RGB", (40, 30), (shade, 90, 90)).save(held, format="JPEG")
    return held.getvalue()


def zipped(members):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return held.getvalue()


def tarred(members):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return held.getvalue()


def instances(numbers):
    """COCO's file for images of these numbers: a dog in each, its outline a rectangle."""
    images = [
        {"id": n, "file_name": f"{n:012}.jpg", "width": 40, "height": 30, "license": 1}
        for n in numbers
    ]
    instances = [
        {
            "id": 100 + n, "image_id": n, "category_id": 18, "bbox": [10, 5, 20, 16],
            "segmentation": [[10, 5, 30, 5, 30, 21, 10, 21]], "area": 320, "iscrowd": 0,
        }
        for n in numbers
    ]  # fmt: skip
    labels = [{"id": 18, "name": "dog", "supercategory": "animal"}]
    return json.dumps({"images": images, "annotations": instances, "categories": labels}).encode()


def coco():
    captions = {"images": [], "annotations": [{"image_id": 1, "caption": "a dog"}]}
    return {
        "train2017.zip": zipped({f"train2017/{n:012}.jpg": jpeg(n) for n in range(6)}),
        "val2017.zip": zipped({f"val2017/{n:012}.jpg": jpeg(n) for n in range(6, 9)}),
        "annotations_trainval2017.zip": zipped(
            {
                "annotations/instances_train2017.json": instances(range(6)),
                "annotations/instances_val2017.json": instances(range(6, 9)),
                "annotations/captions_val2017.json": json.dumps(captions).encode(),
            }
        ),
    }


def voc_split(numbers, lists):
    inside = "VOCdevkit/VOC2007"
    members = {}
    for n in numbers:
        members[f"{inside}/JPEGImages/{n:06}.jpg"] = jpeg(n)
        members[f"{inside}/Annotations/{n:06}.xml"] = (
            f"<annotation><filename>{n:06}.jpg</filename>"
            "<size><width>40</width><height>30</height><depth>3</depth></size>"
            "<object><name>dog</name><difficult>0</difficult><bndbox><xmin>11</xmin><ymin>6</ymin>"
            "<xmax>30</xmax><ymax>21</ymax></bndbox></object></annotation>"
        ).encode()
    for name, those in lists.items():
        text = "".join(f"{n:06}\n" for n in those)
        members[f"{inside}/ImageSets/Main/{name}.txt"] = text.encode()
    return tarred(members)


def voc():
    trainval = {"train": range(4), "val": range(4, 6), "trainval": range(6)}
    return {
        "VOCtrainval_06-Nov-2007.tar": voc_split(range(6), trainval),
        "VOCtest_06-Nov-2007.tar": voc_split(range(6, 9), {"test": range(6, 9)}),
    }


def png(shade, size=(40, 30), box=(10, 5, 30, 21)):
    held = io.BytesIO()
    mask = Image.new("L", size, 0)
    mask.paste(shade, box)
    mask.save(held, format="PNG")
    return held.getvalue()


def isic():
    """Beside each image lie its superpixels, which are neither an image nor a mask of one."""
    splits = {"Training": range(6), "Validation": range(6, 8), "Test_v2": range(8, 11)}
    archives = {}
    for split, numbers in splits.items():
        data, truth = f"ISIC-2017_{split}_Data", f"ISIC-2017_{split}_Part1_GroundTruth"
        members = {f"{data}/{data}_metadata.csv": b"image_id,age_approximate,sex\n"}
        for n in numbers:
            members[f"{data}/ISIC_{n:07}.jpg"] = jpeg(n)
            members[f"{data}/ISIC_{n:07}_superpixels.png"] = png(7)
        archives[f"{data}.zip"] = zipped(members)
        archives[f"{truth}.zip"] = zipped(
            {f"{truth}/ISIC_{n:07}_segmentation.png": png(255) for n in numbers}
        )
    return archives


def test_isic_is_read_as_images_with_a_binary_mask_each(monkeypatch, tmp_path):
    served(monkeypatch, tmp_path, "isic2017", isic())
    opened = annotated("isic2017", wanted="masks", size=40)
    assert [len(opened.split(split)) for split in ("train", "val", "test")] == [6, 2, 3]
    assert opened.classes == ("background", "foreground")
    assert not any("superpixels" in name for name in opened.names)
    expected = np.full((40, 40), 255, dtype=np.uint8)
    expected[5:35] = 0
    expected[10:26, 10:30] = 1
    assert all(np.array_equal(mask[..., 0], expected) for mask in opened.masks.pixels)


def served(monkeypatch, home, name, archives):
    """Serve these archives as the set's files, in place of the real ones."""

    def download(urls, to, **_):
        content = archives[urls[0].rsplit("/", 1)[1]]
        to.write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    real = catalogue.card(name)
    files = tuple(replace(file, sha256=None, md5=None, bytes=None) for file in real.files)
    monkeypatch.setenv("VISLAB_HOME", str(home))
    monkeypatch.setattr(module, "download", download)
    monkeypatch.setattr(catalogue, "card", lambda name: replace(real, files=files))


@pytest.mark.parametrize(
    ("name", "archives", "counts"),
    [("coco", coco(), (6, 0, 3)), ("voc2007", voc(), (4, 2, 3))],
    ids=["coco", "voc2007"],
)
def test_a_set_is_fetched_unpacked_and_read_by_its_name(
    name, archives, counts, monkeypatch, tmp_path
):
    served(monkeypatch, tmp_path, name, archives)
    opened = annotated(name, wanted="boxes", size=40)
    assert tuple(len(opened.split(split)) for split in ("train", "val", "test")) == counts
    assert opened.classes == ("dog",)
    assert opened.official
    for row in range(len(opened.names)):
        (box,) = opened.boxes.xyxy[opened.boxes.instances(row)].tolist()
        assert box == [10, 10, 30, 26]  # 5 pixels of filling above
    for archive in archives:  # what came out of it is enough
        (catalogue.folder(name) / archive).unlink()
    assert len(annotated(name, wanted="boxes", size=40).names) == len(opened.names)
