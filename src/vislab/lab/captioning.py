"""What captioning by hand needs on the bench: captions as numbers, features, gradients in time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save
from torch import Tensor

from vislab.data import shapes
from vislab.data.shapes.captions import vocabulary
from vislab.data.table import Table
from vislab.lab.solving import Pixels
from vislab.models.weights import load_weights
from vislab.ops.seeding import generator, seed_of
from vislab.progress import track
from vislab.runs.writing import write_bytes
from vislab.scratch import LSTM, RNN, CaptioningRNN, DeepConvNet, adam
from vislab.scratch.captioning_rnn import END, NULL, START
from vislab.scratch.sigmoid_loss import sigmoid_loss
from vislab.tasks.engines import ByHand

if TYPE_CHECKING:
    from vislab.lab.bench import Lab

SCORED = 250  # images in a batch of the feature maps


@dataclass(frozen=True, eq=False)
class Captioned:
    """Images of the offline world with a caption each: words (N, T + 1) of every split."""

    images: Table
    word_to_idx: dict[str, int]
    words: dict[str, Tensor]

    def sentences(self, words: Tensor) -> list[str]:
        """Return rows of word numbers (N, T) as text, up to <END>."""
        marks = (NULL, START, END)
        return [" ".join(w for w in self.spoken(row) if w not in marks) for row in words]

    def spoken(self, row: Tensor) -> list[str]:
        """Return one row of word numbers (T,) as words, up to <END> and with it."""
        known = list(self.word_to_idx)
        text = [known[word] for word in row.tolist()]
        return text[: text.index(END) + 1] if END in text else text

    @property
    def commonest(self) -> float:
        """The share of test words that always saying the commonest word would get right."""
        said = self.words["test"][:, 1:]
        said = said[said != self.word_to_idx[NULL]]
        return float(said.bincount().max() / len(said))

    def bags(self, split: str) -> Tensor:
        """Return which words each caption uses, as ones in rows of zeros (N, V)."""
        words = self.words[split]
        bags = torch.zeros(len(words), len(self.word_to_idx))
        bags.scatter_(1, words, 1.0)
        bags[:, [self.word_to_idx[word] for word in (NULL, START, END)]] = 0
        return bags


def captioned_images(table: Table) -> Captioned:
    """Write the first wording of every scene that the images show."""
    known = {word: n for n, word in enumerate((NULL, START, END, *vocabulary()))}
    difficulty = table.name.partition(":")[2] or "medium"
    texts = {}
    for split in ("train", "val", "test"):
        numbers = [int(name) for name in table.split(split).names]
        scenes = shapes.draw_scenes(numbers, difficulty=difficulty)
        texts[split] = [[known[w] for w in text.split()] for text in shapes.captions(scenes)]
    longest = max(len(text) for split in texts.values() for text in split)
    words = {}
    for split, rows in texts.items():
        padded = torch.full((len(rows), longest + 2), known[NULL])
        for place, row in enumerate(rows):
            padded[place, : len(row) + 2] = torch.tensor([known[START], *row, known[END]])
        words[split] = padded
    return Captioned(table, known, words)


class WordSpotter(DeepConvNet):
    """A ConvNet by hand that says of each word whether the image's caption uses it."""

    def score_loss(self, scores: Tensor, y: Tensor) -> tuple[float, Tensor]:
        """Return the binary cross-entropy of scores (N, V) for bags of words (N, V)."""
        return sigmoid_loss(scores, y)


def feature_network(captioned: Captioned, filters: Sequence[int], seed: int) -> WordSpotter:
    """Return a spotter with fresh weights."""
    size = captioned.images.size
    return WordSpotter(
        (3, size, size), filters, range(len(filters)), True, len(captioned.word_to_idx),
        "kaiming", generator=generator(seed, "features"),
    )  # fmt: skip


