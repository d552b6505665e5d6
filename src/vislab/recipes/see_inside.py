"""One network, looked into in every way there is, each map beside what it is worth."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vislab import models, tasks
from vislab.data.augment import Augment
from vislab.lab.training_recipe import LabelledRecipe
from vislab.runs.claims import claim

if TYPE_CHECKING:
    from vislab.lab.bench import Lab


@dataclass(frozen=True)
class SeeInside(LabelledRecipe):
    """Train a network, then look into it: weights, features, units, reasons, dreams.

    Every way of looking that `vislab explain` has and those that need many images. On the offline
    world the cause of a class is known to the pixel, so that the methods can be ranked by whether
    they find it; on other images by what covering does to the answer.

    Source: GNR-650, assignments 1 to 3; Computer Vision Lab; EECS 498/598, assignment 4; Zeiler and
    Fergus 2014, arXiv:1311.2901; Adebayo et al. 2018, arXiv:1810.03292.

    Question: Before you look: which will find the object better, a map of single pixels, such as
    saliency, or a map of a few cells, such as Grad-CAM?
    Look at: The table of methods: how much better is the best than a blob in the middle?
    Look at: The units: do early ones agree on an edge or a colour, and late ones on a thing?
    Look at: The probe by depth: at which layer could a straight line do the network's work?
    Exercise: Two windows of 32 pixels cover an image of 64 pixels side by side. With a stride of
    16, how many windows does occlusion need in all?
    Answer: 9
    Exercise: Saliency takes one value a pixel out of three channels. Which: the sum, the mean or
    the maximum of the absolute gradient?
    Answer: maximum
    """

    group = "Seeing inside"

    data: str = "shapes"
    size: int = 64
    network: str = "resnet9"
    """By name; see `vislab models`. With its pre-trained weights where it has any."""
    width: int | None = 16
    """Of `resnet9`; no other network has it."""
    epochs: int = 8
    augment: Augment = Augment(crop=0.125, flip=True)
    shown: int = 4
    """Test images explained one by one."""
    ranked: int = 50
    """Test images on which the methods are ranked."""
    methods: tuple[str, ...] = ("all",)
    """Which; see `vislab explain --help`."""
    mapped: int = 1000
    """Test images on the t-SNE map."""
    paint_steps: int = 256
    """Of gradient ascent for each painted image."""

    claims = (
        claim("what the best map marks is needed, more than by chance",
              "best method: insertion less deletion, beyond chance", at_least=1e-4),
        claim("deep layers tell classes apart better than early ones",
              "probe: gain in accuracy from the first layer to the last", at_least=1e-4),
        claim("a painted image is taken for its class",
              "painted classes: lowest probability", at_least=0.99),
        claim("a difference one cannot see fools the network",
              "fooling image: root mean square change", at_most=0.02),
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
        from vislab.inspection import painted_views, views
        from vislab.inspection.attention import right_ones
        from vislab.inspection.explanations import chosen_methods

        methods = chosen_methods(self.methods)  # a name that there is not is told at once
        opened = self.open_images(lab, validation=0.1)
        options = {"width": self.width} if self.network == "resnet9" and self.width else {}
        model, _, images = lab.create_model(
            self.network, opened, pretrained=models.has_weights(self.network), **options
        )
        task = tasks.Classify(model, self.optim)
        lab.fit(task, images, epochs=self.epochs, batch=self.batch, augment=self.augment)
        outcome = lab.test(task, images)

        network = task.network
        shown = views.of_each_class(outcome.correct, outcome.labels, self.shown)
        views.show_kernels(lab, network, folded=True)
        views.show_weight_histograms(lab, network, images)
        views.show_feature_maps(lab, network, images, shown[0], folded=True)
        views.show_methods(lab, network, images, shown, methods)

        ranked = right_ones(outcome.correct, self.ranked)
        views.record_cause_removed(lab, network, images, ranked)
        views.rank_methods(lab, network, images, ranked, methods)

        views.show_units(lab, network, images)
        painted_views.paint_classes(lab, network, images, steps=self.paint_steps)
        painted_views.show_fooling(lab, network, images, shown[0])
        painted_views.show_dreams(lab, network, images, shown[0], steps=self.paint_steps)
        views.probe_depths(lab, network, images)
        views.show_neighbours(lab, network, images, count=self.mapped, seed=lab.seed)
