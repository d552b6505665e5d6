import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as witness

from vislab.data.run_lengths import counts_of, decoded, encoded, polygon_area
from vislab.errors import DataError

masks = arrays(
    np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 12)), elements=st.integers(0, 1)
)


@settings(deadline=None)
@given(mask=masks)
def test_a_mask_comes_back_and_cocos_own_code_agrees(mask):
    code = encoded(mask)
    np.testing.assert_array_equal(decoded(code), mask)
    packed = witness.encode(np.asfortranarray(mask))
    text = {"size": code["size"], "counts": packed["counts"].decode()}
    np.testing.assert_array_equal(decoded(text), mask)
    assert counts_of(text) == code["counts"]
    assert witness.frPyObjects(code, *mask.shape)["counts"] == packed["counts"]


def test_long_runs_take_more_than_one_letter():
    mask = np.zeros((300, 200), dtype=np.uint8)
    mask[17:250, 3:190] = 1
    packed = witness.encode(np.asfortranarray(mask))["counts"].decode()
    np.testing.assert_array_equal(decoded({"size": [300, 200], "counts": packed}), mask)


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(min_codepoint=0, max_codepoint=130), max_size=12))
def test_any_text_is_a_mask_of_its_size_or_refused(text):
    try:
        mask = decoded({"size": [5, 7], "counts": text})
    except DataError:
        return
    assert mask.shape == (5, 7)


@pytest.mark.parametrize("counts", [[], [34], [36], [-1, 36], [10**30], [35, 1, -1]])
def test_runs_that_do_not_fill_the_image_are_refused(counts):
    with pytest.raises(DataError, match="do not fill 7×5 pixels"):
        decoded({"size": [5, 7], "counts": counts})


def test_the_area_of_a_triangle_and_a_square():
    square = (1.0, 1.0, 4.0, 1.0, 4.0, 4.0, 1.0, 4.0)
    assert polygon_area([(0.0, 0.0, 4.0, 0.0, 0.0, 3.0), square]) == pytest.approx(6 + 9)
