"""Images with a rectangle or two, and training on them to the end of a test."""

from types import SimpleNamespace

import torch

from vislab.data.batches import Batch
from vislab.data.columns import NOTHING
from vislab.data.views import IGNORED
from vislab.ops.seeding import generator

SIDE = 32
# Each image's rectangles: corners and label. Label 0 is bright in red, label 1 in blue.
SCENES = (
    [((2, 3, 12, 13), 0), ((17, 16, 29, 26), 1)],
    [((18, 4, 30, 14), 0)],
    [((4, 18, 15, 29), 1)],
    [((16, 16, 26, 28), 1), ((3, 4, 13, 12), 1)],
)


def scenes(chosen=range(4), *, void=False):
    """Return a batch of these images, padded to two things each."""
    chosen = list(chosen)
    images = 0.1 * torch.randn(len(SCENES), 3, SIDE, SIDE, generator=generator("scenes"))[chosen]
    boxes = torch.zeros(len(chosen), 2, 4)
    labels = torch.full((len(chosen), 2), NOTHING)
    masks = torch.zeros(len(chosen), SIDE, SIDE, dtype=torch.uint8)
    for row, scene in enumerate(chosen):
        for place, (corners, label) in enumerate(SCENES[scene]):
            x1, y1, x2, y2 = corners
            images[row, 2 * label, y1:y2, x1:x2] += 2
            masks[row, y1:y2, x1:x2] = label + 1
            boxes[row, place], labels[row, place] = torch.tensor(corners).float(), label
    if void:
        masks[:, -2:] = 255
    rows = torch.arange(len(chosen))
    return Batch(images, rows, len(chosen), boxes=boxes, box_labels=labels, masks=masks)


def ignoring(batch, image, place):
    """Return the batch with one thing that is neither to be found nor not."""
    labels = batch.box_labels.clone()
    labels[image, place] = IGNORED - labels[image, place]
    return batch.replaced(box_labels=labels)


def plain(images):
    """Return a batch without annotations."""
    labels = torch.zeros(len(images), dtype=torch.int64)
    rows = torch.arange(len(images))
    return Batch(images, rows, len(images), labels=labels, targets=labels)


def ready(task, world=1):
    """Return the task as if a trainer had it."""
    task._trainer = SimpleNamespace(world_size=world)
    return task.train()


def fit(task, batch, steps):
    """Train on one batch again and again; return the first and the last loss."""
    ready(task)
    optimiser = task.configure_optimizers()
    losses = []
    for step in range(steps):
        out = task.training_step(batch, step)
        optimiser.zero_grad()
        out["loss"].backward()
        optimiser.step()
        task.after_step()
        losses.append(float(out["loss"].detach()))
    return losses[0], losses[-1]


def state_of(module):
    """Return all that a look at a network must not change."""
    return (
        {name: tensor.clone() for name, tensor in module.state_dict().items()},
        [inner.training for inner in module.modules()],
        [p.grad for p in module.parameters()],
        [len(inner._forward_hooks) for inner in module.modules()],
    )


def same_state(one, other):
    (weights, *rest), (others, *other_rest) = one, other
    same = all(torch.equal(weights[name], others[name]) for name in weights)
    return same and rest == other_rest and weights.keys() == others.keys()
