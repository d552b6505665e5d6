import pytest
import torch

from tests.models.fitting import count, loss_after
from vislab.errors import OptionError
from vislab.models.densenet import DenseNet


def test_the_parameters_of_100_12_are_counted_by_hand():
    """Sixteen layers a block; a layer that sees c channels makes 48, and of these 12."""

    def block(first):
        seen = 16 * first + 12 * (15 * 16 // 2)  # first, first + 12, ..., first + 180
        return 2 * seen + 48 * seen + 16 * (2 * 48 + 9 * 48 * 12)

    stem = 9 * 3 * 24
    # 24 + 192 = 216, half is 108; 108 + 192 = 300, half is 150; 150 + 192 = 342.
    transitions = (2 * 216 + 216 * 108) + (2 * 300 + 300 * 150)
    end = 2 * 342 + 342 * 10 + 10
    assert stem + block(24) + block(108) + block(150) + transitions + end == 769_162
    assert count(DenseNet(classes=10)) == 769_162


@pytest.mark.parametrize(("depth", "growth", "millions"), [(250, 24, 15.3), (190, 40, 25.6)])
def test_larger_ones_are_of_the_size_in_the_paper(depth, growth, millions):
    """Huang et al. 2017, table 2."""
    with torch.device("meta"):
        model = DenseNet(classes=10, depth=depth, growth=growth)
    assert count(model) / 1e6 == pytest.approx(millions, abs=0.05)


def test_a_layer_adds_new_maps_behind_those_it_saw():
    block = DenseNet(classes=2, depth=22, growth=5).features.block1
    x = torch.randn(2, 10, 7, 6)
    seen = x
    for layer in block:
        out = layer(seen)
        assert out.shape == (2, seen.shape[1] + 5, 7, 6)
        assert torch.equal(out[:, : seen.shape[1]], seen)
        seen = out
    assert seen.shape[1] == 10 + 3 * 5


@pytest.mark.parametrize(("compression", "widths"), [(0.5, [7, 6]), (1.0, [15, 20]), (0.3, [4, 2])])
def test_a_transition_keeps_a_share_of_the_channels_rounded_down(compression, widths):
    # 10 + 5 = 15: 7 of them + 5 = 12: 6; all 15 + 5 = 20; 4 of 15 + 5 = 9: 2
    features = DenseNet(classes=2, depth=10, growth=5, compression=compression).features
    kept = [features.transition1[2].out_channels, features.transition2[2].out_channels]
    assert kept == widths


def test_a_transition_takes_means_of_four_places():
    transition = DenseNet(classes=2, depth=10, growth=4).features.transition1
    x = torch.randn(2, 12, 7, 4)
    full = transition[:3](x)
    means = full[:, :, :6].reshape(2, 6, 3, 2, 2, 2).mean(dim=(3, 5))
    torch.testing.assert_close(transition(x), means)


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"), [(32, 32, 8, 8), (13, 21, 3, 5), (4, 7, 1, 1)]
)
def test_images_of_any_shape_give_a_score_a_class(height, width, rows, columns):
    model = DenseNet(classes=5, depth=10, growth=4).eval()
    images = torch.randn(2, 3, height, width)
    assert model.features(images).shape[2:] == (rows, columns)
    assert model(images).shape == (2, 5)


def test_weights_start_with_a_variance_of_two_over_fan_out():
    torch.manual_seed(0)
    branch = DenseNet(classes=2, depth=10, growth=12).features.block1[0].branch
    assert branch[2].weight.var().item() == pytest.approx(2 / 48, rel=0.2)
    assert branch[5].weight.var().item() == pytest.approx(2 / (9 * 12), rel=0.1)


def test_what_the_head_sees_is_rectified():
    maps = DenseNet(classes=5, depth=10, growth=4).features(torch.randn(2, 3, 9, 8))
    assert maps.min() == 0
    assert maps.max() > 0


@pytest.mark.parametrize(("depth", "nearest"), [(99, "94 or 100"), (41, "40 or 46"), (9, "10")])
def test_a_depth_that_three_blocks_cannot_have_names_the_nearest(depth, nearest):
    sentence = rf"^DenseNet is 6n \+ 4 layers deep, got depth={depth}; take {nearest}$"
    with pytest.raises(OptionError, match=sentence):
        DenseNet(classes=2, depth=depth)


@pytest.mark.parametrize("compression", [0.0, 1.5])
def test_a_compression_that_keeps_no_share_is_refused(compression):
    with pytest.raises(OptionError, match=rf"compression={compression}\) .* above 0 to 1$"):
        DenseNet(classes=2, depth=10, compression=compression)


def test_it_learns_eight_images_by_heart():
    torch.manual_seed(0)
    model = DenseNet(classes=4, depth=16, growth=6)
    before, after = loss_after(model, steps=60, side=12, lr=1e-2)
    assert before > 0.7
    assert after < 0.02
    chance = torch.Generator().manual_seed(0)
    scores = model.eval()(torch.randn(8, 3, 12, 12, generator=chance))
    assert scores.argmax(1).tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
