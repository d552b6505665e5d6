"""What a classifier paints by gradient ascent, one function a view, each drawn into a notebook.

Images that it takes for a class, that fool it, and that give its layers the same features. The
conventions are those of `views`.
"""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from vislab import explain
from vislab.data.table import Table
from vislab.errors import ShapeError
from vislab.explain.canvas import device_of
from vislab.inspection.views import answers, eight_bits, images_at
from vislab.runs import figures
from vislab.runs.notebook import Notebook

CLASSES = 10  # that are painted at most


def paint_classes(
    notebook: Notebook, network: nn.Module, table: Table, *, steps: int = 256
) -> None:
    """Paint what each of the first classes would look like most, from noise.

    Records the lowest probability that the network gives a class for its own painting.
    """
    classes = list(range(min(CLASSES, len(table.classes))))
    look = table.normalisation
    painted = explain.visualise_class(
        network, classes, size=table.size, steps=steps, lr=0.05, l2_weight=2.0, variation=30.0,
        normalisation=look, quiet=notebook.muted,
    ).images  # fmt: skip
    asked = torch.tensor(classes, device=device_of(network))
    sure = explain.class_probability(network, painted, asked, normalisation=look).tolist()
    notebook.record("painted classes: lowest probability", min(sure))
    notebook.show(
        "what each class would look like most",
        figures.image_grid(
            eight_bits(painted),
            titles=[f"{table.classes[k]}\n{p:.1%}" for k, p in zip(classes, sure, strict=True)],
            columns=5,
        ),
        caption="Gradient ascent from noise; below, the probability that the network gives.",
    )


def show_fooling(notebook: Notebook, network: nn.Module, table: Table, place: int) -> None:
    """Change a test image until the network names the class after the one it names now.

    Records how much had to change: the largest change of a value, the L2 norm and the root mean
    square of all, values running from 0 to 1.
    """
    pixels, given = unit_range(table, place)
    answer = answers(network, images_at(network, table, [place]))[0]
    target = (answer + 1) % len(table.classes)
    fooled = explain.fool(
        network, given, target, normalisation=table.normalisation, quiet=notebook.muted
    )
    change = (fooled.images - given).abs()
    largest = max(float(change.max()), 1e-6)
    notebook.record("fooling image: largest change of a pixel", float(fooled.largest[0]))
    notebook.record("fooling image: L2 norm of the change", float(fooled.l2[0]))
    notebook.record("fooling image: root mean square change", float(change.square().mean().sqrt()))
    notebook.show(
        "an image that fools the network",
        figures.image_grid(
            np.concatenate([pixels, eight_bits(fooled.images), eight_bits(change / largest)]),
            titles=[
                table.classes[answer],
                f"{table.classes[target]} {fooled.probability[0]:.0%}"
                + ("" if bool(fooled.fooled[0]) else ", not fooled"),
                f"the change,\n×{1 / largest:.0f}",
            ],
        ),
        caption=f"Largest change {255 * float(fooled.largest[0]):.0f} of 255 levels, L2 norm "
        f"{float(fooled.l2[0]):.2f}, after {int(fooled.steps[0])} steps.",
    )


def show_dreams(
    notebook: Notebook, network: nn.Module, table: Table, place: int, *, steps: int = 256
) -> None:
    """Show a test image dreamt on, and painted again from its features at each resolution."""
    pixels, given = unit_range(table, place)
    look, quiet = table.normalisation, notebook.muted
    try:
        layers = explain.last_of_each_size(network, images_at(network, table, [place])[0])
    except ShapeError:
        layers = []  # there is a dream at most
    try:
        dream = explain.deep_dream(network, given, octaves=1, normalisation=look, quiet=quiet)
    except ShapeError as error:
        notebook.note(f"No dream: {error}.")
        return
    shown, titles = [pixels, eight_bits(dream.images)], ["the image", "dreamt on"]
    for layer in layers:
        back = explain.invert(network, given, layer, steps=steps, normalisation=look, quiet=quiet)
        shown.append(eight_bits(back.images))
        titles.append(f"from {layer}\nerror {float(back.error[0]):.0%}")
    notebook.show(
        "dreamt on, and painted again from features",
        figures.image_grid(np.concatenate(shown), titles=titles, columns=4),
        caption="Deep Dream makes a late layer's answer stronger. Inversion paints from noise what "
        "gives a layer the same features: what comes back wrong, it has forgotten.",
    )


def unit_range(
    table: Table, place: int
) -> tuple[UInt8[np.ndarray, "1 s s 3"], Float[Tensor, "1 3 s s"]]:
    """Return a test image as pixels, and in [0, 1]."""
    pixels = table.split("test").take(slice(place, place + 1))
    return pixels, torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
