"""Tensors as arrays: exercises with a check, and what a line without a loop is worth."""

import math
import shlex
import statistics
import textwrap
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from vislab import runs
from vislab.errors import DataError, OptionError
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.runs.writing import write_text

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8
    from matplotlib.figure import Figure

    from vislab.lab.bench import Lab
    from vislab.runs.intervals import Interval
    from vislab.scratch.tensor_exercises import Exercise

K = TypeVar("K")

PIXELS, PATCH = 64, 16  # sides of the images and of their patches
GAP = 2  # pixels between patches
EDGE = GAP * (PIXELS // PATCH - 1) // 2  # what makes an uncut image as large as one cut apart
SIZES = (1, 2, 4, 8, 12, 16, 24)  # how many rows of numbers the growing task has on each side
TEMPLATE = '''"""My answers to the exercises on tensors.

Write each function without a Python loop, then have them all checked:

    vislab run tensors --answers answers.py

A tensor is float32 where its task says nothing else. No function may change what it is given; what
it returns may share memory with it. Any N may be 0: an empty tensor has a shape, too.
"""

import torch
'''


@dataclass(frozen=True)
class Tensors(Recipe):
    """Solve eighteen small tasks on tensors without a loop, have them checked, and time the loops.

    All deep learning is arithmetic on arrays, and most of its bugs are arrays of the wrong shape.
    The run writes the file answers.py: one empty function for each exercise, the task in its
    docstring. Fill in as many as you like and run again with `--answers answers.py`. Every function
    is tried on drawn inputs, then on square, one-element, empty and larger ones, against a Python
    loop that says what is meant; the report names the first input and the first number that differ.

    Each loop is then timed against a solution without one, on the same input, in turn.

    Source: EECS 498/598 (Michigan), assignment 1, PyTorch 101; the tasks here are our own.

    Question: A loop and a vectorised line do the same arithmetic. By what factor will the line be
    faster: 2, 20 or 200?
    Look at: The missing keepdim: the wrong line raises no error, because the matrix is square. What
    would it do with four rows and five columns?
    Look at: The image that was only reshaped: every number of it is still there. What is lost?
    Look at: The growing task: how does the time of the loop grow with its size, how that of the
    line? What is the line waiting for when there is almost nothing to compute?
    Exercise: A tensor of shape (5, 1, 4) is added to one of shape (3, 1). How many numbers does
    the result have?
    Answer: 60
    Exercise: x has shape (1000, 64), y has shape (2000, 64). How many million numbers does
    x[:, None] - y hold before it is squared and summed?
    Answer: 128
    """

    group = "Foundations by hand"

    answers: Path | None = None
    """Your own file with some or all of the functions; without it, one to fill in is written."""
    repeats: int = 20
    """Drawn inputs that an answer is checked on, and rounds of timing."""

    claims = (
        claim("a vectorised line is faster than a Python loop", "median speed-up", at_least=2.0),
    )
    quick = {"repeats": 10}
    smoke = {"repeats": 2}

    def run(self, lab: "Lab") -> None:
        """Hand the exercises out or check the answers; time the loops; draw what shapes do."""
        if self.repeats < 1:
            raise OptionError(f"--repeats {self.repeats} tries nothing; use 1 or more")
        own: dict[str, Callable[..., Any]] = {}
        if self.answers is None:
            hand_out(lab)
        else:
            own = self.check(lab, self.answers)
        lab.show(
            "broadcasting",
            broadcasting(),
            caption="A column of 4×1 meets a row of 1×6. Each is repeated along the axis where it "
            "has length 1, without a copy, until the shapes agree: 4×6.",
        )
        lab.show(
            "a missing keepdim",
            missing_keepdim(),
            caption="Shapes are matched from the right, so x.mean(1) of shape (5,) counts as a "
            "row. The third square has each row's mean taken from a column.",
        )
        lab.show(
            "patches of an image",
            cut_images(lab.seed),
            caption=f"Images of shape (3, {PIXELS}, {PIXELS}) as 16 patches of shape "
            f"(3, {PATCH}, {PATCH}); on the right x.reshape(16, 3, {PATCH}, {PATCH}). A reshape "
            "deals the same numbers out in the same order; only permute changes which follows "
            "which.",
        )
        self.time_all(lab, own)

    def check(self, lab: "Lab", file: Path) -> dict[str, Callable[..., Any]]:
        """Check every function of the file, tell how it went and return those that are right."""
        from vislab.ops.seeding import generator
        from vislab.scratch.tensor_checks import check
        from vislab.scratch.tensor_exercises import EXERCISES

        source, found = read_answers(file)
        if not any(exercise.name in found for exercise in EXERCISES):
            raise DataError(
                f"{file} has none of the functions of the exercises; run `vislab run tensors` "
                "without --answers to get a file that names them"
            )
        if not lab.run.silent:
            write_text(lab.run.path / "answers.py", source)
        right: dict[str, Callable[..., Any]] = {}
        rows = []
        for exercise in EXERCISES:
            name, answer = exercise.name, found.get(exercise.name)
            drawn = generator(lab.seed, "tensors", name)
            verdict = check(exercise, answer, drawn, repeats=self.repeats)
            told = f"{verdict.kind}, {verdict.reason}" if verdict.reason else verdict.kind
            rows.append((exercise.topic, name, told))
            if answer is not None and verdict.kind == "right":
                right[name] = answer
            elif verdict.reason:
                lab.say(f"  {name} {told}")
        lab.say(f"{len(right)} of {len(EXERCISES)} exercises are right")
        lab.record("exercises right", len(right) / len(EXERCISES), trivial=0.0)
        lab.table(
            "your answers",
            ("topic", "function", "verdict"),
            rows,
            caption=f"Each was tried on {self.repeats} drawn inputs and on the edges: square, "
            "one-element, empty and larger ones. The first that it fails on is named.",
        )
        return right

    def time_all(self, lab: "Lab", own: Mapping[str, Callable[..., Any]]) -> None:
        """Time every loop against the solution without one, and against the student's own."""
        from vislab.ops.seeding import generator
        from vislab.scratch.tensor_exercises import EXERCISES

        who = ("loop", "vectorised", "yours") if own else ("loop", "vectorised")
        rows, speed_ups = [], {}
        for exercise in EXERCISES:
            name = exercise.name
            contenders = {"loop": exercise.loop, "vectorised": exercise.vectorised}
            if name in own:
                contenders["yours"] = own[name]
            drawn = exercise.draw(generator(lab.seed, "tensors", name, "timed"), *exercise.timed)
            taken = microseconds(ready(exercise, contenders, drawn), self.repeats)
            middle = {one: statistics.median(times) for one, times in taken.items()}
            speed_ups[name] = middle["loop"] / middle["vectorised"]
            rows.append(
                (
                    exercise.topic,
                    name,
                    *(middle.get(one) for one in who),
                    speed_ups[name],
                    *(spread(taken[one]) for one in ("loop", "vectorised")),
                )
            )
        factors = list(speed_ups.values())
        lab.record("median speed-up", statistics.median(factors), interval=median_interval(factors))
        lab.record("smallest speed-up", min(factors))
        lab.table(
            "times",
            (
                "topic",
                "function",
                *((f"{one}, µs", ",.1f") for one in who),
                ("times faster", ",.1f"),
                ("spread of loop", ",.1f"),
                ("spread of vectorised", ",.1f"),
            ),
            rows,
            caption=f"Medians of {self.repeats} rounds, in which the contenders take turns; spread "
            "is between the quartiles.",
            folded=True,
        )
        lab.show(
            "loops against vectorised lines",
            speed_up_bars(speed_ups),
            caption="Time of the loop over time of the solution without one, medians of "
            f"{self.repeats} rounds on inputs of some hundred numbers; logarithmic scale. The "
            "interval of the median is over these exercises, not over machines.",
        )
        lab.show(
            "a growing task",
            growing(lab.seed, self.repeats),
            caption="Squared distances of N points to N others in three dimensions; medians of "
            f"{self.repeats} rounds, logarithmic scale.",
        )


def hand_out(lab: "Lab") -> None:
    """Write the file to fill in, unless a run that is continued has it already, and list it."""
    from vislab.scratch.tensor_exercises import EXERCISES

    file = lab.run.path / "answers.py"
    use = f"vislab run tensors --answers {shlex.quote(str(file))}"
    if not lab.run.silent and not file.exists():
        write_text(file, template(EXERCISES))
    lab.say(f"the exercises are in {file}; fill some in and have them checked with `{use}`")
    lab.table(
        "exercises",
        ("topic", "function", "task"),
        [(one.topic, one.name, one.task.splitlines()[0]) for one in EXERCISES],
        caption="Write them in the run's answers.py, then have them checked with "
        "`vislab run tensors --answers answers.py`.",
    )


def template(exercises: "Sequence[Exercise]") -> str:
    """Return a Python file with one empty function an exercise, its task as docstring."""
    parts, topic = [TEMPLATE], ""
    for one in exercises:
        if one.topic != topic:
            topic = one.topic
            parts.append(f"# {topic.capitalize()}\n")
        task = textwrap.indent(one.task, "    ").strip()
        parts.append(
            f"def {one.name}({', '.join(one.parameters)}):\n"
            f'    """{task}\n    """\n'
            "    raise NotImplementedError\n"
        )
    return "\n\n".join(parts)


def read_answers(file: Path) -> tuple[str, dict[str, Any]]:
    """Run a student's file and return its text and what it defines.

    Raises OptionError when there is none and DataError when it cannot be read or run.
    """
    if not file.is_file():
        raise OptionError(
            f"there is no file of answers at {file}; run `vislab run tensors` without --answers to "
            "get one to fill in"
        )
    module = ModuleType("answers")
    try:
        source = file.read_text(encoding="utf-8")
        # Not imported: an import keeps what it compiled, and would miss an edit of the same second.
        code = compile(source, str(file), "exec")
    except SyntaxError as error:
        where = f", line {error.lineno}," if error.lineno else ""
        raise DataError(
            f"{file}{where} is not Python: {error.msg}; mend it and run again"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file} cannot be read as Python: {error}; is it the right file?"
        ) from error
    try:
        exec(code, vars(module))
    except (Exception, SystemExit) as error:  # the student's code may do anything
        from vislab.scratch.tensor_checks import in_one_line

        lines = [
            at.lineno
            for at in traceback.extract_tb(error.__traceback__)
            if at.filename == str(file)
        ]
        where = f", line {lines[-1]}," if lines else ""
        raise DataError(
            f"{file}{where} cannot be run: {in_one_line(error)}; mend it and run again"
        ) from error
    return source, vars(module)


