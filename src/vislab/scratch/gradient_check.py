"""Is a gradient right? Compare it with differences of the function itself.

Central differences, along a direction u, have an error that falls with h²:

    ∂f/∂u = (f(x + h u) - f(x - h u)) / 2h + O(h²)

and a fourth-order form, used here, whose error falls with h⁴, so that h can be large enough for the
difference not to drown in rounding:

    ∂f/∂u = (8 (f(x + h u) - f(x - h u)) - (f(x + 2h u) - f(x - 2h u))) / 12h + O(h⁴)

Use float64: in float32 the difference of two nearly equal numbers has few digits left.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vislab.errors import ShapeError, VislabError
from vislab.ops.seeding import generator
from vislab.scratch import expect

STEP = 1e-3  # of float64: rounding ε/h and truncation h⁴ are both about 1e-12 there


class GradientError(VislabError):
    """A claimed gradient that the function does not have."""


@dataclass(frozen=True)
class Checked:
    """The largest relative errors that a check found, beyond what rounding explains."""

    along_directions: float
    by_coordinates: float
    coordinates: int


def rel_error(a: Tensor, b: Tensor, eps: float = 1e-10) -> float:
    """Return max |a - b| / (max |a| + max |b| + eps)."""
    expect.shape("b", b, tuple(a.shape))
    if a.numel() == 0:
        return 0.0
    return float((a - b).abs().max() / (a.abs().max() + b.abs().max() + eps))


def compute_numeric_gradient(
    f: Callable[[Tensor], Any], x: Tensor, dLdf: Tensor | None = None, h: float = STEP
) -> Tensor:
    """Return ∂L/∂x of x's shape, coordinate by coordinate.

    f(x) is a number, or a tensor; of a tensor, L = Σ f(x) · dLdf, with ones where dLdf is None.
    Calls f four times a coordinate. x is left as it was.
    """
    _check_point(x)
    point = x.clone().contiguous()
    gradient = torch.empty_like(point)
    flat, out = point.view(-1), gradient.view(-1)
    for place in range(flat.numel()):
        out[place] = _difference(lambda: _value(f, point, dLdf), flat, place, h)
    return gradient


def check_gradient(
    f: Callable[[Tensor], Any],
    x: Tensor,
    claimed: Tensor,
    dLdf: Tensor | None = None,
    *,
    tolerance: float = 1e-6,
    directions: int = 4,
    coordinates: int = 20,
    h: float = STEP,
    seed: int = 0,
) -> Checked:
    """Compare the claimed gradient of f at x (float64) with finite differences.

    f takes a tensor of x's shape and returns a number, or a tensor; of a tensor the gradient of
    Σ f(x) · dLdf is meant (of the plain sum, where dLdf is None). First along random directions,
    which see every coordinate at once; then at drawn coordinates and at those of the largest
    claims. What the rounding of a difference can explain is not held against the claim. Raises
    GradientError, with the worst coordinate and both numbers, when they differ
    relatively by more than `tolerance`; ShapeError when the claim has another shape than x.

        check_gradient(lambda x: (x**3).sum(), x, claimed=3 * x**2)
    """
    _check_point(x)
    if x.dtype != torch.float64:
        raise ShapeError(
            f"x holds {x.dtype}, wanted torch.float64: in fewer digits a difference of two nearly "
            "equal numbers says nothing; use x.double()"
        )
    if tuple(claimed.shape) != tuple(x.shape):
        raise ShapeError(
            f"the claimed gradient has shape {tuple(claimed.shape)}, wanted {tuple(x.shape)}: "
            "a gradient has the shape of what it is taken for"
        )
    expect.finite("claimed", claimed)
    point = x.clone().contiguous()
    claimed = claimed.to(point.dtype)
    draws = generator(seed, "gradient check")
    rounding = 10 * torch.finfo(point.dtype).eps * _magnitude(f, point, dLdf) / h
    worst_direction = 0.0
    for _ in range(directions):
        u = torch.randn(point.shape, generator=draws, dtype=point.dtype).to(point.device)
        # Steps of the size of h in every coordinate; relative to what could be summed up.
        measured = _slope(lambda t: _value(f, t, dLdf), point, u, h)
        said = float((claimed * u).sum())
        scale = float((claimed * u).norm()) + abs(measured) + 1e-10
        off = max(0.0, abs(measured - said) - rounding)
        worst_direction = max(worst_direction, off / scale)
    order = torch.randperm(point.numel(), generator=draws)[:coordinates].tolist()
    largest = claimed.abs().flatten().topk(min(4, point.numel())).indices.tolist()
    places = sorted({*order, *largest})
    flat = point.view(-1)
    measured_at = torch.tensor(
        [_difference(lambda: _value(f, point, dLdf), flat, place, h) for place in places],
        dtype=point.dtype,
    )
    said_at = claimed.reshape(-1)[places].cpu()
    size = float(said_at.abs().max() + measured_at.abs().max()) + 1e-10
    errors = ((measured_at - said_at).abs() - rounding).clamp(min=0) / size
    worst = int(errors.argmax())
    found = Checked(worst_direction, float(errors[worst]), len(places))
    if not max(found.along_directions, found.by_coordinates) <= tolerance:
        raise GradientError(_disagreement(found, places[worst], said_at[worst], measured_at[worst],
                                          tuple(x.shape), tolerance))  # fmt: skip
    return found


def grad_check_sparse(
    f: Callable[[Tensor], Any],
    x: Tensor,
    analytic_grad: Tensor,
    num_checks: int = 10,
    h: float = STEP,
    seed: int = 0,
) -> float:
    """Return the largest relative error |n - a| / (|n| + |a|) at drawn coordinates."""
    _check_point(x)
    expect.shape("analytic_grad", analytic_grad, tuple(x.shape))
    expect.finite("analytic_grad", analytic_grad)
    point = x.clone().contiguous()
    draws = generator(seed, "sparse check")
    worst = 0.0
    for place in torch.randint(point.numel(), (num_checks,), generator=draws).tolist():
        n = _difference(lambda: _value(f, point, None), point.view(-1), place, h)
        a = float(analytic_grad.reshape(-1)[place])
        worst = max(worst, abs(n - a) / (abs(n) + abs(a) + 1e-10))
    return worst


def _disagreement(
    found: Checked, place: int, said: Tensor, measured: Tensor, shape: tuple[int, ...],
    tolerance: float,
) -> str:  # fmt: skip
    worst = max(found.along_directions, found.by_coordinates)
    text = f"the claimed gradient is off by {worst:.2g} of its size, more than {tolerance:g}"
    if found.by_coordinates <= tolerance:
        return (
            f"{text}, along random directions; the {found.coordinates} coordinates looked at "
            "agree, so few coordinates are wrong: check more of them with coordinates=..."
        )
    where = [int(i) for i in torch.unravel_index(torch.tensor(place), shape)]
    text += f": at {where} it says {float(said):.8g}, differences say {float(measured):.8g}"
    if float(measured) and math.isfinite(float(measured)):
        ratio = float(said) / float(measured)
        text += f" ({ratio:.4g} times that)"
    return text


def _check_point(x: Tensor) -> None:
    expect.floats("x", x, "...")
    expect.finite("x", x)
    if x.numel() == 0:
        raise ShapeError(f"x has shape {tuple(x.shape)}: no number to take a gradient for")


def _value(f: Callable[[Tensor], Any], x: Tensor, dLdf: Tensor | None) -> float:
    out = f(x)
    if isinstance(out, tuple):
        raise ShapeError("f returns a tuple; return its first part, as in Layer.forward(x)[0]")
    if isinstance(out, Tensor):
        if dLdf is not None:
            expect.shape("dLdf", dLdf, tuple(out.shape))
            out = out * dLdf
        out = out.sum()
    value = float(out)
    if not math.isfinite(value):
        raise expect.NotFinite(f"f is {value} at x or near it; its differences mean nothing there")
    return value


def _magnitude(f: Callable[[Tensor], Any], x: Tensor, dLdf: Tensor | None) -> float:
    """Return the size of the terms that are summed up; their rounding is a share of it."""
    out = f(x)
    if not isinstance(out, Tensor):
        return abs(float(out))
    return float((out if dLdf is None else out * dLdf).abs().sum())


def _slope(f: Callable[[Tensor], float], x: Tensor, u: Tensor, h: float) -> float:
    near = f(x + h * u) - f(x - h * u)
    far = f(x + 2 * h * u) - f(x - 2 * h * u)
    return (8 * near - far) / (12 * h)


def _difference(f: Callable[[], float], flat: Tensor, place: int, h: float) -> float:
    """Return the slope along one coordinate, moving it in place and putting it back."""
    kept = float(flat[place])

    def at(value: float) -> float:
        flat[place] = value
        return f()

    near = at(kept + h) - at(kept - h)
    far = at(kept + 2 * h) - at(kept - 2 * h)
    flat[place] = kept
    return (8 * near - far) / (12 * h)
