"""The exercises: line and loop agree at every size, and the check tells right from wrong."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vislab.ops.seeding import generator
from vislab.scratch.tensor_checks import Verdict, check, described, inputs
from vislab.scratch.tensor_exercises import EXERCISES

BY_NAME = {exercise.name: exercise for exercise in EXERCISES}
TOPICS = ("creating", "indexing", "reshaping", "broadcasting", "batched products")
each = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.name)


def judged(name, answer, repeats=5):
    return check(BY_NAME[name], answer, generator("answers", name), repeats=repeats)


def test_every_topic_has_three_exercises_or_more():
    assert tuple(dict.fromkeys(one.topic for one in EXERCISES)) == TOPICS
    assert all(sum(one.topic == topic for one in EXERCISES) >= 3 for topic in TOPICS)
    assert len(BY_NAME) == len(EXERCISES) == 18


@each
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_line_and_loop_agree_at_any_size(exercise, data):
    sizes = [data.draw(st.integers(least, 4)) for least in exercise.least]
    arguments = exercise.draw(generator("sizes", data.draw(st.integers(0, 99))), *sizes)
    came, expected = exercise.vectorised(*arguments), exercise.loop(*arguments)
    assert came.dtype == expected.dtype
    assert came.shape == expected.shape
    np.testing.assert_allclose(came.numpy(), expected.numpy(), rtol=1e-5, atol=1e-5)


# Written down by hand, so that a loop and a line that are wrong alike are found.
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("checkerboard", (2, 3), [[0, 1, 0], [1, 0, 1]]),
        ("one_hot", (torch.tensor([2, 0]), 3), [[0, 0, 1], [1, 0, 0]]),
        ("pixel_centres", (1, 2), [[[0.25, 0.5], [0.75, 0.5]]]),
        ("even_rows", (torch.tensor([[1.0], [2], [3]]),), [[1], [3]]),
        ("swap_halves", (torch.tensor([[1.0, 2, 3, 4, 5]]),), [[3, 4, 5, 1, 2]]),
        ("negatives_to_zero", (torch.tensor([[-1.0, 2]]),), [[0, 2]]),
        ("one_per_row", (torch.tensor([[1.0, 2], [3, 4]]), torch.tensor([1, 0])), [2, 3]),
        ("interleave", (torch.tensor([1.0, 3]), torch.tensor([2.0, 4])), [1, 2, 3, 4]),
        ("channels_first", (torch.tensor([[[[1.0, 5], [2, 6]]]]),), [[1, 2, 5, 6]]),
        (
            "patches",
            (torch.tensor([[[[1.0, 2, 3, 4], [5, 6, 7, 8]]]]), 2),
            [[[[[1, 2], [5, 6]]], [[[3, 4], [7, 8]]]]],
        ),
        ("halve", (torch.tensor([[1.0, 2, 0, 0], [3, 6, 0, 4]]),), [[3, 1]]),
        ("differences", (torch.tensor([5.0, 1]), torch.tensor([2.0])), [[3], [-1]]),
        (
            "standardise_rows",
            (torch.tensor([[1.0, 5], [4, 4]]),),
            [[-2 / 2.00001, 2 / 2.00001], [0, 0]],
        ),
        ("column_shares", (torch.tensor([[1.0, 2], [3, 2]]),), [[0.25, 0.5], [0.75, 0.5]]),
        (
            "scale_channels",
            (torch.tensor([[[[1.0]], [[2]]]]), torch.tensor([10.0, 3])),
            [[[[10]], [[6]]]],
        ),
        (
            "batched_product",
            (torch.tensor([[[1.0, 2]], [[0, 1]]]), torch.tensor([[[3.0], [4]], [[5], [6]]])),
            [[[11]], [[6]]],
        ),
        (
            "traces_of_products",
            (torch.tensor([[[1.0, 2], [3, 4]]]), torch.tensor([[[5.0, 6], [7, 8]]])),
            [19 + 50],
        ),
        (
            "squared_distances",
            (torch.tensor([[0.0, 0], [1, 1]]), torch.tensor([[3.0, 4]])),
            [[25], [13]],
        ),
    ],
)
def test_line_and_loop_give_what_was_worked_out_by_hand(name, arguments, expected):
    for work in (BY_NAME[name].loop, BY_NAME[name].vectorised):
        np.testing.assert_allclose(work(*arguments).numpy(), expected, rtol=1e-6)


@each
def test_the_check_accepts_the_solution_and_the_loop(exercise):
    for answer in (exercise.vectorised, exercise.loop):
        assert judged(exercise.name, answer) == Verdict("right")


@each
def test_an_answer_is_tried_on_uneven_sizes_first_and_on_the_edges_too(exercise):
    tried = [described(exercise, one) for one in inputs(exercise, generator("tried"), 5)]
    count, rng = len(exercise.least), generator("shapes")
    for sizes in ((3,) * count, (1,) * count, exercise.least, exercise.timed):
        assert described(exercise, exercise.draw(rng, *sizes)) in tried[5:]
    if count > 1:
        assert described(exercise, exercise.draw(rng, *(3,) * count)) not in tried[:5]


@each
def test_the_task_says_every_argument_and_the_shape_of_the_result(exercise):
    assert exercise.task.splitlines()[0].endswith(".")
    assert "Result: (" in exercise.task
    assert all(name in exercise.task for name in exercise.parameters)


def changes_its_input(x):
    x[x < 0] = 0
    return x


def reshapes_its_input(images):
    return images.transpose_(1, 3).transpose(2, 3).flatten(start_dim=1)


def one_column_off(x):
    half = x.shape[1] // 2 + 1
    return torch.cat([x[:, half:], x[:, :half]], dim=1)


def sloppy_on_squares(x):
    """What a missing keepdim does, made quiet: the wrong axis where both are of one length."""
    if x.shape[0] != x.shape[1]:
        return BY_NAME["standardise_rows"].vectorised(x)
    return (x - x.mean(1)) / (x.std(1, correction=0) + 1e-5)


def only_small_ones(x):
    return x[::2] if len(x) < 10 else x[:10:2]


def not_a_number(x):
    return x / x.sum(0) * float("nan")


@pytest.mark.parametrize(
    ("name", "answer", "reason"),
    [
        (
            "negatives_to_zero",
            changes_its_input,
            r"on x of shape \(\d, \d\): it changed its input x: at \[\d, \d\] was -[\d.]+, is 0 ",
        ),
        ("channels_first", reshapes_its_input, r"changed its input images: was shape .* is shap"),
        ("swap_halves", one_column_off, r"at \[\d, \d\] expected -?[\d.]+, came -?[\d.]+ \(\d+ of"),
        ("standardise_rows", sloppy_on_squares, r"on x of shape \((\d+), \1\): at \["),
        (
            "standardise_rows",
            lambda x: (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-5),
            r"at \[0, 0\] expected",
        ),
        (
            "one_hot",
            lambda labels, classes: torch.nn.functional.one_hot(labels, classes),
            r"labels of shape \(\d,\), classes = \d: expected float32, came int64",
        ),
        (
            "one_per_row",
            lambda x, places: x.gather(1, places[:, None]),
            r"expected shape \((\d),\), came shape \(\1, 1\)",
        ),
        ("even_rows", only_small_ones, r"on x of shape \(48, 24\): expected shape \(24, 24\)"),
        ("column_shares", not_a_number, r"expected [\d.e-]+, came nan"),
        ("checkerboard", lambda rows, columns: None, r"came nothing \(is a return missing\?\)"),
        ("halve", lambda image: image.numpy(), r"expected a tensor, came a ndarray"),
        ("even_rows", lambda x: x[::2].to_sparse(), r"expected strided on cpu, came sparse_coo"),
        (
            "patches",
            lambda x, side: (
                x.reshape(len(x), -1, x.shape[1], side, side)
                if len(x)
                else BY_NAME["patches"].vectorised(x, side)
            ),
            r"side = \d: at \[\d, \d, \d, \d, \d\] expected",
        ),
        (
            "scale_channels",
            lambda images, factors: images * 1.001 * factors[:, None, None],
            r"expected",
        ),
    ],
)
def test_the_check_refuses_a_wrong_answer_and_names_what_differs(name, answer, reason):
    verdict = judged(name, answer)
    assert verdict.kind == "wrong"
    assert re.search(reason, verdict.reason), verdict.reason


def test_the_loop_says_what_is_right_not_the_solution():
    exercise = BY_NAME["swap_halves"]
    other = dataclasses.replace(exercise, loop=lambda x: x.flip(1))
    assert check(other, exercise.vectorised, generator("other"), repeats=1).kind == "wrong"
    assert check(other, lambda x: x.flip(1), generator("other"), repeats=1).kind == "right"


def raises_for_empty(first, second):
    if len(first) == 0:
        raise ValueError("nothing to interleave\nand more")
    return torch.stack([first, second], dim=1).flatten()


def gives_up(x):
    raise SystemExit(3)


def not_for_floats(x):
    raise NotImplementedError('"even_rows_cpu" not implemented for float')


@pytest.mark.parametrize(
    ("name", "answer", "reason"),
    [
        (
            "interleave",
            raises_for_empty,
            "on first of shape (0,), second of shape (0,): ValueError: nothing to interleave",
        ),
        ("even_rows", gives_up, "SystemExit: 3"),
        ("even_rows", not_for_floats, "NotImplementedError: "),
        ("even_rows", lambda: 0, "TypeError: "),
        ("even_rows", 7, "TypeError: 'int' object is not callable"),
        ("standardise_rows", lambda x: x - x.mean(1), "RuntimeError: The size of tensor a"),
    ],
)
def test_an_answer_that_raises_is_reported_with_the_input(name, answer, reason):
    verdict = judged(name, answer)
    assert verdict.kind == "raises"
    assert reason in verdict.reason
    assert verdict.reason.startswith("on ")
    assert "\n" not in verdict.reason


def test_a_function_that_is_missing_or_empty_is_not_written():
    def empty(x):
        raise NotImplementedError

    assert judged("even_rows", None) == judged("even_rows", empty) == Verdict("not written")


def test_a_long_error_is_cut():
    def loud(x):
        raise ValueError("a" * 5000)

    assert len(judged("even_rows", loud).reason) < 300


def test_an_answer_that_rounds_otherwise_is_right_and_gradients_do_no_harm():
    def in_double(x, y):
        return torch.cdist(x.double(), y.double()).square().float().requires_grad_()

    assert judged("squared_distances", in_double) == Verdict("right")


def test_the_same_seed_gives_the_same_verdict():
    first, again = (judged("swap_halves", one_column_off) for _ in range(2))
    assert first == again
