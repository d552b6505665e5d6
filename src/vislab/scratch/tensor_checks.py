"""Is an answer to an exercise on tensors right, and if not, on which input does it differ first?"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from vislab.scratch.tensor_exercises import Exercise


@dataclass(frozen=True)
class Verdict:
    """What an answer is worth, and one sentence on where it fails."""

    kind: Literal["right", "wrong", "raises", "not written"]
    reason: str = ""


def check(
    exercise: Exercise, answer: Any, generator: torch.Generator, *, repeats: int = 20
) -> Verdict:
    """Try an answer on `repeats` drawn inputs, then on square, size-1, empty and large ones.

    The first input that it fails on decides. None, and a function that raises a bare
    NotImplementedError, are not written. Values of float may differ by 1e-4, others not at all.
    """
    if answer is None:
        return Verdict("not written")
    for arguments in inputs(exercise, generator, repeats):
        given = [x.clone() if isinstance(x, Tensor) else x for x in arguments]
        where = f"on {described(exercise, arguments)}"
        try:
            came = answer(*given)
        except (Exception, SystemExit) as error:  # the student's code may do anything
            if isinstance(error, NotImplementedError) and not error.args:
                return Verdict("not written")
            return Verdict("raises", f"{where}: {in_one_line(error)}")
        wrong = change(exercise, arguments, given) or fault(exercise.loop(*arguments), came)
        if wrong:
            return Verdict("wrong", f"{where}: {wrong}")
    return Verdict("right")


def inputs(
    exercise: Exercise, generator: torch.Generator, repeats: int
) -> Iterator[tuple[Any, ...]]:
    """Yield arguments to try an answer on: first drawn sizes, no two alike, then the edges."""
    least = exercise.least
    count = len(least)
    for _ in range(repeats):
        uneven = torch.randperm(6, generator=generator)[:count] + 1
        yield exercise.draw(generator, *uneven.tolist())
    edges = {(3,) * count, (1,) * count, least, exercise.timed}  # a set: some may be the same
    edges |= {(2,) * axis + (least[axis],) + (2,) * (count - axis - 1) for axis in range(count)}
    for sizes in sorted(edges, reverse=True):
        yield exercise.draw(generator, *sizes)


def described(exercise: Exercise, arguments: tuple[Any, ...]) -> str:
    """Name each argument with its shape, or its value where it is a number."""
    return ", ".join(
        f"{name} of shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"{name} = {x}"
        for name, x in zip(exercise.parameters, arguments, strict=True)
    )


def in_one_line(error: BaseException) -> str:
    """Return the type of an error and the first line of what it says."""
    said = (str(error).strip().splitlines() or [""])[0]
    said = said if len(said) <= 200 else f"{said[:199]}…"
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def change(exercise: Exercise, before: tuple[Any, ...], after: list[Any]) -> str:
    """Say how an answer changed what it was given; nothing where it did not."""
    for name, old, new in zip(exercise.parameters, before, after, strict=True):
        found = fault(old, new, words=("was", "is")) if isinstance(old, Tensor) else ""
        if found:
            return f"it changed its input {name}: {found}"
    return ""


def fault(expected: Tensor, came: Any, *, words: tuple[str, str] = ("expected", "came")) -> str:
    """Say in what `came` differs from `expected` first; nothing where it does not."""
    if not isinstance(came, Tensor):
        what = "nothing (is a return missing?)" if came is None else f"a {type(came).__name__}"
        return f"expected a tensor, came {what}"
    wanted, got = words
    for one, other in (
        (f"shape {tuple(expected.shape)}", f"shape {tuple(came.shape)}"),
        (str(expected.dtype), str(came.dtype)),
        (f"{expected.layout} on {expected.device}", f"{came.layout} on {came.device}"),
    ):
        if one != other:
            return f"{wanted} {one}, {got} {other}".replace("torch.", "")
    slack = 1e-4 if expected.is_floating_point() else 0.0
    far = ~torch.isclose(came, expected, rtol=slack, atol=slack)  # NaN is close to nothing
    if not far.any():
        return ""
    place = far.nonzero()[0].tolist()
    one, other = (f"{x[tuple(place)].item():.6g}" for x in (expected, came))
    return f"at {place} {wanted} {one}, {got} {other} ({int(far.sum())} of {far.numel()} differ)"
