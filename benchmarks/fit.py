"""`lab.fit` against a bare PyTorch loop: the same ResNet-18, the same batches.

`python benchmarks/fit.py OUT.json`. The bare loop does nothing but forward, backward and step; the
lab also seeds each step, sets its learning rate, counts, logs and saves checkpoints.
"""

import itertools
import os
import tempfile
from pathlib import Path

import torch
from timing import quartiles_ms, write
from torch.nn import functional as F

from vislab import data, models, tasks
from vislab.data.augment import Augment
from vislab.data.batches import Batches
from vislab.lab.bench import Lab
from vislab.ops.seeding import seed_of
from vislab.runs.folder import RunFolder
from vislab.tasks.optim import Optim

SIZE, EPOCHS, BATCH, PER_CLASS = 32, 8, 64, 100
AUGMENT = Augment(crop=0.125, flip=True)


def network():
    torch.manual_seed(0)
    return models.create("resnet18", classes=10).to(memory_format=torch.channels_last)


def bare(images, epochs=EPOCHS):
    """Train as a page of a tutorial does."""
    model = network().train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = Batches(images, BATCH, seed=seed_of(0, "", "batches"), augment=AUGMENT)
    for epoch in range(epochs):
        batches.epoch = epoch
        for batch in batches:
            loss = F.cross_entropy(model(batch.images), batch.labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model


def with_lab(images, folder, epochs=EPOCHS):
    lab = Lab(RunFolder.create(folder, "benchmark", {}), quiet=True)
    task = tasks.Classify(network(), Optim("adam", lr=1e-3))
    lab.fit(task, images, epochs=epochs, batch=BATCH, augment=AUGMENT)
    return task.network


def train_only(images):
    """Return the images without a validation split, which the bare loop would not look at."""
    import dataclasses

    splits = images.splits.copy()
    splits[splits == 1] = 2
    return dataclasses.replace(images, splits=splits)


def main():
    os.environ["VISLAB_HOME"] = tempfile.mkdtemp()
    images = train_only(data.images("shapes:easy", size=SIZE, per_class=PER_CLASS))
    folders = (Path(tempfile.mkdtemp()) / "run" for _ in itertools.count())
    ours, theirs = with_lab(images, next(folders), epochs=1), bare(images, epochs=1)
    for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
    times = quartiles_ms(
        {
            "lab.fit": lambda: with_lab(images, next(folders)),
            "bare loop": lambda: bare(images),
        },
        warmup=0,  # both have run once above
        repeats=3,
    )
    ratio = times["lab.fit"]["median_ms"] / times["bare loop"]["median_ms"]
    steps = EPOCHS * -(-PER_CLASS * 10 // BATCH)
    case = f"ResNet-18, {SIZE}×{SIZE}, batch {BATCH}, {steps} steps"
    rows = [{"case": case, "ratio": round(ratio, 3), "times": times}]
    write("lab.fit against a bare loop", rows)


if __name__ == "__main__":
    main()
