import pytest
import torch
from torch import nn

from tests.models.fitting import count, loss_after
from vislab.errors import OptionError
from vislab.models.preact_resnet import PreActResNet


def test_the_course_s_resnet_32_is_counted_by_hand():
    # 3×3 kernels: the stem, then ten to a stage, of which the first may widen.
    kernels = 9 * (3 * 8 + 10 * 8 * 8 + 8 * 16 + 9 * 16 * 16 + 16 * 32 + 9 * 32 * 32)
    biases = 8 + 10 * (8 + 16 + 32)
    projections = (8 * 16 + 16) + (16 * 32 + 32)
    # One scale and one shift a channel that goes *into* a convolution of a block.
    normalisation = 2 * (10 * 8 + (8 + 9 * 16) + (16 + 9 * 32))
    head = 32 * 10 + 10
    assert (kernels, biases, projections) == (115_416, 568, 688)
    assert (normalisation, head) == (1_072, 330)
    assert kernels + biases + projections + normalisation + head == 118_074
    assert count(PreActResNet(classes=10, widths=(8, 16, 32))) == 118_074


def test_a_plain_network_lacks_the_projections_alone():
    projections = (8 * 16 + 16) + (16 * 32 + 32)
    plain = PreActResNet(classes=10, block="plain", widths=(8, 16, 32))
    assert count(plain) == 118_074 - projections == 117_386


def test_the_course_s_resnet_47_is_counted_by_hand():
    """Five bottlenecks a stage: w to w/4, 3×3 at w/4, back to w."""

    def block(inner, outer):
        narrow = outer // 4
        kernels = inner * narrow + 9 * narrow * narrow + narrow * outer
        return kernels + (narrow + narrow + outer) + 2 * (inner + narrow + narrow)

    blocks = 5 * block(32, 32) + block(32, 64) + 4 * block(64, 64)
    blocks += block(64, 128) + 4 * block(128, 128)
    projections = (32 * 64 + 64) + (64 * 128 + 128)
    assert blocks + projections + (27 * 32 + 32) + (128 * 10 + 10) == 129_146
    model = PreActResNet(classes=10, block="bottleneck", depth=47, widths=(32, 64, 128))
    assert count(model) == 129_146


@pytest.mark.parametrize(
    ("options", "millions"),
    [
        ({"depth": 110}, 1.7),  # 1512.03385, table 6
        ({"block": "bottleneck", "depth": 164, "widths": (64, 128, 256)}, 1.7),  # 1603.05027, 5
        ({"depth": 18, "widths": (64, 128, 256, 512)}, 11.2),
    ],
)
def test_deeper_and_wider_ones_are_of_the_published_size(options, millions):
    with torch.device("meta"):
        model = PreActResNet(classes=10, **options)
    assert count(model) / 1e6 == pytest.approx(millions, abs=0.05)
    counted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    projections = [m for name, m in model.named_modules() if "shortcut" in name and m in counted]
    assert len(counted) - len(projections) == options["depth"]


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_a_block_whose_last_convolution_is_zero_gives_its_input_back(block):
    kept = tame(PreActResNet(classes=2, block=block, depth=20, widths=(4, 8, 12)), block)
    x = torch.randn(2, 4, 7, 5)
    assert torch.equal(kept(x), x)


def test_a_plain_block_whose_last_convolution_is_zero_gives_zeros():
    emptied = tame(PreActResNet(classes=2, block="plain", depth=20, widths=(4, 8, 12)), "plain")
    assert torch.equal(emptied(torch.randn(2, 4, 7, 5)), torch.zeros(2, 4, 7, 5))


