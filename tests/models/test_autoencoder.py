"""Autoencoders: how narrow the narrow place is, and what goes past it."""

import pytest
import torch
from safetensors.torch import save_file

from tests.models.dense_fitting import error_after
from tests.models.fitting import count
from vislab.errors import OptionError
from vislab.models import take_part
from vislab.models.autoencoder import ConvAutoencoder, DenseAutoencoder
from vislab.models.unet import UNet


def small(**options):
    torch.manual_seed(0)
    return ConvAutoencoder(**{"width": 4, "depth": 3, "code": 5, **options})


def test_the_dense_ones_parameters_are_counted_by_hand():
    network = DenseAutoencoder(side=7, code=5, hidden=11)
    assert count(network) == (147 * 11 + 11) + (11 * 5 + 5) + (5 * 11 + 11) + (11 * 147 + 147)


def test_the_convolutional_ones_parameters_are_counted_by_hand():
    down = 9 * (3 * 4 + 4 * 4 + 4 * 8 + 8 * 8 + 8 * 16 + 16 * 16) + 2 * 2 * (4 + 8 + 16)
    narrow = (16 * 5 + 5) + (5 * 16 + 16)
    grow = 4 * (8 * 4 + 16 * 8) + 4 + 8
    up = 9 * (4 * 4 + 4 * 4 + 8 * 8 + 8 * 8) + 2 * 2 * (4 + 8)
    assert count(small()) == down + narrow + grow + up + 4 * 3 + 3
    assert count(small(skips=True)) - count(small()) == 9 * (4 * 4 + 8 * 8)


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("size", [(37, 50), (8, 8), (1, 2)])
def test_images_of_every_size_come_back_as_large_as_they_were(skips, size):
    assert small(skips=skips).eval()(torch.randn(2, 3, *size)).shape == (2, 3, *size)


def test_the_narrow_place_is_as_narrow_as_it_says(rng):
    """13 → 7 → 4, 10 → 5 → 3: five maps of 4×3."""
    seen = []
    network = small()
    network.narrow.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape)))
    network(torch.randn(2, 3, 13, 10, generator=rng))
    assert seen == [(2, 5, 4, 3)]


def test_without_skips_everything_goes_through_the_narrow_place(rng):
    images = torch.randn(2, 3, 13, 10, generator=rng)
    for skips in (False, True):
        network = small(skips=skips).eval()
        network.narrow.register_forward_hook(lambda _m, _i, out: torch.ones_like(out))
        first, second = network(images)
        assert torch.equal(first, second) is not skips


def test_the_dense_one_goes_through_its_code(rng):
    network = DenseAutoencoder(side=6, code=4, hidden=9)
    images = torch.randn(3, 3, 6, 6, generator=rng)
    code = network.encode(images)
    assert code.shape == (3, 4)
    assert torch.equal(network(images), network.decode(code).view(3, 3, 6, 6))


@pytest.mark.parametrize("size", [(8, 8), (6, 8), (8, 6)])
def test_the_dense_one_names_the_size_it_was_built_for(size):
    with pytest.raises(
        OptionError, match=rf"of 6×6 pixels, got {size[0]}×{size[1]}; build it with"
    ):
        DenseAutoencoder(side=6)(torch.zeros(1, 3, *size))


def test_a_unet_can_begin_from_its_contracting_path_and_from_no_other(tmp_path, rng):
    trained = small()
    for tensor in trained.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1, generator=rng)
    save_file(trained.state_dict(), tmp_path / "model.safetensors")
    unet = UNet(classes=2, width=4, depth=2)
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    assert take_part(unet, tmp_path, "down") == len(trained.down.state_dict())
    for name, tensor in unet.state_dict().items():
        wanted = trained.state_dict()[name] if name.startswith("down.") else before[name]
        assert torch.equal(tensor, wanted), name
    images = torch.randn(2, 3, 9, 8, generator=rng)
    assert torch.equal(unet.eval().down[0](images), trained.eval().down[0](images))
    for other in (UNet(classes=2, width=8, depth=2), UNet(classes=2, width=4, depth=3)):
        before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
        assert take_part(other, tmp_path, "down") == 0
        assert all(torch.equal(before[n], t) for n, t in other.state_dict().items())
    assert take_part(unet, tmp_path, "dow") == 0


@pytest.mark.parametrize(
    "build",
    [
        lambda: DenseAutoencoder(side=10, code=16, hidden=64),
        lambda: ConvAutoencoder(width=16, depth=2, code=16),
        lambda: ConvAutoencoder(width=8, depth=3, code=4, skips=True),
    ],
    ids=["dense", "convolutional", "with skips"],
)
def test_it_gives_back_four_images_by_heart(build, rng):
    """Images of 2×2 squares of one colour each, of variance 1."""
    torch.manual_seed(0)
    images = torch.randn(4, 3, 5, 5, generator=rng).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert error_after(build(), steps=120, images=images) < 0.05
