"""Exercises on tensors as arrays: a task, a loop that defines it, a solution without one.

The public functions down to `EXERCISES` are the solutions, their docstrings the tasks; below each
stands its loop, which is the definition that answers are checked against. Drawn values are eighths
from −5 to 5, so that sums and products are exact in float32, in whatever order they are taken.

After EECS 498/598 (Michigan), assignment 1, "PyTorch 101"; the tasks and the code are our own.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Creating


def checkerboard(rows: int, columns: int) -> Int[Tensor, "rows columns"]:
    """Return a board of 0 and 1 in which neighbours differ; its upper left corner is 0.

    rows, columns: two ints. Result: (rows, columns), int64.
    """
    return (torch.arange(rows)[:, None] + torch.arange(columns)) % 2


def _checkerboard(rows: int, columns: int) -> Tensor:
    board = torch.zeros(rows, columns, dtype=torch.int64)
    for i in range(rows):
        for j in range(columns):
            board[i, j] = (i + j) % 2
    return board


def one_hot(labels: Int[Tensor, " n"], classes: int) -> Float[Tensor, "n k"]:
    """Return one row a label: 1 at the label's place, 0 elsewhere.

    labels: (N,), int64, each in 0 … classes − 1. classes: an int K. Result: (N, K), float32.
    """
    return (labels[:, None] == torch.arange(classes)).to(torch.float32)


def _one_hot(labels: Tensor, classes: int) -> Tensor:
    rows = torch.zeros(len(labels), classes, dtype=torch.float32)
    for i in range(len(labels)):
        for k in range(classes):
            if labels[i] == k:
                rows[i, k] = 1.0
    return rows


def pixel_centres(height: int, width: int) -> Float[Tensor, "h w 2"]:
    """Return x and y of the centre of every pixel, in sides of the image.

    The pixel in row i and column j has x = (j + ½) / width and y = (i + ½) / height.
    height, width: two ints H and W. Result: (H, W, 2), float32, x before y.
    """
    x = (torch.arange(width, dtype=torch.float32) + 0.5) / width  # (W,)
    y = (torch.arange(height, dtype=torch.float32) + 0.5) / height  # (H,)
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=2)


def _pixel_centres(height: int, width: int) -> Tensor:
    centres = torch.zeros(height, width, 2, dtype=torch.float32)
    for i in range(height):
        for j in range(width):
            centres[i, j, 0] = (j + 0.5) / width
            centres[i, j, 1] = (i + 0.5) / height
    return centres


# Indexing


def even_rows(x: Float[Tensor, "n m"]) -> Float[Tensor, "half m"]:
    """Return rows 0, 2, 4, … of x.

    x: (N, M). Result: (⌈N / 2⌉, M).
    """
    return x[::2]


def _even_rows(x: Tensor) -> Tensor:
    rows, columns = x.shape
    chosen = x.new_zeros((rows + 1) // 2, columns)
    for i in range(0, rows, 2):
        for j in range(columns):
            chosen[i // 2, j] = x[i, j]
    return chosen


def swap_halves(x: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """Return x with its first M // 2 columns moved behind the others.

    x: (N, M); M may be odd. Result: (N, M).
    """
    half = x.shape[1] // 2
    return torch.cat([x[:, half:], x[:, :half]], dim=1)


def _swap_halves(x: Tensor) -> Tensor:
    rows, columns = x.shape
    swapped = torch.zeros_like(x)
    for i in range(rows):
        for j in range(columns):
            swapped[i, j] = x[i, (j + columns // 2) % columns]
    return swapped


def negatives_to_zero(x: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """Return a copy of x with every negative number replaced by 0; x itself stays as it is.

    x: (N, M). Result: (N, M).
    """
    result = x.clone()
    result[result < 0] = 0
    return result


def _negatives_to_zero(x: Tensor) -> Tensor:
    rows, columns = x.shape
    result = torch.zeros_like(x)
    for i in range(rows):
        for j in range(columns):
            if x[i, j] > 0:
                result[i, j] = x[i, j]
    return result


def one_per_row(x: Float[Tensor, "n m"], places: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return one number of every row: in row i the one in column places[i].

    x: (N, M). places: (N,), int64, each in 0 … M − 1. Result: (N,).
    """
    return x[torch.arange(len(x)), places]


