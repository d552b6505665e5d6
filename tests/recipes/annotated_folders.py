"""Small annotated folders of the user's own, in each form, sound or with one flaw."""

import numpy as np

from tests.data.formats.sets import coco, image, instance, mask, voc, voc_object, yolo

STEMS = "abcdefghijkl"
BAD = "c"  # the image whose annotation is flawed
OUTLINE = [[5.0, 5.0, 30.0, 6.0, 20.0, 25.0]]


def own(root, form, flawed=False):
    """Fill a folder with 12 images of 40×30 pixels, one object in each, and return it."""
    images, instances = [], []
    for number, stem in enumerate(STEMS):
        bad = flawed and stem == BAD
        if form == "coco":
            image(root / "images" / f"{stem}.png")
            images.append({"id": number, "file_name": f"{stem}.png", "width": 40, "height": 30})
            box = (50, 40, 9, 9) if bad else (5, 5, 25, 20)
            label = 10 + 10 * (number % 2)
            more = {"segmentation": OUTLINE, "id": 100 + number}
            instances.append({**instance(box, category=label, image=number), **more})
        elif form == "voc":
            box = (30, 5, 10, 20) if bad else (5, 5, 30, 25)
            voc(root, stem, voc_object("cat" if number % 2 else "dog", box))
        elif form == "yolo":
            yolo(root, ["0 0.5 0.5 0.5" if bad else f"{number % 2} 0.5 0.5 0.5 0.5"], stem)
        else:
            image(root / "images" / f"{stem}.png")
            size = (12, 17) if bad else (30, 40)
            values = np.zeros(size, dtype=np.uint8)
            values[5:20, 8:30] = 255
            mask(root / "masks" / f"{stem}.png", values)
    if form == "coco":
        coco(root, instances, images)
    return root
