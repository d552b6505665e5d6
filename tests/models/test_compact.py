import pytest
import torch

from tests.models.fitting import count, loss_after
from vislab.models import Compact
from vislab.models.compact import Separable


def test_its_parameters_are_counted_by_hand_and_under_a_hundred_thousand():
    full = 9 * (3 * 24 + 24 * 40 + 40 * 40)
    depthwise = 9 * (40 + 72 + 72 + 3 * 112)
    across = 40 * 72 + 72 * 72 + 72 * 112 + 3 * 112 * 112
    normalisation = 2 * (24 + 40 + 40 + (40 + 72) + (72 + 72) + (72 + 112) + 3 * (112 + 112))
    assert full + depthwise + across + normalisation + 112 * 2 + 2 == 84_786
    assert count(Compact(classes=2)) == 84_786


def test_a_block_that_keeps_the_shape_adds_its_input_and_one_that_does_not_has_no_skip():
    x = torch.rand(2, 6, 5, 7)
    for block, kept in ((Separable(6, 6, 1), True), (Separable(6, 8, 1), False)):
        torch.nn.init.zeros_(block.eval().layers[4].weight)
        assert bool((block(x) == (x if kept else 0)).all())
    assert Separable(6, 6, 2).eval()(x).shape == (2, 6, 3, 4)


def test_a_depthwise_convolution_mixes_no_channels():
    block = Separable(4, 4, 1).eval()
    x = torch.rand(1, 4, 6, 6)
    changed = x.clone()
    changed[:, 2] += 1
    moved = (block.layers[0](changed) != block.layers[0](x)).flatten(2).any(dim=2)[0]
    assert moved.tolist() == [False, False, True, False]


@pytest.mark.parametrize(("height", "width"), [(16, 16), (21, 33)])
def test_images_of_any_shape_give_a_score_a_class(height, width):
    assert Compact(classes=5)(torch.randn(2, 3, height, width)).shape == (2, 5)


def test_it_drops_only_in_training():
    model = Compact(classes=3).eval()
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(model(images), model(images))
    model.dropout.train()
    assert not torch.equal(model(images), model(images))


def test_it_learns_eight_images_by_heart():
    torch.manual_seed(0)
    before, after = loss_after(Compact(classes=4, dropout=0.0), steps=60, side=32, lr=5e-3)
    assert before > 0.7
    assert after < 0.02
