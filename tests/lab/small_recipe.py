"""A recipe that takes a second or two and has everything that a resume must carry over."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from vislab import models, tasks
from vislab.data.augment import Augment
from vislab.lab.recipe import Recipe
from vislab.tasks.optim import Optim


@dataclass(frozen=True)
class Small(Recipe):
    """Train two small networks, with noise inside, averaged weights and mixed images."""

    data: str = "a folder"
    per_class: int | None = None
    size: int = 16
    batch: int = 10
    epochs: int = 4
    validation: float = 0.0
    optim: Optim = field(default_factory=lambda: Optim(lr=3e-3, schedule="one-cycle", ema=0.9))
    augment: Augment = field(default_factory=lambda: Augment(crop=0.2, flip=True, mixup=0.3))

    def run(self, lab):
        images = lab.images(
            self.data, per_class=self.per_class, size=self.size, validation=self.validation
        )
        for name in ("first", ""):
            model = models.create("convnet", classes=len(images.classes), widths=(6, 8), noise=0.1)
            task = tasks.Classify(model, self.optim)
            lab.fit(
                task,
                images,
                epochs=self.epochs,
                batch=self.batch,
                augment=self.augment,
                name=name,
            )
            lab.test(task, images, name=name, examine=False)


def few_images(folder):
    """Fill a folder with train, val and test images of three colours, and return it."""
    chance = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 3), ("test", 5)):
        for label, colour in enumerate(("red", "green", "blue")):
            place = folder / split / colour
            place.mkdir(parents=True)
            for number in range(count):
                pixels = chance.integers(0, 120, (16, 16, 3), dtype=np.uint8)
                pixels[:, :, label] += 100
                Image.fromarray(pixels).save(place / f"{number}.png")
    return folder