def ready(
    exercise: "Exercise", contenders: Mapping[str, Callable[..., Any]], arguments: tuple[Any, ...]
) -> dict[str, Callable[[], Any]]:
    """Return the contenders with their arguments, after seeing that they agree."""
    from vislab.scratch.tensor_checks import fault

    expected = exercise.loop(*arguments)
    for who, work in contenders.items():
        differs = fault(expected, work(*arguments))
        assert not differs, f"{who} of {exercise.name}: {differs}"
    return {who: partial(work, *arguments) for who, work in contenders.items()}


def microseconds(works: Mapping[K, Callable[[], Any]], rounds: int) -> dict[K, list[float]]:
    """Return what one call of each took in each round, in which they take turns.

    A quick one is called so often in its turn that the clock can tell.
    """
    calls = {}
    for who, work in works.items():
        work()  # warms up
        begun = time.perf_counter()
        work()
        calls[who] = math.ceil(0.5e-3 / max(time.perf_counter() - begun, 1e-6))
    taken: dict[K, list[float]] = {who: [] for who in works}
    for _ in range(rounds):
        for who, work in works.items():
            begun = time.perf_counter()
            for _ in range(calls[who]):
                work()
            taken[who].append(1e6 * (time.perf_counter() - begun) / calls[who])
    return taken


