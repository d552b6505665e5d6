"""What answers mean: by softmax, by sigmoid, or as they are."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vislab.errors import UnknownName
from vislab.ops.readings import (
    are_probabilities,
    as_logits,
    probabilities,
    reading_of,
    two_sided,
)


def test_logits_are_read_by_softmax_and_probabilities_as_they_are():
    logits = torch.tensor([[1.0, 2.0, 0.5], [0.2, -1.0, 3.0]])
    assert reading_of(logits) == "softmax"
    assert reading_of(logits.softmax(1)) == "probabilities"
    assert reading_of(logits.softmax(1).half()) == "probabilities"
    assert reading_of(logits[:, :1]) == "sigmoid"
    assert reading_of(logits, "sigmoid") == "sigmoid", "the user's word counts"
    with pytest.raises(UnknownName, match="no reading is named 'sigmoidal'"):
        reading_of(logits, "sigmoidal")


@given(st.integers(1, 5), st.integers(2, 6), st.integers(0, 1000))
def test_whatever_the_form_the_softmax_of_as_logits_are_the_probabilities(n, k, seed):
    logits = torch.randn(n, k, generator=torch.Generator().manual_seed(seed))
    shares = logits.softmax(1)
    assert are_probabilities(shares)
    torch.testing.assert_close(as_logits(shares, "probabilities").softmax(1), shares)
    torch.testing.assert_close(as_logits(logits, "softmax"), logits)
    torch.testing.assert_close(probabilities(logits, "softmax"), shares)
    torch.testing.assert_close(probabilities(shares, "probabilities"), shares)


def test_a_single_score_by_hand():
    score = torch.tensor([[math.log(3.0)], [0.0]])  # sigmoid 3/4 and 1/2
    both = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    torch.testing.assert_close(probabilities(two_sided(score), "sigmoid"), both)
    torch.testing.assert_close(as_logits(score, "sigmoid").softmax(1), both)
    torch.testing.assert_close(as_logits(both[:, 1:], "probabilities").softmax(1), both)
    loss = torch.nn.functional.cross_entropy(as_logits(score, "sigmoid"), torch.tensor([1, 0]))
    assert float(loss) == pytest.approx((-math.log(0.75) - math.log(0.5)) / 2)


def test_of_several_labels_each_has_its_own_probability():
    scores = torch.tensor([[math.log(3.0), 0.0, -math.log(3.0)]])
    torch.testing.assert_close(probabilities(scores, "sigmoid"), torch.tensor([[0.75, 0.5, 0.25]]))


@pytest.mark.parametrize(
    "rows", [[[0.5, 0.6]], [[1.2, -0.2]], [[0.5, 0.5], [0.1, 0.2]], [[1.0], [1.0]]]
)
def test_what_does_not_sum_to_one_is_no_probability(rows):
    assert not are_probabilities(torch.tensor(rows))
