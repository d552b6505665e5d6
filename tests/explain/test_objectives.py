"""What an image is to be large in: each part by hand, and their arithmetic."""

import pytest
import torch

from vislab.errors import OptionError, ShapeError
from vislab.explain.objectives import (
    Objective,
    Seen,
    channel,
    class_log_probability,
    class_score,
    l2,
    likeness,
    strength,
    total_variation,
    unit,
)
from vislab.explain.target_layers import TargetLayer


@pytest.fixture
def seen(rng):
    layers = {
        "maps": torch.randn(2, 3, 4, 5, generator=rng),
        "tokens": torch.randn(2, 7, 3, generator=rng),
        "vector": torch.randn(2, 3, generator=rng),
        "pair": (torch.zeros(2), torch.zeros(2)),
    }
    images = torch.rand(2, 3, 6, 7, generator=rng)
    return Seen(images, torch.tensor([[0.0, 1.0, 5.0], [2.0, 0.0, -1.0]]), layers)


def test_the_score_and_the_log_probability_of_a_class(seen):
    assert class_score(1).value(seen).tolist() == [1.0, 0.0]
    assert class_score(torch.tensor([2, 0])).value(seen).tolist() == [5.0, 2.0]
    by_hand = torch.exp(torch.tensor(2.0)) / (torch.exp(torch.tensor([2.0, 0.0, -1.0])).sum())
    torch.testing.assert_close(class_log_probability(0).value(seen)[1].exp(), by_hand)


def test_a_single_logit_has_the_score_and_the_probability_of_its_side(seen):
    one = Seen(seen.images, torch.tensor([[2.0], [-1.0]]), {})
    assert class_score(1).value(one).tolist() == [2.0, -1.0]
    assert class_score(0).value(one).tolist() == [-2.0, 1.0]
    expected = torch.tensor([2.0, -1.0]).sigmoid()
    torch.testing.assert_close(class_log_probability(1).value(one).exp(), expected)


def test_each_label_of_many_has_its_own_probability(seen):
    many = Seen(seen.images, seen.answer, {}, "sigmoid")
    expected = torch.tensor([5.0, -1.0]).sigmoid()
    torch.testing.assert_close(class_log_probability(2).value(many).exp(), expected)


def test_a_channel_is_a_mean_and_a_unit_one_place(seen):
    maps, tokens, vector = (seen.layers[name] for name in ("maps", "tokens", "vector"))
    torch.testing.assert_close(channel("maps", 2).value(seen), maps[:, 2].mean(dim=(1, 2)))
    torch.testing.assert_close(channel("tokens", 2).value(seen), tokens[:, :, 2].mean(dim=1))
    torch.testing.assert_close(channel("vector", 2).value(seen), vector[:, 2])
    assert torch.equal(unit("maps", 1).value(seen), maps[:, 1, 2, 2])
    assert torch.equal(unit("maps", 1, (3, 0)).value(seen), maps[:, 1, 3, 0])


def test_places_say_how_a_layer_is_read(seen):
    last = TargetLayer("maps", 3, 4, "nhwc")
    assert torch.equal(unit(last, 4, (2, 1)).value(seen), seen.layers["maps"][:, 2, 1, 4])
    grid = TargetLayer("tokens", 2, 3, "tokens")  # the first of seven tokens has no place
    assert torch.equal(unit(grid, 0, (1, 1)).value(seen), seen.layers["tokens"][:, 5, 0])


def test_strength_is_the_mean_square(seen):
    expected = (seen.layers["tokens"] ** 2).sum(dim=(1, 2)) / 21
    torch.testing.assert_close(strength("tokens").value(seen), expected)


def test_likeness_is_minus_the_relative_square_error(seen):
    wanted = seen.layers["maps"].clone()
    assert likeness("maps", wanted).value(seen).tolist() == [0.0, 0.0]
    torch.testing.assert_close(likeness("maps", 2 * wanted).value(seen), torch.full((2,), -0.25))


def test_the_penalties_by_hand():
    image = torch.full((1, 3, 2, 2), 0.5)
    image[0, 0] = torch.tensor([[0.5, 0.9], [0.5, 0.5]])
    seen = Seen(image, None, {})
    assert l2().value(seen).item() == pytest.approx(0.16 / 12)
    assert total_variation().value(seen).item() == pytest.approx(0.16 / 6 + 0.16 / 6)


def test_objectives_add_subtract_and_scale(seen):
    a, b = channel("maps", 0), strength("vector")
    both = 2 * a - b * 0.5 + l2()
    expected = 2 * a.value(seen) - 0.5 * b.value(seen) + l2().value(seen)
    torch.testing.assert_close(both.value(seen), expected)
    assert both.layers == ("maps", "vector")
    assert (a + a).layers == ("maps",)
    torch.testing.assert_close((-a).value(seen), -a.value(seen))
    assert isinstance(-a, Objective)


@pytest.mark.parametrize(
    ("objective", "kind", "sentence"),
    [
        (channel("maps", 3), OptionError, "no channel 3: the layer has 3"),
        (unit("maps", 0, (4, 0)), OptionError, "no place 4, 0 in maps, which has 4×5"),
        (class_score(3), OptionError, "no class 3"),
        (strength("pair"), ShapeError, "'pair' gives no tensor but tuple"),
        (strength("gone"), ShapeError, "'gone' takes no part"),
    ],
)
def test_what_is_not_there_is_told_so(objective, kind, sentence, seen):
    with pytest.raises(kind, match=sentence):
        objective.value(seen)