def spread(times: Sequence[float]) -> float:
    """Return the distance between the quartiles."""
    import numpy as np

    low, high = np.quantile(times, (0.25, 0.75))
    return float(high - low)


def rounded(value: float, digits: int) -> float:
    """Round to so many significant digits: times are not known to more."""
    return float(f"{value:.{digits}g}")


def median_interval(values: Sequence[float]) -> "Interval":
    """Return the interval of a median between two of the sorted values, at least 95 %.

    The k-th smallest and the k-th largest of n hold the median between them unless fewer than k
    values fall on one side of it: 1 − 2 P(Binomial(n, ½) < k). With less than six values no two
    are enough, and the outermost are returned.
    """
    ordered, n = sorted(values), len(values)
    k, beyond = 1, math.comb(n, 0)
    while k < n / 2 and 2 * (beyond + math.comb(n, k)) <= 0.05 * 2**n:
        beyond += math.comb(n, k)
        k += 1
    return (ordered[k - 1], ordered[n - k])


def speed_up_bars(speed_ups: Mapping[str, float]) -> "Figure":
    """Draw how many times faster each solution is, on a logarithmic scale."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    from vislab.runs.formatting import number

    names = sorted(speed_ups, key=lambda name: -speed_ups[name])
    figure = runs.figures.bars(
        names, [rounded(speed_ups[name], 2) for name in names], unit="times faster"
    )
    axes = figure.axes[0]
    axes.grid(False)  # its lines would cross the numbers beside the bars
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.set_xlim(min(1.0, 0.5 * min(speed_ups.values())), 4 * max(speed_ups.values()))
    axes.xaxis.set_major_locator(LogLocator(10))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    return figure


def growing(seed: int, rounds: int) -> "Figure":
    """Draw the times of loop and line for one task of growing size."""
    from vislab.ops.seeding import generator
    from vislab.scratch.tensor_exercises import EXERCISES

    (exercise,) = (one for one in EXERCISES if one.name == "squared_distances")
    works = {}
    for size in SIZES:
        drawn = exercise.draw(generator(seed, "tensors", "growing", size), size, size, 3)
        contenders = {"loop": exercise.loop, "vectorised": exercise.vectorised}
        for who, work in ready(exercise, contenders, drawn).items():
            works[who, size] = work
    # All sizes in one round: a machine that slows down for a while bends no curve.
    middle = {key: statistics.median(times) for key, times in microseconds(works, rounds).items()}
    return runs.figures.curves(
        {who: (SIZES, [middle[who, size] for size in SIZES]) for who in ("loop", "vectorised")},
        x="N",
        y="microseconds",
        log=True,
    )


def broadcasting() -> "Figure":
    """Draw a column and a row, both repeated, their sum and their product."""
    import numpy as np

    column, row = np.arange(1.0, 5.0)[:, None], np.arange(1.0, 7.0)[None]  # (4, 1), (1, 6)
    alone = np.full((2, 4, 6), np.nan)
    alone[0, :, :1], alone[1, :1] = column, row
    repeated = np.broadcast_arrays(column, row)
    figure = runs.figures.map_grid(
        np.stack([*alone, *repeated, column + row, column * row]),
        titles=[
            "a column, 4×1",
            "a row, 1×6",
            "the column, repeated",
            "the row, repeated",
            "their sum",
            "their product",
        ],
        columns=2,
        bar=False,
    )
    write_numbers(figure)
    return figure


def missing_keepdim() -> "Figure":
    """Draw a square matrix, its rows made zero on average, and the same line without keepdim."""
    import numpy as np

    x = np.array([6.0, -3.0, 0.0, 3.0, -6.0])[:, None] + np.array([-1.0, 0.0, 1.0, 2.0, -2.0])
    figure = runs.figures.map_grid(
        np.stack([x, x - x.mean(axis=1, keepdims=True), x - x.mean(axis=1)]),
        titles=["x", "x - x.mean(1, keepdim=True)", "x - x.mean(1)"],
        columns=3,
        centred=True,
        bar=False,
    )
    write_numbers(figure)
    return figure


def write_numbers(figure: "Figure") -> None:
    """Write its number into each cell of each map, dark on light and light on dark."""
    import numpy as np

    for image in figure.axes[0].images:
        values: np.ndarray = np.ma.filled(np.ma.asarray(image.get_array()), np.nan)
        left, right, bottom, top = image.get_extent()
        high, wide = values.shape
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                red, green, blue, _ = image.cmap(image.norm(value))
                figure.axes[0].text(
                    left + (j + 0.5) * (right - left) / wide,
                    top + (i + 0.5) * (bottom - top) / high,
                    f"{value:.0f}".replace("-", "−"),
                    color="white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.5 else "black",
                    fontsize=8,
                    ha="center",
                    va="center",
                )


def cut_images(seed: int) -> "Figure":
    """Draw images, their patches, and what a reshape alone makes of them."""
    import numpy as np
    import torch

    from vislab.data.shapes import draw_scenes, render
    from vislab.scratch.tensor_exercises import patches

    images = render(draw_scenes(range(2), seed=seed, difficulty="easy"), PIXELS)
    first = torch.from_numpy(images).permute(0, 3, 1, 2).float()  # (N, C, H, W)
    cut = patches(first, PATCH)  # (N, P, C, S, S)
    only_reshaped = first.reshape(cut.shape)
    rows = []
    for place in range(len(images)):
        rows += [
            np.pad(images[place], ((EDGE, EDGE), (EDGE, EDGE), (0, 0)), constant_values=255),
            *(apart(many[place].to(torch.uint8).numpy()) for many in (cut, only_reshaped)),
        ]
    return runs.figures.image_grid(
        np.stack(rows), titles=["the image", "patches", "reshape alone"] * 2, columns=3
    )


def apart(patches: "UInt8[np.ndarray, 'p 3 s s']") -> "UInt8[np.ndarray, 'side side 3']":
    """Lay the patches of a square image out in their order, white between them."""
    import numpy as np

    across = math.isqrt(len(patches))
    step = patches.shape[2] + GAP
    sheet = np.full((across * step - GAP, across * step - GAP, 3), 255, dtype=np.uint8)
    for place, patch in enumerate(patches):
        i, j = divmod(place, across)
        sheet[i * step : (i + 1) * step - GAP, j * step : (j + 1) * step - GAP] = patch.transpose(
            1, 2, 0
        )
    return sheet
