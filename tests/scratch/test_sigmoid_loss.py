"""The loss of labels that exclude nothing: by hand, by torch, by differences, at the extremes."""

import math

import pytest
import torch
import torch.nn.functional as F

from vislab.errors import ShapeError
from vislab.scratch import check_gradient, compute_numeric_gradient
from vislab.scratch.expect import NotFinite
from vislab.scratch.sigmoid_loss import sigmoid_loss


def some(rng, n=4, k=3, size=2.0):
    scores = size * torch.randn(n, k, dtype=torch.float64, generator=rng)
    return scores, torch.randint(2, (n, k), generator=rng).double()


def test_a_case_worked_out_by_hand():
    # e^s = 3, 1, 1/4: p = 3/4, 1/2, 1/5. Labels 1, 0, 0 cost log 4/3, log 2 and log 5/4.
    scores = torch.tensor([[math.log(3), 0.0, -math.log(4)]], dtype=torch.float64)
    loss, dscores = sigmoid_loss(scores, torch.tensor([[1.0, 0, 0]], dtype=torch.float64))
    assert loss == pytest.approx(math.log(4 / 3 * 2 * 5 / 4), rel=1e-15)
    assert dscores[0].tolist() == pytest.approx([-1 / 4, 1 / 2, 1 / 5], rel=1e-15)


def test_it_is_summed_over_classes_and_averaged_over_images():
    loss, dscores = sigmoid_loss(torch.zeros(5, 7), torch.zeros(5, 7))
    assert loss == pytest.approx(7 * math.log(2), rel=1e-6)
    assert dscores.eq(0.5 / 5).all()


def test_it_is_torchs_and_so_is_its_gradient(rng):
    for soft in (False, True):
        scores, targets = some(rng, n=5, k=7)
        if soft:
            targets = torch.rand(targets.shape, dtype=torch.float64, generator=rng)
        leaf = scores.clone().requires_grad_()
        wanted = F.binary_cross_entropy_with_logits(leaf, targets, reduction="sum") / 5
        loss, dscores = sigmoid_loss(scores, targets)
        assert loss == pytest.approx(wanted.item(), rel=1e-14)
        torch.testing.assert_close(dscores, torch.autograd.grad(wanted, leaf)[0])


def test_its_gradient_is_that_of_differences(rng):
    scores, targets = some(rng, n=3, k=2)
    _, dscores = sigmoid_loss(scores, targets)
    check_gradient(lambda s: sigmoid_loss(s, targets)[0], scores, dscores, tolerance=1e-9)
    numeric = compute_numeric_gradient(lambda s: sigmoid_loss(s, targets)[0], scores)
    torch.testing.assert_close(dscores, numeric, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_huge_scores_cost_their_size_where_wrong_and_nothing_where_right(dtype):
    scores = torch.tensor([[3e5, -3e5, 3e5, -3e5]], dtype=dtype)
    loss, dscores = sigmoid_loss(scores, torch.tensor([[1, 0, 0, 1]], dtype=dtype))
    assert loss == 6e5
    assert dscores.tolist() == [[0, 0, 1, -1]]
    largest = torch.finfo(dtype).max / 8
    loss, dscores = sigmoid_loss(
        torch.tensor([[largest, -largest]], dtype=dtype), torch.ones(1, 2, dtype=dtype)
    )
    assert loss == pytest.approx(largest)
    assert dscores.tolist() == [[0, -1]]


def test_a_right_answer_costs_less_the_surer_it_is(rng):
    costs = [
        sigmoid_loss(torch.tensor([[s]], dtype=torch.float64), torch.ones(1, 1).double())[0]
        for s in (-20.0, -1.0, 0.0, 1.0, 20.0)
    ]
    assert costs == sorted(costs, reverse=True)
    assert costs[2] == math.log(2)
    assert 0 < costs[4] < 1e-8


def test_turning_scores_and_labels_round_changes_nothing(rng):
    scores, targets = some(rng)
    loss, dscores = sigmoid_loss(scores, targets)
    turned, dturned = sigmoid_loss(-scores, 1 - targets)
    assert turned == pytest.approx(loss, rel=1e-14)
    torch.testing.assert_close(dturned, -dscores)


def test_it_leaves_what_it_is_given_alone(rng):
    scores, targets = some(rng)
    kept = scores.clone(), targets.clone()
    sigmoid_loss(scores, targets)
    assert scores.equal(kept[0])
    assert targets.equal(kept[1])


@pytest.mark.parametrize(
    ("scores", "targets", "sentence"),
    [
        (torch.zeros(2, 3), torch.zeros(3, 2), r"targets has shape \(3, 2\), wanted \(2, 3\)"),
        (torch.zeros(2, 3), torch.zeros(2), r"targets has shape \(2,\), wanted \(2, 3\)"),
        (torch.zeros(2, 3), torch.zeros(2, 3).long(), "targets holds torch.int64 where"),
        (torch.zeros(2), torch.zeros(2), r"scores has shape \(2,\), wanted \(N, K\)"),
        (torch.zeros(0, 3), torch.zeros(0, 3), "an empty batch"),
    ],
)
def test_what_does_not_fit_is_told_in_a_sentence(scores, targets, sentence):
    with pytest.raises(ShapeError, match=sentence):
        sigmoid_loss(scores, targets)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_refused_with_their_place(value):
    scores = torch.zeros(2, 3)
    scores[1, 2] = value
    with pytest.raises(NotFinite, match=r"scores holds (nan|inf) at \[1, 2\]"):
        sigmoid_loss(scores, torch.zeros(2, 3))
