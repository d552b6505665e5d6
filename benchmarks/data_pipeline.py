"""Batches by index against torchvision's usual per-image pipeline under a DataLoader.

`python benchmarks/data_pipeline.py OUT.json`. Small images: 32×32, crop, flip, normalise. Large
ones: a folder of 224-pixel JPEGs with random-resized crop, first epoch (nothing decoded yet) and
second.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
import torch
import torchvision.transforms as T
from PIL import Image
from timing import drain, quartiles_ms, write
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder

from vislab import data
from vislab.data import shapes
from vislab.data.augment import Augment
from vislab.data.batches import Batches

WORKERS = 2
SMALL, LARGE = 10_000, 1_200  # images


class InMemory(Dataset):
    """Images as torchvision's CIFAR10 holds them: an array, made a PIL image one by one."""

    def __init__(self, split, transform):
        self.pixels, self.labels = split.take(slice(None)), split.labels
        self.transform = transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, place):
        return self.transform(Image.fromarray(self.pixels[place])), int(self.labels[place])


def small_images():
    images = data.images("shapes", size=32)
    mean, std = images.normalisation
    plain = T.Compose([T.ToTensor(), T.Normalize(mean, std)])
    ours = next(iter(data.in_order(images, "train", batch=8))).images
    theirs = torch.stack([InMemory(images.split("train"), plain)[i][0] for i in range(8)])
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)

    usual = T.Compose([T.RandomCrop(32, padding=4), T.RandomHorizontalFlip(), *plain.transforms])
    loader = DataLoader(
        InMemory(images.split("train"), usual),
        batch_size=128,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )
    batches = Batches(images, 128, seed=0, augment=Augment(crop=0.125, flip=True))
    times = quartiles_ms({"vislab": lambda: drain(batches), "torchvision": lambda: drain(loader)})
    return row("32×32, crop, flip, normalise", SMALL, times)


def row(name, count, times):
    """Return images per second of both and their ratio."""
    ours, theirs = times["vislab"]["median_ms"], times["torchvision"]["median_ms"]
    return {
        "case": name,
        "images": count,
        "vislab_images_per_second": round(1e3 * count / ours),
        "torchvision_images_per_second": round(1e3 * count / theirs),
        "ratio": round(theirs / ours, 2),
        "times": times,
    }


def jpeg_folder(folder):
    for start in range(0, LARGE, 100):
        scenes = shapes.draw_scenes(np.arange(start, start + 100), difficulty="hard")
        rendered, labels = shapes.render(scenes, size=224), shapes.labels(scenes)
        for place, (pixels, label) in enumerate(zip(rendered, labels, strict=True)):
            path = folder / "train" / shapes.CLASSES[label] / f"{start + place}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path, quality=90)


def large_images():
    rows = []
    augment = Augment(resized_crop=0.25, flip=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "images"
        jpeg_folder(folder)
        usual = T.Compose(
            [
                T.RandomResizedCrop(224, scale=(0.25, 1.0)),
                T.RandomHorizontalFlip(),
                T.ToTensor(),
                T.Normalize((0.5,) * 3, (0.5,) * 3),
            ]
        )
        theirs = ImageFolder(folder / "train", usual)
        homes = iter(range(100))

        def loader():
            return DataLoader(theirs, batch_size=64, shuffle=True, num_workers=WORKERS)

        def first_epoch():
            os.environ["VISLAB_HOME"] = f"{place}/home{next(homes)}"  # nothing is decoded there
            drain(Batches(data.images(str(folder), size=224), 64, seed=0, augment=augment))

        times = quartiles_ms(
            {"vislab": first_epoch, "torchvision": lambda: drain(loader())}, repeats=5
        )
        rows.append(row("224-pixel JPEGs, resized crop, first epoch", LARGE, times))
        batches = Batches(data.images(str(folder), size=224), 64, seed=0, augment=augment)
        times = quartiles_ms(
            {"vislab": lambda: drain(batches), "torchvision": lambda: drain(loader())}, repeats=5
        )
        rows.append(row("224-pixel JPEGs, resized crop, from the second epoch", LARGE, times))
    return rows


if __name__ == "__main__":
    os.environ["VISLAB_HOME"] = tempfile.mkdtemp()
    write("data pipeline", [small_images(), *large_images()])
