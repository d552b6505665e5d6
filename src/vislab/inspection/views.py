"""What a classifier looks like inside, one function a view, each drawn into a notebook.

Its weights, what its layers answer, the images that excite its units, where its evidence lies, and
what each depth knows. Any classifier of RGB images and any table with labels will do. The network
is looked at in eval mode, where it lies, and left as it was. Images are those of the test split;
`place` is one's place in it. Where a view has no meaning for a network, a note says why.

What a network paints itself is in `painted_views`.
"""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch import Tensor, nn

from vislab import explain
from vislab.data import shapes
from vislab.data.augment_batch import normalise
from vislab.data.table import Table
from vislab.data.world import causes, scenes_of
from vislab.errors import DataError, ShapeError
from vislab.evaluate.linear_probe import linear_probe
from vislab.explain.asking import ask, probabilities_of
from vislab.explain.canvas import device_of
from vislab.inspection.attention import right_ones
from vislab.inspection.benchmark import RANDOM_MAP, RIVALS, ranked
from vislab.inspection.explanations import smoothed
from vislab.models.parameter_groups import parameter_groups
from vislab.runs import figures
from vislab.runs.notebook import Notebook
from vislab.tasks.classify import trivial_accuracy

KERNELS, MAPS = 64, 12  # of a layer that are shown
UNITS, PATCHES = 4, 9  # units of a layer, and images of each
LEARNED, SEARCHED = 64, 512  # training images that give gradients; test images that excite units
BATCH = 64  # images that are on the device at once
PATCH = 48  # pixels of a patch as it is shown
OUTLIERS = 0.998  # the share of values that the range of a signed image is made for

Images = UInt8[np.ndarray, "_n _h _w 3"]


def show_kernels(notebook: Notebook, network: nn.Module, *, folded: bool = False) -> None:
    """Show the kernels of the first convolution over RGB, each in its own range."""
    try:
        kernels = explain.kernels(network).numpy()
    except ShapeError as error:
        notebook.note(f"No kernels to show: {error}.")
        return
    some = "The" if len(kernels) <= KERNELS else f"{KERNELS} of the"
    notebook.show(
        "kernels", figures.image_grid(kernels[:KERNELS], columns=16),
        caption=f"{some} first layer's {len(kernels)} kernels as images; mid grey is zero.",
        folded=folded,
    )  # fmt: skip


def show_kernel_magnitudes(notebook: Notebook, network: nn.Module) -> None:
    """Show the L2 norm of the weight of each convolution and linear layer."""
    magnitudes = explain.kernel_magnitudes(network)
    notebook.show(
        "kernel magnitudes by depth",
        figures.bars(list(magnitudes), list(magnitudes.values()), unit="L2 norm"),
        caption="L2 norm of each weight tensor, from the first layer down to the last.",
    )


def show_weight_histograms(notebook: Notebook, network: nn.Module, table: Table) -> None:
    """Show how the weights of each layer are spread, and the gradients that would change them.

    The gradients are those of the mean cross-entropy of the first training images.
    """
    split = table.split("train")
    images = normalised(network, table, split.take(slice(0, LEARNED)))
    labels = torch.tensor(split.labels[:LEARNED], dtype=torch.int64, device=images.device)
    columns = {
        "weights": explain.weight_histograms(network),
        "gradients": explain.gradient_histograms(network, images, labels),
    }
    notebook.show(
        "weights and gradients by depth",
        figures.histograms(
            {
                title: {name: (one.edges, one.counts) for name, one in layers.items()}
                for title, layers in columns.items()
            }
        ),
        caption="First layer on top. Each in its own range; beside it the root mean square.",
        folded=True,
    )


