import math

import pytest
import torch
from scipy.stats import rankdata, spearmanr

from vislab.errors import OptionError, ShapeError
from vislab.explain.agreement import agreement, ranks


def test_a_map_agrees_with_itself_however_bright_it_is(rng):
    maps = torch.rand(3, 5, 4, generator=rng)
    found = agreement(maps, (7 * maps).exp())
    torch.testing.assert_close(found.rank_correlation, torch.ones(3))
    assert found.overlap.tolist() == [1.0, 1.0, 1.0]


def test_a_map_turned_upside_down_agrees_least(rng):
    maps = torch.rand(3, 5, 4, generator=rng)
    found = agreement(maps, -maps, share=0.5)
    torch.testing.assert_close(found.rank_correlation, -torch.ones(3))
    assert found.overlap.tolist() == [0.0, 0.0, 0.0]


def test_the_correlation_is_scipy_s_with_ties_too(rng):
    one = (4 * torch.rand(6, 5, 7, generator=rng)).round()  # many are equal
    other = one + (2 * torch.rand(6, 5, 7, generator=rng)).round()
    found = agreement(one, other).rank_correlation
    for k in range(6):
        expected = spearmanr(one[k].flatten().numpy(), other[k].flatten().numpy()).statistic
        assert float(found[k]) == pytest.approx(expected, abs=1e-6)
    assert ranks(one.flatten(1)).tolist() == (rankdata(one.flatten(1), axis=1) - 1).tolist()


def test_overlap_by_hand():
    one, other = torch.zeros(1, 2, 5), torch.zeros(1, 2, 5)
    one[0, 0, :3] = other[0, 0, 1:4] = torch.tensor([3.0, 2.0, 1.0])
    assert agreement(one, other, share=0.3).overlap.tolist() == [0.5]  # 2 of 4


def test_chance_is_what_random_maps_overlap(rng):
    found = agreement(torch.rand(4000, 4, 5, generator=rng), torch.rand(4000, 4, 5, generator=rng))
    assert float(found.overlap.mean()) == pytest.approx(found.chance, abs=0.01)
    assert abs(float(found.rank_correlation.mean())) < 0.02


def test_a_finer_map_is_averaged_to_the_coarser(rng):
    coarse = torch.rand(2, 3, 4, generator=rng)
    fine = coarse.repeat_interleave(5, dim=1).repeat_interleave(7, dim=2)
    for found in (agreement(coarse, fine), agreement(fine, coarse)):
        torch.testing.assert_close(found.rank_correlation, torch.ones(2))
        assert found.overlap.tolist() == [1.0, 1.0]


def test_a_flat_map_has_no_agreement(rng):
    maps = torch.rand(2, 3, 4, generator=rng)
    maps[1] = 0.0
    found = agreement(maps, torch.rand(2, 3, 4, generator=rng))
    assert [math.isnan(float(value)) for value in found.rank_correlation] == [False, True]
    assert [math.isnan(float(value)) for value in found.overlap] == [False, True]


def test_sets_that_cannot_be_compared_are_told():
    with pytest.raises(ShapeError, match="2 maps cannot be compared with 3"):
        agreement(torch.rand(2, 3, 3), torch.rand(3, 3, 3))
    with pytest.raises(OptionError, match="share of 1 "):
        agreement(torch.rand(2, 3, 3), torch.rand(2, 3, 3), share=1.0)
