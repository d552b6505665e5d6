"""The content of one image in the style of another."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vislab import models, runs
from vislab.errors import OptionError
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8
    from torch import Tensor, nn

    from vislab.explain.image_optimisation import Normalisation
    from vislab.lab.bench import Lab
    from vislab.tasks.style_transfer import Transferred

DRAWN = {"content": ("easy", 3), "style": ("hard", 11)}  # of shapes, where no image is given
SMALLEST, LARGEST = 16, 1024  # pixels; shapes are drawn up to that


@dataclass(frozen=True)
class StyleTransfer(Recipe):
    """Paint what is in one image the way another is painted.

    A network trained to tell things apart is asked twice. Its features say where things are: those
    of the new image shall be those of the content image. Which features are large together,
    their Gram matrix, says what surfaces are like: that of the new image shall be that of the
    style image. Neither network nor weights change: it is the image that learns.

    The result is painting.png in the run's folder. Try several --style-weight: too small and
    nothing happens, too large and the content is gone.

    Source: EECS 498/598, assignment 4 (SqueezeNet, its first layers); Gatys, Ecker and Bethge 2016,
    arXiv:1508.06576 (VGG-19). The course's notes call style transfer recurrent; the network is
    convolutional, and only the steps follow one another.

    Question: The style loss does not look at where anything is. What of the style image can come
    through it, and what cannot?
    Look at: The image on its way: what changes first, colours or strokes?
    Look at: The losses: one is smallest at the start. Why, and what is had for its rise?
    Exercise: A layer gives 64 channels of 128×128 places. How many numbers has its Gram matrix?
    Answer: 4096
    Exercise: Two channels at two places are (1, 2) and (3, −1). What is the entry of their Gram
    matrix, not normalised, off the diagonal?
    Answer: 1
    """

    group = "Seeing inside"

    content: Path | None = None
    """Image file whose things are kept; without one, a scene of shapes."""
    style: Path | None = None
    """Image file whose surfaces are taken; without one, another scene."""
    network: str = "efficientnet-lite0"
    """By name; see `vislab models`. Its own weights, or random ones where it has none."""
    weights: Path | None = None
    """File of weights for the network."""
    content_layer: str = ""
    """Name of one layer of `vislab models NAME --layers`; empty takes one in the middle."""
    style_layers: tuple[str, ...] = ()
    """Names of layers; none takes the last of each size of maps, but not the smallest."""
    content_weight: float = 1.0
    """Of ‖F − P‖² over ‖P‖²."""
    style_weight: float = 10.0
    """Of ‖G − A‖² over ‖A‖², mean over layers."""
    tv_weight: float = 30.0
    """Of the mean square difference of neighbouring pixels."""
    size: int = 512
    """Longer side of the painting in pixels."""
    steps: int = 200
    """Of Adam."""
    lr: float = 0.03
    """Of a pixel from 0 to 1, for nine tenths of the steps; then a tenth of it."""

    claims = (
        claim("the style is taken over", "style loss, times smaller", at_least=4.0),
        claim(
            "the content stays nearer than the style image is",
            "content loss, over the style image's",
            at_most=0.75,
        ),
    )
    quick = {"size": 160, "steps": 80}
    smoke = {"network": "convnet", "size": 32, "steps": 4}

    def run(self, lab: "Lab") -> None:
        """Read two images, paint a third, and tell what it cost in content."""
        from vislab.tasks.style_transfer import distance, transfer

        self.check()
        model, normalisation = self.prepared(lab)
        content, style = (
            image_of(self, name, lab.seed).to(lab.device) for name in ("content", "style")
        )
        stages = (0, self.steps // 16, self.steps // 4, self.steps)
        done = transfer(
            model, content, style,
            content_layer=self.content_layer, style_layers=self.style_layers,
            content_weight=self.content_weight, style_weight=self.style_weight,
            tv_weight=self.tv_weight, steps=self.steps, lr=self.lr, keep=stages, seed=lab.seed,
            normalisation=normalisation, quiet=lab.muted,
        )  # fmt: skip
        lab.say(f"content at {done.content_layer}, style at {', '.join(done.style_layers)}")
        elsewhere = distance(model, style, content, done.content_layer, normalisation)
        after = distance(model, done.image.to(lab.device), content, done.content_layer,
                         normalisation)  # fmt: skip
        lab.record("style loss, times smaller", done.style[0] / max(done.style[-1], 1e-12))
        lab.record("content loss, over the style image's", after / max(elsewhere, 1e-12))
        lab.record("content loss", after)
        lab.record("style loss", done.style[-1])
        self.draw(lab, content, style, done)

    def check(self) -> None:
        """Refuse what paints nothing."""
        if not SMALLEST <= self.size <= LARGEST:
            raise OptionError(f"--size {self.size} is not from {SMALLEST} to {LARGEST} pixels")
        if self.steps < 1:
            raise OptionError(f"--steps {self.steps} paints nothing; use 1 or more")

    def prepared(self, lab: "Lab") -> "tuple[nn.Module, Normalisation]":
        """Return the network with its weights, and how it wants images normalised."""
        from vislab.models.classifiers import preprocessing_of

        known = self.weights is None and models.has_weights(self.network)
        model = models.create(
            self.network,
            classes=None if models.has_weights(self.network) else 10,
            pretrained=known,
            weights=self.weights,
        )
        if not known and self.weights is None:
            lab.note(f"{self.network} has random weights here: it knows strokes by accident only.")
        shown = preprocessing_of(self.network)
        return model.eval().to(lab.device), (shown.mean, shown.std)

    def draw(self, lab: "Lab", content: "Tensor", style: "Tensor", done: "Transferred") -> None:
        """File the images, the painting by itself, and the losses."""
        import numpy as np

        from vislab.runs.writing import write_bytes
        from vislab.tasks.style_transfer import to_pixels

        painting = to_pixels(done.image)
        if not lab.run.silent:
            write_bytes(lab.run.path / "painting.png", as_png(painting))
        lab.show(
            "content, style and painting",
            runs.figures.image_grid(
                np.stack([to_pixels(content), fitted(to_pixels(style), painting), painting]),
                titles=["content", "style", "painting"],
            ),
            caption="The painting at its full size is painting.png in the run's folder. The style "
            "image is shown cut to the same shape; it was read whole.",
        )
        lab.show(
            "on the way",
            runs.figures.image_grid(
                np.stack([to_pixels(image) for image in done.on_the_way.values()]),
                titles=[f"after {step} steps" for step in done.on_the_way],
            ),
            caption="It begins as the content image.",
        )
        steps = range(len(done.style))
        lab.show(
            "losses",
            runs.figures.curves(
                {
                    "content": (steps, done.content),
                    "style": (steps, done.style),
                    "variation": (steps, done.variation),
                },
                x="step", y="loss, without its weight", log=True,
            ),
            caption="Content and style: square distance over the square size of what is wanted. "
            "Variation: mean square difference of neighbouring pixels.",
        )  # fmt: skip


def image_of(recipe: StyleTransfer, name: str, seed: int) -> "Tensor":
    """Return the image of a file, (1, 3, H, W) in [0, 1], its longer side as asked; or shapes."""
    from vislab.data.shapes import draw_scenes, render
    from vislab.tasks.style_transfer import in_unit, read_whole

    path: Path | None = getattr(recipe, name)
    if path is not None:
        return read_whole(path, recipe.size)
    difficulty, number = DRAWN[name]
    scenes = draw_scenes([number], seed=seed, difficulty=difficulty)
    return in_unit(render(scenes, recipe.size)[0])


def fitted(
    image: "UInt8[np.ndarray, 'a b 3']", like: "UInt8[np.ndarray, 'h w 3']"
) -> "UInt8[np.ndarray, 'h w 3']":
    """Return the middle of an image in the shape and size of another."""
    import numpy as np
    from PIL import Image, ImageOps

    return np.asarray(ImageOps.fit(Image.fromarray(image), (like.shape[1], like.shape[0])))


def as_png(image: "UInt8[np.ndarray, 'h w 3']") -> bytes:
    """Return the bytes of a PNG file."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    return file.getvalue()
