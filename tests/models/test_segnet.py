"""SegNet and its five ways of growing maps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.models.dense_fitting import wrong_after
from tests.models.fitting import count
from vislab.errors import OptionError, UnknownName
from vislab.models.segnet import WAYS, Grow, SegNet, first_growth, unpool, unpool_fixed

FIVE = ("index-unpooling", "nearest", "bilinear", "fixed-unpooling", "transposed")


def small(**options):
    torch.manual_seed(0)
    return SegNet(**{"classes": 3, "width": 4, "convolutions": (1, 2), **options})


def test_there_are_five_ways():
    assert set(WAYS) == set(FIVE)


def test_unpooling_puts_maxima_where_they_were_by_hand():
    """3×4 pixels in blocks of 2×2; the last row of blocks has one row of pixels."""
    maps = torch.tensor([[[[1.0, 5.0, 2.0, 3.0], [7.0, 4.0, 9.0, 8.0], [6.0, 0.0, 1.0, 2.0]]]])
    values, places = F.max_pool2d(maps, 2, ceil_mode=True, return_indices=True)
    assert values.tolist() == [[[[7.0, 9.0], [6.0, 2.0]]]]
    expected = [[0.0, 0.0, 0.0, 0.0], [70.0, 0.0, 90.0, 0.0], [60.0, 0.0, 0.0, 20.0]]
    assert unpool(10 * values, places, (3, 4)).tolist() == [[expected]]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 11), st.integers(1, 11), st.integers(0, 999))
def test_unpooled_maxima_are_the_image_where_it_is_largest_and_zero_elsewhere(h, w, seed):
    maps = torch.randn(2, 3, h, w, generator=torch.Generator().manual_seed(seed))
    values, places = F.max_pool2d(maps, 2, ceil_mode=True, return_indices=True)
    grown = unpool(values, places, (h, w))
    kept = grown != 0
    assert torch.equal(grown[kept], maps[kept])
    again = F.max_pool2d(torch.where(kept, grown, -torch.inf), 2, ceil_mode=True)
    assert torch.equal(again, values)
    assert int(kept.sum()) == values.numel()


def test_fixed_unpooling_fills_the_upper_left_by_hand():
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert unpool_fixed(maps, (4, 3)).tolist() == [
        [[[1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [3.0, 0.0, 4.0], [0.0, 0.0, 0.0]]]
    ]


def test_only_index_unpooling_looks_at_the_places(rng):
    pooled = torch.randn(2, 4, 7, 5, generator=rng)
    maps, places = F.max_pool2d(pooled, 2, ceil_mode=True, return_indices=True)
    other = F.max_pool2d(-pooled, 2, ceil_mode=True, return_indices=True)[1]
    for way in FIVE:
        grow = Grow(way, 4)
        same = torch.equal(grow(maps, places, (7, 5)), grow(maps, other, (7, 5)))
        assert same is (way != "index-unpooling"), way


def test_one_way_has_weights_of_its_own_and_the_others_differ_by_nothing_else():
    counts = {way: count(small(way=way)) for way in FIVE}
    assert {counts[way] for way in FIVE if way != "transposed"} == {counts["nearest"]}
    assert counts["transposed"] == counts["nearest"] + (9 * 16 + 4) + (9 * 64 + 8)


def test_its_parameters_are_counted_by_hand():
    down = 9 * (3 * 4 + 4 * 8 + 8 * 8) + 2 * (4 + 8 + 8)
    up = 9 * (8 * 4 + 4 * 4 + 4 * 4) + 2 * (4 + 4 + 4)
    assert count(small()) == down + up + 9 * 4 * 3 + 3


def test_vgg_16s_encoder_has_thirteen_convolutions_of_its_widths():
    with torch.device("meta"):
        network = SegNet(classes=2, width=64, convolutions=(2, 2, 3, 3, 3))
    widths = [
        layer.out_channels for stage in network.down for layer in stage
        if isinstance(layer, torch.nn.Conv2d)
    ]  # fmt: skip
    assert widths == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6


def test_a_sixth_stage_is_refused_and_not_left_out():
    with pytest.raises(OptionError, match=r"6 stages.* 1 to 5"):
        small(convolutions=(1,) * 6)
    with pytest.raises(OptionError, match=r"0 stages.* 1 to 5"):
        small(convolutions=())


@pytest.mark.parametrize("way", FIVE)
@pytest.mark.parametrize("size", [(37, 50), (12, 12), (1, 3)])
def test_every_size_comes_back_as_it_was(way, size):
    network = small(way=way).eval()
    assert network(torch.randn(2, 3, *size)).shape == (2, 3, *size)


def test_an_unknown_way_names_the_known():
    with pytest.raises(UnknownName, match=r"way of upsampling.*index-unpooling"):
        small(way="cubic")


@pytest.mark.parametrize("way", FIVE)
def test_a_growth_alone_doubles_the_maps(way, rng):
    network = small(way=way).eval()
    maps = torch.randn(2, 4, 3, 5, generator=rng)
    with torch.no_grad():
        grown = first_growth(network)(maps)
    assert grown.shape == (2, 4, 6, 10)
    if way.endswith("unpooling"):
        assert torch.equal(grown[:, :, ::2, ::2], maps)
        assert int((grown != 0).sum()) == maps.numel()


@pytest.mark.parametrize("way", FIVE)
def test_it_learns_four_images_by_heart(way):
    assert wrong_after(small(way=way, width=12, convolutions=(2, 1)), steps=90) <= 10  # of 1080
