"""`lab.fit` against timm's and torchvision's ways of training, from files on disk to accuracy.

`python benchmarks/training_loops.py OUT.json`. The same JPEG files, network, augmentation (resized
crop of at least half the area, mirror), optimiser, batch and epochs, and as in the scripts of both
the validation images after each epoch. Each contender reads images as its own training script
does: timm through `create_dataset` and `create_loader`, torchvision through `ImageFolder`, `v2`
transforms and a DataLoader, both with as many workers as there are cores; vislab decodes once, the
test images too, which is part of its time. timm's and torchvision's scripts are not in their
packages: the loops around their loaders are written here, step for step as theirs, without logging.
Every contender starts anew, vislab with an empty cache, and each repeat has weights of its own.
As each does by itself, vislab is tested with the weights of its best epoch, the others with those
of their last.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timing import about, write
from torch import nn

from vislab import data, models, tasks
from vislab.data import shapes
from vislab.data.augment import Augment
from vislab.lab.bench import Lab
from vislab.runs.folder import RunFolder
from vislab.tasks.optim import Optim

SIDES = {"train": 1500, "val": 300, "test": 1000}
TRAIN, TEST, BATCH, LR = SIDES["train"], SIDES["test"], 64, 2e-3
REPEATS = 3
WORKERS = os.cpu_count() or 1
CASES = [  # network, its options, its pixels, those of the files, epochs, what is the bottleneck
    ("convnet", {"widths": (8, 16, 32)}, 32, 512, 10, "input"),
    ("convnet", {"widths": (4, 8, 16)}, 64, 512, 10, "input"),
    ("compact", {}, 64, 512, 10, "both"),
    ("convnet", {"widths": (8, 16, 32)}, 32, 32, 5, "network"),
    ("resnet9", {"width": 16}, 64, 64, 1, "network"),
]


def write_images(folder, size):
    """Write generated scenes as JPEG files in class folders."""
    sides = np.repeat(list(SIDES), list(SIDES.values()))
    scenes = shapes.draw_scenes(np.arange(len(sides)), difficulty="easy")
    labels = shapes.labels(scenes)
    for start in range(0, len(sides), 400):
        part = shapes.draw_scenes(np.arange(start, start + 400), difficulty="easy")
        pixels = shapes.render(part, size=size)
        for number, image in enumerate(pixels, start):
            side = sides[number]
            place = folder / side / shapes.CLASSES[labels[number]]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{number:05d}.jpg", quality=92)


def network(name, options, seed):
    torch.manual_seed(seed)
    return models.create(name, classes=len(shapes.CLASSES), **options)


def with_vislab(folder, name, options, size, epochs, seed):
    os.environ["VISLAB_HOME"] = tempfile.mkdtemp()
    begun = time.perf_counter()
    images = data.images(str(folder), size=size)
    task = tasks.Classify(network(name, options, seed), Optim("adam", lr=LR))
    lab = Lab(
        RunFolder.create(Path(tempfile.mkdtemp()) / "run", "benchmark", {}), seed=seed, quiet=True
    )
    lab.fit(task, images, epochs=epochs, batch=BATCH, augment=Augment(resized_crop=0.5, flip=True))
    seconds = time.perf_counter() - begun
    return seconds, lab.test(task, images, examine=False).accuracy


def accuracy(model, loader):
    model.eval()
    right = count = 0
    with torch.inference_mode():
        for images, labels in loader:
            right += int((model(images).argmax(dim=1) == labels).sum())
            count += len(labels)
    model.train()
    return right / count


def with_torchvision(folder, name, options, size, epochs, seed):
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    begun = time.perf_counter()
    scale = v2.ToDtype(torch.float32, scale=True)
    last = [v2.PILToTensor(), scale, v2.Normalize([0.5] * 3, [0.25] * 3)]
    whole = v2.Compose([v2.Resize(size), *last])
    moved = [v2.RandomResizedCrop(size, scale=(0.5, 1.0)), v2.RandomHorizontalFlip()]
    train = ImageFolder(folder / "train", v2.Compose([*moved, *last]))
    loader = DataLoader(train, BATCH, shuffle=True, num_workers=WORKERS, pin_memory=False)
    val = DataLoader(ImageFolder(folder / "val", whole), BATCH, num_workers=WORKERS)
    model = network(name, options, seed).train()
    criterion, optimiser = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
    for _ in range(epochs):
        for images, labels in loader:
            output = model(images)
            loss = criterion(output, labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            (output.argmax(dim=1) == labels).float().mean().item()
            loss.item()
        schedule.step()
        accuracy(model, val)
    seconds = time.perf_counter() - begun
    test = ImageFolder(folder / "test", whole)
    return seconds, accuracy(model, DataLoader(test, 256, num_workers=WORKERS))


def with_timm(folder, name, options, size, epochs, seed):
    from timm.data import create_dataset, create_loader
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2
    from timm.utils import AverageMeter

    begun = time.perf_counter()
    common = {
        "input_size": (3, size, size), "batch_size": BATCH, "use_prefetcher": False,
        "num_workers": WORKERS, "mean": (0.5,) * 3, "std": (0.25,) * 3, "pin_memory": False,
    }  # fmt: skip
    train = create_dataset("", root=str(folder), split="train", is_training=True)
    loader = create_loader(
        train, is_training=True, hflip=0.5, color_jitter=None, scale=(0.5, 1.0), **common
    )
    val = create_dataset("", root=str(folder), split="val")
    val_loader = create_loader(val, is_training=False, crop_pct=1.0, **common)
    model = network(name, options, seed).train()
    optimiser = create_optimizer_v2(model, opt="adam", lr=LR, weight_decay=0.0)
    schedule, _ = create_scheduler_v2(optimiser, sched="step", num_epochs=epochs, decay_epochs=1000)
    criterion, meter = LabelSmoothingCrossEntropy(0.0), AverageMeter()
    for epoch in range(epochs):
        for images, labels in loader:
            loss = criterion(model(images), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            meter.update(loss.item(), len(labels))
        schedule.step(epoch + 1)
        accuracy(model, val_loader)
    seconds = time.perf_counter() - begun
    test = create_dataset("", root=str(folder), split="test")
    return seconds, accuracy(model, create_loader(test, is_training=False, crop_pct=1.0, **common))


CONTENDERS = {"vislab": with_vislab, "timm": with_timm, "torchvision": with_torchvision}


def main():
    about()
    rows = []
    for name, options, size, side, epochs, bottleneck in CASES:
        folder = Path(tempfile.mkdtemp())
        write_images(folder, side)
        taken = {way: [] for way in CONTENDERS}
        right = {way: [] for way in CONTENDERS}
        for seed in range(REPEATS):
            for way, train in CONTENDERS.items():
                seconds, accurate = train(folder, name, options, size, epochs, seed)
                taken[way].append(seconds)
                right[way].append(accurate)
        ours = statistics.median(taken["vislab"])
        rows.append(
            {
                "case": f"{name}, {size} pixels from files of {side}, {epochs} epochs of {TRAIN}",
                "bottleneck": bottleneck,
                "images_per_second": {
                    way: epochs * TRAIN / statistics.median(t) for way, t in taken.items()
                },
                "accuracy": {way: statistics.mean(r) for way, r in right.items()},
                "all_accuracies": right,
                "faster_than_timm": statistics.median(taken["timm"]) / ours,
                "faster_than_torchvision": statistics.median(taken["torchvision"]) / ours,
                "repeats": REPEATS,
            }
        )
    write("training_loops", rows)


if __name__ == "__main__":
    main()
