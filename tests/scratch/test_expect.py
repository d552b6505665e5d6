"""What does not fit is refused by name: the argument, what came, and what is wanted."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch

from vislab.errors import OptionError, ShapeError, UnknownName, VislabError
from vislab.scratch import (
    LSTM,
    RNN,
    AttentionLSTM,
    BatchNorm,
    CaptioningRNN,
    Conv,
    DeepConvNet,
    Dropout,
    FullyConnectedNet,
    GroupNorm,
    KnnClassifier,
    LayerNorm,
    LeakyReLU,
    Linear,
    LinearSVM,
    MaxPool,
    MultiHeadAttention,
    ReLU,
    Softmax,
    Solver,
    TemporalLinear,
    ThreeLayerConvNet,
    TwoLayerNet,
    WordEmbedding,
    compute_distances_no_loops,
    kaiming_initializer,
    predict_labels,
    softmax_loss,
    softmax_loss_naive,
    softmax_loss_vectorized,
    svm_loss,
    svm_loss_naive,
    svm_loss_vectorized,
    temporal_softmax_loss,
    xavier_initializer,
)
from vislab.scratch.batch_norm import SpatialBatchNorm
from vislab.scratch.expect import NotFinite


def z(*shape):
    return torch.zeros(shape, dtype=torch.float64)


def single(*shape):
    return torch.zeros(shape, dtype=torch.float32)


def whole(*shape):
    return torch.zeros(shape, dtype=torch.long)


def labels(*numbers):
    return torch.tensor(numbers)


def with_nan(*shape):
    x = z(*shape)
    x.view(-1)[-1] = math.nan
    return x


class Refused(NamedTuple):
    """A call, the error it should raise, and what the message must hold."""

    name: str
    call: Callable[[], Any]
    error: type[VislabError]
    told: tuple[str, ...]


def refused(name, call, error, *told):
    return Refused(name, call, error, told)


def shape(name, call, *told):
    return refused(name, call, ShapeError, *told)


def option(name, call, *told):
    return refused(name, call, OptionError, *told)


def norm(x=None, gamma=None, beta=None, mean=None, var=None, layer=BatchNorm, **options):
    x = z(4, 3) if x is None else x
    given = [z(3) if one is None else one for one in (gamma, beta, mean, var)]
    return layer.forward(x, *given, **options)


def conv(x=None, w=None, b=None, **options):
    x, w, b = (
        d if g is None else g for g, d in ((x, z(2, 3, 7, 6)), (w, z(4, 3, 3, 2)), (b, z(4)))
    )
    return Conv.forward(x, w, b, **options)


def rnn(x=None, h=None, Wx=None, Wh=None, b=None, layer=RNN, gates=1):
    defaults = z(2, 5, 4), z(2, 3), z(4, 3 * gates), z(3, 3 * gates), z(3 * gates)
    given = [d if g is None else g for g, d in zip((x, h, Wx, Wh, b), defaults, strict=True)]
    return layer.forward(*given)


def looking(x=None, A=None, Wattn=None):
    return AttentionLSTM.forward(
        z(2, 5, 4) if x is None else x, z(2, 3, 3, 2) if A is None else A,
        z(4, 12), z(3, 12), z(3, 12) if Wattn is None else Wattn, z(12),
    )  # fmt: skip


def attention(x=None, Wqkv=None, bqkv=None, Wout=None, bout=None, heads=2):
    defaults = z(2, 5, 4), z(4, 12), z(12), z(4, 4), z(4)
    given = [
        d if g is None else g for g, d in zip((x, Wqkv, bqkv, Wout, bout), defaults, strict=True)
    ]
    return MultiHeadAttention.forward(*given, heads=heads)


def back(layer, dout, *given, **options):
    *_, cache = layer.forward(*given, **options)
    return layer.backward(dout, cache)


WORDS = {"<NULL>": 0, "<START>": 1, "<END>": 2, "cat": 3}


def captioner(cell="rnn", words=WORDS):
    return CaptioningRNN(words, 5, 4, 6, cell, dtype=torch.float64)


def solver(model=None, **changed):
    data = {"X_train": z(4, 3), "y_train": whole(4), "X_val": z(2, 3), "y_val": whole(2)}
    return Solver(model or TwoLayerNet(3, 4, 2), data | changed)


def knn(x=None, y=None):
    return KnnClassifier(z(4, 3) if x is None else x, labels(0, 1, 2, 0) if y is None else y)


LAYERS = [
    shape("linear, features", lambda: Linear.forward(z(3, 2, 2), z(5, 6), z(6)),
          "w has shape (5, 6)", "wanted (4, 6)"),
    shape("linear, bias", lambda: Linear.forward(z(3, 4), z(4, 6), z(4)),
          "b has shape (4,)", "wanted (6,)"),
    shape("linear, w of one axis", lambda: Linear.forward(z(3, 4), z(4), z(1)),
          "w has shape (4,)", "wanted (D, M)"),
    shape("linear, integers", lambda: Linear.forward(whole(3, 4), z(4, 6), z(6)),
          "x holds torch.int64", "wanted a float type", "x.float()"),
    shape("linear, mixed", lambda: Linear.forward(z(3, 4), single(4, 6), z(6)),
          "w holds torch.float32", "input holds torch.float64", "one type"),
    shape("linear, nothing", lambda: Linear.forward(z(0, 4), z(4, 6), z(6)),
          "x has shape (0, 4)", "empty batch", "give one or more"),
    shape("linear, back", lambda: back(Linear, z(3, 5), z(3, 4), z(4, 6), z(6)),
          "dout has shape (3, 5)", "wanted (3, 6)"),
    shape("linear, back mixed", lambda: back(Linear, single(3, 6), z(3, 4), z(4, 6), z(6)),
          "dout holds torch.float32"),
    shape("over time, x of two axes", lambda: TemporalLinear.forward(z(3, 4), z(4, 6), z(6)),
          "x has shape (3, 4)", "wanted (N, T, D)"),
    shape("relu, integers", lambda: ReLU.forward(whole(3)), "x holds torch.int64"),
    shape("relu, back", lambda: back(ReLU, z(3, 1), z(3)), "dout has shape (3, 1)", "wanted (3,)"),
    shape("leaky relu, back", lambda: back(LeakyReLU, z(4), z(3)), "dout has shape (4,)"),
    option("leaky relu, slope", lambda: LeakyReLU.forward(z(3), 1.0),
           "slope is 1", "at least 0 and below 1"),
    *(
        option(f"dropout of {p}", lambda p=p: Dropout.forward(z(3), p), f"p is {p:g}",
               "at least 0 and below 1")
        for p in (1.0, -0.1, math.nan)
    ),
    shape("dropout, back", lambda: back(Dropout, z(4), z(3), 0.5), "dout has shape (4,)"),
    shape("conv, one image", lambda: conv(x=z(3, 7, 6)),
          "x has shape (3, 7, 6)", "wanted (N, C, H, W)"),
    shape("conv, channels", lambda: conv(w=z(4, 2, 3, 2)),
          "w has shape (4, 2, 3, 2)", "wanted (4, 3, 3, 2)"),
    shape("conv, w of two axes", lambda: conv(w=z(4, 3)),
          "w has shape (4, 3)", "wanted (F, C, HH, WW)"),
    shape("conv, bias", lambda: conv(b=z(3)), "b has shape (3,)", "wanted (4,)"),
    shape("conv, mixed", lambda: conv(w=single(4, 3, 3, 2)), "w holds torch.float32"),
    shape("conv, integers", lambda: conv(x=whole(2, 3, 7, 6)), "x holds torch.int64"),
    shape("conv, nothing", lambda: conv(x=z(0, 3, 7, 6)), "x has shape (0, 3, 7, 6)"),
    shape("conv, kernel too large", lambda: conv(w=z(4, 3, 3, 9), pad=1),
          "w has kernels of 3×9", "9×8", "smaller kernels or a larger pad"),
    option("conv, stride", lambda: conv(stride=0), "stride is 0", "at least 1"),
    option("conv, pad", lambda: conv(pad=-1), "pad is -1", "at least 0"),
    shape("conv, back", lambda: back(Conv, z(2, 4, 4, 5), z(2, 3, 7, 6), z(4, 3, 3, 2), z(4)),
          "dout has shape (2, 4, 4, 5)", "wanted (2, 4, 5, 5)"),
    shape("pool, one image", lambda: MaxPool.forward(z(3, 7, 6)), "wanted (N, C, H, W)"),
    shape("pool, too few pixels", lambda: MaxPool.forward(z(1, 1, 5, 2), 3),
          "x has 5×2 pixels", "3×3", "larger images"),
    option("pool, size", lambda: MaxPool.forward(z(1, 1, 5, 2), 0), "size is 0", "at least 1"),
    option("pool, window of too many pixels", lambda: MaxPool.forward(z(1, 1, 50, 50), 17),
           "size is 17", "below 16"),
    option("pool, stride", lambda: MaxPool.forward(z(1, 1, 5, 2), 2, 0), "stride is 0"),
    shape("pool, integers", lambda: MaxPool.forward(whole(1, 1, 5, 2)), "x holds torch.int64"),
    shape("pool, back", lambda: back(MaxPool, z(1, 1, 3, 1), z(1, 1, 5, 2)),
          "dout has shape (1, 1, 3, 1)", "wanted (1, 1, 2, 1)"),
    *(
        shape(f"batch norm, {name}", lambda place=place: norm(**{place: z(4)}),
              f"{name} has shape (4,)", "wanted (3,)")
        for name, place in [("gamma", "gamma"), ("beta", "beta"), ("running_mean", "mean"),
                            ("running_var", "var")]
    ),
    shape("batch norm, mixed", lambda: norm(gamma=single(3)), "gamma holds torch.float32"),
    shape("batch norm, images", lambda: norm(x=z(4, 3, 2, 2)),
          "x has shape (4, 3, 2, 2)", "wanted (N, D)"),
    shape("batch norm, one image", lambda: norm(x=z(1, 3)),
          "x has shape (1, 3)", "two images or more"),
    shape("batch norm, nothing", lambda: norm(x=z(0, 3), training=False), "x has shape (0, 3)"),
    option("batch norm, eps", lambda: norm(eps=-1.0), "eps is -1", "at least 0"),
    shape("spatial batch norm, rows", lambda: norm(layer=SpatialBatchNorm),
          "x has shape (4, 3)", "wanted (N, C, H, W)"),
    shape("spatial batch norm, one number a channel",
          lambda: norm(x=z(1, 3, 1, 1), layer=SpatialBatchNorm), "x has shape (1, 3, 1, 1)"),
    shape("layer norm, gamma", lambda: LayerNorm.forward(z(2, 3), z(2), z(3)),
          "gamma has shape (2,)", "wanted (3,)"),
    shape("layer norm, mixed", lambda: LayerNorm.forward(z(2, 3), z(3), single(3)),
          "beta holds torch.float32"),
    option("group norm, groups", lambda: GroupNorm.forward(z(2, 6, 3, 2), z(6), z(6), 4),
           "groups is 4", "divisor of the 6 channels"),
    option("group norm, no groups", lambda: GroupNorm.forward(z(2, 6, 3, 2), z(6), z(6), 0),
           "groups is 0"),
    shape("group norm, gamma", lambda: GroupNorm.forward(z(2, 6, 3, 2), z(2), z(6), 2),
          "gamma has shape (2,)", "wanted (6,)"),
    shape("rnn, x of two axes", lambda: rnn(x=z(2, 4)), "x has shape (2, 4)", "wanted (N, T, D)"),
    shape("rnn, Wx", lambda: rnn(Wx=z(3, 4)), "Wx has shape (3, 4)", "wanted (4, 3)"),
    shape("rnn, Wh", lambda: rnn(Wh=z(3, 4)), "Wh has shape (3, 4)", "wanted (3, 3)"),
    shape("rnn, b", lambda: rnn(b=z(4)), "b has shape (4,)", "wanted (3,)"),
    shape("rnn, first state", lambda: rnn(h=z(5, 3)), "has shape (5, 3)", "wanted (2, 3)"),
    shape("rnn, mixed", lambda: rnn(Wh=single(3, 3)), "Wh holds torch.float32"),
    shape("rnn, integers", lambda: rnn(x=whole(2, 5, 4)), "x holds torch.int64"),
    shape("rnn, nothing", lambda: rnn(x=z(0, 5, 4), h=z(0, 3)), "x has shape (0, 5, 4)"),
    option("rnn, no steps", lambda: rnn(x=z(2, 0, 4)), "number of steps in x is 0", "at least 1"),
    shape("rnn, back", lambda: RNN.backward(z(2, 4, 3), rnn()[1]),
          "dh has shape (2, 4, 3)", "wanted (2, 5, 3)"),
    shape("lstm, Wx of an rnn", lambda: rnn(Wx=z(4, 3), layer=LSTM, gates=4),
          "Wx has shape (4, 3)", "wanted (4, 12)"),
    shape("lstm, b of an rnn", lambda: rnn(b=z(3), layer=LSTM, gates=4),
          "b has shape (3,)", "wanted (12,)"),
    shape("lstm, a step's cell",
          lambda: LSTM.step_forward(z(2, 4), z(2, 3), z(2, 4), z(4, 12), z(3, 12), z(12)),
          "prev_c has shape (2, 4)", "wanted (2, 3)"),
    shape("lstm, back", lambda: LSTM.backward(single(2, 5, 3), rnn(layer=LSTM, gates=4)[1]),
          "dh holds torch.float32"),
    shape("attention lstm, map of three axes", lambda: looking(A=z(2, 3, 6)),
          "A has shape (2, 3, 6)", "wanted (N, H, a, a)"),
    shape("attention lstm, Wattn", lambda: looking(Wattn=z(4, 12)),
          "Wattn has shape (4, 12)", "wanted (3, 12)"),
    shape("attention lstm, integers", lambda: looking(A=whole(2, 3, 3, 2)), "A holds torch.int64"),
    shape("embedding, floats", lambda: WordEmbedding.forward(z(2, 3), z(7, 4)),
          "x holds torch.float64", "wanted whole numbers", "x.long()"),
    *(
        shape(f"embedding, word {word}",
              lambda word=word: WordEmbedding.forward(labels(0, word), z(7, 4)),
              f"x holds the label {word}", "0 to 6")
        for word in (7, -1)
    ),
    shape("embedding, table of integers", lambda: WordEmbedding.forward(labels(0), whole(7, 4)),
          "W_embed holds torch.int64"),
    shape("embedding, back", lambda: back(WordEmbedding, z(2, 4), labels(0, 1, 2), z(7, 4)),
          "dout has shape (2, 4)", "wanted (3, 4)"),
    shape("attention, Wqkv", lambda: attention(Wqkv=z(4, 4)),
          "Wqkv has shape (4, 4)", "wanted (4, 12)"),
    shape("attention, Wout", lambda: attention(Wout=z(4, 3)), "Wout has shape (4, 3)"),
    shape("attention, mixed", lambda: attention(Wout=single(4, 4)), "Wout holds torch.float32"),
    option("attention, heads", lambda: attention(heads=3), "heads is 3",
           "divisor of the 4 features"),
    option("attention, no heads", lambda: attention(heads=0), "heads is 0"),
]  # fmt: skip

LOSSES = [
    *(
        entry
        for loss in (svm_loss, softmax_loss)
        for entry in (
            shape(f"{loss.__name__}, scores", lambda loss=loss: loss(z(3), whole(3)),
                  "scores has shape (3,)", "wanted (N, K)"),
            shape(f"{loss.__name__}, integers", lambda loss=loss: loss(whole(3, 4), whole(3)),
                  "scores holds torch.int64", "scores.float()"),
            shape(f"{loss.__name__}, labels of floats", lambda loss=loss: loss(z(3, 4), z(3)),
                  "y holds torch.float64", "wanted whole numbers"),
            shape(f"{loss.__name__}, labels of truth",
                  lambda loss=loss: loss(z(3, 4), whole(3).bool()), "y holds torch.bool"),
            shape(f"{loss.__name__}, a label too high",
                  lambda loss=loss: loss(z(3, 4), labels(0, 4, 1)),
                  "y holds the label 4", "0 to 3", "4 classes"),
            shape(f"{loss.__name__}, a label too low",
                  lambda loss=loss: loss(z(3, 4), labels(0, 1, -1)), "y holds the label -1"),
            shape(f"{loss.__name__}, too few labels", lambda loss=loss: loss(z(3, 4), whole(2)),
                  "y has shape (2,)", "wanted (3,)"),
            shape(f"{loss.__name__}, nothing", lambda loss=loss: loss(z(0, 4), whole(0)),
                  "scores has shape (0, 4)", "empty batch"),
            refused(f"{loss.__name__}, NaN", lambda loss=loss: loss(with_nan(3, 4), whole(3)),
                    NotFinite, "scores holds nan at [2, 3]", "learning rate"),
            refused(f"{loss.__name__}, infinity",
                    lambda loss=loss: loss(z(3, 4).fill_(math.inf), whole(3)),
                    NotFinite, "scores holds inf at [0, 0]"),
        )
    ),
    *(
        entry
        for loss in (svm_loss_vectorized, softmax_loss_vectorized)
        for entry in (
            shape(f"{loss.__name__}, W", lambda loss=loss: loss(z(3, 4), z(2, 5), whole(2), 0.0),
                  "W has shape (3, 4)", "wanted (5, 4)"),
            shape(f"{loss.__name__}, mixed",
                  lambda loss=loss: loss(single(5, 4), z(2, 5), whole(2), 0.0),
                  "W holds torch.float32"),
            shape(f"{loss.__name__}, images",
                  lambda loss=loss: loss(z(5, 4), z(2, 5, 1), whole(2), 0.0),
                  "X has shape (2, 5, 1)", "wanted (N, D)"),
            option(f"{loss.__name__}, reg",
                   lambda loss=loss: loss(z(5, 4), z(2, 5), whole(2), -1.0),
                   "reg is -1", "at least 0"),
        )
    ),
    shape("over time, scores", lambda: temporal_softmax_loss(z(3, 4), whole(3)),
          "x has shape (3, 4)", "wanted (N, T, V)"),
    shape("over time, words", lambda: temporal_softmax_loss(z(2, 3, 4), whole(2, 2)),
          "y has shape (2, 2)", "wanted (2, 3)"),
    shape("over time, a word too high",
          lambda: temporal_softmax_loss(z(1, 2, 4), labels(3, 4)[None], ignore_index=0),
          "y holds the label 4", "0 to 3"),
    shape("over time, a word not to ignore",
          lambda: temporal_softmax_loss(z(1, 2, 4), labels(3, -100)[None]), "the label -100"),
    refused("over time, NaN", lambda: temporal_softmax_loss(with_nan(1, 2, 4), whole(1, 2)),
            NotFinite, "x holds nan at [0, 1, 3]"),
]  # fmt: skip

MAKERS = {
    "svm": lambda: LinearSVM(5, 4, dtype=torch.float64),
    "softmax": lambda: Softmax(5, 4),
    "two layers": lambda: TwoLayerNet(5, 3, 4),
    "fully connected": lambda: FullyConnectedNet((3, 2), 5, 4),
    "three layers": lambda: ThreeLayerConvNet((1, 5, 2), 2, 1, 3, 4),
    "deep": lambda: DeepConvNet((1, 5, 2), (2,), (), num_classes=4),
}


def input_of(name, x):
    return x[:, None, :, None].repeat(1, 1, 1, 2) if name in {"three layers", "deep"} else x


NETWORKS = [
    *(
        entry
        for name, make in MAKERS.items()
        for entry in (
            shape(f"{name}, integers", lambda n=name, m=make: m().loss(input_of(n, whole(2, 5))),
                  "X holds torch.int64", "X.float()"),
            shape(f"{name}, nothing", lambda n=name, m=make: m().loss(input_of(n, z(0, 5))),
                  "X has shape (0, ", "empty batch"),
            refused(f"{name}, NaN", lambda n=name, m=make: m().loss(input_of(n, with_nan(2, 5))),
                    NotFinite, "X holds nan at [1, "),
            shape(f"{name}, labels",
                  lambda n=name, m=make: m().loss(input_of(n, z(2, 5)), labels(0, 4)),
                  "y holds the label 4", "0 to 3"),
            shape(f"{name}, too many labels",
                  lambda n=name, m=make: m().loss(input_of(n, z(2, 5)), whole(3)),
                  "y has shape (3,)", "wanted (2,)"),
            shape(f"{name}, another size", lambda n=name, m=make: m().loss(input_of(n, z(2, 6))),
                  "has shape", "wanted"),
        )
    ),
    shape("deep, one image", lambda: MAKERS["deep"]().loss(z(1, 5, 2)), "wanted (N, C, H, W)"),
    refused("unknown normalisation", lambda: FullyConnectedNet((3,), normalization="batchnrm"),
            UnknownName, "normalization is named 'batchnrm'", "mean 'batchnorm'", "layernorm"),
    refused("unknown convention", lambda: TwoLayerNet(l2_convention="double"), UnknownName,
            "l2_convention is named 'double'", "full, half"),
    refused("unknown weights", lambda: TwoLayerNet(weight_scale="he"), UnknownName,
            "weight_scale is named 'he'", "kaiming, xavier"),
    refused("unknown cell", lambda: captioner("gru"), UnknownName, "cell_type is named 'gru'",
            "attention, lstm, rnn"),
    option("penalty below zero", lambda: TwoLayerNet(reg=-0.1), "reg is -0.1", "at least 0"),
    option("spread below zero", lambda: TwoLayerNet(weight_scale=-1.0), "weight_scale is -1"),
    option("dropout of all", lambda: FullyConnectedNet((3,), dropout=1.0), "dropout is 1",
           "below 1"),
    option("no features", lambda: TwoLayerNet(0), "from 0 to 100 features", "1 or more"),
    option("kaiming of nothing", lambda: kaiming_initializer(3, 0), "from 3 to 0"),
    option("xavier of nothing", lambda: xavier_initializer(0, 3, 3), "from 0 to 3"),
    option("pool after no layer", lambda: DeepConvNet((3, 8, 8), (4, 4), (0, 2)),
           "max_pools names layer 2", "0 to 1"),
    option("too many pools", lambda: DeepConvNet((3, 8, 7), (4,) * 3, (0, 1, 2)),
           "3 poolings leave nothing", "8×7", "use fewer"),
    option("words without an end", lambda: captioner(words={"<NULL>": 0, "<START>": 1}),
           "word_to_idx lacks '<END>'"),
    option("words with a gap", lambda: captioner(words=WORDS | {"cat": 5}),
           "word_to_idx must number its 4 words from 0 to 3"),
    shape("captions, one word", lambda: captioner().loss(z(2, 5), whole(2, 1)),
          "y has shape (2, 1)", "wanted (2, 2 or more)", "<START>"),
    shape("captions, too few", lambda: captioner().loss(z(2, 5), whole(1, 4)),
          "y has shape (1, 4)", "wanted (2, "),
    shape("captions, one row", lambda: captioner().loss(z(2, 5), whole(8)), "y has shape (8,)"),
    shape("captions, a word too high", lambda: captioner().loss(z(2, 5), whole(2, 4) + 4),
          "y holds the label 4", "0 to 3"),
    shape("captions, a map without attention", lambda: captioner().loss(z(2, 5, 3, 3), whole(2, 4)),
          "X has shape (2, 5, 3, 3)", "wanted (N, D)"),
    shape("captions, attention without a map", lambda: captioner("attention").sample(z(2, 5)),
          "X has shape (2, 5)", "wanted (N, D, a, a)"),
    refused("captions, NaN", lambda: captioner().loss(with_nan(2, 5), whole(2, 4)), NotFinite,
            "X holds nan at [1, 4]"),
]  # fmt: skip

NEIGHBOURS = [
    shape("knn, too few labels", lambda: knn(y=labels(0, 1)),
          "y_train has shape (2,)", "wanted (4,)"),
    shape("knn, a label below zero", lambda: knn(y=labels(0, 1, -1, 0)),
          "y_train holds the label -1"),
    shape("knn, labels of floats", lambda: knn(y=z(4)), "y_train holds torch.float64"),
    shape("knn, integers", lambda: knn(x=whole(4, 3)), "x_train holds torch.int64"),
    shape("knn, nothing known", lambda: knn(z(0, 3), whole(0)), "x_train has shape (0, 3)"),
    refused("knn, NaN known", lambda: knn(x=with_nan(4, 3)), NotFinite, "x_train holds nan at"),
    shape("knn, another size", lambda: knn().predict(z(2, 4)),
          "x_test has shape (2, 4)", "wanted (2, 3)"),
    shape("knn, mixed", lambda: knn().predict(single(2, 3)), "x_test holds torch.float32"),
    shape("knn, nothing asked", lambda: knn().predict(z(0, 3)), "x_test has shape (0, 3)"),
    refused("knn, NaN asked", lambda: knn().predict(with_nan(2, 3)), NotFinite, "x holds nan at"),
    option("knn, k", lambda: knn().predict(z(2, 3), 5), "k is 5", "1 to 4"),
    shape("distances, mixed", lambda: compute_distances_no_loops(z(2, 3), single(2, 3)),
          "x_test holds torch.float32"),
    shape("distances of one axis", lambda: predict_labels(z(3), whole(3)),
          "dists has shape (3,)", "num_train, num_test"),
]  # fmt: skip

TRAINING = [
    option("solver, no data", lambda: Solver(TwoLayerNet(3, 4, 2), {}), "data lacks 'X_train'"),
    option("solver, no images", lambda: solver(X_train=z(0, 3)), "data['X_train'] is empty"),
    option("solver, batch of none", lambda: Solver(None, solver().data, batch_size=0),
           "batch_size is 0", "at least 1"),
    refused("solver, unknown rule", lambda: Solver(None, solver().data, "nesterov"), UnknownName,
            "update rule is named 'nesterov'", "adam, rmsprop, sgd, sgd_momentum"),
    shape("solver, labels", lambda: solver(y_train=labels(0, 1, 2, 0)).train(),
          "y holds the label 2", "0 to 1"),
    shape("solver, integers", lambda: solver(X_train=whole(4, 3)).train(), "X holds torch.int64"),
    option("linear, batch of none", lambda: Softmax(3, 2).train(z(4, 3), whole(4), batch_size=0),
           "batch_size is 0"),
]  # fmt: skip

CASES = LAYERS + LOSSES + NETWORKS + NEIGHBOURS + TRAINING
each = pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)


def test_every_case_has_a_name_of_its_own():
    assert len({one.name for one in CASES}) == len(CASES) > 120


@each
def test_what_does_not_fit_is_refused_by_name(one):
    with pytest.raises(one.error) as told:
        one.call()
    assert all(part in str(told.value) for part in one.told), str(told.value)


def fits(name, call):
    return pytest.param(call, id=name)


@pytest.mark.parametrize(
    "call",
    [
        fits("conv", conv), fits("batch norm", norm), fits("rnn", rnn), fits("knn", knn),
        fits("attention lstm", looking), fits("attention", attention), fits("solver", solver),
        fits("lstm", lambda: rnn(layer=LSTM, gates=4)), fits("captioner", captioner),
        *(fits(name, lambda n=name, m=make: m().loss(input_of(n, z(2, 5)), labels(0, 3)))
          for name, make in MAKERS.items()),
    ],
)  # fmt: skip
def test_without_the_fault_nothing_is_refused(call):
    call()


OPEN = [
    ("labels in a column are broadcast to N × N and give another loss",
     lambda: softmax_loss(z(3, 4), whole(3, 1)), "y has shape (3, 1)"),
    ("labels in a column", lambda: svm_loss(z(3, 4), whole(3, 1)), "y has shape (3, 1)"),
    ("words by time instead of by image give another loss",
     lambda: temporal_softmax_loss(z(2, 3, 4), whole(3, 2)), "y has shape (3, 2)"),
    ("a label below zero means the last class to the naive loss",
     lambda: softmax_loss_naive(z(5, 4), z(2, 5), labels(0, -1), 0.0), "y holds the label -1"),
    ("and to the other naive loss",
     lambda: svm_loss_naive(z(5, 4), z(2, 5), labels(0, -1), 0.0), "y holds the label -1"),
    ("W of one axis is an IndexError",
     lambda: svm_loss_vectorized(z(5), z(2, 5), whole(2), 0.0), "W has shape (5,)"),
    ("labels of no images are a RuntimeError of max()",
     lambda: knn(y=whole(0)), "y_train has shape (0,)"),
    ("fewer labels than distances are an IndexError",
     lambda: predict_labels(z(4, 2), whole(2), 3), "y_train has shape (2,)"),
    ("the first state is called h", lambda: rnn(h=z(5, 3)), "h0 has shape (5, 3)"),
    ("the map is called h", lambda: looking(A=z(5, 3, 3, 2)), "A has shape (5, 3, 3, 2)"),
    ("a gradient by time instead of by image is taken",
     lambda: back(TemporalLinear, z(3, 2, 6), z(2, 3, 4), z(4, 6), z(6)),
     "dout has shape (3, 2, 6)"),
    ("an even filter makes the image smaller than W2 expects",
     lambda: ThreeLayerConvNet((1, 8, 8), 2, 4).loss(z(2, 1, 8, 8)), "filter_size"),
    ("eps is not looked at", lambda: LayerNorm.forward(z(2, 3), z(3), z(3), eps=-1.0), "eps is -1"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "told"), [pytest.param(*one[1:], id=one[0]) for one in OPEN])
def test_what_should_be_refused_by_name(call, told):
    with pytest.raises(VislabError) as found:
        call()
    assert told in str(found.value)


SMALL = [torch.uint8, torch.int8, torch.int16, torch.int32]


@pytest.mark.filterwarnings("ignore:indexing with dtype torch.uint8")
@pytest.mark.parametrize("dtype", SMALL[:3], ids=str)
@pytest.mark.parametrize(
    "of",
    [
        lambda y: softmax_loss(torch.eye(3, 4), y)[0],
        lambda y: svm_loss(torch.eye(3, 4), y)[0],
        lambda y: temporal_softmax_loss(torch.eye(3, 4)[None], y[None])[0],
        lambda y: WordEmbedding.forward(y, torch.eye(5, 4))[0].tolist(),
    ],
    ids=["softmax", "svm", "over time", "embedding"],
)
def test_labels_may_be_whole_numbers_of_any_type(of, dtype):
    assert of(labels(0, 2, 1).to(dtype)) == of(labels(0, 2, 1))


@pytest.mark.parametrize("dtype", SMALL, ids=str)
def test_neighbours_may_vote_in_any_type(dtype):
    y = labels(0, 2, 1, 0)
    x = torch.arange(8.0).view(4, 2)
    assert KnnClassifier(x, y.to(dtype)).predict(x, 3).tolist() == [
        *KnnClassifier(x, y).predict(x, 3).tolist()
    ]
