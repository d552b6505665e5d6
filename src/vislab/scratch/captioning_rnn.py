"""A network that writes a caption: image features begin it, one word a step follows.

With captions y (N, T + 1), the words y[:, :-1] are what it reads and y[:, 1:] what it should say:

    h0 = features W_proj + b_proj        (one linear layer; a 1×1 convolution on a feature map)
    x  = W_embed[y[:, :-1]]              (WordEmbedding)
    h  = RNN, LSTM or AttentionLSTM of x from h0
    scores = h W_vocab + b_vocab         (TemporalLinear), then `temporal_softmax_loss`

Trained by showing it the right words before each one (teacher forcing, Williams and Zipser 1989).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vislab.errors import OptionError, ShapeError, pick
from vislab.scratch import expect
from vislab.scratch.attention_lstm import AttentionLSTM, attend, attention_weights
from vislab.scratch.initializers import kaiming_initializer
from vislab.scratch.linear import Linear
from vislab.scratch.lstm import LSTM, cell_forward
from vislab.scratch.network import Caches, Network
from vislab.scratch.rnn import RNN
from vislab.scratch.softmax_loss import temporal_softmax_loss
from vislab.scratch.temporal_linear import TemporalLinear
from vislab.scratch.word_embedding import WordEmbedding

NULL, START, END = "<NULL>", "<START>", "<END>"
CELLS = {"rnn": 1, "lstm": 4, "attention": 4}  # gates of each kind


class CaptioningRNN(Network):
    """Features (N, D), or a map (N, D, a, a) for attention, to captions.

    Parameters: W_proj (D, H), b_proj, W_embed (V, W), Wx (W, H or 4H), Wh, b, [Wattn], W_vocab
    (H, V), b_vocab. The words `<NULL>` (padding, ignored by the loss), `<START>` and `<END>` must
    be in `word_to_idx`.
    """

    def __init__(
        self,
        word_to_idx: Mapping[str, int],
        input_dim: int = 512,
        wordvec_dim: int = 128,
        hidden_dim: int = 128,
        cell_type: str = "rnn",
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(dtype=dtype, device=device, generator=generator)
        gates = pick(CELLS, cell_type, "cell_type")
        missing = {NULL, START, END} - set(word_to_idx)
        if missing:
            raise OptionError(f"word_to_idx lacks {min(missing)!r}, which every caption needs")
        self.word_to_idx, self.cell_type = dict(word_to_idx), cell_type
        words, h = len(word_to_idx), hidden_dim
        if sorted(self.word_to_idx.values()) != list(range(words)):
            raise OptionError(f"word_to_idx must number its {words} words from 0 to {words - 1}")
        made: dict[str, Any] = {"dtype": dtype, "device": device, "generator": generator}

        def drawn(here: int, there: int) -> Tensor:
            return kaiming_initializer(here, there, relu=False, **made)

        p = self.params
        p["W_proj"], p["b_proj"] = drawn(input_dim, h), _zeros(h, made)
        p["W_embed"] = drawn(wordvec_dim, words).T.contiguous()  # rows of length about 1
        p["Wx"], p["Wh"] = drawn(wordvec_dim, gates * h), drawn(h, gates * h)
        p["b"] = _zeros(gates * h, made)
        if cell_type == "attention":
            p["Wattn"] = drawn(h, gates * h)
        p["W_vocab"], p["b_vocab"] = drawn(h, words), _zeros(words, made)

    def forward(self, X: Any, training: bool) -> tuple[Tensor, Caches]:
        """Take (features, words read (N, T)) to the scores of the next word (N, T, V)."""
        features, words = X
        p = self.params
        first, project = self._project(features)
        cell: Any
        x, embed = WordEmbedding.forward(words, p["W_embed"])
        if self.cell_type == "attention":
            h, cell = AttentionLSTM.forward(x, first, p["Wx"], p["Wh"], p["Wattn"], p["b"])
        elif self.cell_type == "lstm":
            h, cell = LSTM.forward(x, first, p["Wx"], p["Wh"], p["b"])
        else:
            h, cell = RNN.forward(x, first, p["Wx"], p["Wh"], p["b"])
        scores, vocab = TemporalLinear.forward(h, p["W_vocab"], p["b_vocab"])
        return scores, [project, embed, cell, vocab]

    def backward(self, dscores: Tensor, caches: Caches) -> dict[str, Tensor]:
        """Go back through words, time and features."""
        project, embed, cell, vocab = caches
        grads: dict[str, Tensor] = {}
        dh, grads["W_vocab"], grads["b_vocab"] = TemporalLinear.backward(dscores, vocab)
        if self.cell_type == "attention":
            names = ["Wx", "Wh", "Wattn", "b"]
            dx, dfirst, *found = AttentionLSTM.backward(dh, cell)
        else:
            names = ["Wx", "Wh", "b"]
            layer: Any = LSTM if self.cell_type == "lstm" else RNN
            dx, dfirst, *found = layer.backward(dh, cell)
        grads |= dict(zip(names, found, strict=True))
        grads["W_embed"] = WordEmbedding.backward(dx, embed)
        if self.cell_type == "attention":  # places are rows of the linear layer
            dfirst = dfirst.flatten(2).transpose(1, 2).flatten(0, 1)
        _, grads["W_proj"], grads["b_proj"] = Linear.backward(dfirst, project, first=True)
        return grads

    def loss(self, X: Tensor, y: Tensor | None = None) -> Any:
        """Return (loss, gradients) for features X and captions y (N, T + 1).

        Without captions, return those it writes itself: see `sample`.
        """
        if y is None:
            return self.sample(X)
        X = self.expected(X)
        if y.ndim != 2 or y.shape[0] != len(X) or y.shape[1] < 2:
            raise ShapeError(
                f"y has shape {tuple(y.shape)}, wanted ({len(X)}, 2 or more): a row of words for "
                "each row of X, from <START> on"
            )
        y = expect.labels("y", y, tuple(y.shape), len(self.word_to_idx))
        scores, caches = self.forward((X, y[:, :-1]), training=True)
        loss, dscores = temporal_softmax_loss(scores, y[:, 1:], self.word_to_idx[NULL])
        return loss, self.backward(dscores, caches)

    def right(self, X: Tensor, y: Tensor) -> Tensor:
        """Return of each word but <NULL> whether it is said, shown the right words before it."""
        scores, _ = self.forward((self.expected(X), y[:, :-1]), training=False)
        said, wanted = scores.argmax(dim=2), y[:, 1:]
        return (said == wanted)[wanted != self.word_to_idx[NULL]]

    def sample(self, X: Tensor, max_length: int = 16) -> Tensor:
        """Return the most probable word at each step, fed back as the next input: (N, T).

        A caption ends with `<END>`; what follows is `<NULL>`.
        """
        return self.sample_with_attention(X, max_length)[0]

    def sample_with_attention(
        self, X: Tensor, max_length: int = 16
    ) -> tuple[Tensor, Tensor | None]:
        """Return captions (N, T) and, with attention, where each word looked: (N, T, a, a)."""
        X = self.expected(X)
        p = self.params
        first, _ = self._project(X)
        places = first.flatten(2) if self.cell_type == "attention" else None
        h = places.mean(dim=2) if places is not None else first
        c = h if places is not None else torch.zeros_like(h)
        word = torch.full((len(X),), self.word_to_idx[START], device=X.device)
        going = torch.ones_like(word, dtype=torch.bool)
        said, looked = [], []
        for _ in range(max_length):
            a = p["W_embed"][word] @ p["Wx"] + h @ p["Wh"] + p["b"]
            if places is not None:
                r, m = attend(h, places)
                looked.append(m)
                a = a + r @ p["Wattn"]
            if self.cell_type == "rnn":
                h = torch.tanh(a)
            else:
                h, c, _ = cell_forward(a, c)
            word = (h @ p["W_vocab"] + p["b_vocab"]).argmax(dim=1)
            word = word.where(going, self.word_to_idx[NULL])
            said.append(word)
            going = going & (word != self.word_to_idx[END])
        maps = None
        if looked:
            maps = torch.stack(looked, dim=1).reshape(len(X), max_length, *X.shape[2:])
        return torch.stack(said, dim=1), maps

    def attention(self, X: Tensor, y: Tensor) -> Tensor:
        """Return where the network looked while it was shown the words y: (N, T, a, a)."""
        _, caches = self.forward((self.expected(X), y[:, :-1]), training=False)
        return attention_weights(caches[2])

    def _project(self, features: Tensor) -> tuple[Tensor, Any]:
        """Take features (N, D) to h0 (N, H), or a map (N, D, a, a) to one of H channels."""
        p = self.params
        if self.cell_type != "attention":
            expect.floats("X", features, "N, D")
            return Linear.forward(features, p["W_proj"], p["b_proj"])
        expect.floats("X", features, "N, D, a, a")
        n, d, a, b = features.shape
        rows = features.flatten(2).transpose(1, 2).reshape(-1, d)
        out, cache = Linear.forward(rows, p["W_proj"], p["b_proj"])
        return out.view(n, a * b, -1).transpose(1, 2).reshape(n, -1, a, b), cache


def _zeros(count: int, made: dict[str, Any]) -> Tensor:
    return torch.zeros(count, dtype=made["dtype"], device=made["device"])
