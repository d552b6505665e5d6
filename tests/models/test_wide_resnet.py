import pytest
import torch
from torch import nn

from tests.models.fitting import count, loss_after
from vislab.errors import OptionError
from vislab.models.wide_resnet import WideResNet


def test_the_parameters_of_wrn_28_10_are_counted_by_hand():
    # Four blocks of two 3×3 convolutions a stage; the first widens and has a projection.
    kernels = 9 * 3 * 16
    kernels += 9 * (16 * 160 + 7 * 160 * 160) + 16 * 160
    kernels += 9 * (160 * 320 + 7 * 320 * 320) + 160 * 320
    kernels += 9 * (320 * 640 + 7 * 640 * 640) + 320 * 640
    # What goes into each of those convolutions is normalised, and the last sum.
    channels = (16 + 7 * 160) + (160 + 7 * 320) + (320 + 7 * 640) + 640
    assert kernels + 2 * channels + (640 * 10 + 10) == 36_479_194
    with torch.device("meta"):
        assert count(WideResNet(classes=10)) == 36_479_194


@pytest.mark.parametrize(
    ("depth", "widen", "millions"), [(16, 8, 11.0), (40, 4, 8.9), (22, 8, 17.2), (40, 1, 0.6)]
)
def test_other_sizes_are_those_of_the_paper(depth, widen, millions):
    """Zagoruyko and Komodakis 2016, tables 4 and 5."""
    with torch.device("meta"):
        model = WideResNet(classes=10, depth=depth, widen=widen)
    assert count(model) / 1e6 == pytest.approx(millions, abs=0.06)


def test_dropout_acts_only_in_training():
    torch.manual_seed(0)
    model = WideResNet(classes=3, depth=10, widen=1, dropout=0.3)
    images = torch.randn(4, 3, 9, 8)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


def test_without_dropout_two_passes_in_training_agree():
    model = WideResNet(classes=3, depth=10, widen=1)
    images = torch.randn(4, 3, 9, 8)
    assert torch.equal(model(images), model(images))


def test_dropout_stands_between_the_two_convolutions_of_each_block():
    model = WideResNet(classes=3, depth=16, widen=1, dropout=0.3)
    blocks = [*model.features.stage1, *model.features.stage2, *model.features.stage3]
    assert len(blocks) == 6
    for block in blocks:
        kinds = [type(layer) for layer in block.branch]
        assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Dropout, nn.Conv2d]
        assert block.branch[3].p == 0.3


def test_weights_fit_with_and_without_dropout():
    trained = WideResNet(classes=3, depth=10, widen=1, dropout=0.3).eval()
    again = WideResNet(classes=3, depth=10, widen=1).eval()
    again.load_state_dict(trained.state_dict())
    images = torch.randn(2, 3, 9, 8)
    assert torch.equal(again(images), trained(images))


def test_a_block_whose_last_convolution_is_zero_gives_its_input_back():
    block = WideResNet(classes=2, depth=16, widen=1).features.stage1[1]
    nn.init.zeros_(block.branch[-1].weight)
    x = torch.randn(2, 16, 7, 5)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(("stage", "shape"), [("stage1", (2, 32, 7, 5)), ("stage2", (2, 64, 4, 3))])
def test_where_the_shape_changes_the_shortcut_sees_the_rectified_map(stage, shape):
    """Then both paths are normalised: a block sees no difference between x and 2x."""
    block = getattr(WideResNet(classes=2, depth=10, widen=2).double().features, stage)[0]
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-30
    x = torch.randn(2, block.activation[0].num_features, 7, 5, dtype=torch.float64)
    assert block(x).shape == shape
    torch.testing.assert_close(block(2 * x), block(x))
    active = block.activation(x)
    nn.init.zeros_(block.branch[-1].weight)
    torch.testing.assert_close(block(x), block.shortcut(active))


def test_weights_start_with_a_variance_of_two_over_fan_out():
    torch.manual_seed(0)
    first = WideResNet(classes=2, depth=10, widen=2).features.stage2[0]
    assert first.branch[0].weight.var().item() == pytest.approx(2 / (9 * 64), rel=0.1)
    assert first.shortcut.weight.var().item() == pytest.approx(2 / 64, rel=0.2)


def test_two_of_three_stages_halve_the_side_rounding_up():
    model = WideResNet(classes=5, depth=10, widen=2).eval()
    images = torch.randn(2, 3, 13, 21)
    assert model.features(images).shape == (2, 128, 4, 6)
    assert model(images).shape == (2, 5)


def test_what_the_head_sees_is_rectified():
    model = WideResNet(classes=5, depth=10, widen=1)
    maps = model.features(torch.randn(2, 3, 9, 8))
    assert maps.min() == 0
    assert maps.max() > 0


@pytest.mark.parametrize(("depth", "nearest"), [(27, "22 or 28"), (30, "28 or 34"), (4, "10")])
def test_a_depth_that_three_stages_cannot_have_names_the_nearest(depth, nearest):
    sentence = rf"^WideResNet is 6n \+ 4 layers deep, got depth={depth}; take {nearest}$"
    with pytest.raises(OptionError, match=sentence):
        WideResNet(classes=2, depth=depth)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_a_dropout_that_is_no_share_is_refused(dropout):
    with pytest.raises(OptionError, match=rf"dropout={dropout}\) .* from 0 to below 1$"):
        WideResNet(classes=2, depth=10, widen=1, dropout=dropout)


def test_it_learns_eight_images_by_heart():
    torch.manual_seed(0)
    model = WideResNet(classes=4, depth=10, widen=1)
    before, after = loss_after(model, steps=50, side=12, lr=1e-2)
    assert before > 0.7
    assert after < 0.02
    chance = torch.Generator().manual_seed(0)
    scores = model.eval()(torch.randn(8, 3, 12, 12, generator=chance))
    assert scores.argmax(1).tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
