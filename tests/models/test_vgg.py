import pytest
import torch
from torch import nn

from tests.models.fitting import count, loss_after
from vislab.errors import OptionError
from vislab.models.vgg import VGG


def test_the_parameters_of_vgg16_are_counted_by_hand():
    w = 64
    kernels = 9 * (3 * w + w * w)
    kernels += 9 * (w * 2 * w + (2 * w) ** 2)
    kernels += 9 * (2 * w * 4 * w + 2 * (4 * w) ** 2)
    kernels += 9 * (4 * w * 8 * w + 2 * (8 * w) ** 2)
    kernels += 9 * 3 * (8 * w) ** 2
    channels = 2 * w + 2 * 2 * w + 3 * 4 * w + 6 * 8 * w
    head = 8 * w * 10 + 10
    assert kernels + 3 * channels + head == 14_728_266  # a bias, a scale and a shift a channel
    assert count(VGG(classes=10)) == 14_728_266
    # Without normalisation a bias alone is left of the three.
    assert kernels + channels + head == 14_719_818
    assert count(VGG(classes=10, batch_norm=False)) == 14_719_818


@pytest.mark.parametrize(
    ("depth", "parameters"), [(11, 9_231_114), (13, 9_416_010), (19, 20_040_522)]
)
def test_the_other_depths_have_the_usual_counts(depth, parameters):
    with torch.device("meta"):
        assert count(VGG(classes=10, depth=depth)) == parameters


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_a_depth_is_the_number_of_layers_with_weights_but_for_two_dense_ones(depth):
    model = VGG(classes=2, depth=depth, width=1)
    weighted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == depth - 2


@pytest.mark.parametrize(
    ("batch_norm", "a", "d"),
    [
        (False, "CRMCRMCRCRMCRCRMCRCRM", "CRCRMCRCRMCRCRCRMCRCRCRMCRCRCRM"),
        (True, "CBRMCBRMCBRCBRMCBRCBRMCBRCBRM", "CBRCBRMCBRCBRM" + 3 * "CBRCBRCBRM"),
    ],
)
def test_the_layers_stand_in_the_order_of_the_paper_s_columns_a_and_d(batch_norm, a, d):
    letters = {nn.Conv2d: "C", nn.BatchNorm2d: "B", nn.ReLU: "R", nn.MaxPool2d: "M"}
    for depth, order in ((11, a), (16, d)):
        model = VGG(classes=2, depth=depth, width=1, batch_norm=batch_norm)
        assert "".join(letters[type(layer)] for layer in model.features) == order


def test_a_width_scales_every_stage():
    model = VGG(classes=2, depth=11, width=3)
    widths = [m.out_channels for m in model.features if isinstance(m, nn.Conv2d)]
    assert widths == [3, 6, 12, 12, 24, 24, 24, 24]


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"), [(32, 32, 1, 1), (13, 21, 1, 1), (65, 33, 3, 2)]
)
def test_halvings_round_up(height, width, rows, columns):
    model = VGG(classes=5, width=2).eval()
    images = torch.randn(2, 3, height, width)
    assert model.features(images).shape == (2, 16, rows, columns)
    assert model(images).shape == (2, 5)


def test_weights_start_with_a_variance_of_two_over_fan_in_and_biases_at_zero():
    """So that nineteen layers without normalisation neither lose nor blow up the signal."""
    torch.manual_seed(0)
    convolutions = [m for m in VGG(classes=2, width=16).modules() if isinstance(m, nn.Conv2d)]
    for layer in convolutions[1:]:
        expected = 2 / (9 * layer.in_channels)
        assert layer.weight.var().item() == pytest.approx(expected, rel=0.1)
        assert not layer.bias.any()


def test_a_depth_that_the_paper_lacks_says_which_it_has():
    with pytest.raises(OptionError, match=r"VGG\(depth=12\) .* take 11, 13, 16 or 19$"):
        VGG(classes=2, depth=12)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_it_learns_eight_images_by_heart(batch_norm):
    torch.manual_seed(0)
    model = VGG(classes=4, depth=11, width=8, batch_norm=batch_norm)
    before, after = loss_after(model, steps=60, side=32)
    assert before > 0.7
    assert after < 0.02
    chance = torch.Generator().manual_seed(0)
    scores = model.eval()(torch.randn(8, 3, 32, 32, generator=chance))
    assert scores.argmax(1).tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