def _one_per_row(x: Tensor, places: Tensor) -> Tensor:
    chosen = x.new_zeros(len(x))
    for i in range(len(x)):
        chosen[i] = x[i, int(places[i])]
    return chosen


# Reshaping


def interleave(first: Float[Tensor, " n"], second: Float[Tensor, " n"]) -> Float[Tensor, " twice"]:
    """Return first[0], second[0], first[1], second[1], … as one vector.

    first, second: (N,). Result: (2N,).
    """
    return torch.stack([first, second], dim=1).flatten()  # (N, 2) before it is flat


def _interleave(first: Tensor, second: Tensor) -> Tensor:
    mixed = first.new_zeros(2 * len(first))
    for i in range(len(first)):
        mixed[2 * i] = first[i]
        mixed[2 * i + 1] = second[i]
    return mixed


def channels_first(images: Float[Tensor, "n h w c"]) -> Float[Tensor, "n d"]:
    """Return every image as one row: all of its channel 0, row by row, then channel 1, ….

    images: (N, H, W, C). Result: (N, C·H·W).
    """
    return images.permute(0, 3, 1, 2).flatten(start_dim=1)  # (N, C, H, W) before it is flat


def _channels_first(images: Tensor) -> Tensor:
    count, height, width, channels = images.shape
    flat = images.new_zeros(count, channels * height * width)
    for n in range(count):
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    flat[n, (c * height + i) * width + j] = images[n, i, j, c]
    return flat


