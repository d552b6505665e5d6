"""The checker itself: right gradients pass, and each kind of wrong one is refused and named."""

import math
import re

import pytest
import torch

from vislab.errors import ShapeError, VislabError
from vislab.scratch import (
    GradientError,
    check_gradient,
    compute_numeric_gradient,
    grad_check_sparse,
    rel_error,
)


def cube(x):
    return (x**3).sum() / 3


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


# Functions of a tensor with the gradients that calculus gives them.
RIGHT = {
    "a cube": (cube, lambda x: x**2),
    "a plain number": (lambda x: float(cube(x)), lambda x: x**2),
    "a tensor, summed": (torch.sin, torch.cos),
    "a shared factor": (lambda x: x.sum() ** 2, lambda x: 2 * x.sum() * torch.ones_like(x)),
    "an exponential": (lambda x: torch.exp(0.5 * x).sum(), lambda x: 0.5 * torch.exp(0.5 * x)),
    "a constant": (lambda x: 5.0, torch.zeros_like),
}
SHAPES = [(), (1,), (7,), (4, 3), (2, 3, 3, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", RIGHT)
def test_right_gradients_pass(name, shape, rng):
    f, gradient = RIGHT[name]
    x = torch.randn(shape, dtype=torch.float64, generator=rng)
    found = check_gradient(f, x, gradient(x))
    assert max(found.along_directions, found.by_coordinates) < 1e-9
    assert found.coordinates >= min(20, x.numel())
    assert grad_check_sparse(f, x, gradient(x)) < 1e-7
    assert rel_error(compute_numeric_gradient(f, x), gradient(x)) < 1e-9


@pytest.mark.parametrize("shape", [(7,), (4, 3), (2, 3, 7, 6)], ids=str)
@pytest.mark.parametrize("factor", [1.001, 0.999, -1.0, 2.0, 0.0])
def test_a_gradient_off_by_a_factor_is_refused(shape, factor, rng):
    x = torch.randn(shape, dtype=torch.float64, generator=rng)
    with pytest.raises(GradientError) as told:
        check_gradient(cube, x, factor * x**2)
    assert f"({factor:.4g} times that)" in str(told.value)


@pytest.mark.parametrize("place", [(0, 0), (2, 1), (3, 2)])
def test_one_wrong_coordinate_is_named_with_both_values(place):
    x = torch.arange(1.0, 13.0, dtype=torch.float64).view(4, 3) / 4
    claimed = x**2
    claimed[place] *= 1.001
    with pytest.raises(GradientError) as told:
        check_gradient(cube, x, claimed)
    right = float(x[place]) ** 2
    assert f"at {list(place)} it says {1.001 * right:.8g}, differences say {right:.8g}" in str(
        told.value
    )


def test_one_wrong_coordinate_of_many_is_found_along_random_directions(rng):
    x = torch.rand(40, 50, dtype=torch.float64, generator=rng) + 1
    for wrong in [(0, 0), (17, 33), (39, 49)]:
        claimed = x**2
        claimed[wrong] *= 1.001
        with pytest.raises(GradientError, match=r"off by .* of its size, more than 1e-07"):
            check_gradient(cube, x, claimed, tolerance=1e-7)


def test_a_wrong_coordinate_that_is_not_looked_at_is_said_to_be_among_the_others():
    x = torch.ones(300, dtype=torch.float64)
    claimed = torch.ones(300, dtype=torch.float64)
    claimed[123] = 0.9  # not among the largest; 20 of 300 are drawn
    with pytest.raises(GradientError, match=r"along random directions; .* few coordinates are wr"):
        check_gradient(cube, x, claimed, coordinates=2)
    with pytest.raises(GradientError, match=r"at \[123\] it says 0.9, differences say 1"):
        check_gradient(cube, x, claimed, coordinates=300)


def test_two_gradients_that_changed_places_are_refused(rng):
    x = torch.randn(3, 3, dtype=torch.float64, generator=rng)
    with pytest.raises(GradientError):
        check_gradient(cube, x, (x**2).T)


def test_a_gradient_of_another_shape_is_refused():
    x = torch.ones(2, 3, dtype=torch.float64)
    with pytest.raises(ShapeError, match=r"claimed gradient has shape \(3, 2\), wanted \(2, 3\)"):
        check_gradient(cube, x, (x**2).T)
    with pytest.raises(ShapeError, match=r"analytic_grad has shape \(6,\), wanted \(2, 3\)"):
        grad_check_sparse(cube, x, (x**2).flatten())
    with pytest.raises(ShapeError, match=r"b has shape \(3, 2\), wanted \(2, 3\)"):
        rel_error(x, x.T)


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (torch.arange(3), "x holds torch.int64, wanted a float type"),
        (tensor([1.0, math.nan]), r"x holds nan at \[1\]"),
        (tensor([[1.0], [math.inf]]), r"x holds inf at \[1, 0\]"),
        (torch.zeros(2, 0), r"x has shape \(2, 0\): no number to take a gradient for"),
        (torch.zeros(0), "x has shape .*empty"),
    ],
)
def test_a_point_without_differences_is_refused(x, told):
    for check in (
        lambda: compute_numeric_gradient(cube, x),
        lambda: check_gradient(cube, x, x),
        lambda: grad_check_sparse(cube, x, x),
    ):
        with pytest.raises(ShapeError, match=told):
            check()


