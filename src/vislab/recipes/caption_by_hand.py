"""Recurrent networks by hand: they learn to say what is on an image."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vislab import runs
from vislab.errors import OptionError, pick
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course

if TYPE_CHECKING:
    from torch import Tensor

    from vislab.data.table import Table
    from vislab.lab.bench import Lab
    from vislab.lab.captioning import Captioned
    from vislab.lab.twin import Pair
    from vislab.scratch import CaptioningRNN

SOURCE = "EECS 498/598, assignment 4"
COURSE = Protocol(
    data="coco", train=10_000, test=500, pixels="official files", size=112,
    augmentation="none", optimiser="adam 0.001", batch=250, epochs=60, metric="loss",
)  # fmt: skip
CELLS = ("rnn", "lstm", "attention")
STEPS = 30  # of the sequence on which gradients through time are measured


@dataclass(frozen=True)
class CaptionByHand(Recipe):
    """Learn to write captions, with back-propagation through time by hand.

    A small ConvNet, by hand too, learns which words an image's captions use; its last feature map
    is all that the writers see. Three write, word after word: a plain RNN and an LSTM that begin
    from the mean of the map, and an LSTM that looks at a part of the map before each word. Then
    gradients are followed back through thirty steps, to see where they vanish and where they
    explode.

    Source: EECS 498/598, assignment 4.

    Question: For which words should the network look at the object, and for which could it look
    anywhere?
    Look at: Attention for each word: does it leave the object when the background is named?
    Look at: The gradient through time: which lines fall, which rise, and what does clipping do?
    Look at: The captions that are wrong: is it the colour, the kind or the place?
    Exercise: A sentence of 12 words is written by a network that had <START> before it and has to
    write <END> after it. How many words must it predict?
    Answer: 13
    Exercise: A forget gate stands at 0.5 for 10 steps. What part of the cell is left, as one over
    what?
    Answer: 1024
    """

    group = "Foundations by hand"

    data: str = "shapes:easy"
    """shapes:easy, shapes or shapes:hard: the images that come with their captions."""
    per_class: int | None = 600
    """Training images of each class."""
    size: int = 48
    """Side of the images in pixels; a multiple of 8."""
    engine: str = "scratch"
    """Who derives the gradients: scratch (by hand) or autograd."""
    cells: tuple[str, ...] = CELLS
    """Who writes: rnn, lstm, attention."""
    filters: tuple[int, ...] = (16, 32, 64)
    """Kernels of the ConvNet that gives the features; the image is halved after each."""
    feature_epochs: int = 20
    """Epochs, passes over the training set, for the features."""
    hidden: int = 192
    """Numbers in the hidden state."""
    word_width: int = 64
    """Numbers that stand for a word."""
    learning_rate: float = 3e-3
    """Of the writers, with Adam."""
    decay: float = 0.9
    """The learning rate is multiplied by it after every epoch."""
    batch: int = 100
    """Batch size: images in a step."""
    epochs: int = 25
    """Epochs for every writer."""

    references = tuple(
        course(f"{cell}/train/loss", loss, SOURCE, protocol=COURSE)
        for cell, loss in (("rnn", 0.33), ("lstm", 0.50), ("attention", 0.17))
    )
    claims = (
        claim(
            "an RNN with large weights makes gradients explode",
            "rnn, large weights: growth of the gradient a step",
            at_least=1.0,
        ),
        claim(
            "the LSTM's cell keeps gradients that an RNN loses",
            "lstm: gradient kept, over the rnn's",
            at_least=1.0,
        ),
        claim("attention writes better captions", "attention: gain over lstm", at_least=1e-4),
    )
    quick = {
        "data": "shapes:easy", "per_class": 60, "size": 32, "filters": (16, 32),
        "feature_epochs": 10, "hidden": 96, "word_width": 32, "epochs": 20, "batch": 50,
    }  # fmt: skip
    smoke = {
        "data": "shapes:easy", "per_class": 5, "size": 32, "filters": (4, 8),
        "feature_epochs": 1, "hidden": 12, "word_width": 8, "epochs": 2, "batch": 20,
    }  # fmt: skip

    def images(self, lab: "Lab") -> "Table":
        """Open the offline world, the only images that write captions of themselves."""
        for cell in self.cells:
            pick(dict.fromkeys(CELLS), cell, "cell")
        if not self.cells or not self.filters:
            raise OptionError("--cells and --filters each need a value; leave them out for all")
        if self.data.partition(":")[0] != "shapes":
            raise OptionError(
                f"--data {self.data} has no captions; use shapes, shapes:easy or shapes:hard"
            )
        return lab.images(self.data, per_class=self.per_class, size=self.size).centred()

    def writer(self, cell: str, captioned: "Captioned", lab: "Lab", **made: Any) -> "CaptioningRNN":
        """Build one writer."""
        from vislab import scratch
        from vislab.ops.seeding import generator

        return scratch.CaptioningRNN(
            captioned.word_to_idx, self.filters[-1], self.word_width, self.hidden, cell,
            generator=generator(lab.seed, "writer", cell), **made,
        )  # fmt: skip

    def pair(self, lab: "Lab") -> "Pair":
        """Return the last writer in float64 on features of an untrained network."""
        import torch

        from vislab.lab.captioning import captioned_images, feature_maps, feature_network
        from vislab.lab.twin import Pair
        from vislab.ops.seeding import generator

        images = self.images(lab)
        captioned = captioned_images(images)
        spotter = feature_network(captioned, self.filters, lab.seed)
        maps = feature_maps(spotter, images, "train", rows=torch.arange(256))
        words = captioned.words["train"][: len(maps)]
        cell = self.cells[-1]
        features = inputs_of(cell, maps).double()
        network = self.writer(cell, captioned, lab, dtype=torch.float64)

        def batch(step: int) -> "tuple[Tensor, Tensor]":
            rows = torch.randint(len(words), (20,), generator=generator("twin", step))
            return features[rows], words[rows]

        return Pair(network, batch, "adam", {"learning_rate": 1e-3})

    def run(self, lab: "Lab") -> None:
        """Train the features and the writers, let them write, look where they look."""
        from vislab.lab.captioning import captioned_images, feature_maps, train_features

        images = self.images(lab)
        captioned = captioned_images(images)
        lab.plan(fits=len(self.cells))
        spotter = train_features(lab, captioned, self.filters, self.feature_epochs, self.batch)
        maps = {split: feature_maps(spotter, images, split) for split in ("train", "val", "test")}
        writers, right = {}, {}
        for cell in self.cells:
            writers[cell], right[cell] = self.one(lab, captioned, maps, cell)
        self.compare(lab, right)
        self.show_captions(lab, captioned, writers, maps["test"])
        if "attention" in writers:
            self.show_attention(lab, captioned, writers["attention"], maps["test"])
        self.through_time(lab, writers, captioned)

    def one(
        self, lab: "Lab", captioned: "Captioned", maps: "dict[str, Tensor]", cell: str
    ) -> "tuple[CaptioningRNN, Any]":
        """Train one writer; return it and which of its test captions are right."""
        from vislab.tasks.engines import ByHand

        network = self.writer(cell, captioned, lab)
        task = ByHand(network, self.engine)
        data: dict[str, Any] = {}
        for split in ("train", "val"):
            data[f"X_{split}"] = inputs_of(cell, maps[split])
            data[f"y_{split}"] = captioned.words[split]
        solver = lab.solve(
            task, captioned.images, rule="adam", config={"learning_rate": self.learning_rate},
            epochs=self.epochs, batch=self.batch, decay=self.decay, name=cell, data=data,
        )  # fmt: skip
        network.params.update(task.engine.params)  # the twin's, where autograd has trained
        losses = solver.loss_history[-solver.steps_per_epoch :]
        lab.record(f"{cell}/train/loss", sum(losses) / len(losses))
        test = inputs_of(cell, maps["test"])
        words = captioned.words["test"]
        hits = network.right(test, words)
        lab.record(
            f"{cell}/test/words right", float(hits.double().mean()),
            interval=runs.exact(int(hits.sum()), len(hits)), trivial=captioned.commonest,
        )  # fmt: skip
        said = captioned.sentences(network.sample(test, words.shape[1]))
        wanted = captioned.sentences(words[:, 1:])
        exact = [a == b for a, b in zip(said, wanted, strict=True)]
        lab.record(
            f"{cell}/test/captions right", sum(exact) / len(exact),
            interval=runs.exact(sum(exact), len(exact)), trivial=0.0,
        )  # fmt: skip
        lab.say(f"{cell}: {sum(exact) / len(exact):.1%} of the test captions right, word for word")
        return network, exact

    def compare(self, lab: "Lab", right: dict[str, Any]) -> None:
        """Compare the share of captions that are right word for word."""
        import numpy as np

        names = [f"{cell}/test/captions right" for cell in right]
        lab.show(
            "captions right, word for word",
            runs.figures.bars(
                list(right),
                [lab.run.result.metrics[name] for name in names],
                intervals=[lab.run.result.intervals[name] for name in names],
                unit="%",
            ),
            caption="Of the test images; there are many true sentences about each, and only the "
            "one that the world wrote counts.",
        )
        if {"lstm", "attention"} <= set(right):
            gain, interval = runs.paired_bootstrap(
                np.array(right["lstm"]), np.array(right["attention"])
            )
            lab.record("attention: gain over lstm", gain, interval=interval)

    def show_captions(
        self,
        lab: "Lab",
        captioned: "Captioned",
        writers: "dict[str, CaptioningRNN]",
        maps: "Tensor",
    ) -> None:
        """Show test images with what the world and the best writer say."""
        import textwrap

        shown = 9
        words = captioned.words["test"]
        wanted = captioned.sentences(words[:shown, 1:])
        rows: list[tuple[Any, ...]] = []
        said = {
            cell: captioned.sentences(writer.sample(inputs_of(cell, maps[:shown]), words.shape[1]))
            for cell, writer in writers.items()
        }
        best = list(writers)[-1]
        lab.show(
            "captions of test images",
            runs.figures.image_grid(
                captioned.images.split("test").take(slice(0, shown)),
                titles=["\n".join(textwrap.wrap(text, 21)) for text in said[best]],
                colours=[
                    runs.figures.RIGHT if a == b else runs.figures.WRONG
                    for a, b in zip(said[best], wanted, strict=True)
                ],
                columns=3,
            ),
            caption=f"What {best} writes; green where it is the world's own sentence.",
        )
        for place in range(shown):
            rows.append((place + 1, wanted[place], *(said[cell][place] for cell in writers)))
        lab.table("what they write", ("image", "the world", *writers), rows)

    def show_attention(
        self, lab: "Lab", captioned: "Captioned", writer: "CaptioningRNN", maps: "Tensor"
    ) -> None:
        """Draw over test images where the network looked for each word."""
        words = captioned.words["test"]
        for place in range(min(3, len(maps))):
            said, looked = writer.sample_with_attention(maps[place : place + 1], words.shape[1])
            assert looked is not None, "this writer has attention"
            titles = captioned.spoken(said[0])
            lab.show(
                f"attention, word by word, image {place + 1}",
                runs.figures.map_over_image(
                    captioned.images.split("test").take(slice(place, place + 1))[0],
                    looked[0, : len(titles)].numpy(),
                    titles=titles,
                ),
                caption="Bright: where it looked before it wrote the word.",
            )

    def through_time(
        self, lab: "Lab", writers: "dict[str, CaptioningRNN]", captioned: "Captioned"
    ) -> None:
        """Follow a gradient back through thirty steps, in networks of random and larger weights."""
        from vislab.lab.captioning import gradient_through_time

        activations, gradients = {}, {}
        for name, cell, scale, clip in (
            ("RNN", "rnn", 1.0, None),
            ("RNN, large weights", "rnn", 4.0, None),
            ("the same, clipped", "rnn", 4.0, 1.0),
            ("LSTM", "lstm", 1.0, None),
            ("LSTM, trained", "lstm", 1.0, None),
        ):
            network = self.writer(cell, captioned, lab)
            if name == "LSTM, trained":
                if "lstm" not in writers:
                    continue
                network = writers["lstm"]
            elif cell == "lstm":
                h = self.hidden
                network.params["b"][h : 2 * h] = 2.0  # forget gates begin open
            states, norms = gradient_through_time(network, STEPS, scale, clip)
            activations[name], gradients[name] = states, norms
        lab.show(
            "the signal through time",
            runs.figures.signal(activations, gradients, x="time step"),
            caption="The gradient enters at the last step, with length 1, and goes back. Large "
            "weights: the recurrent ones times 4. The LSTM's forget gates begin at 0.88.",
        )
        growth = (gradients["RNN, large weights"][0] / 1.0) ** (1 / (STEPS - 1))
        lab.record("rnn, large weights: growth of the gradient a step", growth)
        kept = gradients["LSTM"][0] / max(gradients["RNN"][0], 1e-300)
        lab.record("lstm: gradient kept, over the rnn's", kept)


def inputs_of(cell: str, maps: "Tensor") -> "Tensor":
    """Return what a writer sees: the map (N, D, a, a) with attention, else its mean (N, D)."""
    return maps if cell == "attention" else maps.mean(dim=(2, 3))
