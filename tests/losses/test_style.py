"""The losses of style transfer: worked out by hand, and their slopes by finite differences."""

import pytest
import torch

from vislab.errors import ShapeError
from vislab.losses.style import content_loss, gram_matrix, style_loss, tv_loss

# Two channels of 1×2 places: channel 0 is (1, 2), channel 1 is (3, −1).
FEATURES = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])


def test_content_loss_is_the_weighted_sum_of_squares_without_a_half():
    original = torch.tensor([[[[1.0, 0.0]], [[0.0, -2.0]]]])
    assert content_loss(0.5, FEATURES, original) == 0.5 * (0 + 4 + 9 + 1)


def test_the_gram_matrix_of_two_channels():
    """1·1 + 2·2 = 5; 1·3 + 2·(−1) = 1; 3·3 + 1·1 = 10; over C · H · W = 4."""
    expected = torch.tensor([[[5.0, 1.0], [1.0, 10.0]]])
    assert torch.equal(gram_matrix(FEATURES, normalize=False), expected)
    assert torch.equal(gram_matrix(FEATURES), expected / 4)


def test_the_gram_matrix_does_not_know_where_things_are(rng):
    features = torch.randn(2, 3, 4, 5, generator=rng)
    moved = features.flatten(2)[:, :, torch.randperm(20, generator=rng)].view(2, 3, 5, 4)
    torch.testing.assert_close(gram_matrix(moved), gram_matrix(features))


def test_each_image_has_a_gram_matrix_of_its_own(rng):
    features = torch.randn(3, 2, 4, 5, generator=rng)
    apart = torch.cat([gram_matrix(features[place : place + 1]) for place in range(3)])
    torch.testing.assert_close(gram_matrix(features), apart)


def test_a_texture_laid_twice_has_the_same_gram_matrix(rng):
    features = torch.randn(1, 3, 4, 5, generator=rng)
    torch.testing.assert_close(
        gram_matrix(torch.cat([features, features], dim=3)), gram_matrix(features)
    )


def test_style_loss_sums_over_layers_with_their_weights():
    """Layer 2: (5 − 1, 1, 1, 10 − 2) / 4 squared, ×3; layer 0: (2·2 / 1 − 1)², ×10."""
    features = [torch.full((1, 1, 1, 1), 2.0), torch.zeros(1, 7, 1, 1), FEATURES]
    targets = [torch.tensor([[[0.25, 0.0], [0.0, 0.5]]]), torch.ones(1, 1, 1)]
    found = style_loss(features, [2, 0], targets, [3, 10])
    assert found == pytest.approx(3 * (16 + 1 + 1 + 64) / 16 + 10 * 9)


def test_features_may_go_by_name():
    features = {"early": FEATURES, "late": 2 * FEATURES}
    target = torch.zeros(1, 2, 2)
    late = style_loss(features, ["late"], [target], [1.0])
    assert late == 16 * style_loss(features, ["early"], [target], [1.0])
    assert late > 0


@pytest.mark.parametrize(("targets", "weights"), [(1, 2), (2, 1), (0, 0)])
def test_a_layer_without_a_target_or_weight_is_told_so(targets, weights):
    with pytest.raises(ShapeError, match=f"2 style layers with {targets} targets and {weights}"):
        style_loss([FEATURES] * 2, [0, 1], [torch.zeros(1, 2, 2)] * targets, [1.0] * weights)


def test_variation_is_the_sum_of_squared_differences_down_and_across():
    """One channel 0 1 3 over 2 2 2: down 4 + 1 + 1, across 1 + 4; two channels are flat."""
    image = torch.zeros(1, 3, 2, 3)
    image[0, 1] = torch.tensor([[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]])
    image[0, 2] = 7.0
    assert tv_loss(image, 0.5) == 0.5 * (6 + 5)


@pytest.mark.parametrize(
    ("loss", "shape"),
    [
        (lambda x: content_loss(0.3, x, torch.full_like(x, 0.2)), (2, 3, 4, 5)),
        (lambda x: gram_matrix(x), (2, 3, 4, 5)),
        (lambda x: gram_matrix(x, normalize=False), (1, 2, 5, 3)),
        (
            lambda x: style_loss([x, x**2], [1, 0], [x.new_ones(2, 3, 3)] * 2, [2.0, 0.7]),
            (2, 3, 4, 5),
        ),
        (lambda x: tv_loss(x, 0.3), (2, 3, 4, 5)),
    ],
    ids=["content", "gram", "plain gram", "style", "variation"],
)
def test_slopes_are_those_of_finite_differences(loss, shape, rng):
    point = torch.randn(shape, dtype=torch.float64, generator=rng).requires_grad_()
    assert torch.autograd.gradcheck(loss, (point,))
