"""What a network answers to a split, and how good that is."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import nn

from vislab.data.batches import in_order
from vislab.data.pictures import Pictures
from vislab.explain.taps import tap
from vislab.progress import track


@dataclass(frozen=True, eq=False)
class Outcome:
    """Probabilities and losses of every picture of a split, in the split's order."""

    probabilities: Float[np.ndarray, "n k"]
    losses: Float[np.ndarray, " n"]  # cross-entropy in nats
    labels: Int[np.ndarray, " n"]

    @property
    def predicted(self) -> Int[np.ndarray, " n"]:
        """The most probable class of each picture."""
        best: Int[np.ndarray, " n"] = self.probabilities.argmax(axis=1)
        return best

    @property
    def correct(self) -> Bool[np.ndarray, " n"]:
        """Whether it is the right one."""
        right: Bool[np.ndarray, " n"] = self.predicted == self.labels
        return right

    @property
    def accuracy(self) -> float:
        """The share of pictures that got their label."""
        return float(self.correct.mean()) if len(self.labels) else float("nan")


def outcome_of(
    network: nn.Module,
    pictures: Pictures,
    split: str,
    *,
    device: torch.device,
    quiet: bool = False,
) -> Outcome:
    """Run the network over a split, in eval mode, and leave it as it was."""
    network = network.to(device)
    probabilities, losses, labels = [], [], []
    total = len(pictures.split(split))
    what = f"testing on {split} pictures"
    with (
        tap(network, []),
        torch.inference_mode(),
        track(what, total=total, unit="pictures", quiet=quiet) as advance,
    ):
        for batch in in_order(pictures, split, device=device):
            logits = network(batch.images).float()
            logs = logits.log_softmax(dim=1)
            probabilities.append(logs.exp().cpu().numpy())
            picked = logs.gather(1, batch.labels[:, None])[:, 0]
            losses.append(-picked.cpu().numpy())
            labels.append(batch.labels.cpu().numpy())
            advance(len(batch.labels))
    if not labels:
        classes = len(pictures.classes)
        return Outcome(np.zeros((0, classes)), np.zeros(0), np.zeros(0, dtype=np.int64))
    return Outcome(np.concatenate(probabilities), np.concatenate(losses), np.concatenate(labels))
