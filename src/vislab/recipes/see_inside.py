"""One network, looked into in every way there is, each map beside what it is worth."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vislab import explain, models, runs, tasks
from vislab.data.augment import Augment
from vislab.errors import ShapeError
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8
    from torch import Tensor, nn

    from vislab.data.table import Table
    from vislab.inspection.benchmark import Ranked
    from vislab.lab.bench import Lab
    from vislab.models.anatomy import Anatomy

UNITS, PATCHES = 4, 9
MAPS = 12  # feature maps of a layer that are shown
RIVALS = ("a random map", "a blob in the middle", "the object itself")


@dataclass(frozen=True)
class SeeInside(Recipe):
    """Train a network, then look into it: weights, features, units, reasons, dreams.

    Every way of looking that `vislab explain` has and those that need many pictures. On the offline
    world the cause of a class is known to the pixel, so that the methods can be ranked by whether
    they find it; on other pictures by what covering does to the answer.

    Source: GNR-650, assignments 1 to 3; Computer Vision Lab; EECS 498/598, assignment 4; Zeiler and
    Fergus 2014, arXiv:1311.2901; Adebayo et al. 2018, arXiv:1810.03292.

    Question: Before you look: which will find the object better, a map of single pixels, such as
    saliency, or a map of a few cells, such as Grad-CAM?
    Look at: The table of methods: how much better is the best than a blob in the middle?
    Look at: The units: do early ones agree on an edge or a colour, and late ones on a thing?
    Look at: The probe by depth: at which layer could a straight line do the network's work?
    Exercise: Two windows of 32 pixels cover a picture of 64 pixels side by side. With a stride of
    16, how many windows does occlusion need in all?
    Answer: 9
    Exercise: Saliency takes one value a pixel out of three channels. Which: the sum, the mean or
    the maximum of the absolute gradient?
    Answer: maximum
    """

    group = "Seeing inside"

    data: str = "shapes"
    """A name of the catalogue, a folder or a zip."""
    per_class: int | None = None
    """Training pictures of each class; None takes all."""
    size: int = 64
    """Side of the pictures in pixels."""
    network: str = "resnet9"
    """By name; see `vislab models`. With its pre-trained weights where it has any."""
    width: int | None = 16
    """Of `resnet9`; no other network has it."""
    optim: Optim = field(
        default_factory=lambda: Optim("adamw", lr=3e-3, weight_decay=0.05, schedule="one-cycle")
    )
    epochs: int = 8
    """Times through the training pictures."""
    batch: int = 64
    """Table in a step."""
    augment: Augment = field(default_factory=lambda: Augment(crop=0.125, flip=True))
    """What training pictures go through."""
    shown: int = 4
    """Test pictures explained one by one."""
    ranked: int = 50
    """Test pictures on which the methods are ranked."""
    methods: tuple[str, ...] = ("all",)
    """Which; see `vislab explain --help`."""
    mapped: int = 1000
    """Test pictures on the t-SNE map."""
    paint_steps: int = 256
    """Of gradient ascent for each painted picture."""

    claims = (
        claim("what the best map marks is needed, more than by chance",
              "best method: insertion less deletion, beyond chance", at_least=1e-4),
        claim("deep layers tell classes apart better than early ones",
              "probe: gain in accuracy from the first layer to the last", at_least=1e-4),
        claim("a painted picture is taken for its class",
              "painted classes: lowest probability", at_least=0.99),
        claim("a difference one cannot see fools the network",
              "fooling picture: root mean square change", at_most=0.02),
    )  # fmt: skip
    quick = {
        "data": "shapes:easy", "per_class": 60, "epochs": 10, "size": 32, "ranked": 12,
        "mapped": 300, "shown": 3,
    }  # fmt: skip
    smoke = {
        "data": "shapes:easy", "per_class": 4, "epochs": 1, "size": 16, "batch": 16, "width": 4,
        "ranked": 3, "mapped": 20, "paint_steps": 12, "shown": 2,
        "methods": ("saliency", "grad-cam"),
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Train, test, and look."""
        from vislab.inspection.explanations import chosen_methods

        methods = chosen_methods(self.methods)
        opened = lab.pictures(self.data, per_class=self.per_class, size=self.size, validation=0.1)
        options = {"width": self.width} if self.network == "resnet9" and self.width else {}
        model, anatomy, pictures = lab.adopt(
            self.network, opened, pretrained=models.has_weights(self.network), **options
        )
        task = tasks.Classify(model, self.optim)
        lab.fit(task, pictures, epochs=self.epochs, batch=self.batch, augment=self.augment)
        outcome = lab.test(task, pictures)
        network = task.network.eval()
        shown = self.of_each_class(outcome.correct, outcome.labels, self.shown)
        self.weights(lab, network, pictures)
        self.features(lab, network, pictures, shown[0])
        self.reasons(lab, network, pictures, shown, outcome.predicted, methods)
        self.ranking(lab, network, pictures, outcome.correct, outcome.labels, methods)
        self.units(lab, network, anatomy, pictures)
        self.painted(lab, network, anatomy, pictures, shown[0], outcome.predicted)
        self.depth(lab, network, anatomy, pictures)
        self.neighbourhoods(lab, network, pictures)

    def chosen(self, correct: "np.ndarray", count: int) -> list[int]:
        """Return test pictures that the network has right, spread evenly; any if it has none."""
        import numpy as np

        right = np.flatnonzero(correct)
        if not len(right):
            right = np.arange(len(correct))
        some = np.unique(np.linspace(0, len(right) - 1, count).round().astype(int))
        return [int(right[k]) for k in some]

    def of_each_class(self, correct: "np.ndarray", labels: "np.ndarray", count: int) -> list[int]:
        """Return test pictures that the network has right, of as many classes as there are."""
        found: list[int] = []
        by_class = [[k for k in self.chosen(correct & (labels == c), count) if labels[k] == c]
                    for c in range(int(labels.max()) + 1)]  # fmt: skip
        for turn in range(count):
            found += [places[turn] for places in by_class if turn < len(places)]
        return found[:count]

    def weights(self, lab: "Lab", network: "nn.Module", pictures: "Table") -> None:
        """Show kernels, and how weights and their gradients are spread by depth."""
        from vislab.data.batches import in_order

        try:
            kernels = explain.kernels(network).numpy()
        except ShapeError as error:
            lab.note(f"No kernels to show: {error}.")
        else:
            lab.show(
                "kernels", runs.figures.picture_grid(kernels[:64], columns=16),
                caption="The first layer's kernels as pictures; mid grey is zero.", folded=True,
            )  # fmt: skip
        batch = next(iter(in_order(pictures, "train", batch=64, device=lab.device)))
        columns = {
            "weights": explain.weight_histograms(network),
            "gradients": explain.gradient_histograms(network, batch.images, batch.labels),
        }
        lab.show(
            "weights and gradients by depth",
            runs.figures.histograms(
                {
                    title: {name: (one.edges, one.counts) for name, one in layers.items()}
                    for title, layers in columns.items()
                }
            ),
            caption="First layer on top. Each in its own range; beside it the root mean square.",
            folded=True,
        )

    def features(self, lab: "Lab", network: "nn.Module", pictures: "Table", place: int) -> None:
        """Show what each resolution answers to one picture."""
        try:
            maps = explain.feature_maps(network, lab.example(pictures, place=place))
        except ShapeError as error:
            lab.note(f"No feature maps: {error}.")
            return
        rows = [("the picture", pictures.split("test").take(slice(place, place + 1)))]
        for name, one in maps.items():
            title = f"{name}, {one.shape[1]}×{one.shape[2]}"
            rows.append((title, explain.as_pictures(one[:MAPS]).numpy()))
        lab.show(
            "feature maps of one picture", runs.figures.named_rows(rows),
            caption=f"The first {MAPS} channels at each resolution, each in its own range.",
            folded=True,
        )  # fmt: skip

    def reasons(
        self,
        lab: "Lab",
        network: "nn.Module",
        pictures: "Table",
        shown: list[int],
        predicted: "np.ndarray",
        methods: list[str],
    ) -> None:
        """Show some pictures through all methods."""
        import numpy as np

        from vislab.inspection.explanations import smoothed

        pixels = pictures.split("test").take(np.array(shown))
        images = images_of(lab, pictures, pixels)
        rows: list[tuple[str, UInt8[np.ndarray, "n h w 3"]]] = [("the pictures", pixels)]
        for name in methods:
            one = explain.METHODS[name]
            drawn = []
            try:
                for k, place in enumerate(shown):
                    found = one(network, images[k : k + 1], int(predicted[place]))[0]
                    found = smoothed(one, found)
                    drawn.append(
                        runs.figures.over_picture(pixels[k], found.numpy(), signed=one.signed)
                    )
            except ShapeError as error:
                lab.note(f"{one.title}: no map. {error}.")
                continue
            rows.append((one.title, np.stack(drawn)))
        lab.show(
            "one picture through all methods", runs.figures.named_rows(rows),
            caption="For the class that the network names. Yellow is most; of maps with a sign red "
            "is for the class and blue against it.",
        )  # fmt: skip

    def ranking(
        self,
        lab: "Lab",
        network: "nn.Module",
        pictures: "Table",
        correct: "np.ndarray",
        labels: "np.ndarray",
        methods: list[str],
    ) -> None:
        """Rank the methods, where the cause is known by whether they find it."""
        import numpy as np
        import torch

        from vislab.data import shapes
        from vislab.data.world import scenes_of
        from vislab.inspection.benchmark import ranked

        places = self.chosen(correct, self.ranked)
        pixels = pictures.split("test").take(np.array(places))
        images = images_of(lab, pictures, pixels)
        known = pictures.name.partition(":")[0] == "shapes"
        masks = None
        if known:
            scenes = scenes_of(pictures, places)
            masks = torch.from_numpy(shapes.causal_mask(scenes, pictures.size))
            bare = images_of(
                lab, pictures, shapes.render(shapes.without_cause(scenes), pictures.size)
            )
            self.drop(lab, network, images, bare, labels[places])
        targets = [int(labels[k]) for k in places]
        found, _ = ranked(network, images, masks, targets, methods, quiet=lab.muted)
        lab.table(
            "methods ranked",
            ("method", *(("IoU", "95 %", "points at it", "95 %") if known else ()),
             "insertion less deletion, beyond chance", "95 %"),
            [(title(name), *cells(one, known)) for name, one in found.items()],
            caption=f"Mean over {len(places)} test pictures that the network has right. IoU: of "
            "the object that is the class's cause with as many of the map's largest pixels. "
            "Insertion less deletion: see `vislab explain`; chance is 0."
            if known
            else f"Mean over {len(places)} test pictures that the network has right.",
        )  # fmt: skip
        ours = {name: one for name, one in found.items() if name not in RIVALS}
        if not ours:
            return
        best = max(ours, key=lambda name: ours[name].beyond_chance()[0])
        value, interval = ours[best].beyond_chance()
        lab.record("best method: insertion less deletion, beyond chance", value, interval=interval)
        if known:
            shown = list(found)
            lab.show(
                "methods by IoU with the cause",
                runs.figures.bars(
                    [title(name) for name in shown],
                    [found[name].mean_iou()[0] for name in shown],
                    intervals=[found[name].mean_iou()[1] for name in shown],
                    chance=found["a random map"].mean_iou()[0],
                    unit="IoU",
                ),
                caption="With 95 % intervals over pictures; the line is a random map's.",
            )

    def drop(
        self,
        lab: "Lab",
        network: "nn.Module",
        images: "Tensor",
        bare: "Tensor",
        labels: "np.ndarray",
    ) -> None:
        """Record what taking the cause away does to the class's probability."""
        import torch

        with torch.inference_mode():
            target = torch.as_tensor(labels, device=images.device)[:, None]
            before, after = (
                float(network(some).softmax(dim=1).gather(1, target).mean())
                for some in (images, bare)
            )
        lab.record("probability of the class", before)
        lab.record("probability of the class, its cause removed", after)

    def units(
        self, lab: "Lab", network: "nn.Module", anatomy: "Anatomy", pictures: "Table"
    ) -> None:
        """Show the strongest patches of units, early and late, and what in them did it."""
        import torch

        from vislab.data.batches import in_order

        batches = in_order(pictures, "test", batch=512, device=lab.device)
        images = next(iter(batches)).images
        pixels = pictures.split("test").take(slice(0, len(images)))
        layers = relu_layers(network, images[0])
        if not layers:
            lab.note("No units are shown: no layer gives maps after a ReLU.")
            return
        for when, layer in (("early", layers[len(layers) // 4]), ("late", layers[-1])):
            with explain.tap(network, [layer]) as seen, torch.inference_mode():
                network(images[:64])
            spread = seen[layer].amax(dim=(2, 3)).std(dim=0)
            rows: list[tuple[str, UInt8[np.ndarray, "n h w 3"]]] = []
            for unit in spread.topk(min(UNITS, len(spread))).indices.tolist():
                patches = explain.strongest_patches(network, images, layer, unit, count=PATCHES)
                rows.append((f"{layer}, unit {unit}", cut(pixels, patches)))
                try:
                    back = explain.project(
                        network, images[[p.picture for p in patches]], layer, unit,
                        [p.place for p in patches],
                    )  # fmt: skip
                except ShapeError:
                    continue
                rows.append(("what in them did it", cut(as_pixels(back), patches, whole=True)))
            lab.show(
                f"{when} units and their strongest patches", runs.figures.named_rows(rows),
                caption=f"The {PATCHES} test pictures that a unit answers to most, cut to what it "
                "sees, and DeconvNet's projection of that one unit.",
                folded=when == "early",
            )  # fmt: skip

    def painted(
        self,
        lab: "Lab",
        network: "nn.Module",
        anatomy: "Anatomy",
        pictures: "Table",
        place: int,
        predicted: "np.ndarray",
    ) -> None:
        """Show what the network would like to see, and how it is fooled."""
        import numpy as np
        import torch

        quiet = lab.muted
        look = pictures.normalisation
        classes = list(range(min(10, len(pictures.classes))))
        done = explain.visualise_class(
            network, classes, size=pictures.size, steps=self.paint_steps, rate=0.05,
            l2_weight=2.0, variation=30.0, normalisation=look, quiet=quiet,
        )  # fmt: skip
        sure = explain.class_probability(
            network, done.pictures, torch.tensor(classes, device=lab.device), normalisation=look
        )
        lab.record("painted classes: lowest probability", float(sure.min()))
        lab.show(
            "what each class would look like most",
            runs.figures.picture_grid(
                eight_bits(done.pictures),
                titles=[
                    f"{pictures.classes[k]}\n{p:.1%}"
                    for k, p in zip(classes, sure.tolist(), strict=True)
                ],
                columns=5,
            ),
            caption="Gradient ascent from noise; below, the probability that the network gives.",
        )
        pixels = pictures.split("test").take(slice(place, place + 1))
        given = torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2).float() / 255
        answer = int(predicted[place])
        target = (answer + 1) % len(pictures.classes)
        fooled = explain.fool(network, given, target, normalisation=look, quiet=quiet)
        change = (fooled.pictures - given).abs()
        largest = max(float(change.max()), 1e-6)
        lab.record("fooling picture: largest change of a pixel", float(fooled.largest[0]))
        lab.record("fooling picture: L2 norm of the change", float(fooled.l2[0]))
        lab.record("fooling picture: root mean square change", float(change.square().mean().sqrt()))
        lab.show(
            "a picture that fools the network",
            runs.figures.picture_grid(
                np.concatenate([pixels, eight_bits(fooled.pictures), eight_bits(change / largest)]),
                titles=[
                    pictures.classes[answer],
                    f"{pictures.classes[target]} {fooled.probability[0]:.0%}"
                    + ("" if bool(fooled.fooled[0]) else ", not fooled"),
                    f"the change,\n×{1 / largest:.0f}",
                ],
            ),
            caption=f"Largest change {255 * float(fooled.largest[0]):.0f} of 255 levels, L2 norm "
            f"{float(fooled.l2[0]):.2f}, after {int(fooled.steps[0])} steps.",
        )
        dream = explain.deep_dream(network, given, octaves=1, normalisation=look, quiet=quiet)
        rows = [pixels, eight_bits(dream.pictures)]
        names = ["the picture", "dreamt on"]
        layers = maps_by_depth(network, lab.example(pictures))
        for layer in layers:
            back = explain.invert(
                network, given, layer, steps=self.paint_steps, normalisation=look, quiet=quiet
            )
            rows.append(eight_bits(back.pictures))
            names.append(f"from {layer}\nerror {float(back.error[0]):.0%}")
        lab.show(
            "dreamt on, and painted again from features",
            runs.figures.picture_grid(np.concatenate(rows), titles=names, columns=4),
            caption="Deep Dream makes a late layer's answer stronger. Inversion paints from noise "
            "what gives a layer the same features: what comes back wrong, it has forgotten.",
        )

    def depth(
        self, lab: "Lab", network: "nn.Module", anatomy: "Anatomy", pictures: "Table"
    ) -> None:
        """Show what a linear classifier makes of each block's features."""
        from vislab.evaluate.linear_probe import linear_probe

        layers = [block.modules[-1] for block in anatomy.blocks]
        found = linear_probe(network, pictures, layers, device=lab.device, quiet=lab.muted)
        first, last = found[layers[0]], found[layers[-1]]
        lab.record(
            "probe: gain in accuracy from the first layer to the last",
            last[0] - first[0],
            interval=(last[1][0] - first[1][1], last[1][1] - first[1][0]),
        )
        lab.show(
            "linear probe by depth",
            runs.figures.bars(
                layers,
                [value for value, _ in found.values()],
                intervals=[interval for _, interval in found.values()],
                chance=1 / len(pictures.classes),
                unit="%",
            ),
            caption="Test accuracy of a linear classifier on each block's mean features.",
        )

    def neighbourhoods(self, lab: "Lab", network: "nn.Module", pictures: "Table") -> None:
        """Show who is near whom in what enters the head."""
        import numpy as np

        side = pictures.split("test")
        places = np.unique(
            np.linspace(0, len(side) - 1, min(self.mapped, len(side))).round().astype(int)
        )
        pixels = side.take(places)
        given = explain.features(network, images_of(lab, pictures, pixels))
        points = explain.tsne(given, seed=lab.seed)
        neighbours = min(12, (len(points) - 1) // 3)
        kept = explain.trustworthiness(given, points, neighbours=neighbours)
        lab.record("t-SNE: trustworthiness", kept)
        lab.show(
            "test pictures by what the head sees",
            runs.figures.thumbnails(points.numpy(), pixels, side.labels[places], pictures.classes),
            caption=f"t-SNE of {len(points)} pictures, trustworthiness {kept:.2f}. It keeps "
            "neighbours, not distances: gaps and sizes of groups say nothing.",
        )


def images_of(lab: "Lab", pictures: "Table", pixels: "np.ndarray") -> "Tensor":
    """Return pixels normalised, on the bench's device."""
    import torch

    from vislab.data.augment_batch import normalise

    return normalise(torch.tensor(pixels, device=lab.device), *pictures.normalisation)


def eight_bits(images: "Tensor") -> "UInt8[np.ndarray, 'n h w 3']":
    """Return RGB in [0, 1] as 8 bits."""
    import torch

    levels = (images.clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().numpy()


def as_pixels(signed: "Tensor") -> "UInt8[np.ndarray, 'n h w 3']":
    """Return signed pictures about mid grey, each in its own range but for single outliers."""
    largest = signed.abs().flatten(1).quantile(0.998, dim=1).clamp_min(1e-12)
    return eight_bits(0.5 + 0.5 * signed / largest[:, None, None, None])


def cut(
    pixels: "UInt8[np.ndarray, 'n h w 3']",
    patches: "Sequence[explain.Patch]",
    *,
    whole: bool = False,
) -> "UInt8[np.ndarray, 'm s s 3']":
    """Return what each patch's unit saw, at one size; with `whole` pixels are the patches' own."""
    import numpy as np
    from PIL import Image

    cuts = []
    for k, patch in enumerate(patches):
        picture = Image.fromarray(pixels[k if whole else patch.picture])
        cuts.append(np.asarray(picture.crop(patch.box).resize((48, 48), Image.Resampling.BICUBIC)))
    return np.stack(cuts)


def maps_by_depth(network: "nn.Module", image: "Tensor") -> list[str]:
    """Return the last layer at each resolution, first to last; none where there are no maps."""
    try:
        return explain.last_of_each_size(network, image)
    except ShapeError:
        return []


def relu_layers(network: "nn.Module", image: "Tensor") -> list[str]:
    """Return the names of ReLU modules that give maps, in the order in which they run."""
    import torch
    from torch import nn

    names = [name for name, one in network.named_modules() if isinstance(one, nn.ReLU | nn.ReLU6)]
    with explain.tap(network, names) as seen, torch.inference_mode():
        network(image[None])
    return [name for name, out in seen.items() if out.ndim == 4 and out.shape[2:].numel() > 1]


def title(name: str) -> str:
    """Return a method's title, or the name of what it competes with."""
    return explain.METHODS[name].title if name in explain.METHODS else name


def cells(one: "Ranked", known: bool) -> tuple[str, ...]:
    """Return a row of the table."""

    def between(interval: tuple[float, float] | None) -> str:
        return "" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"

    beyond, of_it = one.beyond_chance()
    found: tuple[str, ...] = (f"{beyond:+.2f}", between(of_it))
    if known:
        iou, of_iou = one.mean_iou()
        points, of_points = one.pointing()
        found = (f"{iou:.2f}", between(of_iou), f"{points:.0%}", between(of_points), *found)
    return found
