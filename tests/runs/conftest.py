"""A run folder to report on, small and made by hand."""

from pathlib import Path

import pytest

from vislab.runs.folder import RunFolder

# The smallest PNG there is: one grey pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c63680000008200817784e1d40000000049454e44ae426082"
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A finished run of two networks on ten images."""
    options = {"data": "cifar10", "optim": {"name": "adam", "lr": 0.001}, "epochs": 3}
    made = RunFolder.create(tmp_path / "first-run", "resnet-overfit", options)
    result = made.result
    result.status = "finished"
    result.seed = 7
    result.seconds = 75.0
    result.command = "vislab run resnet-overfit --seed 7"
    result.metrics = {
        "train/accuracy": 1.0,
        "plain/test/accuracy": 0.4567,
        "plain/test/loss": 1.23456,
        "augmented/test/accuracy": 0.5,
    }
    result.intervals = {"plain/test/accuracy": (0.4412, 0.4723)}
    result.trivial = {"plain/test/accuracy": 0.1, "augmented/test/accuracy": 0.1}
    result.protocol = {"data": "CIFAR-10", "train": 1000, "size": 32, "network": "ResNet-18"}
    result.references = [
        {
            "metric": "plain/test/accuracy",
            "value": 0.454,
            "source": "GNR-650, assignment 1",
            "kind": "course",
            "ours": 0.4567,
            "verdict": "the same",
            "cells": [
                {"cell": "train", "theirs": 1000, "ours": 1000, "differs": False},
                {"cell": "size", "theirs": 224, "ours": 32, "differs": True},
            ],
        },
        {
            "metric": "augmented/test/accuracy",
            "value": 0.93,
            "source": "A paper",
            "kind": "literature",
            "ours": 0.5,
            "verdict": "not comparable",
            "cells": [{"cell": "train", "theirs": 50000, "ours": 1000, "differs": True}],
        },
    ]
    result.claims = [
        {
            "claim": "it memorises",
            "verdict": "confirmed",
            "metric": "train/accuracy",
            "at_least": 0.99,
            "at_most": None,
            "value": 1.0,
            "interval": [1.0, 1.0],
        }
    ]
    result.lesson = {
        "title": "Overfit a ResNet-18.",
        "story": ["A network meets a few images."],
        "source": "GNR-650",
        "question": "More or fewer than half?",
        "look_at": ["the gap between the curves"],
        "exercises": [{"task": "How many weights?", "answer": "1728"}],
    }
    made.add_figure("kernels", PIXEL, caption="the first layer")
    made.add_figure("confusion", PIXEL, folded=True)
    made.add_table("seeds", ["seed", "test accuracy", "loss"], [[0, 0.45129, 1.5], [1, 0.5, 2.0]])
    for epoch in (1, 2, 3):
        step = 10 * epoch
        made.log({"fit": "plain", "epoch": epoch, "step": step, "train/loss": 2.0 / epoch})
        made.log({"fit": "plain", "epoch": epoch, "step": step, "train/loss": 4.0 / epoch})
        made.log({"fit": "plain", "epoch": epoch, "step": step, "val/loss": 1.5})
    made.save()
    return made
