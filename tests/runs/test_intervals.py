import math
from itertools import product

import numpy as np
import pytest

from vislab.runs.claims import claim
from vislab.runs.formatting import between, span
from vislab.runs.intervals import (
    bootstrap,
    exact,
    mcnemar,
    over_seeds,
    paired_bootstrap,
    sign_flip,
    wilson,
)
from vislab.runs.references import Protocol, course


def test_wilson_of_eight_in_ten_by_hand():
    # z² = 3.8415; centre (0.8 + 0.19207) / 1.38415 = 0.71674;
    # half 1.95996 / 1.38415 · √(0.016 + 0.0096036) = 0.22658.
    assert wilson(8, 10) == pytest.approx((0.49016, 0.94332), abs=1e-5)


def test_wilson_bounds_solve_the_score_equation():
    z = 1.959963984540054
    for correct, total in ((3, 17), (50, 60), (454, 1000)):
        for bound in wilson(correct, total):
            apart = abs(correct / total - bound)
            assert apart == pytest.approx(z * math.sqrt(bound * (1 - bound) / total), rel=1e-9)


def test_wilson_stays_within_zero_and_one_and_knows_nothing_from_no_images():
    low, high = wilson(0, 9)
    assert low == 0.0
    assert high == pytest.approx(3.841459 / (9 + 3.841459), rel=1e-6)
    assert wilson(9, 9) == pytest.approx((9 / (9 + 3.841459), 1.0), rel=1e-6)
    assert wilson(9, 9)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_higher_level_gives_a_wider_interval():
    assert wilson(30, 50, level=0.99)[0] < wilson(30, 50)[0] < wilson(30, 50, level=0.8)[0]


def test_the_paired_bootstrap_is_the_normal_interval_for_many_images():
    rng = np.random.default_rng(1)
    first = rng.random(4000) < 0.6
    second = np.where(rng.random(4000) < 0.1, ~first, first)
    difference, (low, high) = paired_bootstrap(first, second)
    apart = second.astype(float) - first.astype(float)
    half = 1.96 * apart.std() / math.sqrt(4000)
    assert difference == pytest.approx(apart.mean(), abs=1e-12)
    # The quantiles of 10 000 draws have a relative error of about 2 %.
    assert (low, high) == pytest.approx((difference - half, difference + half), abs=0.06 * half)


def test_pairing_narrows_the_interval_of_networks_that_fail_on_the_same_images():
    rng = np.random.default_rng(2)
    first = rng.random(500) < 0.5
    second = first.copy()
    second[np.flatnonzero(~first)[:10]] = True
    _, (low, high) = paired_bootstrap(first, second)
    assert low > 0
    _, (low, high) = paired_bootstrap(first, rng.permutation(second))
    assert low < 0 < high


def test_scores_that_are_all_distinct_have_the_studentised_interval():
    size = 400
    values = np.random.default_rng(4).exponential(3, size) + 2
    mean, (low, high) = bootstrap(values, draws=6000)
    assert mean == pytest.approx(values.mean())
    # Drawn image by image, as the book has it.
    rng = np.random.default_rng(9)
    drawn = values[rng.integers(0, size, (6000, size))]
    errors = drawn.std(axis=1, ddof=1) / math.sqrt(size)
    ratios = (drawn.mean(axis=1) - values.mean()) / errors
    error = values.std(ddof=1) / math.sqrt(size)
    wanted = values.mean() - np.quantile(ratios, (0.975, 0.025)) * error
    assert (low, high) == pytest.approx(tuple(wanted), abs=0.12 * error)
    assert high - mean > mean - low, "longer to the side of the long tail"


def test_many_scores_have_students_interval():
    values = np.random.default_rng(4).normal(size=1500)
    half = 1.961548 * values.std(ddof=1) / math.sqrt(1500)  # t of 0.975, 1499 degrees of freedom
    wanted = (values.mean() - half, values.mean() + half)
    assert bootstrap(values)[1] == pytest.approx(wanted, rel=1e-6)


def test_the_exact_interval_by_hand():
    # Of none in n: 1 - 0.025^(1/n). Of all: the same, turned round.
    assert exact(0, 9) == pytest.approx((0.0, 1 - 0.025 ** (1 / 9)))
    assert exact(9, 9) == pytest.approx((0.025 ** (1 / 9), 1.0))
    assert exact(0, 0) == (0.0, 1.0)
    # Clopper and Pearson 1934: the bounds are where the tail has 2.5 %.
    low, high = exact(3, 10)
    at_least = sum(math.comb(10, k) * low**k * (1 - low) ** (10 - k) for k in range(3, 11))
    at_most = sum(math.comb(10, k) * high**k * (1 - high) ** (10 - k) for k in range(4))
    assert (at_least, at_most) == pytest.approx((0.025, 0.025), rel=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 10, 30, 100])