def train_features(
    lab: "Lab", captioned: Captioned, filters: Sequence[int], epochs: int, batch: int
) -> WordSpotter:
    """Train the spotter with Adam by hand, or load it where the run has it already."""
    network = feature_network(captioned, filters, lab.seed)
    kept = lab.run.path / "checkpoints" / "features.safetensors"
    if kept.exists():
        weights = load_weights(kept)
        for table in (network.params, network.running):
            table.update({name: weights[name] for name in table})
        return network
    pixels = Pixels(captioned.images, "train", ByHand(network))
    bags = captioned.bags("train")
    steps = -(-len(bags) // batch)
    configs = {name: {"learning_rate": 2e-3} for name in network.params}
    with track("learning features", total=epochs * steps, quiet=lab.quiet) as advance:
        for epoch in range(epochs):
            draws = torch.Generator().manual_seed(seed_of(lab.seed, "features", epoch))
            for rows in torch.randperm(len(bags), generator=draws).tensor_split(steps):
                loss, grads = network.loss(pixels[rows], bags[rows])
                for name, w in network.params.items():
                    network.params[name], configs[name] = adam(w, grads[name], configs[name])
                advance(1, f"loss {loss:.2f}")
            for config in configs.values():
                config["learning_rate"] *= 0.85
    if not lab.run.silent:
        tensors = {n: v.contiguous() for n, v in {**network.params, **network.running}.items()}
        write_bytes(kept, save(tensors))
    return network


def feature_maps(
    network: WordSpotter, table: Table, split: str, rows: Tensor | None = None
) -> Tensor:
    """Return the spotter's last feature map of each image: (N, C, a, a)."""
    pixels = Pixels(table, split, ByHand(network))
    chosen = torch.arange(len(pixels)) if rows is None else rows[: len(pixels)]
    maps = [network.features(pixels[part]) for part in torch.split(chosen, SCORED) if len(part)]
    side = table.size >> len(network.max_pools)
    return torch.cat(maps) if maps else torch.zeros(0, network.channels, side, side)


def gradient_through_time(
    network: CaptioningRNN, steps: int, scale: float, clip: float | None
) -> tuple[list[float], list[float]]:
    """Return by time step the spread of the hidden state and the length of its gradient.

    Random words are read; a random gradient of length 1 enters at the last step only. `scale`
    multiplies the recurrent weights, `clip` is the largest length of the gradient at any step.
    """
    p = network.params
    draws = generator("through time")
    n = 8
    words = torch.randint(len(p["W_embed"]), (n, steps), generator=draws)
    x, Wh = p["W_embed"][words], scale * p["Wh"]
    width = Wh.shape[0]
    h = 0.1 * torch.randn(n, width, generator=draws, dtype=x.dtype)
    c = torch.zeros_like(h)
    caches, spreads = [], []
    for t in range(steps):
        if network.cell_type == "rnn":
            h, cache = RNN.step_forward(x[:, t], h, p["Wx"], Wh, p["b"])
        else:
            h, c, cache = LSTM.step_forward(x[:, t], h, c, p["Wx"], Wh, p["b"])  # type: ignore[assignment]
        caches.append(cache)
        spreads.append(float(h.std()))
    dh = torch.randn(n, width, generator=draws, dtype=x.dtype)
    first = min(1.0, clip) if clip is not None else 1.0
    dh, dc = first * dh / dh.norm(), torch.zeros_like(h)
    norms = [first]
    for t in range(steps - 1, 0, -1):
        if network.cell_type == "rnn":
            dh = RNN.step_backward(dh, caches[t])[1]
        else:
            _, dh, dc, *_ = LSTM.step_backward(dh, dc, caches[t])  # type: ignore[arg-type]
        length = float((dh.norm() ** 2 + dc.norm() ** 2).sqrt())
        if clip is not None and length > clip:
            dh, dc, length = dh * clip / length, dc * clip / length, clip
        norms.append(length)
    return spreads, norms[::-1]
