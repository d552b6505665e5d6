import pytest
import torch
from torch import nn

from tests.models.fitting import count, loss_after
from vislab.models import ConvNet
from vislab.models.convnet import GaussianNoise


def test_its_parameters_are_counted_by_hand():
    # 3·3 convolutions without bias, two numbers a channel for batch normalisation, the head
    convolutions = 9 * (3 * 32 + 32 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 128 * 128)
    normalisation = 2 * 2 * (32 + 64 + 128)
    head = 128 * 10 + 10
    assert convolutions + normalisation + head == 288_746
    assert count(ConvNet(classes=10, widths=(32, 64, 128))) == 288_746


def test_without_batch_normalisation_each_channel_has_a_bias_instead():
    # 3→4, 4→4, 4→6, 6→6: 9 · 88 weights + 20 biases, and 6·7 + 7
    assert count(ConvNet(classes=7, widths=(4, 6), batch_norm=False)) == 792 + 20 + 49


@pytest.mark.parametrize(("height", "width"), [(8, 8), (13, 21), (32, 17)])
def test_images_of_any_shape_give_a_score_a_class(height, width):
    model = ConvNet(classes=5, widths=(4, 6, 8))
    assert model(torch.randn(2, 3, height, width)).shape == (2, 5)


def test_each_stage_halves_the_side():
    model = ConvNet(classes=5, widths=(4, 6, 8))
    assert model.features(torch.randn(2, 3, 33, 18)).shape == (2, 8, 4, 2)


@pytest.mark.parametrize("options", [{}, {"batch_norm": False}, {"noise": 0.05}], ids=str)
def test_it_learns_eight_images_by_heart(options):
    torch.manual_seed(0)
    model = ConvNet(classes=4, widths=(8, 12, 16), **options)
    before, after = loss_after(model, steps=60, side=16, lr=1e-2)
    assert before > 0.7
    assert after < 0.02


def test_noise_has_the_asked_deviation_and_no_mean():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 101, 99)
    noise = GaussianNoise(0.3)
    added = (noise(x) - x).double()
    n = added.numel()
    assert abs(added.mean()) < 5 * 0.3 / n**0.5
    assert abs(added.std() - 0.3) < 5 * 0.3 / (2 * n) ** 0.5
    assert not torch.equal(noise(x), noise(x))
    assert torch.corrcoef(torch.stack([added.flatten(), x.double().flatten()]))[0, 1].abs() < 0.03


def test_noise_is_added_in_training_only():
    x = torch.randn(2, 3, 5, 4)
    assert torch.equal(GaussianNoise(0.3).eval()(x), x)


def test_noise_stands_after_every_convolution_and_changes_no_answer_after_training():
    torch.manual_seed(0)
    noisy, plain = (ConvNet(classes=3, widths=(4, 6), noise=noise) for noise in (0.2, 0.0))
    kinds = [type(layer) for layer in noisy.features]
    convolutions = [place for place, kind in enumerate(kinds) if kind is nn.Conv2d]
    assert len(convolutions) == 4
    for place in convolutions:
        assert kinds[place : place + 4] == [nn.Conv2d, nn.BatchNorm2d, GaussianNoise, nn.ReLU]
    assert GaussianNoise not in {type(layer) for layer in plain.features}
    for mine, other in zip(noisy.parameters(), plain.parameters(), strict=True):
        mine.data.copy_(other)
    images = torch.randn(2, 3, 9, 11)
    assert torch.equal(noisy.eval()(images), plain.eval()(images))
    assert "std=0.2" in repr(noisy)


def test_weights_start_with_the_variance_that_keeps_the_signals_size():
    """He et al. 2015: 2 / (9 · channels in)."""
    torch.manual_seed(0)
    second = ConvNet(classes=3, widths=(40, 6)).features[3].weight
    assert second.shape == (40, 40, 3, 3)
    assert second.var().item() == pytest.approx(2 / (9 * 40), rel=0.06)
