"""Weights of colours, by hand."""

import pytest
import torch

from vislab.losses.colour import rebalanced


def test_a_case_by_hand():
    """Shares 1, 0 of two bins: mixed 3/4 and 1/4, so 4/3 and 4; the mean over pixels is 4/3."""
    assert rebalanced(torch.tensor([1.0, 0.0])).tolist() == pytest.approx([1.0, 3.0])


def test_the_mean_over_pixels_is_one_and_rare_colours_weigh_more(rng):
    shares = torch.rand(9, generator=rng).softmax(dim=0)
    weights = rebalanced(shares)
    assert (shares * weights).sum().item() == pytest.approx(1)
    assert torch.equal(weights.argsort(), shares.argsort(descending=True))


def test_colours_that_are_as_frequent_weigh_the_same():
    torch.testing.assert_close(rebalanced(torch.full((7,), 1 / 7)), torch.ones(7))
