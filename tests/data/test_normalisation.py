"""What images are normalised by, against numpy over all of them."""

import numpy as np
import pytest

from vislab.data.normalisation import measured
from vislab.errors import DataError


def test_it_is_the_mean_and_deviation_of_the_chosen_images():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 7, 3), dtype=np.uint8)
    pixels[..., 1] //= 3
    rows = np.array([1, 2, 5, 8])
    values = pixels[rows].reshape(-1, 3) / 255
    mean, std = measured(pixels, rows)
    np.testing.assert_allclose(mean, values.mean(axis=0))
    np.testing.assert_allclose(std, values.std(axis=0))


def test_where_images_are_only_centred_the_deviation_is_one():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 5, 3), dtype=np.uint8)
    mean, std = measured(pixels, np.arange(4), scaled=False)
    assert mean == measured(pixels, np.arange(4))[0]
    assert std == (1.0, 1.0, 1.0)


def test_a_flat_colour_can_be_divided_by():
    pixels = np.full((3, 4, 4, 3), 51, dtype=np.uint8)
    mean, std = measured(pixels, np.arange(3))
    assert mean == pytest.approx((0.2, 0.2, 0.2))
    assert min(std) > 0


@pytest.mark.parametrize("period", [2, 3, 8])
def test_a_regular_pattern_is_not_taken_for_one_of_its_stripes(period):
    pixels = np.zeros((300, 224, 224, 3), dtype=np.uint8)
    pixels[:, ::period] = 255
    share = len(range(0, 224, period)) / 224
    mean, std = measured(pixels, np.arange(300))
    np.testing.assert_allclose(mean, share, atol=0.01)
    np.testing.assert_allclose(std, np.sqrt(share * (1 - share)), atol=0.01)


def test_of_many_images_and_pixels_a_part_is_enough():
    """Five thousand images of 100×100 pixels whose shade rises evenly from first to last."""
    shades = np.linspace(0, 255, 5000).astype(np.uint8)
    pixels = np.broadcast_to(shades[:, None, None, None], (5000, 100, 100, 3))
    mean, std = measured(pixels, np.arange(5000))
    np.testing.assert_allclose(mean, shades.mean() / 255, atol=1e-3)
    np.testing.assert_allclose(std, (shades / 255).std(), atol=1e-3)


def test_where_there_is_nothing_to_train_on_it_is_told():
    pixels = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    with pytest.raises(DataError, match="no images to train on"):
        measured(pixels, np.arange(0))
