"""The losses by hand, by their naive forms and by torch, and what no shift may change."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vislab.errors import UnknownName
from vislab.ops.seeding import generator
from vislab.scratch import (
    compute_numeric_gradient,
    rel_error,
    softmax_loss,
    softmax_loss_naive,
    softmax_loss_vectorized,
    svm_loss,
    svm_loss_naive,
    svm_loss_vectorized,
    temporal_softmax_loss,
)

PAIRS = [(svm_loss_naive, svm_loss_vectorized), (softmax_loss_naive, softmax_loss_vectorized)]
both = pytest.mark.parametrize("loss_of", [svm_loss, softmax_loss])


def close(came, wanted):
    torch.testing.assert_close(came, wanted, rtol=1e-12, atol=1e-12)


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


def drawn(rng, n, k):
    scores = 2 * torch.randn(n, k, dtype=torch.float64, generator=rng)
    return scores, torch.randint(k, (n,), generator=rng)


def test_the_hinge_loss_of_three_images_by_hand():
    scores = tensor([[3.0, 2.5, 1.0], [0.0, 4.0, 1.0], [1.0, 1.0, 1.0]])
    y = torch.tensor([0, 1, 2])
    # Image 0: 2.5 - 3 + 1 = 0.5, and 1 - 3 + 1 < 0. Image 1: -3 and -2. Image 2: 1 + 1.
    loss, dscores = svm_loss(scores, y)
    assert loss == pytest.approx((0.5 + 0 + 2) / 3, abs=1e-15)
    close(dscores, tensor([[-1, 1, 0], [0, 0, 0], [1, 1, -2]]) / 3)


def test_a_margin_of_exactly_one_costs_nothing():
    loss, dscores = svm_loss(tensor([[2.0, 1.0, 3.0]]), torch.tensor([0]))
    assert loss == 2
    close(dscores, tensor([[-1, 0, 1]]))


def test_the_cross_entropy_of_two_images_by_hand():
    scores = tensor([[0.0, math.log(2), math.log(5)], [math.log(3), 0.0, 0.0]])
    y = torch.tensor([2, 1])
    # The probabilities are 1/8, 2/8, 5/8 and 3/5, 1/5, 1/5.
    loss, dscores = softmax_loss(scores, y)
    assert loss == pytest.approx((math.log(8 / 5) + math.log(5)) / 2, rel=1e-14)
    close(dscores, tensor([[1 / 8, 2 / 8, -3 / 8], [3 / 5, -4 / 5, 1 / 5]]) / 2)


def test_equal_scores_cost_the_logarithm_of_the_classes():
    assert softmax_loss(tensor([[7.0] * 10] * 3), torch.tensor([0, 4, 9]))[0] == pytest.approx(
        math.log(10), rel=1e-14
    )
    assert svm_loss(tensor([[7.0] * 10] * 3), torch.tensor([0, 4, 9]))[0] == pytest.approx(9)


def test_the_loss_over_time_by_hand_sums_over_steps_and_divides_by_images():
    third = [0.0, 0.0, 0.0]
    x = tensor([[third, third], [third, [0.0, 0.0, math.log(2)]]])
    y = torch.tensor([[0, 1], [2, 2]])
    loss, dx = temporal_softmax_loss(x, y)
    assert loss == pytest.approx((3 * math.log(3) + math.log(2)) / 2, rel=1e-14)
    close(dx, tensor([[[-2 / 3, 1 / 3, 1 / 3], [1 / 3, -2 / 3, 1 / 3]],
                      [[1 / 3, 1 / 3, -2 / 3], [1 / 4, 1 / 4, -1 / 2]]]) / 2)  # fmt: skip


def test_steps_to_ignore_cost_nothing_and_have_no_gradient(rng):
    x = torch.randn(2, 3, 4, dtype=torch.float64, generator=rng)
    y = torch.tensor([[1, 0, 0], [3, 2, 0]])
    loss, dx = temporal_softmax_loss(x, y, ignore_index=0)
    told = F.cross_entropy(x.flatten(0, 1), y.flatten(), ignore_index=0, reduction="sum") / 2
    assert loss == pytest.approx(float(told), rel=1e-13)
    assert dx[y == 0].eq(0).all()
    assert dx[y != 0].ne(0).all()
    changed = x.clone()
    changed[y == 0] += torch.randn(3, 4, dtype=torch.float64, generator=rng)
    again, dagain = temporal_softmax_loss(changed, y, ignore_index=0)
    assert again == loss
    close(dagain, dx)


def test_where_all_steps_are_ignored_the_loss_is_zero(rng):
    x = torch.randn(2, 3, 4, dtype=torch.float64, generator=rng)
    loss, dx = temporal_softmax_loss(x, torch.zeros(2, 3, dtype=torch.long), ignore_index=0)
    assert loss == 0
    assert dx.eq(0).all()


def test_a_number_outside_the_vocabulary_can_be_the_one_to_ignore(rng):
    x = torch.randn(2, 2, 4, dtype=torch.float64, generator=rng)
    loss, dx = temporal_softmax_loss(x, torch.tensor([[-100, 3], [0, -100]]), ignore_index=-100)
    logs = x.log_softmax(dim=2)
    assert loss == pytest.approx(-float(logs[0, 1, 3] + logs[1, 0, 0]) / 2, rel=1e-13)
    assert dx[0, 0].eq(0).all()


def test_over_one_step_it_is_the_loss_of_scores(rng):
    scores, y = drawn(rng, 5, 4)
    loss, dscores = softmax_loss(scores, y)
    over_time, dx = temporal_softmax_loss(scores[:, None], y[:, None])
    assert over_time == pytest.approx(loss, rel=1e-14)
    close(dx[:, 0], dscores)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 6), st.integers(2, 7), st.integers(0, 999))
def test_the_losses_agree_with_torch(n, k, seed):
    scores, y = drawn(generator("losses", seed), n, k)
    leaf = scores.clone().requires_grad_()
    # torch divides by the number of classes as well.
    for ours, told in [
        (softmax_loss(scores, y), F.cross_entropy(leaf, y)),
        (svm_loss(scores, y), F.multi_margin_loss(leaf, y) * k),
    ]:
        assert ours[0] == pytest.approx(float(told.detach()), rel=1e-12, abs=1e-12)
        close(ours[1], torch.autograd.grad(told, leaf)[0])


@pytest.mark.parametrize(("naive", "vectorized"), PAIRS, ids=["svm", "softmax"])
@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(1, 5), d=st.integers(1, 4), k=st.integers(1, 5), seed=st.integers(0, 999),
    reg=st.sampled_from([0.0, 0.3]), convention=st.sampled_from(["full", "half"]),
)  # fmt: skip
def test_naive_and_vectorised_agree(naive, vectorized, n, d, k, seed, reg, convention):
    draws = generator("linear", seed)
    X = torch.randn(n, d, dtype=torch.float64, generator=draws)
    W = torch.randn(d, k, dtype=torch.float64, generator=draws)
    y = torch.randint(k, (n,), generator=draws)
    slow, fast = naive(W, X, y, reg, convention), vectorized(W, X, y, reg, convention)
    assert slow[0] == pytest.approx(fast[0], rel=1e-12, abs=1e-12)
    close(slow[1], fast[1])


@pytest.mark.parametrize("linear_loss", [loss for pair in PAIRS for loss in pair])
def test_the_gradient_of_a_linear_classifier_is_that_of_its_loss(linear_loss, rng):
    X = torch.randn(5, 3, dtype=torch.float64, generator=rng)
    W = torch.randn(3, 4, dtype=torch.float64, generator=rng)
    y = torch.tensor([0, 3, 1, 1, 2])
    for convention in ("full", "half"):
        _, dW = linear_loss(W, X, y, 0.2, convention)
        numeric = compute_numeric_gradient(
            lambda w, convention=convention: linear_loss(w, X, y, 0.2, convention)[0], W, h=1e-5
        )
        assert rel_error(dW, numeric) <= 1e-7


@pytest.mark.parametrize("linear_loss", [loss for pair in PAIRS for loss in pair])
def test_michigan_adds_the_squares_and_stanford_half_of_them(linear_loss, rng):
    X = torch.randn(4, 2, dtype=torch.float64, generator=rng)
    W, y = tensor([[1.0, -2.0, 0.0], [3.0, 1.0, 1.0]]), torch.tensor([0, 1, 2, 0])
    plain, dplain = linear_loss(W, X, y, 0.0)
    squares, reg = 1 + 4 + 9 + 1 + 1, 0.25
    for name, factor in [("full", 1.0), ("half", 0.5)]:
        loss, dW = linear_loss(W, X, y, reg, name)
        assert loss - plain == pytest.approx(factor * reg * squares, rel=1e-12)
        close(dW - dplain, 2 * factor * reg * W)
    assert linear_loss(W, X, y, reg)[0] == linear_loss(W, X, y, reg, "full")[0]
    with pytest.raises(UnknownName, match=r"l2_convention is named 'stanford'.*full, half"):
        linear_loss(W, X, y, reg, "stanford")


@both
@given(st.integers(1, 6), st.integers(1, 7), st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_the_gradients_of_one_rows_scores_sum_to_zero(loss_of, n, k, seed):
    _, dscores = loss_of(*drawn(generator("rows", seed), n, k))
    close(dscores.sum(dim=1), torch.zeros(n, dtype=torch.float64))


@both
@pytest.mark.parametrize("shift", [1.0, -1e4, 1e4])
def test_a_shift_of_a_rows_scores_changes_nothing(loss_of, shift, rng):
    scores, y = drawn(rng, 4, 5)
    shifts = shift * tensor([[1.0], [2.0], [0.0], [-1.0]])
    loss, dscores = loss_of(scores, y)
    shifted, dshifted = loss_of(scores + shifts, y)
    assert shifted == pytest.approx(loss, rel=1e-10)  # 1e4 eats four of sixteen digits
    torch.testing.assert_close(dshifted, dscores, rtol=1e-10, atol=1e-10)


def test_scores_far_apart_do_not_overflow():
    scores = tensor([[1e4, 0.0, -1e4], [0.0, 1e4, 0.0]])
    loss, dscores = softmax_loss(scores, torch.tensor([0, 0]))
    assert loss == 1e4 / 2
    close(dscores, tensor([[0, 0, 0], [-0.5, 0.5, 0]]))
    W, X = tensor([[1e4, 0.0, -1e4]]), tensor([[1.0], [-1.0]])
    assert softmax_loss_naive(W, X, torch.tensor([0, 1]), 0.0)[0] == 1e4 / 2


def test_the_scores_and_labels_are_left_as_they_were(rng):
    scores, y = drawn(rng, 4, 5)
    kept, labels = scores.clone(), y.clone()
    svm_loss(scores, y), softmax_loss(scores, y)
    temporal_softmax_loss(scores[None], y[None], ignore_index=int(y[0]))
    assert scores.equal(kept)
    assert y.equal(labels)
