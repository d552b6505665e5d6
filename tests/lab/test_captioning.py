"""Captions as numbers and back, features that are kept, gradients that go back through time."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vislab import data
from vislab.data import shapes
from vislab.lab.bench import Lab
from vislab.lab.captioning import (
    Captioned,
    WordSpotter,
    captioned_images,
    feature_maps,
    feature_network,
    gradient_through_time,
    train_features,
)
from vislab.lab.solving import Pixels
from vislab.ops.seeding import generator
from vislab.runs.folder import RunFolder
from vislab.scratch import CaptioningRNN
from vislab.tasks.engines import ByHand

SIZE = 8
WORDS = {"<NULL>": 0, "<START>": 1, "<END>": 2, "red": 3, "circle": 4, "small": 5}


@pytest.fixture(scope="module")
def captioned():
    # Of the two thousand to test on, a few.
    whole = data.images("shapes:easy", size=SIZE, per_class=2).centred()
    few = whole.splits != 2
    few[-30:] = True
    return captioned_images(whole.take(np.flatnonzero(few)))


@pytest.fixture
def lab(tmp_path):
    return Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)


# Captions


def test_captions_as_numbers_are_the_worlds_own_sentences(captioned):
    for split, count in (("train", 20), ("val", 20), ("test", 30)):
        numbers = [int(name) for name in captioned.images.split(split).names]
        wanted = shapes.captions(shapes.draw_scenes(numbers, difficulty="easy"))
        assert len(wanted) == count
        assert captioned.sentences(captioned.words[split][:, 1:]) == list(wanted)
        assert captioned.sentences(captioned.words[split]) == list(wanted), "marks are no words"


def test_every_row_has_one_start_one_end_and_padding_after_it(captioned):
    null, start, end = (captioned.word_to_idx[w] for w in ("<NULL>", "<START>", "<END>"))
    widths = {words.shape[1] for words in captioned.words.values()}
    assert len(widths) == 1
    ends = []
    for words in captioned.words.values():
        for row in words.tolist():
            ends.append(row.index(end))
            assert row[0] == start
            assert row.count(start) == row.count(end) == 1
            assert set(row[ends[-1] + 1 :]) <= {null}
            assert null not in row[: ends[-1]]
    assert max(ends) == widths.pop() - 1, "no column is padding only"
    assert len(set(ends)) > 1


def test_every_word_has_one_number_and_the_marks_are_the_first(captioned):
    numbers = list(captioned.word_to_idx.values())
    assert numbers == list(range(len(numbers)))
    assert list(captioned.word_to_idx)[:3] == ["<NULL>", "<START>", "<END>"]


def test_the_difficulty_is_that_of_the_images(captioned):
    numbers = [int(name) for name in captioned.images.split("train").names]
    other = list(shapes.captions(shapes.draw_scenes(numbers, difficulty="hard")))
    assert captioned.sentences(captioned.words["train"]) != other


def hand_made(rows, split="test"):
    """Captions without images, for what looks at the words only."""
    made = object.__new__(Captioned)
    for name, value in (
        ("images", None), ("word_to_idx", WORDS), ("words", {split: torch.tensor(rows)})
    ):  # fmt: skip
        object.__setattr__(made, name, value)
    return made


def test_a_sentence_ends_where_its_end_stands():
    made = hand_made([[1, 3, 4, 2]])
    said = torch.tensor([[3, 4, 2, 5], [5, 5, 5, 5], [2, 3, 0, 0], [3, 0, 4, 2]])
    assert made.sentences(said) == ["red circle", "small small small small", "", "red circle"]
    assert made.spoken(said[0]) == ["red", "circle", "<END>"]
    assert made.spoken(said[1]) == ["small"] * 4
    assert made.spoken(said[2]) == ["<END>"]


def test_bags_say_which_words_a_caption_uses_and_not_how_often():
    bags = hand_made([[1, 3, 4, 3, 2], [1, 5, 2, 0, 0], [1, 2, 0, 0, 0]], "train").bags("train")
    assert bags.tolist() == [[0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]]


def test_bags_of_the_world_are_the_words_of_its_sentences(captioned):
    bags = captioned.bags("test")
    known = list(captioned.word_to_idx)
    for sentence, bag in zip(captioned.sentences(captioned.words["test"]), bags, strict=True):
        assert {known[k] for k in bag.nonzero()[:, 0].tolist()} == set(sentence.split())
    assert set(bags.unique().tolist()) == {0, 1}


def test_the_commonest_word_is_right_in_its_share_of_what_must_be_said():
    # Said are red circle <END>, small <END>, red <END>: <END> is 3 of 7.
    rows = [[1, 3, 4, 2, 0], [1, 5, 2, 0, 0], [1, 3, 2, 0, 0]]
    assert hand_made(rows).commonest == pytest.approx(3 / 7)
    rows = [[1, 3, 3, 3, 2]]
    assert hand_made(rows).commonest == pytest.approx(3 / 4)


# Features


def test_the_spotter_pays_for_each_word_by_itself(rng):
    network = WordSpotter((3, 4, 4), (2,), (0,), True, 5, "kaiming", dtype=torch.float64)
    X = torch.randn(3, 3, 4, 4, dtype=torch.float64, generator=rng)
    bags = torch.randint(2, (3, 5), generator=rng).double()
    scores, _ = network.forward(X, training=True)
    loss, grads = network.loss(X, bags)
    wanted = F.binary_cross_entropy_with_logits(scores, bags, reduction="sum") / 3
    assert loss == pytest.approx(wanted.item(), rel=1e-12)
    torch.testing.assert_close(grads["b2"], ((scores.sigmoid() - bags) / 3).sum(dim=0))


def trained(lab, captioned, epochs=2):
    return train_features(lab, captioned, (2, 3), epochs, 7)


def test_features_are_trained_kept_and_loaded_again(lab, captioned, monkeypatch):
    network = trained(lab, captioned)
    fresh = feature_network(captioned, (2, 3), lab.seed)
    assert not any(network.params[name].equal(w) for name, w in fresh.params.items())
    assert not network.running["mean1"].eq(0).any()

    def train_no_more(*_):
        raise AssertionError("it was trained again")

    monkeypatch.setattr(WordSpotter, "loss", train_no_more)
    again = trained(lab, captioned)
    for table in ("params", "running"):
        before, after = getattr(network, table), getattr(again, table)
        assert before.keys() == after.keys()
        assert all(after[name].equal(value) for name, value in before.items())
    maps = [feature_maps(one, captioned.images, "val") for one in (network, again)]
    assert maps[0].equal(maps[1])


def test_features_depend_on_the_seed_and_on_nothing_else(captioned, tmp_path):
    found = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        lab = Lab(RunFolder.create(tmp_path / name, "a test", {}), seed=seed, quiet=True)
        torch.manual_seed(len(found))
        found.append(trained(lab, captioned).params["W2"])
    assert found[0].equal(found[1])
    assert not found[0].equal(found[2])


def test_features_learn_words(lab, captioned):
    network = trained(lab, captioned, epochs=15)
    fresh = feature_network(captioned, (2, 3), lab.seed)
    losses = []
    for one in (fresh, network):
        X = Pixels(captioned.images, "train", ByHand(one))[torch.arange(20)]
        losses.append(one.loss(X, captioned.bags("train"))[0])
    words = len(captioned.word_to_idx)
    assert losses[0] == pytest.approx(words * math.log(2), rel=0.5)
    assert losses[1] < 0.85 * losses[0]


def test_feature_maps_are_those_of_each_image_alone(captioned):
    network = feature_network(captioned, (2, 3), 0)
    maps = feature_maps(network, captioned.images, "test")
    assert maps.shape == (30, 3, SIZE // 4, SIZE // 4)
    rows = torch.tensor([4, 0, 29])
    torch.testing.assert_close(
        feature_maps(network, captioned.images, "test", rows=rows), maps[rows]
    )
    assert maps.ge(0).all()
    assert maps[0].ne(maps[1]).any()


def test_many_feature_maps_are_made_in_batches(captioned, monkeypatch):
    network = feature_network(captioned, (2, 3), 0)
    whole = feature_maps(network, captioned.images, "test")
    monkeypatch.setattr("vislab.lab.captioning.SCORED", 7)
    torch.testing.assert_close(feature_maps(network, captioned.images, "test"), whole)


def test_of_no_images_there_are_no_feature_maps(captioned):
    network = feature_network(captioned, (2, 3), 0)
    none = feature_maps(network, captioned.images, "test", rows=torch.arange(0))
    assert none.shape == (0, 3, SIZE // 4, SIZE // 4)


# Gradients through time


def writer(cell, hidden=6, **options):
    return CaptioningRNN(
        WORDS, 3, 4, hidden, cell, dtype=torch.float64, generator=generator("writer", cell),
        **options,
    )  # fmt: skip


def by_autograd(network, steps, scale):
    """Return the spreads of the states, and the lengths of the gradients of what is handed on."""
    p, draws = network.params, generator("through time")
    words = torch.randint(6, (8, steps), generator=draws)
    x, Wh = p["W_embed"][words], scale * p["Wh"]
    h = (0.1 * torch.randn(8, len(Wh), generator=draws, dtype=x.dtype)).requires_grad_()
    c = torch.zeros_like(h).requires_grad_()
    handed, spreads = [], []
    for t in range(steps):
        a = x[:, t] @ p["Wx"] + h @ Wh + p["b"]
        if network.cell_type == "rnn":
            h = a.tanh()
        else:
            i, f, o, g = a.chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        spreads.append(h.std().item())
        last = h
        h, c = 1 * h, 1 * c  # the next step's own, apart from what c does for this one's h
        handed.append((h, c))
    upstream = torch.randn(8, len(Wh), generator=draws, dtype=x.dtype)
    lengths = []
    for pair in handed[:-1]:
        found = torch.autograd.grad(
            last, pair, upstream / upstream.norm(), retain_graph=True, allow_unused=True
        )
        lengths.append(sum(g.norm() ** 2 for g in found if g is not None).sqrt().item())
    return spreads, [*lengths, 1.0]


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_lengths_through_time_are_those_of_autograd(cell, scale):
    network = writer(cell)
    spreads, norms = gradient_through_time(network, 7, scale, None)
    wanted = by_autograd(network, 7, scale)
    assert len(norms) == len(spreads) == 7
    assert spreads == pytest.approx(wanted[0], rel=1e-12)
    assert norms == pytest.approx(wanted[1], rel=1e-9)


def test_without_recurrent_weights_nothing_goes_back_but_along_the_cell():
    _, norms = gradient_through_time(writer("rnn"), 6, 0.0, None)
    assert norms == [0, 0, 0, 0, 0, 1]
    _, norms = gradient_through_time(writer("lstm"), 6, 0.0, None)
    assert all(0 < a < b for a, b in pairwise(norms))


def test_an_open_forget_gate_keeps_what_a_closed_one_loses():
    lengths = []
    for bias in (-8.0, 8.0):
        network = writer("lstm")
        network.params["b"][6:12] = bias
        lengths.append(gradient_through_time(network, 12, 1.0, None)[1][0])
    assert lengths[0] < 1e-3 * lengths[1]


@pytest.mark.parametrize("clip", [1.0, 1.5, 1e9])
def test_clipping_bounds_the_length_and_keeps_the_direction(clip):
    network = writer("rnn", hidden=10)
    _, free = gradient_through_time(network, 14, 6.0, None)
    assert max(free) > 40, "large weights make it explode"
    assert any(here < above for here, above in pairwise(free[:8])), "and not at every step"
    _, norms = gradient_through_time(network, 14, 6.0, clip)
    # A step is linear: in the same direction it makes any length so many times as long.
    wanted = [1.0]
    for here, above in zip(free[-2::-1], free[:0:-1], strict=True):
        wanted.append(min(clip, wanted[-1] * here / above))
    assert norms == pytest.approx(wanted[::-1], rel=1e-9)
    assert (max(norms) == pytest.approx(clip)) == (clip < 1e9)


def test_clipping_below_its_length_bounds_what_enters_too():
    _, norms = gradient_through_time(writer("rnn"), 5, 4.0, 0.5)
    assert max(norms) <= 0.5 + 1e-12


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_following_a_gradient_leaves_the_network_alone_and_is_always_the_same(cell):
    network = writer(cell)
    before = {name: w.clone() for name, w in network.params.items()}
    state = network.generator.get_state()
    first = gradient_through_time(network, 5, 4.0, 1.0)
    assert gradient_through_time(network, 5, 4.0, 1.0) == first
    assert all(network.params[name].equal(w) for name, w in before.items())
    assert network.generator.get_state().equal(state)
