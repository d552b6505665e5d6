"""scikit-learn's digits."""

import numpy as np
import pytest

from vislab.data import catalogue
from vislab.data.loaders import digits


def test_digits_are_all_there_and_stretched_to_full_range():
    read = digits.arrays()
    assert len(read) == 1797
    assert read.pixels.shape == (1797, 8, 8, 3)
    assert read.pixels.min() == 0
    assert read.pixels.max() == 255
    assert np.bincount(read.labels).max() / 1797 == pytest.approx(
        catalogue.card("digits").majority, abs=1e-4
    )
    assert not read.official
    assert set(read.splits.tolist()) == {0}
