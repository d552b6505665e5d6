import math
from itertools import product

import numpy as np
import pytest

from vislab.runs.claims import claim
from vislab.runs.formatting import between, span
from vislab.runs.intervals import bootstrap, mcnemar, over_seeds, paired_bootstrap, wilson
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


def test_scores_that_are_all_distinct_are_drawn_in_blocks_with_the_same_law():
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(2, 1500))
    difference, (low, high) = paired_bootstrap(first, second, draws=2000)
    half = 1.96 * (second - first).std() / math.sqrt(1500)
    assert (low, high) == pytest.approx((difference - half, difference + half), abs=0.12 * half)
    values = np.unique(second - first)
    at_once = np.random.default_rng(0).multinomial(1500, np.full(1500, 1 / 1500), size=2000)
    wanted = np.quantile(at_once @ values / 1500, (0.025, 0.975))
    assert (low, high) == pytest.approx(tuple(wanted), rel=1e-12)


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
    same = np.array([True, False, True])
    assert paired_bootstrap(same, same) == (0.0, (0.0, 0.0))


def test_students_interval_of_three_seeds_by_hand():
    # Mean 0.5, standard deviation 0.1, t of 0.975 with 2 degrees of freedom 4.302653.
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert over_seeds([0.4, 0.5, 0.6]) == pytest.approx((0.5 - half, 0.5 + half), rel=1e-6)


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
