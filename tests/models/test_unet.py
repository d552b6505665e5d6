"""U-Net: its skips, its sizes and its count."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.dense_fitting import wrong_after
from tests.models.fitting import count
from vislab.errors import OptionError
from vislab.models.unet import UNet


def small(**options):
    torch.manual_seed(0)
    return UNet(**{"classes": 3, "width": 4, "depth": 2, **options})


def test_its_parameters_are_counted_by_hand():
    down = 9 * (3 * 4 + 4 * 4 + 4 * 8 + 8 * 8 + 8 * 16 + 16 * 16) + 2 * 2 * (4 + 8 + 16)
    grow = 4 * (8 * 4 + 16 * 8) + 4 + 8
    up = 9 * (8 * 4 + 4 * 4 + 16 * 8 + 8 * 8) + 2 * 2 * (4 + 8)
    assert count(small()) == down + grow + up + 4 * 3 + 3


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 3))
def test_every_size_comes_back_as_it_was(height, width, depth):
    network = small(depth=depth).eval()
    assert network(torch.randn(2, 3, height, width)).shape == (2, 3, height, width)


def test_maps_are_halved_rounding_up():
    network, seen = small(depth=3).eval(), []
    for convolve in network.down:
        convolve.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape[1:])))
    network(torch.randn(1, 3, 37, 50))
    assert seen == [(4, 37, 50), (8, 19, 25), (16, 10, 13), (32, 5, 7)]


def test_an_uneven_size_keeps_places(rng):
    """What is changed at one end of an uneven image does not move the answer at the other."""
    network = small(depth=1).eval()
    images = torch.randn(1, 3, 37, 50, generator=rng)
    changed = images.clone()
    changed[..., -1, -1] += 1
    moved = (network(changed) != network(images))[0].any(dim=0)
    rows, columns = moved.nonzero().T
    assert rows.max() == 36
    assert columns.max() == 49
    assert rows.min() >= 36 - 11  # two pairs of 3×3 at full size, one at half size, and pooling
    assert columns.min() >= 49 - 11


@pytest.mark.parametrize("level", [0, 1])
def test_a_cut_skip_carries_nothing_and_another_does(level, rng):
    network, seen = small(cut=[level]).eval(), {}
    for place, up in enumerate(network.up):
        up[0].register_forward_pre_hook(lambda _m, taken, place=place: seen.update({place: taken}))
    network(torch.randn(2, 3, 13, 10, generator=rng))
    for place, (maps,) in seen.items():
        skip, grown = maps.chunk(2, dim=1)
        assert bool((skip == 0).all()) is (place == level)
        assert bool((grown != 0).any())


@pytest.mark.parametrize("level", [0, 1])
def test_a_cut_skip_teaches_nothing(level, rng):
    network = small(cut=[level])
    network(torch.randn(2, 3, 12, 10, generator=rng)).square().sum().backward()
    for place, up in enumerate(network.up):
        of_skip, of_maps = up[0].weight.grad.chunk(2, dim=1)
        assert bool((of_skip == 0).all()) is (place == level)
        assert bool((of_maps != 0).any())


def test_with_all_skips_cut_everything_goes_through_the_narrowest_maps(rng):
    images = torch.randn(2, 3, 12, 10, generator=rng)
    for cut, same in (((0, 1), True), ((0,), False), ((), False)):
        network = small(cut=cut).eval()
        network.down[-1].register_forward_hook(lambda _m, _i, out: torch.ones_like(out))
        first, second = network(images)
        assert torch.equal(first, second) is same


def test_cutting_leaves_the_weights_as_they_are():
    whole, cut = small(), small(cut=(0, 1))
    assert cut.load_state_dict(whole.state_dict()).missing_keys == []


@pytest.mark.parametrize(("cut", "named"), [((2,), 2), ((0, -1), -1), ((5, 3), 3)])
def test_a_skip_that_is_not_there_cannot_be_cut(cut, named):
    with pytest.raises(OptionError, match=rf"no skip {named} to cut; with depth 2 they are 0 to 1"):
        small(cut=cut)


def test_it_learns_four_images_by_heart():
    assert wrong_after(small(width=6), steps=40) <= 5  # of 1080