def patches(images: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n p c s s"]:
    """Cut every image into squares that touch but do not overlap, and return them row by row.

    images: (N, C, H, W). side: an int S that divides H and W. Result: (N, P, C, S, S) with
    P = (H / S)·(W / S); patch 1 is to the right of patch 0.
    """
    n, c, h, w = images.shape
    i, j = h // side, w // side
    cut = images.reshape(n, c, i, side, j, side).permute(0, 2, 4, 1, 3, 5)  # (N, I, J, C, S, S)
    return cut.reshape(n, i * j, c, side, side)


def _patches(images: Tensor, side: int) -> Tensor:
    count, channels, height, width = images.shape
    down, across = height // side, width // side
    cut = images.new_zeros(count, down * across, channels, side, side)
    for n in range(count):
        for i in range(down):
            for j in range(across):
                for c in range(channels):
                    for u in range(side):
                        for v in range(side):
                            pixel = images[n, c, i * side + u, j * side + v]
                            cut[n, i * across + j, c, u, v] = pixel
    return cut


def halve(image: Float[Tensor, "h w"]) -> Float[Tensor, "half_h half_w"]:
    """Return the image at half its size: every pixel the mean of a block of 2×2.

    image: (H, W), both even. Result: (H / 2, W / 2).
    """
    h, w = image.shape
    return image.reshape(h // 2, 2, w // 2, 2).mean(dim=(1, 3))


def _halve(image: Tensor) -> Tensor:
    height, width = image.shape
    small = image.new_zeros(height // 2, width // 2)
    for i in range(height):
        for j in range(width):
            small[i // 2, j // 2] += image[i, j] / 4
    return small


# Broadcasting


def differences(first: Float[Tensor, " n"], second: Float[Tensor, " m"]) -> Float[Tensor, "n m"]:
    """Return every number of first minus every number of second.

    first: (N,). second: (M,). Result: (N, M); in row i and column j first[i] − second[j].
    """
    return first[:, None] - second


def _differences(first: Tensor, second: Tensor) -> Tensor:
    table = first.new_zeros(len(first), len(second))
    for i in range(len(first)):
        for j in range(len(second)):
            table[i, j] = first[i] - second[j]
    return table


def standardise_rows(x: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """Return x with the mean of each row taken away, then each row divided by its std.

    The std is √(mean of the squared distances to the mean), so divide by M, not M − 1. Add
    1e-5 to it: a row of equal numbers becomes zeros.
    x: (N, M). Result: (N, M).
    """
    centred = x - x.mean(dim=1, keepdim=True)
    return centred / (centred.square().mean(dim=1, keepdim=True).sqrt() + 1e-5)


def _standardise_rows(x: Tensor) -> Tensor:
    rows, columns = x.shape
    result = torch.zeros_like(x)
    for i in range(rows):
        mean = sum(float(x[i, j]) for j in range(columns)) / columns
        variance = sum((float(x[i, j]) - mean) ** 2 for j in range(columns)) / columns
        for j in range(columns):
            result[i, j] = (x[i, j] - mean) / (math.sqrt(variance) + 1e-5)
    return result


def column_shares(x: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """Return every number as its share of the sum of its column, so that columns sum to 1.

    x: (N, M), all positive. Result: (N, M).
    """
    return x / x.sum(dim=0)


def _column_shares(x: Tensor) -> Tensor:
    rows, columns = x.shape
    shares = torch.zeros_like(x)
    for j in range(columns):
        total = sum(float(x[i, j]) for i in range(rows))
        for i in range(rows):
            shares[i, j] = x[i, j] / total
    return shares


def scale_channels(
    images: Float[Tensor, "n c h w"], factors: Float[Tensor, " c"]
) -> Float[Tensor, "n c h w"]:
    """Return the images with every pixel of channel c multiplied by factors[c].

    images: (N, C, H, W). factors: (C,). Result: (N, C, H, W).
    """
    return images * factors[:, None, None]


def _scale_channels(images: Tensor, factors: Tensor) -> Tensor:
    count, channels, height, width = images.shape
    scaled = torch.zeros_like(images)
    for n in range(count):
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    scaled[n, c, i, j] = images[n, c, i, j] * factors[c]
    return scaled


# Batched products


def batched_product(
    first: Float[Tensor, "b n k"], second: Float[Tensor, "b k m"]
) -> Float[Tensor, "b n m"]:
    """Return the matrix product of each pair: result[b] = first[b] times second[b].

    first: (B, N, K). second: (B, K, M). Result: (B, N, M).
    """
    return first @ second


def _batched_product(first: Tensor, second: Tensor) -> Tensor:
    count, rows, inner = first.shape
    columns = second.shape[2]
    product = first.new_zeros(count, rows, columns)
    for b in range(count):
        for i in range(rows):
            for j in range(columns):
                for k in range(inner):
                    product[b, i, j] += first[b, i, k] * second[b, k, j]
    return product


def traces_of_products(
    first: Float[Tensor, "b n k"], second: Float[Tensor, "b k n"]
) -> Float[Tensor, " b"]:
    """Return the trace of first[b] times second[b] for every b, without making the products.

    The trace is the sum of the diagonal: Σ over i and k of first[b, i, k]·second[b, k, i].
    first: (B, N, K). second: (B, K, N). Result: (B,).
    """
    return (first * second.transpose(1, 2)).sum(dim=(1, 2))


def _traces_of_products(first: Tensor, second: Tensor) -> Tensor:
    count, rows, inner = first.shape
    traces = first.new_zeros(count)
    for b in range(count):
        for i in range(rows):
            for k in range(inner):
                traces[b] += first[b, i, k] * second[b, k, i]
    return traces


def squared_distances(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """Return the squared distance of every row of x to every row of y.

    Best without N·M·D differences in memory: |a − b|² = |a|² + |b|² − 2 a·b, and a·b for all pairs
    is one matrix product. Rounding must leave no distance below 0.
    x: (N, D). y: (M, D). Result: (N, M).
    """
    squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)  # (N, M)
    return (squares - 2 * x @ y.T).clamp(min=0)


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    table = x.new_zeros(len(x), len(y))
    for i in range(len(x)):
        for j in range(len(y)):
            for d in range(x.shape[1]):
                table[i, j] += (x[i, d] - y[j, d]) ** 2
    return table


def _numbers(generator: torch.Generator, *shape: int, least: int = -40) -> Tensor:
    """Draw eighths; `least` is in eighths too."""
    return torch.randint(least, 41, shape, generator=generator) / 8


def _places(generator: torch.Generator, count: int, below: int) -> Tensor:
    return torch.randint(below, (count,), generator=generator)


def _matrix(generator: torch.Generator, rows: int, columns: int) -> tuple[Tensor]:
    return (_numbers(generator, rows, columns),)


@dataclass(frozen=True)
class Exercise:
    """One task: what it asks, what defines it, what solves it and what it is tried on."""

    topic: str
    vectorised: Callable[..., Tensor]
    loop: Callable[..., Tensor]
    draw: Callable[..., tuple[Any, ...]]  # (generator, *sizes) -> the arguments
    least: tuple[int, ...]  # the smallest of each size that makes sense: 0, or 1
    timed: tuple[int, ...]  # sizes for which the loop takes a few milliseconds

    @property
    def name(self) -> str:
        """What the student's function is called."""
        return self.vectorised.__name__

    @property
    def task(self) -> str:
        """What the student is told, with the shapes; the first line says it in a sentence."""
        return inspect.getdoc(self.vectorised) or ""

    @property
    def parameters(self) -> tuple[str, ...]:
        """What the arguments are called."""
        return tuple(inspect.signature(self.vectorised).parameters)


EXERCISES = (
    Exercise("creating", checkerboard, _checkerboard, lambda _, n, m: (n, m), (0, 0), (24, 25)),
    Exercise(
        "creating",
        one_hot,
        _one_hot,
        lambda g, n, k: (_places(g, n, k), k),
        least=(0, 1),
        timed=(48, 10),
    ),
    Exercise("creating", pixel_centres, _pixel_centres, lambda _, h, w: (h, w), (0, 0), (20, 21)),
    Exercise("indexing", even_rows, _even_rows, _matrix, least=(0, 0), timed=(48, 24)),
    Exercise("indexing", swap_halves, _swap_halves, _matrix, least=(0, 0), timed=(24, 25)),
    Exercise("indexing", negatives_to_zero, _negatives_to_zero, _matrix, (0, 0), (24, 25)),
    Exercise(
        "indexing",
        one_per_row,
        _one_per_row,
        lambda g, n, m: (_numbers(g, n, m), _places(g, n, m)),
        least=(0, 1),
        timed=(500, 10),
    ),
    Exercise(
        "reshaping",
        interleave,
        _interleave,
        lambda g, n: (_numbers(g, n), _numbers(g, n)),
        least=(0,),
        timed=(400,),
    ),
    Exercise(
        "reshaping",
        channels_first,
        _channels_first,
        lambda g, n, h, w, c: (_numbers(g, n, h, w, c),),
        least=(0, 1, 1, 1),
        timed=(2, 10, 11, 3),
    ),
    Exercise(
        "reshaping",
        patches,
        _patches,
        lambda g, n, c, i, j, s: (_numbers(g, n, c, i * s, j * s), s),
        least=(0, 1, 1, 1, 1),
        timed=(2, 3, 2, 3, 4),
    ),
    Exercise(
        "reshaping",
        halve,
        _halve,
        lambda g, i, j: (_numbers(g, 2 * i, 2 * j),),
        least=(0, 0),
        timed=(8, 9),
    ),
    Exercise(
        "broadcasting",
        differences,
        _differences,
        lambda g, n, m: (_numbers(g, n), _numbers(g, m)),
        least=(0, 0),
        timed=(20, 21),
    ),
    Exercise("broadcasting", standardise_rows, _standardise_rows, _matrix, (0, 1), (12, 25)),
    Exercise(
        "broadcasting",
        column_shares,
        _column_shares,
        lambda g, n, m: (_numbers(g, n, m, least=1),),
        least=(0, 0),
        timed=(20, 21),
    ),
    Exercise(
        "broadcasting",
        scale_channels,
        _scale_channels,
        lambda g, n, c, h, w: (_numbers(g, n, c, h, w), _numbers(g, c)),
        least=(0, 1, 1, 1),
        timed=(2, 3, 8, 9),
    ),
    Exercise(
        "batched products",
        batched_product,
        _batched_product,
        lambda g, b, n, k, m: (_numbers(g, b, n, k), _numbers(g, b, k, m)),
        least=(0, 0, 0, 0),
        timed=(3, 4, 6, 5),
    ),
    Exercise(
        "batched products",
        traces_of_products,
        _traces_of_products,
        lambda g, b, n, k: (_numbers(g, b, n, k), _numbers(g, b, k, n)),
        least=(0, 0, 0),
        timed=(5, 8, 9),
    ),
    Exercise(
        "batched products",
        squared_distances,
        _squared_distances,
        lambda g, n, m, d: (_numbers(g, n, d), _numbers(g, m, d)),
        least=(0, 0, 0),
        timed=(8, 9, 5),
    ),
)
