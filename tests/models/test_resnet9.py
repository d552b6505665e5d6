import pytest
import torch

from tests.models.fitting import count, loss_after
from vislab.models import ResNet9
from vislab.models.resnet9 import Pair


def test_its_parameters_are_counted_by_hand():
    # 64 wide: 3×3 kernels of 3→64, 64→128, 128→128 twice, 128→256, 256→512, 512→512 twice
    kernels = 9 * (3 * 64 + 64 * 128 + 2 * 128**2 + 128 * 256 + 256 * 512 + 2 * 512**2)
    normalisation = 2 * (64 + 3 * 128 + 256 + 3 * 512)
    assert kernels + normalisation + 512 * 10 == 6_573_120
    assert count(ResNet9(classes=10)) == 6_573_120


def test_a_pair_whose_second_normalisation_gives_zero_returns_its_input():
    pair = Pair(3).eval()
    torch.nn.init.zeros_(pair.branch[4].weight)
    x = torch.rand(2, 3, 5, 4)
    assert torch.equal(pair(x), x)


def test_scores_are_an_eighth_of_a_linear_layer_of_the_largest_values():
    model = ResNet9(classes=4, width=2).eval()
    images = torch.randn(2, 3, 17, 9)
    largest = model.features(images).flatten(2).max(dim=2).values
    torch.testing.assert_close(model(images), largest @ model.head.weight.T / 8)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (13, 21)])
def test_images_of_any_shape_give_a_score_a_class(height, width):
    assert ResNet9(classes=5, width=4)(torch.randn(2, 3, height, width)).shape == (2, 5)


def test_it_learns_eight_images_by_heart():
    torch.manual_seed(0)
    before, after = loss_after(ResNet9(classes=4, width=4), steps=80, side=16, lr=2e-2)
    assert before > 0.7
    assert after < 0.02