def tame(model, block):
    """Return the first block with its last convolution set to zero."""
    first = model.features.stage1[0]
    last = (first if block == "plain" else first.branch)[-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return first


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_an_image_twice_as_bright_changes_the_shortcut_alone(block, stage):
    """Normalised first, f(2x) = f(x), so that y(2x) - y(x) = s(2x) - s(x)."""
    model = PreActResNet(classes=2, block=block, depth=20, widths=(4, 8, 12)).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-30
    first = getattr(model.features, stage)[0]
    x = torch.randn(2, 4, 7, 5, dtype=torch.float64)
    if stage == "stage1":
        expected = x
    else:  # every second place, through a 1×1 convolution of x itself
        kernel = first.shortcut.weight[:, :, 0, 0]
        expected = torch.einsum("dc,nchw->ndhw", kernel, x[..., ::2, ::2])
    torch.testing.assert_close(first(2 * x) - first(x), expected)


def test_the_stem_is_rectified_and_the_last_sum_is_not():
    torch.manual_seed(0)
    model = PreActResNet(classes=5, depth=8, widths=(4, 8, 12))
    images = torch.randn(2, 3, 9, 8)
    assert model.features.stem(images).min() == 0
    assert model.features(images).min() < 0


def test_a_stage_as_wide_as_the_one_before_still_halves_the_side():
    model = PreActResNet(classes=5, depth=8, widths=(4, 4, 4)).eval()
    assert model.features(torch.randn(2, 3, 13, 21)).shape == (2, 4, 4, 6)


def test_weights_start_with_a_variance_of_two_over_fan_out_and_biases_at_zero():
    torch.manual_seed(0)
    stage = PreActResNet(classes=2, depth=20).features.stage2
    assert stage[0].branch[2].weight.var().item() == pytest.approx(2 / (9 * 32), rel=0.1)
    assert stage[0].shortcut.weight.var().item() == pytest.approx(2 / 32, rel=0.3)
    assert not stage[0].branch[2].bias.any()


@pytest.mark.parametrize("block", ["basic", "bottleneck", "plain"])
def test_two_of_three_stages_halve_the_side_rounding_up(block):
    model = PreActResNet(classes=5, block=block, depth=20, widths=(4, 8, 12)).eval()
    images = torch.randn(2, 3, 13, 21)
    assert model.features(images).shape == (2, 12, 4, 6)
    assert model(images).shape == (2, 5)


@pytest.mark.parametrize(
    ("block", "depth", "sentence"),
    [
        ("basic", 33, r"block='basic'\) is 6n \+ 2 .* got depth=33; take 32 or 38$"),
        ("plain", 31, r"block='plain'\) is 6n \+ 2 .* got depth=31; take 26 or 32$"),
        ("bottleneck", 50, r"block='bottleneck'\) is 9n \+ 2 .* got depth=50; take 47 or 56$"),
        ("basic", 2, r"got depth=2; take 8$"),
        ("basic", -7, r"got depth=-7; take 8$"),
        ("bottleneck", 12, r"got depth=12; take 11 or 20$"),
    ],
)
def test_a_depth_that_three_stages_cannot_have_names_the_nearest(block, depth, sentence):
    with pytest.raises(OptionError, match=sentence):
        PreActResNet(classes=2, block=block, depth=depth)


def test_a_bottleneck_of_a_width_without_a_quarter_is_refused():
    with pytest.raises(OptionError, match=r"quarter of each width, got \(8, 18\); .* of 4$"):
        PreActResNet(classes=2, block="bottleneck", depth=14, widths=(8, 18))


@pytest.mark.parametrize(("block", "depth"), [("basic", 8), ("bottleneck", 11), ("plain", 8)])
def test_it_learns_eight_images_by_heart(block, depth):
    torch.manual_seed(0)
    model = PreActResNet(classes=4, block=block, depth=depth, widths=(8, 16, 32))
    before, after = loss_after(model, steps=80, side=12, lr=1e-2)
    assert before > 0.7
    assert after < 0.02
    chance = torch.Generator().manual_seed(0)
    scores = model.eval()(torch.randn(8, 3, 12, 12, generator=chance))
    assert scores.argmax(1).tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
