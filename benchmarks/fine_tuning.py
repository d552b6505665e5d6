"""An epoch of training the head alone: features computed once against computed in every epoch.

`python benchmarks/fine_tuning.py OUT.json`. EfficientNet-Lite with its ImageNet weights, 200
training images at 128 pixels, the same batches. The features' own cost is reported beside.
"""

import statistics
import time

import torch
from timing import write

from vislab import data, models, tasks
from vislab.data.augment import Augment
from vislab.lab.head_training import HeadTraining
from vislab.lab.whole_training import WholeTraining
from vislab.tasks.strategy import Strategy

SIZE, PER_CLASS, BATCH = 128, 20, 32


def epoch(work, number):
    """Go through one epoch as training does and return its seconds."""
    task = work.task
    task.before_step(0.0)
    task.train()
    optimiser = task.configure_optimizers()
    work.batches.epoch = number
    begun = time.perf_counter()
    for batch in work.batches:
        loss = torch.nn.functional.cross_entropy(task.model(batch.images), batch.targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return time.perf_counter() - begun


def main():
    images = data.images("shapes:easy", size=SIZE, per_class=PER_CLASS)
    model = models.create("efficientnet-lite0", classes=10, pretrained=True)
    shown = model.preprocessing
    images = images.normalised_by(shown.mean, shown.std)
    groups = models.parameter_groups(model, torch.zeros(1, 3, SIZE, SIZE))
    common = {"seed": 0, "augment": Augment(), "device": torch.device("cpu")}

    def task():
        return tasks.Classify(model, tasks.Optim(), strategy=Strategy.parse("head"), groups=groups)

    whole = WholeTraining(task(), images, BATCH, **common)
    head = HeadTraining(task(), images, BATCH, quiet=True, **common)
    begun = time.perf_counter()
    head.prepare()
    once = time.perf_counter() - begun
    taken = {"every epoch": [], "once": []}
    for number in range(4):
        for name, work in (("every epoch", whole), ("once", head)):
            taken[name].append(epoch(work, number))
    seconds = {name: statistics.median(times[1:]) for name, times in taken.items()}
    write(
        "fine_tuning",
        [
            {
                "case": f"efficientnet-lite0, {10 * PER_CLASS} images of {SIZE} pixels",
                "seconds_an_epoch": seconds,
                "seconds_for_features": once,
                "ratio": seconds["every epoch"] / seconds["once"],
            }
        ],
    )


if __name__ == "__main__":
    main()
