"""Annotated sets written by hand for the tests, in each form, of small images."""

import json

import numpy as np
from PIL import Image

from vislab.data.annotations import Annotated, InstancesTable

SIZE = (40, 30)  # width, height


def image(path, size=SIZE, seed=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, *path.name.encode()]).integers(
        0, 256, (size[1], size[0], 3), dtype=np.uint8
    )
    Image.fromarray(pixels).save(path, **options)
    return path


def turned(orientation=6):
    note = Image.Exif()
    note[0x0112] = orientation
    return note


def coco(root, annotations, images=None, categories=("cat", "dog"), file="annotations.json"):
    """Write a COCO file; without `images`, of one image, `1.png`, which is drawn too."""
    if images is None:
        image(root / "images" / "1.png")
        images = [{"id": 1, "file_name": "1.png", "width": 40, "height": 30}]
    if categories and isinstance(categories[0], str):
        categories = [{"id": 10 * n, "name": name} for n, name in enumerate(categories, 1)]
    told = {"images": images, "annotations": annotations, "categories": categories}
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(json.dumps(told))
    return root


def instance(box=(1, 2, 10, 12), category=10, image=1, **more):
    return {"id": 7, "image_id": image, "category_id": category, "bbox": list(box), **more}


def voc_object(name="cat", box=(1, 1, 10, 10), more=""):
    edges = "".join(
        f"<{edge}>{value}</{edge}>"
        for edge, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{edges}</bndbox></object>"


def voc(root, stem="1", instances="", size=SIZE, filename=None, draw=True):
    if draw:
        image(root / "JPEGImages" / f"{stem}.png")
    width, height = size
    file = root / "Annotations" / f"{stem}.xml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"<annotation><filename>{filename or stem + '.png'}</filename><size><width>{width}</width>"
        f"<height>{height}</height><depth>3</depth></size>{instances}</annotation>"
    )
    return root


def yolo(root, lines, stem="1", side="", draw=True):
    if draw:
        image(root / "images" / side / f"{stem}.png")
    file = root / "labels" / side / f"{stem}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))
    return root


def mask(path, values, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values, dtype=np.uint8))
    if mode == "P":
        image.putpalette([value for value in range(256) for _ in range(3)])
    image.save(path)
    return path


def whats(annotated):
    return [issue.what for issue in annotated.issues]


def table(annotated):
    """Return the objects by image's name, class, flags and box, sorted: what a form keeps."""
    instances = annotated.instances
    return sorted(
        (
            annotated.members[row].rsplit("/", 1)[-1].rsplit(".", 1)[0],
            annotated.classes[label],
            bool(crowd),
            bool(difficult),
            tuple(corners),
        )
        for row, label, crowd, difficult, corners in zip(
            instances.image.tolist(),
            instances.label.tolist(),
            instances.crowd,
            instances.difficult,
            instances.boxes.round(6).tolist(),
            strict=True,
        )
    )


def made(root, instances, *, images=3, classes=("cat", "dog"), splits=None, form="coco", **more):
    """Return a set in memory; its images are drawn. Objects are (row, corners, kind, options)."""
    for row in range(images):
        image(root / f"{row}.png", (SIZE[0] + row, SIZE[1]))
    rows = InstancesTable()
    for number, (row, corners, label, options) in enumerate(instances):
        rows.add(row, tuple(map(float, corners)), label, where=f"object {number}", **options)
    return Annotated(
        name="made",
        form=form,
        root=root,
        classes=classes,
        members=tuple(f"{row}.png" for row in range(images)),
        sizes=np.array([[SIZE[0] + row, SIZE[1]] for row in range(images)]),
        splits=np.array(splits or [0] * (images - 1) + [2], dtype=np.uint8),
        instances=rows.finished(),
        official=True,
        **more,
    )
