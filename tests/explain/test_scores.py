"""Which class a map is about."""

import math
from types import SimpleNamespace

import pytest
import torch

from vislab.errors import OptionError, ShapeError
from vislab.explain.scores import chances, chosen, class_scores, log_chances, score_of, sides

SCORES = torch.tensor([[1.0, 3.0, 2.0], [9.0, -1.0, 0.0]])


def test_without_a_target_it_is_each_images_highest():
    assert chosen(SCORES, None).tolist() == [1, 0]


def test_one_number_is_for_all_and_a_row_of_them_for_each():
    assert score_of(SCORES, 2).tolist() == [2.0, 0.0]
    assert score_of(SCORES, torch.tensor([0, 1])).tolist() == [1.0, -1.0]


def test_hugging_faces_logits_are_read():
    assert class_scores(SimpleNamespace(logits=SCORES)) is SCORES


@pytest.mark.parametrize("target", [3, -1, torch.tensor([0, 3])])
def test_a_class_that_is_not_there_is_refused(target):
    with pytest.raises(OptionError, match="0 to 2"):
        chosen(SCORES, target)


@pytest.mark.parametrize("answer", [torch.zeros(2, 3, 4, 4), (SCORES, torch.zeros(2, 8)), None])
def test_what_gives_no_class_scores_is_told(answer):
    with pytest.raises(ShapeError, match=r"class scores \(N, K\)"):
        class_scores(answer)


def test_what_was_squeezed_is_unfolded_where_the_count_is_known():
    assert class_scores(SCORES[:, 0], 2).tolist() == [[1.0], [9.0]]
    assert class_scores(SCORES[0], 1).tolist() == [[1.0, 3.0, 2.0]]
    assert class_scores(torch.tensor(4.0), 1).tolist() == [[4.0]]
    for answer, count in ((SCORES[:, 0], None), (SCORES[0], 2), (SCORES, 3)):
        with pytest.raises(ShapeError, match=r"class scores \(N, K\)"):
            class_scores(answer, count)


def test_of_heads_the_first_counts_and_of_two_kinds_neither():
    first, second = SCORES, SCORES + 1
    assert class_scores((torch.zeros(2, 3, 4, 4), first, second), 2) is first
    with pytest.raises(ShapeError, match=r"a dict of a \(N, 3\), b \(N, 3\), of which more"):
        class_scores({"a": first, "b": second}, 2)


@pytest.mark.parametrize(
    ("said", "scores", "expected"),
    [
        (None, [[0.0, math.log(3)]], [[0.25, 0.75]]),
        (None, [[0.25, 0.75]], [[0.25, 0.75]]),
        ("softmax", [[0.0, math.log(3)]], [[0.25, 0.75]]),
        ("sigmoid", [[math.log(3), math.log(3)]], [[0.75, 0.75]]),
        ("sigmoid", [[math.log(3)]], [[0.25, 0.75]]),
        (None, [[-math.log(3)]], [[0.75, 0.25]]),
        ("probabilities", [[0.75]], [[0.25, 0.75]]),
        ("probabilities", [[0.5, 0.75]], [[0.5, 0.75]]),
    ],
)
def test_probabilities_are_read_as_the_network_says(said, scores, expected):
    scores, expected = torch.tensor(scores), torch.tensor(expected)
    torch.testing.assert_close(chances(scores, said), expected)
    torch.testing.assert_close(log_chances(scores, said).exp(), expected)
    both = sides(scores, said)
    assert both.shape == expected.shape
    assert torch.equal(both.argmax(dim=1), expected.argmax(dim=1))
