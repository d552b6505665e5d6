"""Short trials before a training: how fast is it here, how large a batch, which learning rate.

Each leaves the network as it was: weights, averages, modes and gradients.
"""

import copy
import itertools
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vislab.data.batches import Batch, Batches
from vislab.errors import NonFiniteLoss
from vislab.tasks.classify import Classify
from vislab.tasks.layout import in_its_layout

LARGEST_BATCH = 256
SHARE_OF_MEMORY = 0.5  # that a batch's activations may take: the optimiser and the system need some


@contextmanager
def unchanged(task: Classify) -> Iterator[None]:
    """Put weights, averages, modes and gradients back at the end."""
    before = copy.deepcopy(task.state_dict())
    modes = {module: module.training for module in task.modules()}
    try:
        yield
    finally:
        task.load_state_dict(before)
        for module, mode in modes.items():
            module.training = mode
        task.zero_grad(set_to_none=True)


def loss_of(task: Classify, images: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy, in nats, as training has it."""
    logits = in_its_layout(task.model, lambda: task.logits(task.model, images))
    return nn.functional.cross_entropy(logits, labels, label_smoothing=task.label_smoothing)


def seconds_per_image(
    task: Classify, size: int, device: torch.device, *, batch: int = 16, train: bool
) -> float:
    """Return the seconds that one S×S image takes: forward alone, or a step of training.

    The faster of two passes after a first one that is not timed.
    """
    images = torch.randn(batch, 3, size, size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(batch, dtype=torch.int64, device=device)
    task.to(device, memory_format=torch.channels_last)
    taken = []
    with unchanged(task):
        task.train(train)
        for _ in range(3):
            begun = time.perf_counter()
            if train:
                loss_of(task, images, labels).backward()  # type: ignore[no-untyped-call]
            else:
                with torch.inference_mode():
                    task.model(images)
            if device.type == "cuda":
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - begun)
    return min(taken[1:]) / batch


def bytes_per_image(task: Classify, size: int, device: torch.device) -> int:
    """Return what one S×S image keeps in memory between forward and backward."""
    kept: dict[int, int] = {}
    weights = {p.data_ptr() for p in task.parameters()}

    def count(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with unchanged(task):
        task.to(device).train()
        images = torch.randn(2, 3, size, size, device=device)
        labels = torch.zeros(2, dtype=torch.int64, device=device)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            loss_of(task, images, labels)
    return sum(kept.values()) // 2


def free_memory(device: torch.device) -> int:
    """Return how many bytes are free on the device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available)


def largest_batch(task: Classify, size: int, device: torch.device, *, images: int) -> int:
    """Return the batch, a power of two, that fits in memory and leaves ten steps an epoch.

    On a GPU it is tried, and halved until a step goes through.
    """
    fits = SHARE_OF_MEMORY * free_memory(device) / max(bytes_per_image(task, size, device), 1)
    most = min(fits, LARGEST_BATCH, max(images / 10, 8))
    batch: int = 2 ** math.floor(math.log2(max(most, 1)))
    while device.type == "cuda" and batch > 1:
        try:
            seconds_per_image(task, size, device, batch=batch, train=True)
            break
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            batch //= 2
    return batch


def rounds(batches: Batches) -> Iterator[Batch]:
    """Yield batches of one epoch after another, without end."""
    for epoch in itertools.count():
        batches.epoch = epoch
        yield from batches


def lr_range_test(
    task: Classify,
    batches: Iterator[Batch],
    *,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 60,
) -> dict[str, Any]:
    """Raise the learning rate from step to step until the loss bursts, and return a good one.

    Smith 2017, arXiv:1506.01186, section 3.3. Returned: `lr`, a tenth of the one at which the
    smoothed loss was lowest, the `lrs` tried and the smoothed `losses`. Raises NonFiniteLoss when
    the first loss is not a number.
    """
    lrs: list[float] = []
    losses: list[float] = []
    smooth = 0.0
    with unchanged(task):
        task.before_step(0.0)
        task.train()
        optimiser = task.configure_optimizers()
        for step, batch in zip(range(steps), batches, strict=False):
            lr = low * (high / low) ** (step / (steps - 1))
            for group in optimiser.param_groups:
                group["lr"] = lr * group["scale"]
            optimiser.zero_grad()
            loss = loss_of(task, batch.images, batch.targets)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            smooth = 0.8 * smooth + 0.2 * loss.item()
            value = smooth / (1 - 0.8 ** (step + 1))
            if not math.isfinite(value) or (losses and value > 2 * min(losses) + 1):
                break
            lrs.append(lr)
            losses.append(value)
    if not lrs:
        raise NonFiniteLoss("the loss is not a number at the lowest learning rate already")
    return {"lr": lrs[losses.index(min(losses))] / 10, "lrs": lrs, "losses": losses}
