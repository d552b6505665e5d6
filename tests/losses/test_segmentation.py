"""The losses of segmentation: worked out by hand, their slopes by finite differences."""

import math

import pytest
import torch

from vislab.errors import UnknownName, pick
from vislab.losses.segmentation import (
    SEGMENTATION,
    VOID,
    cross_entropy,
    dice,
    dice_and_cross_entropy,
    focal,
    tversky,
)

NAMES = ("cross-entropy", "dice", "dice+cross-entropy", "focal", "tversky")
# Two classes, four pixels in a row, of two images of 1×2: the shares of class 1 are 3/4, 1/2,
# 1/4 and 1/2; the target is 1, 0, 1 and void.
LOGITS = torch.tensor([[[[0.0, 0.0]], [[math.log(3), 0.0]]], [[[math.log(3), 0.0]], [[0.0, 0.0]]]])
TRUTH = torch.tensor([[[1, 0]], [[1, VOID]]])


def test_cross_entropy_by_hand():
    """−ln 3/4 − ln 1/2 − ln 1/4 over three pixels that are not void."""
    wanted = (math.log(4 / 3) + math.log(2) + math.log(4)) / 3
    assert cross_entropy(LOGITS, TRUTH).item() == pytest.approx(wanted)


def test_focal_by_hand():
    """(1 − p)² in front: 1/16, 1/4, 9/16."""
    wanted = (math.log(4 / 3) / 16 + math.log(2) / 4 + math.log(4) * 9 / 16) / 3
    assert focal(LOGITS, TRUTH).item() == pytest.approx(wanted)
    plain = focal(LOGITS, TRUTH, gamma=0.0)
    torch.testing.assert_close(plain, cross_entropy(LOGITS, TRUTH))


def test_dice_by_hand():
    """Of class 1: found 3/4 + 1/4 = 1, too much 1/2, missed 1/4 + 3/4 = 1; a pixel on both sides.

    1 − (1 + 1) / (1 + ½·½ + ½·1 + 1).
    """
    assert dice(LOGITS, TRUTH).item() == pytest.approx(1 - 2 / 2.75)


def test_tversky_by_hand_makes_what_is_missed_dear():
    """1 − (1 + 1) / (1 + 0.3·½ + 0.7·1 + 1)."""
    assert tversky(LOGITS, TRUTH).item() == pytest.approx(1 - 2 / 2.85)
    other = tversky(LOGITS, TRUTH, alpha=0.7, beta=0.3)
    assert other.item() == pytest.approx(1 - 2 / 2.65)


def test_the_sum_is_the_sum():
    both = dice_and_cross_entropy(LOGITS, TRUTH)
    torch.testing.assert_close(both, dice(LOGITS, TRUTH) + cross_entropy(LOGITS, TRUTH))


def test_dice_is_the_mean_over_the_classes_after_the_background():
    """Three classes, sure of themselves: one of two pixels right of class 1, none of class 2."""
    predictions, targets = torch.tensor([[[1, 0, 0, 0]]]), torch.tensor([[[1, 1, 2, 0]]])
    logits = 50 * torch.nn.functional.one_hot(predictions, 3).movedim(-1, 1).float()
    first, second = 2 / (1.5 + 1), 1 / (0.5 + 1)
    assert dice(logits, targets).item() == pytest.approx(1 - (first + second) / 2)


def test_a_class_that_is_nowhere_and_not_found_costs_nothing():
    predictions = torch.zeros(1, 3, 4, dtype=torch.int64)
    logits = 50 * torch.nn.functional.one_hot(predictions, 3).movedim(-1, 1).float()
    for name in NAMES:
        assert SEGMENTATION[name](logits, predictions).item() == pytest.approx(0, abs=1e-6), name


def drawn(rng, *, classes=3, dtype=torch.float64):
    logits = torch.randn(2, classes, 3, 4, dtype=dtype, generator=rng)
    targets = torch.randint(0, classes, (2, 3, 4), generator=rng)
    targets[torch.rand(2, 3, 4, generator=rng) < 0.3] = VOID
    assert 0 < int((targets == VOID).sum()) < 24
    return logits, targets


def test_all_five_are_known_by_name():
    assert set(SEGMENTATION) == set(NAMES)
    with pytest.raises(UnknownName, match=r"'jaccard'.*dice"):
        pick(SEGMENTATION, "jaccard", "loss of segmentation")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [2, 5])
def test_what_is_said_of_void_pixels_changes_nothing_and_is_taught_nothing(name, classes, rng):
    logits, targets = drawn(rng, classes=classes)
    void = (targets == VOID)[:, None].expand_as(logits)
    other = torch.where(void, 30 * torch.randn(logits.shape, generator=rng), logits)
    one, two = (x.clone().requires_grad_() for x in (logits, other))
    losses = [SEGMENTATION[name](x, targets) for x in (one, two)]
    torch.testing.assert_close(*losses)
    assert losses[0] > 0
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(one.grad, two.grad)
    assert bool((one.grad[void] == 0).all())
    assert bool((one.grad[~void] != 0).all())


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_nothing_but_void_costs_nothing_and_teaches_nothing(name, rng):
    """As a tile has it that lies beside an image that is not square."""
    logits = torch.randn(2, 3, 4, 5, generator=rng).requires_grad_()
    loss = SEGMENTATION[name](logits, torch.full((2, 4, 5), VOID))
    assert loss.item() == pytest.approx(0, abs=1e-6)
    loss.backward()
    assert bool((logits.grad == 0).all())


@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_read_as_classes_are(name, rng):
    logits, targets = drawn(rng)
    loss = SEGMENTATION[name](logits, targets)
    assert torch.equal(SEGMENTATION[name](logits, targets.to(torch.uint8)), loss)


@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_those_of_finite_differences(name, rng):
    logits, targets = drawn(rng)
    logits = logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: SEGMENTATION[name](x, targets), (logits,))


@pytest.mark.parametrize("name", NAMES)
def test_going_down_its_slope_finds_the_truth(name, rng):
    logits, targets = drawn(rng)
    logits = (0.1 * logits).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        optimiser.zero_grad()
        SEGMENTATION[name](logits, targets).backward()
        optimiser.step()
    seen = targets != VOID
    assert torch.equal(logits.argmax(dim=1)[seen], targets[seen])