def show_feature_maps(
    notebook: Notebook, network: nn.Module, table: Table, place: int, *, folded: bool = False
) -> None:
    """Show what the last layer at each resolution answers to one image."""
    try:
        maps = explain.feature_maps(network, images_at(network, table, [place])[0])
    except ShapeError as error:
        notebook.note(f"No feature maps: {error}.")
        return
    rows = [("the image", table.split("test").take(slice(place, place + 1)))]
    for name, one in maps.items():
        title = f"{name}, {one.shape[1]}×{one.shape[2]}"
        rows.append((title, explain.as_images(one[:MAPS]).numpy()))
    notebook.show(
        "feature maps of one image", figures.named_rows(rows),
        caption=f"The first {MAPS} channels at each resolution, each in its own range.",
        folded=folded,
    )  # fmt: skip


def show_units(notebook: Notebook, network: nn.Module, table: Table) -> None:
    """Show the patches that units answer to most, and DeconvNet's projection of each.

    Of an early layer and of the last one, the units whose answers differ most from image to image.
    Units are channels after a ReLU.
    """
    pixels = table.split("test").take(slice(0, SEARCHED))
    images = normalised(network, table, pixels)
    layers = relu_layers(network, images[:1])
    if not layers:
        notebook.note("No units are shown: no layer gives maps after a ReLU.")
        return
    for when, layer in (("early", layers[len(layers) // 4]), ("late", layers[-1])):
        rows: list[tuple[str, Images]] = []
        for unit in telling_units(network, images, layer):
            patches = explain.strongest_patches(network, images, layer, unit, count=PATCHES)
            excited = [one.image for one in patches]
            rows.append((f"{layer}, unit {unit}", cut(pixels[excited], patches)))
            try:
                back = explain.project(
                    network, images[excited], layer, unit, [one.place for one in patches]
                )
            except ShapeError:
                continue  # some activations are no ReLUs: there is no projection
            rows.append(("what in them did it", cut(signed_pixels(back), patches)))
        notebook.show(
            f"{when} units and their strongest patches", figures.named_rows(rows),
            caption=f"The {PATCHES} test images that a unit answers to most, cut to what it "
            "sees, and DeconvNet's projection of that one unit.",
            folded=when == "early",
        )  # fmt: skip


def show_methods(
    notebook: Notebook,
    network: nn.Module,
    table: Table,
    places: Sequence[int],
    methods: Sequence[str],
) -> None:
    """Show some images through several methods, for the class that the network names."""
    pixels = table.split("test").take(np.array(places))
    images = normalised(network, table, pixels)
    named = answers(network, images)
    rows: list[tuple[str, Images]] = [("the images", pixels)]
    for name in methods:
        one = explain.METHODS[name]
        drawn = []
        try:
            for image, raw, answer in zip(images, pixels, named, strict=True):
                found = smoothed(one, one(network, image[None], answer)[0])
                drawn.append(figures.over_image(raw, found.numpy(), signed=one.signed))
        except ShapeError as error:
            notebook.note(f"{one.title}: no map. {error}.")
            continue
        rows.append((one.title, np.stack(drawn)))
    notebook.show(
        "one image through all methods", figures.named_rows(rows),
        caption="For the class that the network names. Yellow is most; of maps with a sign red is "
        "for the class and blue against it.",
    )  # fmt: skip


def rank_methods(
    notebook: Notebook,
    network: nn.Module,
    table: Table,
    places: Sequence[int],
    methods: Sequence[str],
) -> None:
    """Rank methods by their maps of test images for their labels, beside maps of chance.

    By IoU with the cause where that is known, in the offline world, and else by insertion less
    deletion, of which the best method's is recorded.
    """
    images, masks = images_at(network, table, places), causes(table, places)
    labels = table.split("test").labels[places].tolist()
    found, without = ranked(network, images, masks, labels, methods, quiet=notebook.muted)
    for name, why in without.items():
        notebook.note(f"{titled(name)}: no map. {why}.")
    known = masks is not None
    right = int(np.sum(np.array(answers(network, images)) == labels))
    notebook.table(
        "methods ranked",
        ("method", *((("IoU", ".2f"), ("points at it", ".0%")) if known else ()),
         ("insertion less deletion, beyond chance", "+z.2f")),
        [
            (titled(name), *((one.mean_iou(), one.pointing()) if known else ()),
             one.beyond_chance())
            for name, one in found.items()
        ],
        caption=f"Mean over {len(places)} test images, of which the network has {right} right, "
        "and its 95 % interval. "
        + ("IoU: of the object that is the class's cause with as many of the map's largest "
           "pixels. " if known else "")
        + "Insertion less deletion: see `vislab explain`; chance is 0.",
    )  # fmt: skip
    best = max(
        (one.beyond_chance() for name, one in found.items() if name not in RIVALS),
        key=lambda estimate: estimate[0], default=None,
    )  # fmt: skip
    if best is not None:
        notebook.record(
            "best method: insertion less deletion, beyond chance", best[0], interval=best[1]
        )
    overlaps = [one.mean_iou() for one in found.values()] if known else []
    if best is not None and known and np.isfinite([value for value, _ in overlaps]).all():
        notebook.show(
            "methods by IoU with the cause",
            figures.bars(
                [titled(name) for name in found],
                [value for value, _ in overlaps],
                intervals=[interval for _, interval in overlaps],
                chance=found[RANDOM_MAP].mean_iou()[0],
                unit="IoU",
            ),
            caption="With 95 % intervals over images; the line is a random map's.",
        )


def record_cause_removed(
    notebook: Notebook, network: nn.Module, table: Table, places: Sequence[int]
) -> None:
    """Record the mean probability of images' labels, with their cause and with it removed.

    Only the offline world can take a cause away: of other tables nothing is recorded.
    """
    if causes(table, places) is None:
        return
    labels = torch.tensor(table.split("test").labels[places], dtype=torch.int64)
    bare = shapes.render(shapes.without_cause(scenes_of(table, places)), table.size)
    for what, images in (
        ("probability of the class", images_at(network, table, places)),
        ("probability of the class, its cause removed", normalised(network, table, bare)),
    ):
        with explain.hooked(network, []), torch.no_grad():
            found = probabilities_of(network, images)
        notebook.record(what, float(found.gather(1, labels[:, None].to(found.device)).mean()))


def probe_depths(notebook: Notebook, network: nn.Module, table: Table) -> None:
    """Show what a linear classifier makes of each block's mean features.

    Records the gain from the first block to the last, its interval by the ends of theirs. Raises
    ShapeError for a network that cannot be taken apart (see `models.parameter_groups`).
    """
    blocks = parameter_groups(network, images_at(network, table, [0])).blocks
    layers = [block.modules[-1] for block in blocks]
    found = linear_probe(network, table, layers, device=device_of(network), quiet=notebook.muted)
    (early, (low, high)), (late, (least, most)) = found[layers[0]], found[layers[-1]]
    notebook.record(
        "probe: gain in accuracy from the first layer to the last",
        late - early, interval=(least - high, most - low),
    )  # fmt: skip
    notebook.show(
        "linear probe by depth",
        figures.bars(
            layers,
            [value for value, _ in found.values()],
            intervals=[interval for _, interval in found.values()],
            chance=trivial_accuracy(table)["accuracy"],
            unit="%",
        ),
        caption="Test accuracy of a linear classifier on each block's mean features.",
    )


def show_neighbours(
    notebook: Notebook, network: nn.Module, table: Table, *, count: int = 1000, seed: int = 0
) -> None:
    """Show a t-SNE map of as many test images, evenly spread, by the features before the head."""
    split = table.split("test")
    places = np.unique(np.linspace(0, len(split) - 1, min(count, len(split))).round().astype(int))
    batches = np.split(places, range(BATCH, len(places), BATCH))
    given = explain.features(network, (images_at(network, table, some) for some in batches))
    try:
        points = explain.tsne(given, seed=seed)
    except DataError as error:
        notebook.note(f"No map of the test images: {error}.")
        return
    near = min(12, (len(points) - 1) // 3)
    kept = explain.trustworthiness(given, points, neighbours=near)
    notebook.record("t-SNE: trustworthiness", kept)
    notebook.show(
        "test images by what the head sees",
        figures.thumbnails(points.numpy(), split.take(places), split.labels[places], table.classes),
        caption=f"t-SNE of {len(points)} images, trustworthiness {kept:.2f}. It keeps "
        "neighbours, not distances: gaps and sizes of groups say nothing.",
    )


def of_each_class(
    correct: Bool[np.ndarray, " n"], labels: Int[np.ndarray, " n"], count: int
) -> list[int]:
    """Return places of images that are right, of one class after the other.

    Of a class with none right, those of it that lie among `count` spread over all.
    """
    by_class = [
        [k for k in right_ones(correct & (labels == one), count) if labels[k] == one]
        for one in range(int(labels.max()) + 1)
    ]
    return [k for turn in zip_longest(*by_class) for k in turn if k is not None][:count]


def images_at(
    network: nn.Module, table: Table, places: Sequence[int] | Int[np.ndarray, " n"]
) -> Float[Tensor, "n 3 s s"]:
    """Return test images as the network is shown them, on its device."""
    return normalised(network, table, table.split("test").take(np.array(places)))


def normalised(
    network: nn.Module, table: Table, pixels: UInt8[np.ndarray, "n s s 3"]
) -> Float[Tensor, "n 3 s s"]:
    """Return pixels as the network is shown them, on its device."""
    return normalise(torch.from_numpy(pixels).to(device_of(network)), *table.normalisation)


def scores(network: nn.Module, images: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n k"]:
    """Return class scores, in eval mode."""
    with explain.hooked(network, []), torch.inference_mode():
        return ask(network, images)


def answers(network: nn.Module, images: Float[Tensor, "n 3 s s"]) -> list[int]:
    """Return the class that the network names for each image."""
    named: list[int] = scores(network, images).argmax(dim=1).tolist()
    return named


def relu_layers(network: nn.Module, image: Float[Tensor, "1 3 s s"]) -> list[str]:
    """Return the names of ReLU modules that give maps, in the order in which they run."""
    names = [name for name, one in network.named_modules() if isinstance(one, nn.ReLU | nn.ReLU6)]
    with explain.hooked(network, names) as seen, torch.inference_mode():
        network(image)
    return [name for name, out in seen.items() if out.ndim == 4 and out.shape[2:].numel() > 1]


def telling_units(network: nn.Module, images: Float[Tensor, "n 3 s s"], layer: str) -> list[int]:
    """Return the channels whose largest answers differ most from image to image, most first."""
    with explain.hooked(network, [layer]) as seen, torch.inference_mode():
        network(images[:LEARNED])
    spread = seen[layer].amax(dim=(2, 3)).std(dim=0)
    units: list[int] = spread.topk(min(UNITS, len(spread))).indices.tolist()
    return units


def cut(images: Images, patches: Sequence[explain.Patch]) -> Images:
    """Return the part of each image that the unit of its patch saw, all at one size."""
    return np.stack(
        [
            np.asarray(
                Image.fromarray(image).crop(patch.box)
                .resize((PATCH, PATCH), Image.Resampling.BICUBIC)
            )
            for image, patch in zip(images, patches, strict=True)
        ]
    )  # fmt: skip


def eight_bits(images: Float[Tensor, "n 3 h w"]) -> Images:
    """Return RGB in [0, 1] as 8 bits."""
    levels = (images.clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def signed_pixels(images: Float[Tensor, "n 3 h w"]) -> Images:
    """Return signed images about mid grey, each in its own range but for single outliers."""
    largest = images.abs().flatten(1).quantile(OUTLIERS, dim=1).clamp_min(1e-12)
    return eight_bits(0.5 + 0.5 * images / largest[:, None, None, None])


def titled(name: str) -> str:
    """Return a method's title, or the name of what it is ranked beside."""
    return explain.METHODS[name].title if name in explain.METHODS else name
