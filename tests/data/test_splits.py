from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vislab.data.listing import Listing
from vislab.data.splits import (
    at_most,
    draw_split,
    hold_out_validation,
    split_called,
    splits_of,
)
from vislab.errors import DataError

label_lists = st.lists(st.integers(0, 4), min_size=1, max_size=150).map(np.array)
seeds = st.integers(0, 2**32)


def listing(labels, splits, groups=None):
    n = len(labels)
    return Listing(
        name="set",
        classes=tuple("abcdefg"[: max(labels) + 1]),
        sources=(Path("x"),),
        source_of=np.zeros(n, dtype=np.uint8),
        members=tuple(f"{i}.jpg" for i in range(n)),
        labels=np.asarray(labels),
        splits=np.asarray(splits, dtype=np.uint8),
        groups=groups,
    )


@given(labels=label_lists, seed=seeds)
def test_every_class_has_its_share_in_every_split_give_or_take_one(labels, seed):
    splits = draw_split(labels, seed=seed)
    assert splits.shape == labels.shape
    for label in np.unique(labels):
        mine = splits[labels == label]
        n = len(mine)
        train, val, test = ((mine == split).sum() for split in range(3))
        assert train + val + test == n
        assert abs(test - 0.1 * n) <= 1
        assert abs(val - 0.1 * n) <= 1
        assert train >= 1
        assert test >= 1 or n < 2
        assert val >= 1 or n < 3


@given(labels=label_lists, seed=seeds)
def test_the_same_seed_gives_the_same_split(labels, seed):
    assert np.array_equal(draw_split(labels, seed=seed), draw_split(labels, seed=seed))


def test_another_seed_gives_another_split():
    labels = np.repeat([0, 1, 2], 30)
    splits = {draw_split(labels, seed=seed).tobytes() for seed in range(20)}
    assert len(splits) == 20


def test_a_split_without_a_share_stays_empty():
    splits = draw_split(np.repeat([0, 1], [33, 8]), shares=(0.75, 0.25, 0.0))
    assert np.bincount(splits, minlength=3).tolist() == [31, 10, 0]


@given(
    data=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=120),
    seed=seeds,
)
def test_no_group_is_ever_in_two_splits_and_something_is_trained_on(data, seed):
    labels = np.array([label for label, _ in data])
    groups = [f"person {group}" for _, group in data]
    try:
        splits = draw_split(labels, groups=groups, seed=seed)
    except DataError:  # then it cannot be: a class for each train group, and two groups more
        holders = {label: {g for other, g in data if other == label} for label in set(labels)}
        assert len(set(groups)) < 3 or min(map(len, holders.values())) < 3
        return
    assert len(splits) == len(data)
    assert set(splits.tolist()) == {0, 1, 2}
    assert set(labels[splits == 0]) == set(labels)
    on = {}
    for group, split in zip(groups, splits, strict=True):
        assert on.setdefault(group, split) == split


@settings(max_examples=40)
@given(sizes=st.lists(st.integers(1, 9), min_size=60, max_size=120), seed=seeds)
def test_many_groups_come_near_the_wanted_shares(sizes, seed):
    groups = [f"g{i}" for i, size in enumerate(sizes) for _ in range(size)]
    labels = np.random.default_rng(seed).integers(0, 3, len(groups))
    splits = draw_split(labels, groups=groups, seed=seed)
    shares = np.bincount(splits, minlength=3) / len(splits)
    assert np.abs(shares - [0.8, 0.1, 0.1]).max() < 0.06


def best_possible(sizes, shares):
    """Return how many images are away from the shares in the best of all dealings."""
    aims = [share * sum(sizes) for share in shares]
    dealings = product(range(3), repeat=len(sizes))
    return min(
        sum(
            abs(sum(size for size, split in zip(sizes, deal, strict=True) if split == k) - aim)
            for k, aim in enumerate(aims)
        )
        for deal in dealings
        if set(deal) == {0, 1, 2}
    )


def dealt(sizes, labels=None):
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    labels = np.zeros(len(groups), dtype=np.int64) if labels is None else labels
    return np.bincount(draw_split(labels, groups=groups), minlength=3)