def test_the_exact_interval_covers_every_share(size):
    bounds = np.array([exact(right, size) for right in range(size + 1)])
    weights = [math.comb(size, right) for right in range(size + 1)]
    for share in np.linspace(0.01, 0.99, 99):
        held = (bounds[:, 0] <= share) & (share <= bounds[:, 1])
        chances = [
            weight * share**right * (1 - share) ** (size - right)
            for right, weight in enumerate(weights)
        ]
        assert held @ np.array(chances) >= 0.95 - 1e-9


def test_scores_between_0_and_1_allow_one_image_more_that_fails():
    # Of 20 Dice scores of 0.9: with a 0 besides, mean 18 / 21 and the error of the mean by hand.
    _, (low, high) = bootstrap(np.full(20, 0.9))
    mean = 18 / 21
    spread = math.sqrt((20 * (0.9 - mean) ** 2 + mean**2) / 20)
    assert low == pytest.approx(mean - 2.085963 * spread / math.sqrt(21), rel=1e-5)
    mean = 19 / 21
    spread = math.sqrt((20 * (0.9 - mean) ** 2 + (1 - mean) ** 2) / 20)
    assert high == pytest.approx(mean + 2.085963 * spread / math.sqrt(21), rel=1e-5)
    assert bootstrap(np.ones(20))[1][1] == 1.0
    assert bootstrap(np.zeros(20))[1][0] == 0.0


@pytest.mark.parametrize("size", [1, 2, 4])
def test_few_scores_have_no_bounds_but_shares_do(size):
    values = np.linspace(0.5, 0.9, size)
    assert bootstrap(values) == (pytest.approx(values.mean()), (-math.inf, math.inf))
    assert paired_bootstrap(values, values + 0.1)[1] == (-math.inf, math.inf)
    _, (low, high) = paired_bootstrap(np.zeros(size, bool), np.ones(size, bool))
    assert low <= 0 < high <= 1, "four of four is within chance: p = 1/8"


@pytest.mark.parametrize(("size", "failures"), [(5, 0.0), (10, 0.0), (20, 0.1), (50, 0.05)])
def test_intervals_of_scores_cover(size, failures):
    rng = np.random.default_rng(size)
    held = 0
    for turn in range(400):
        values = np.where(rng.random(size) < failures, 0.0, rng.beta(8, 2, size))
        low, high = bootstrap(values, draws=500, seed=turn)[1]
        held += low <= 0.8 * (1 - failures) <= high
    assert held >= 0.93 * 400


@pytest.mark.parametrize("size", [4, 6, 10, 20])
@pytest.mark.parametrize("kind", ["right or wrong", "scores"])
def test_equal_networks_are_seldom_called_different(size, kind):
    rng = np.random.default_rng(size)
    called = 0
    for turn in range(400):
        first, second = rng.random((2, size))
        if kind == "right or wrong":
            first, second = first < 0.7, second < 0.7
        low, high = paired_bootstrap(first, second, draws=500, seed=turn)[1]
        called += low > 0 or high < 0
    assert called <= 0.05 * 400 + 2 * math.sqrt(400 * 0.05 * 0.95)


def test_changed_signs_by_hand():
    # Of 2³ ways to sign 1, 2, 3 the sum is 6 or -6 in two; of 1, 2, -3 it is 0, and all reach that.
    assert sign_flip(np.array([1.0, 2.0, 3.0])) == 2 / 8
    assert sign_flip(np.array([1.0, 2.0, -3.0])) == 1.0
    values = np.random.default_rng(0).normal(0.4, 1, 12)
    many = np.tile(values, 2)  # more than are enumerated
    rng = np.random.default_rng(1)
    signs = rng.choice([-1.0, 1.0], (40_000, 24))
    wanted = (np.abs(signs @ many) >= abs(many.sum())).mean()
    assert sign_flip(many) == pytest.approx(wanted, abs=0.01)


def test_the_interval_of_a_difference_leaves_0_out_only_where_its_test_does():
    first = np.array([True] * 6 + [False] * 4)
    second = first.copy()
    second[6:9] = True  # three more right: p = 1/4
    _, (low, high) = paired_bootstrap(first, second)
    assert low <= 0 < 0.3 < high
    values = np.full(5, 0.4)  # five of one sign: p = 1/16
    better = np.array([0.5, 0.51, 0.52, 0.5, 0.49])
    assert paired_bootstrap(values, better)[1][0] == 0


def test_the_bootstrap_is_the_same_every_time_and_swaps_its_sign():
    rng = np.random.default_rng(5)
    first, second = rng.random((2, 77)) < 0.5
    assert paired_bootstrap(first, second) == paired_bootstrap(first, second)
    forth, back = paired_bootstrap(first, second), paired_bootstrap(second, first)
    assert back[0] == -forth[0]
    assert back[1] == pytest.approx((-forth[1][1], -forth[1][0]), abs=0.03)


