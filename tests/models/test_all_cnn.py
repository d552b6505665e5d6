import pytest
import torch
from torch import nn

from tests.models.fitting import count, loss_after
from vislab.models import AllCNN


def test_its_parameters_are_counted_by_hand():
    w = 96  # as wide as the paper's
    convolutions = 9 * (3 * w + w * w + w * w + w * 2 * w + 3 * (2 * w) ** 2) + (2 * w) ** 2
    normalisation = 2 * (3 * w + 5 * 2 * w)
    head = 2 * w * 10 + 10
    assert convolutions + normalisation + head == 1_370_986
    assert count(AllCNN(classes=10, width=96)) == 1_370_986
    # 32 wide: 9 · (96 + 1024 + 1024 + 2048 + 3 · 4096) + 4096 + 832 + 650
    assert count(AllCNN(classes=10, width=32)) == 153_898


def test_it_is_made_of_convolutions_alone():
    kinds = {type(module) for module in AllCNN(classes=3).modules() if not list(module.children())}
    assert kinds == {nn.Conv2d, nn.BatchNorm2d, nn.ReLU}


@pytest.mark.parametrize(("height", "width"), [(8, 8), (13, 21), (32, 17)])
def test_images_of_any_shape_give_a_score_a_class(height, width):
    assert AllCNN(classes=5, width=4)(torch.randn(2, 3, height, width)).shape == (2, 5)


def test_two_strides_leave_a_quarter_of_the_side():
    model = AllCNN(classes=5, width=4)
    assert model.features(torch.randn(2, 3, 33, 18)).shape == (2, 8, 9, 5)


def test_scores_are_the_mean_over_all_places():
    """A pattern over the places whose mean is zero changes no score."""
    model = AllCNN(classes=5, width=4)
    same = torch.randn(2, 8)
    model.features = Patterned(same)
    expected = same @ model.head.weight[:, :, 0, 0].T + model.head.bias
    torch.testing.assert_close(model(torch.randn(2, 3, 9, 7)), expected)


class Patterned(nn.Module):
    """Give the same channels at each of 3×2 places, plus a pattern of mean zero."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, images):
        pattern = torch.tensor([[1.0, -2.0], [3.0, -3.0], [5.0, -4.0]])
        return self.channels[:, :, None, None] + pattern


def test_it_learns_eight_images_by_heart():
    torch.manual_seed(0)
    before, after = loss_after(AllCNN(classes=4, width=8), steps=80, side=16, lr=1e-2)
    assert before > 0.7
    assert after < 0.02