def test_a_claim_that_is_no_number_is_refused():
    x = tensor([1.0, 2.0])
    with pytest.raises(ShapeError, match=r"claimed holds nan at \[0\]"):
        check_gradient(cube, x, tensor([math.nan, 4.0]))


@pytest.mark.parametrize(
    "f", [lambda x: math.nan, lambda x: (x - 2).log().sum()], ids=["always", "from a logarithm"]
)
def test_a_function_that_is_no_number_has_no_gradient(f):
    x = tensor([1.0, 1.5])
    with pytest.raises(VislabError):
        check_gradient(f, x, x)


@pytest.mark.parametrize(("value", "claim"), [(math.nan, 1.0), (1.0, math.nan)])
def test_a_sparse_check_does_not_call_nan_right(value, claim):
    x = tensor([1.0, 1.5])
    with pytest.raises(VislabError, match="nan"):
        grad_check_sparse(lambda t: value * t.sum(), x, tensor([claim, claim]))


def test_the_gradient_from_above_weighs_each_output(rng):
    x, w = (torch.randn(s, dtype=torch.float64, generator=rng) for s in [(4, 3), (3, 2)])
    dout = torch.randn(4, 2, dtype=torch.float64, generator=rng)
    numeric = compute_numeric_gradient(lambda t: t @ w, x, dout)
    assert rel_error(numeric, dout @ w.T) < 1e-9
    check_gradient(lambda t: t @ w, x, dout @ w.T, dout)
    with pytest.raises(GradientError):
        check_gradient(lambda t: t @ w, x, torch.ones(4, 2).double() @ w.T, dout)
    with pytest.raises(ShapeError, match=r"dLdf has shape \(2, 4\), wanted \(4, 2\)"):
        compute_numeric_gradient(lambda t: t @ w, x, dout.T)


def test_differences_of_the_fourth_order_are_exact_for_cubes_and_quartics():
    """Central differences would be off by h² for a cube, and by 4 h² x for a quartic."""
    x = tensor([1.0, -2.0])
    for h in (0.5, 1.0):
        numeric = compute_numeric_gradient(lambda t: (t**4).sum(), x, h=h)
        torch.testing.assert_close(numeric, 4 * x**3, rtol=1e-13, atol=0)


def test_every_coordinate_of_a_view_is_measured(rng):
    x = torch.randn(3, 2, dtype=torch.float64, generator=rng).T
    assert rel_error(compute_numeric_gradient(cube, x), x**2) < 1e-9
    check_gradient(cube, x, x**2)
    assert grad_check_sparse(cube, x, x**2) < 1e-7


@pytest.mark.parametrize("fails_after", [None, 3])
def test_the_point_is_left_as_it_was(fails_after, rng):
    x = torch.randn(4, 3, dtype=torch.float64, generator=rng)
    kept, claimed = x.clone(), x**2
    calls = []

    def f(t):
        calls.append(t is x)
        if len(calls) == fails_after:
            raise ZeroDivisionError
        return cube(t)

    for check in (
        lambda: compute_numeric_gradient(f, x),
        lambda: check_gradient(f, x, claimed),
        lambda: grad_check_sparse(f, x, claimed),
    ):
        calls.clear()
        if fails_after is None:
            check()
        else:
            with pytest.raises(ZeroDivisionError):
                check()
        assert x.equal(kept)
    assert not any(calls)


def test_the_same_seed_looks_at_the_same_places(rng):
    x = torch.randn(200, dtype=torch.float64, generator=rng)
    claimed = x**2 + 1e-9 * torch.randn(200, dtype=torch.float64, generator=rng)
    first, again = (check_gradient(cube, x, claimed, seed=3) for _ in range(2))
    assert first == again
    assert first != check_gradient(cube, x, claimed, seed=4)
    sparse = [grad_check_sparse(cube, x, claimed, seed=s) for s in (3, 3, 4)]
    assert sparse[0] == sparse[1] != sparse[2]


def test_the_tolerance_is_a_border(rng):
    x = torch.randn(5, dtype=torch.float64, generator=rng)
    claimed = x**2 * (1 + 1e-5)
    check_gradient(cube, x, claimed, tolerance=1e-5)  # twice the size stands below the difference
    with pytest.raises(GradientError, match=re.escape("more than 1e-06")):
        check_gradient(cube, x, claimed)


def test_relative_error_by_hand():
    a, b = tensor([1.0, -3.0]), tensor([1.5, -2.0])
    assert rel_error(a, b) == pytest.approx(1 / (3 + 2), rel=1e-9)
    assert rel_error(b, a) == rel_error(a, b)
    assert rel_error(a, a) == 0 == rel_error(tensor([]), tensor([]))
    assert rel_error(tensor([0.0]), tensor([1e-10])) == pytest.approx(0.5)
    assert rel_error(tensor([0.0]), tensor([1e-10]), eps=1.0) == pytest.approx(1e-10)


def test_a_sparse_check_tells_how_far_off_the_worst_is():
    x = torch.ones(6, dtype=torch.float64)
    assert grad_check_sparse(cube, x, 3 * x) == pytest.approx(2 / 4, rel=1e-6)
    assert grad_check_sparse(cube, x, -x) == pytest.approx(1, rel=1e-6)