def test_one_image_says_nothing_of_others():
    one = np.array([3.0])
    assert bootstrap(one) == (3.0, (-math.inf, math.inf))
    judged = claim("more", "gain", at_least=0.1).judge({"gain": 3.0}, {"gain": bootstrap(one)[1]})
    assert judged["verdict"] == "undecided"
    assert span(bootstrap(one)[1], share=False) == ""
    assert between(bootstrap(one)[1], ".3f") == ""
    reference = course("gain", 2.0, "a course", protocol=Protocol())
    beside = reference.beside({"gain": 3.0}, {"gain": bootstrap(one)[1]}, Protocol())
    assert beside["verdict"] == "not measured"


def test_no_images_and_no_difference_give_nothing():
    nothing = np.array([], dtype=bool)
    assert paired_bootstrap(nothing, nothing) == (0.0, (0.0, 0.0))
    same = np.array([True, False] * 100)
    difference, (low, high) = paired_bootstrap(same, same)
    assert difference == 0 == low + high
    assert 0 < high < 0.02, "of others they may still differ on a few"


def test_students_interval_of_three_seeds_by_hand():
    # Mean 0.5, standard deviation 0.1, t of 0.975 with 2 degrees of freedom 4.302653.
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert over_seeds([0.4, 0.5, 0.6]) == pytest.approx((0.5 - half, 0.5 + half), rel=1e-6)


def test_seeds_and_test_images_both_count():
    # One run's own interval is 0.04 to either side; the seeds' half width is 0.248414.
    half = math.hypot(4.302653 * 0.1 / math.sqrt(3), 0.04)
    tests = [(value - 0.04, value + 0.04) for value in (0.4, 0.5, 0.6)]
    found = over_seeds([0.4, 0.5, 0.6], tests=tests)
    assert found == pytest.approx((0.5 - half, 0.5 + half), rel=1e-6)
    equal = over_seeds([0.229, 0.229], tests=[(0.21, 0.25)] * 2)
    assert equal == pytest.approx((0.21, 0.25)), "as wide as the test set's"
    assert over_seeds([0.229, 0.229]) is None, "nothing tells how wide"


def test_a_share_over_seeds_stays_one():
    low, high = over_seeds([0.97, 0.99])
    assert (low, high) == (pytest.approx(0.98 - 12.7062 * 0.01, abs=1e-5), 1.0)
    assert over_seeds([0.01, 0.03], share=False)[0] < 0, "a difference may be below 0"
    assert over_seeds([20.0, 30.0])[1] > 30


def test_one_seed_has_no_interval():
    assert over_seeds([0.4]) is None
    assert over_seeds([]) is None


def disagreeing(only_first, only_second, both=3, neither=2):
    """Two classifiers that have so many images right, each alone, both or neither."""
    first = [True] * (only_first + both) + [False] * (only_second + neither)
    second = [False] * only_first + [True] * (both + only_second) + [False] * neither
    return np.array(first), np.array(second)


def test_mcnemar_of_one_against_nine_by_hand():
    # Of 2¹⁰ ways to deal ten images, (1 + 10) give one side at most one; either side: 22 / 1024.
    assert mcnemar(*disagreeing(1, 9)) == pytest.approx(0.021484375, rel=1e-12)


@pytest.mark.parametrize("count", [1, 2, 5, 9, 10])
def test_mcnemar_counts_the_deals_that_are_as_uneven_or_more(count):
    sizes = [sum(deal) for deal in product((0, 1), repeat=count)]
    for only_first in range(count + 1):
        uneven = abs(2 * only_first - count)
        as_uneven = sum(abs(2 * size - count) >= uneven for size in sizes)
        found = mcnemar(*disagreeing(only_first, count - only_first))
        assert found == pytest.approx(as_uneven / 2**count, rel=1e-12)


def test_mcnemar_looks_only_at_images_that_one_alone_has_right_and_takes_no_side():
    wanted = mcnemar(*disagreeing(2, 8))
    assert wanted == pytest.approx(112 / 1024)  # 2 · (1 + 10 + 45) / 1024
    assert mcnemar(*disagreeing(2, 8, both=500, neither=0)) == wanted
    assert mcnemar(*disagreeing(8, 2)) == wanted
    first, second = disagreeing(2, 8)
    order = np.random.default_rng(0).permutation(len(first))
    assert mcnemar(first[order], second[order]) == wanted


def test_classifiers_that_agree_on_every_image_may_well_be_equal():
    first, _ = disagreeing(4, 3)
    assert mcnemar(first, first) == 1.0
    assert mcnemar(np.array([], dtype=bool), np.array([], dtype=bool)) == 1.0
    assert mcnemar(*disagreeing(6, 6)) == 1.0
