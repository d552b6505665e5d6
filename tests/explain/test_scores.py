"""Which class a map is about."""

from types import SimpleNamespace

import pytest
import torch

from vislab.errors import OptionError, ShapeError
from vislab.explain.scores import chosen, class_scores, score_of

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


@pytest.mark.parametrize("answer", [torch.zeros(2, 3, 4, 4), (SCORES, SCORES), None])
def test_what_gives_no_class_scores_is_told(answer):
    with pytest.raises(ShapeError, match=r"class scores \(N, K\)"):
        class_scores(answer)