def test_a_few_large_groups_are_dealt_as_well_as_they_can_be():
    sizes = [300, 200, 150, 100, 80, 50, 40, 30, 20, 20, 10]
    assert dealt(sizes).tolist() == [800, 100, 100]


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(1, 60), min_size=3, max_size=7))
def test_dealing_is_near_the_best_there_is(sizes):
    away = np.abs(dealt(sizes) - np.array([0.8, 0.1, 0.1]) * sum(sizes)).sum()
    assert away <= best_possible(sizes, (0.8, 0.1, 0.1)) + 0.1 * sum(sizes)


def test_of_four_equal_groups_one_is_for_each_test_and_validation():
    assert dealt([25] * 4, np.arange(100) % 2).tolist() == [50, 25, 25]


@pytest.mark.parametrize(
    ("labels", "groups"),
    [([0, 0, 0], "aaa"), ([0, 1, 0, 1], "aabb"), ([0, 1, 2], "abc")],
    ids=["one", "two", "a class each"],
)
def test_what_no_split_by_group_can_fill_is_refused(labels, groups):
    with pytest.raises(DataError, match="state the split yourself, or leave the groups out"):
        draw_split(np.array(labels), groups=list(groups))


def test_without_validation_two_groups_are_one_to_train_on_and_one_to_test_on():
    groups = ["large"] * 6 + ["small"] * 5
    splits = draw_split(np.zeros(11, dtype=np.int64), groups=groups, shares=(0.8, 0.0, 0.2))
    assert splits.tolist() == [0] * 6 + [2] * 5


def test_a_group_with_an_accent_is_the_same_group_however_often_it_stands_there():
    groups = ["Zoë", "Zoé", "Zoë", "Zoé", "Ζωή", "Ζωή"]
    splits = draw_split(np.zeros(6, dtype=np.int64), groups=groups)
    assert splits[0] == splits[2]
    assert splits[1] == splits[3]
    assert sorted(splits[[0, 1, 4]].tolist()) == [0, 1, 2]


def test_validation_is_taken_from_training_and_leaves_the_test_alone():
    before = listing([0] * 30 + [1] * 20, [0] * 20 + [2] * 10 + [0] * 15 + [2] * 5)
    after = hold_out_validation(before, 0.2, seed=3)
    assert np.array_equal(after.rows("test"), before.rows("test"))
    held = after.labels[after.rows("val")]
    assert np.bincount(held).tolist() == [4, 3]
    assert before.rows("val").size == 0


def test_validation_by_group_keeps_groups_whole():
    groups = tuple(f"g{i // 4}" for i in range(80))
    before = listing([i % 2 for i in range(80)], [0] * 60 + [2] * 20, groups)
    after = hold_out_validation(before, 0.25)
    val = {groups[row] for row in after.rows("val")}
    assert val
    assert not val & {groups[row] for row in after.rows("train")}
    assert np.array_equal(after.rows("test"), before.rows("test"))


def test_a_validation_split_that_came_with_the_images_is_kept():
    before = listing([0] * 10, [0] * 7 + [1] + [2] * 2)
    assert hold_out_validation(before, 0.5) is before
    moved = hold_out_validation(replace(before, splits=np.zeros(10, dtype=np.uint8)), 0.5)
    assert moved.rows("val").size == 5


def test_ten_of_a_class_are_among_the_hundred():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [150, 120, 100]))
    smaller: set[int] = set()
    for per_class in (1, 10, 33, 100):
        rows = at_most(labels, per_class, seed=5)
        assert np.bincount(labels[rows]).tolist() == [per_class] * 3
        assert (np.diff(rows) > 0).all()
        assert smaller < set(rows.tolist())
        smaller = set(rows.tolist())
    assert set(at_most(labels, 10, seed=6)) != set(at_most(labels, 10, seed=5))


def test_of_a_class_with_fewer_all_are_taken():
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    assert np.bincount(labels[at_most(labels, 4)]).tolist() == [4, 3]
    assert len(at_most(labels[:0], 4)) == 0


def test_the_splits_go_by_many_names():
    words = ["Train", " training", "VALID", "val", "validation", "dev", "Test ", "testing"]
    assert splits_of(words).tolist() == [0, 0, 1, 1, 1, 1, 2, 2]
    assert split_called("holdout") is None
    with pytest.raises(DataError, match="'holdout' names no split; write one of train"):
        splits_of(["train", "holdout"])
