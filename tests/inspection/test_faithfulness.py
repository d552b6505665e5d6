"""What a map is worth, for a network whose reasons are known."""

import pytest
import torch
from torch import nn

from vislab.inspection.faithfulness import (
    RANDOM,
    Examiner,
    Faithfulness,
    over_images,
    rank_correlation,
)


class Corner(nn.Module):
    """Class 1 is a bright upper left quarter, and nothing else."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(6.0))

    def forward(self, x):
        score = self.weight * (x[:, :, :8, :8].mean(dim=(1, 2, 3)) - 0.5)
        return torch.stack([-score, score], dim=1)


@pytest.fixture
def examiner():
    image = torch.zeros(3, 16, 16)
    image[:, :8, :8] = 1.0
    return Examiner(Corner(), image, 1)


def marked(rows, columns):
    found = torch.zeros(16, 16)
    found[rows, columns] = 1.0
    return found


def test_the_map_of_the_reason_is_trusted_and_that_of_its_opposite_not(examiner):
    right = examiner(marked(slice(0, 8), slice(0, 8)))
    wrong = examiner(marked(slice(8, 16), slice(8, 16)))
    assert right.probability > 0.99
    assert right.margin > max(right.random)
    assert right.margin > right.centre
    assert right.level == "trusted"
    assert "needs" in right.sentence("corner")
    assert wrong.margin < max(wrong.random)
    assert wrong.level == "not trusted"
    assert f"of {RANDOM} random maps do, which is chance" in wrong.sentence("corner")


def test_a_map_that_random_weights_do_not_change_is_not_trusted(examiner):
    found = marked(slice(0, 8), slice(0, 8)) + 0.01 * torch.rand(16, 16)
    worth = examiner(found, [found, found])
    assert worth.when_random == pytest.approx(1.0)
    assert worth.level == "not trusted"
    assert "1.00" in worth.sentence("corner")
    assert examiner(found, [found, -found]).when_random == pytest.approx(0.0)


def worth(**changed):
    given = {
        "probability": 0.9, "deletion": {"blur": 0.2}, "insertion": {"blur": 0.7}, "margin": 0.5,
        "random": (0.1, 0.2) * 3, "centre": 0.3, "when_random": 0.0,
    }  # fmt: skip
    return Faithfulness(**{**given, **changed})


@pytest.mark.parametrize(
    ("changed", "level", "says"),
    [
        ({}, "trusted", "marks what the network needs"),
        ({"centre": 0.6}, "doubtful", "no better than a blob in the middle"),
        ({"probability": 0.05}, "doubtful", "only 5%"),
        ({"random": (0.1, 0.6) * 3}, "not trusted", "3 of 6 random maps"),
        ({"margin": 0.0, "random": (-0.001, 0.0) * 3, "centre": -0.2}, "cannot tell", "+0.00"),
        ({"margin": 0.02, "random": (0.0, 0.001) * 3, "centre": 0.0}, "cannot tell", "matter"),
        ({"margin": 0.3, "random": (-0.2, 0.29) * 3}, "cannot tell", "+0.26, -0.0"),
        ({"margin": 0.05, "random": (0.0, 0.01) * 3, "centre": 0.0}, "trusted", "marks what"),
        ({"margin": 0.32, "random": (0.1, 0.2) * 3}, "doubtful", "no better than a blob"),
        ({"when_random": 0.7}, "not trusted", "0.70"),
        ({"when_random": None}, "trusted", "marks what"),
    ],
)
def test_each_level_has_its_sentence(changed, level, says):
    one = worth(**changed)
    assert one.level == level
    assert says in one.sentence("cat")


def test_its_interval_is_that_of_the_mean_of_chance():
    # Standard deviation of 0.1, 0.2, three times: 0.05 · √(6/5); t(5 degrees, 97.5 %) = 2.5706.
    half = 2.5706 * 0.05 * (6 / 5) ** 0.5 / 6**0.5
    assert worth().interval == pytest.approx((0.35 - half, 0.35 + half), abs=1e-4)


def test_over_images_it_is_the_advantage_over_chance():
    found = [worth(margin=m) for m in (0.35, 0.45, 0.55)]  # chance 0.15
    mean, interval = over_images(found)
    assert mean == pytest.approx(0.3)
    # t(2 degrees, 97.5 %) = 4.3027, std 0.1 / sqrt 3
    assert interval == pytest.approx((0.3 - 0.24842, 0.3 + 0.24842), abs=1e-4)
    assert over_images(found[:2])[1] is None


def test_rank_correlation_is_of_ranks_and_a_flat_map_is_like_none():
    one = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert rank_correlation(one, one.exp()) == pytest.approx(1.0)
    assert rank_correlation(one, -one) == pytest.approx(-1.0)
    assert rank_correlation(one, torch.ones(2, 2)) == 0.0
