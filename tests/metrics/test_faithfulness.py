"""Deletion and insertion, on images whose important pixels are known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vislab.errors import ShapeError
from vislab.metrics import (
    area,
    blurred,
    centre_map,
    mean_colour,
    random_maps,
    replaced_by_rank,
)
from vislab.metrics.faithfulness import rank_of_pixels


def bright_share(images):
    """A class that is the mean of the red channel."""
    return images[:, 0].mean(dim=(1, 2))


def test_a_case_by_hand():
    """Four pixels worth 4, 3, 2, 1 tenths: best first, 10, 6, 3, 1, 0 tenths are left."""
    image = torch.zeros(3, 2, 2)
    image[0] = torch.tensor([[0.4, 0.1], [0.2, 0.3]]) * 4
    dark = torch.zeros(3, 2, 2)
    best, worst = image[0], -image[0]
    for found, left in ((best, [1.0, 0.6, 0.3, 0.1, 0.0]), (worst, [1.0, 0.9, 0.7, 0.4, 0.0])):
        curve = replaced_by_rank(bright_share, image, dark, found, steps=4)
        torch.testing.assert_close(curve, torch.tensor(left))
    # Trapezoids of a quarter: (1 + 0)/2 + 0.6 + 0.3 + 0.1, over 4.
    torch.testing.assert_close(
        area(replaced_by_rank(bright_share, image, dark, best, steps=4)), torch.tensor(1.5 / 4)
    )


def test_the_area_of_a_constant_is_itself_and_of_a_ramp_a_half():
    torch.testing.assert_close(area(torch.full((3, 7), 0.3)), torch.full((3,), 0.3))
    torch.testing.assert_close(area(torch.linspace(0, 1, 9)), torch.tensor(0.5))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_it_begins_with_one_image_ends_with_the_other_and_batches_do_not_matter(h, w, steps, seed):
    generator = torch.Generator().manual_seed(seed)
    begin, end = torch.rand(2, 3, h, w, generator=generator)
    found = torch.rand(h, w, generator=generator)
    curve = replaced_by_rank(bright_share, begin, end, found, steps=steps)
    assert len(curve) == steps + 1
    torch.testing.assert_close(curve[0], begin[0].mean())
    torch.testing.assert_close(curve[-1], end[0].mean())
    one = replaced_by_rank(bright_share, begin, end, found, steps=steps, batch=1)
    torch.testing.assert_close(one, curve)


def test_the_best_map_deletes_sooner_than_any_other(rng):
    image = torch.rand(3, 6, 5, generator=rng)
    dark = torch.zeros_like(image)

    def deletion(found):
        return float(area(replaced_by_rank(bright_share, image, dark, found)))

    best = deletion(image[0])
    assert all(best < deletion(other) for other in random_maps(20, 6, 5, cells=3))


def test_ranks_are_a_permutation_and_ties_are_in_reading_order():
    rank = rank_of_pixels(torch.tensor([[2.0, 5.0], [2.0, 1.0]]), 2, 2)
    assert rank.tolist() == [[1, 0], [2, 3]]
    assert sorted(rank_of_pixels(torch.rand(3, 2), 7, 9).flatten().tolist()) == [*range(63)]


def test_a_map_that_is_no_number_is_refused():
    with pytest.raises(ShapeError, match="not numbers"):
        rank_of_pixels(torch.tensor([[float("nan")]]), 3, 3)


def test_grounds_keep_the_mean_and_lose_the_detail(rng):
    images = torch.rand(2, 3, 40, 33, generator=rng)
    for ground in (blurred(images), mean_colour(images)):
        assert ground.shape == images.shape
        torch.testing.assert_close(ground.mean(), images.mean(), rtol=0.02, atol=0)
        assert ground.std() < 0.35 * images.std()
    assert blurred(torch.rand(1, 3, 2, 2)).shape == (1, 3, 2, 2)


def test_random_maps_are_seeded_and_the_centre_is_in_the_centre():
    assert torch.equal(random_maps(3, 9, 8, seed=4), random_maps(3, 9, 8, seed=4))
    assert not torch.equal(random_maps(3, 9, 8, seed=4), random_maps(3, 9, 8, seed=5))
    assert divmod(int(centre_map(7, 5).argmax()), 5) == (3, 2)
