"""What is known of a sweep, as its folder's result, table, figures and report.

All of it is written from scratch each time, so that any worker can write it at any moment.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vislab.runs import figures
from vislab.runs.figures.trials import Parameter
from vislab.runs.folder import Result, RunFolder
from vislab.runs.formatting import edge_sentence, is_share, label, measured, number, points
from vislab.runs.lesson import read_lesson
from vislab.runs.report import write_report
from vislab.sweep.space import Axis, Choice, Span, Value, written

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LESSON = """Search the options of a recipe, and see which of them matter.

Every trial is one run of the recipe with options drawn from the ranges and choices that were asked
for: the first at random, the later ones near what went well (Optuna's tree-structured Parzen
estimator). A trial that lags behind the others may be stopped early.

Question: Which of the options will matter most, and where does the best value of each lie?
Look at: The slices: does the best trial lie inside a range, or at its edge, so that the range was
too narrow?
Look at: The parallel lines: do the dark ones pass together through one place of an axis? Where they
spread over it, that option hardly matters.
Look at: How close the second best trial comes with quite other options.
"""

EDGE = 0.05  # of a range, at either end


@dataclass(frozen=True)
class Trial:
    """What is known of one trial: `state` is complete, pruned, failed, underway or waiting."""

    number: int
    state: str
    params: Mapping[str, Value]
    value: float | None = None
    epochs: int | None = None
    seconds: float | None = None
    folder: str = ""
    why: str = ""  # it was pruned, or failed
    trivial: float | None = None


@dataclass(frozen=True)
class Found:
    """All that is known of a sweep by now. `wanted` is how many trials were asked for."""

    recipe: str
    seed: int
    axes: tuple[Axis, ...]
    metric: str
    lowest: bool
    wanted: int
    trials: tuple[Trial, ...]  # by number
    fixed: tuple[str, ...] = ()  # options that were not varied
    importances: Mapping[str, float] | None = None

    @property
    def best(self) -> Trial | None:
        """The best of the complete trials."""
        ranked = self.ranked()
        return ranked[0] if ranked else None

    def ranked(self) -> list[Trial]:
        """Return the complete trials, the best first, the earlier first among equals."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        return sorted(complete, key=lambda t: worth(t) if self.lowest else -worth(t))

    @property
    def share(self) -> bool:
        """Whether the metric is written in percent."""
        return is_share(self.metric)

    def value(self, value: float | None) -> str:
        """Write a value of the metric."""
        return measured(value, share=self.share)

    def apart(self, first: float, second: float) -> str:
        """Write a difference of two values of the metric, without its sign."""
        if self.share and abs(first - second) < 0.0005:
            return "less than 0.1 points"
        return points(first - second) if self.share else number(abs(first - second))


def worth(trial: Trial) -> float:
    """Return the value of a trial that has one."""
    assert trial.value is not None, f"trial {trial.number} is {trial.state}"
    return trial.value


def setting(params: Mapping[str, Value]) -> str:
    """Write a trial's options on a line."""
    return ", ".join(f"{name} {short(value)}" for name, value in params.items())


def short(value: Value) -> str:
    """Write a value with the digits that one reads."""
    return f"{value:.4g}" if isinstance(value, float) else written(value)


def file_sweep(
    run: RunFolder, found: Found, *, command: str, again: str, error: str | None
) -> None:
    """Write result, figures, table and report of a sweep from scratch.

    `command` repeats the sweep, `again` runs its best setting; `error` is what ended it.
    """
    over = Counter(trial.state for trial in found.trials)
    ended = over["complete"] + over["pruned"] + over["failed"]
    title = f"Sweep of {found.recipe} over {', '.join(axis.name for axis in found.axes)}"
    lesson = read_lesson(LESSON)
    best = found.best
    said = notes(found, again) if best is not None else []
    warning = [test_warning(found.metric)] if is_test(found.metric) else []
    run.result = Result(
        recipe="sweep",
        status="failed" if error else "finished" if ended >= found.wanted else "interrupted",
        title=title,
        seed=found.seed,
        command=command,
        lesson={**asdict(lesson), "title": title, "story": [*lesson.story, *said[:1], *warning]},
        notes=[*said, *warning],
        error=error,
        seconds=sum((trial.seconds or 0.0 for trial in found.trials), start=0.0),
    )
    if best is not None:
        run.result.metrics[f"best {found.metric}"] = worth(best)
        if best.trivial is not None:
            run.result.trivial[f"best {found.metric}"] = best.trivial
    run.result.metrics["trials"] = float(ended)
    for state in ("complete", "pruned", "failed"):
        run.result.metrics[f"trials {state}"] = float(over[state])
    _file_table(run, found)
    if any(trial.value is not None for trial in found.trials):
        _file_figures(run, found)
    run.save()
    write_report(run)


def notes(found: Found, again: str) -> list[str]:
    """Return what to make of the best trial, in sentences."""
    first, *others = found.ranked()
    if len(others) > 1 and all(worth(other) == worth(first) for other in others):
        return [
            f"All {len(others) + 1} complete trials have the same {label(found.metric)}, "
            f"{found.value(first.value)}: within these ranges none of the options matters to it. "
            "Widen the ranges, or take a metric that what is varied can move."
        ]
    lines = [
        f"Trial {first.number} is the best, with {label(found.metric)} {found.value(first.value)}: "
        f"{setting(first.params)}."
    ]
    for second in others[:1]:
        behind = f"{found.apart(worth(first), worth(second))} behind"
        by = "just as good" if worth(first) == worth(second) else behind
        lines.append(f"The second best, trial {second.number}, is {by}: {setting(second.params)}.")
    tried = sum(trial.state in ("complete", "pruned") for trial in found.trials)
    return [
        " ".join([*lines, *at_the_edge(found, first)]),
        f"The best of {tried} trials flatters itself: part of its lead is luck. Test it once, on "
        f"images that chose nothing, before you believe the number. {not_tried(found)}",
        f"The best setting again: `{again}`",
    ]


def at_the_edge(found: Found, best: Trial) -> list[str]:
    """Say of which options the best value is the last that was tried: a better one may lie beyond.

    For a range that is the outermost twentieth of it.
    """
    said = []
    for axis in found.axes:
        value = best.params.get(axis.name)
        ends = _ends(axis)
        if ends is None or not isinstance(value, int | float):
            continue
        low, high = ends
        if isinstance(axis, Span):
            share = _share(axis, value)
            side = "lower" if share <= EDGE else "upper" if share >= 1 - EDGE else ""
        else:
            side = "lower" if value == low else "upper" if value == high else ""
        if side:
            said.append(edge_sentence(axis.name, short(value), side, short(low), short(high)))
    return said


def _ends(axis: Axis) -> tuple[int | float, int | float] | None:
    """Return the least and largest value of an axis of at least two numbers, None of others."""
    if isinstance(axis, Span):
        return axis.low, axis.high
    numbers = [v for v in axis.values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < max(2, len(axis.values)):
        return None
    return min(numbers), max(numbers)


def _share(axis: Span, value: int | float) -> float:
    """Return how far along its range a value lies, from 0 to 1."""
    low, high, here = axis.low, axis.high, value
    if axis.log:
        low, high, here = math.log(low), math.log(high), math.log(value)
    return (here - low) / (high - low) if high > low else 0.5


def not_tried(found: Found) -> str:
    """Say what the sweep knows nothing of."""
    said = []
    for axis in found.axes:
        if isinstance(axis, Choice):
            drawn = [trial.params.get(axis.name) for trial in found.trials]
            missing = [written(value) for value in axis.values if value not in drawn]
            if missing:
                said.append(f"{axis.name} {', '.join(missing)}")
    varied = ", ".join(axis.name for axis in found.axes)
    said.append(f"anything outside the ranges of {varied}")
    if found.fixed:
        said.append(f"other values of {', '.join(found.fixed)}, which stayed as they were")
    early = sum(trial.state == "pruned" for trial in found.trials)
    ends = f" {early} trials were stopped early and could have caught up." if early else ""
    return f"Not tried: {'; '.join(said)}.{ends}"


def is_test(metric: str) -> bool:
    """Return whether a metric is measured on test images."""
    return "test" in metric.split("/")


def test_warning(metric: str) -> str:
    """Return why it is no good to choose by a test metric."""
    return (
        f"These trials were chosen by {metric}: after that the test images are no test any more, "
        "and the best value will not be reached on new ones. Choose by val/accuracy."
    )


def _file_table(run: RunFolder, found: Found) -> None:
    names = [axis.name for axis in found.axes]
    before, after = ("trial", "state", found.metric), ("folder", "why")
    taken = {*before, "epochs", "seconds", *after}
    options = [f"option {name}" if name in taken else name for name in names]
    run.add_table(
        "trials",
        (*before, *options, "epochs", ("seconds", ".1f"), *after),
        [
            (
                trial.number,
                trial.state,
                trial.value,
                *(written(trial.params[name]) if name in trial.params else None for name in names),
                trial.epochs,
                trial.seconds,
                trial.folder,
                trial.why,
            )
            for trial in found.trials
        ],
        caption="Every trial's folder holds its own report. Of a pruned trial the value is the one "
        "of its last epoch.",
        folded=True,
    )


def _file_figures(run: RunFolder, found: Found) -> None:
    shown = [trial for trial in found.trials if trial.value is not None]
    parameters = {axis.name: _parameter(axis, shown) for axis in found.axes}
    values = [trial.value for trial in shown]
    options: dict[str, Any] = {
        "metric": found.metric,
        "pruned": [place for place, trial in enumerate(shown) if trial.state == "pruned"],
        "share": found.share,
        "lowest": found.lowest,
    }
    better = "lower" if found.lowest else "higher"
    _show(
        run,
        "trials as parallel coordinates",
        figures.parallel_coordinates(parameters, values, **options),
        f"Each line is a trial and crosses every axis at its value; the {better} {found.metric}, "
        "the darker.",
    )
    _show(
        run,
        "slices",
        figures.slices(parameters, values, **options),
        f"{found.metric} of every trial against one option at a time; the others differ too.",
    )
    so_far = best_so_far(found)
    if len(so_far) > 1:
        drawn = figures.curves(
            {"best so far": (list(so_far), list(so_far.values()))},
            x="complete trial", y=f"best {found.metric} so far", share=found.share,
        )  # fmt: skip
        _show(run, "best so far", drawn, "Where it is flat for long, more trials promise little.")
    if found.importances and len({trial.value for trial in shown}) > 1:
        drawn = figures.bars(list(found.importances), list(found.importances.values()), unit="%")
        _show(
            run,
            "which option mattered",
            drawn,
            "The share of each option in what sets good trials apart from the others (PED-ANOVA, "
            "Watanabe et al. 2023). With few trials these shares are rough.",
        )


def best_so_far(found: Found) -> dict[int, float]:
    """Return the best value after each complete trial, by its number."""
    best: dict[int, float] = {}
    for trial in found.trials:
        if trial.state == "complete":
            known = [*list(best.values())[-1:], worth(trial)]
            best[trial.number] = min(known) if found.lowest else max(known)
    return best


def _parameter(axis: Axis, trials: Sequence[Trial]) -> Parameter:
    if isinstance(axis, Span):
        drawn = [
            value for trial in trials if isinstance(value := trial.params[axis.name], int | float)
        ]
        return Parameter(drawn, log=axis.log, ends=(axis.low, axis.high))
    names = [written(value) for value in axis.values]
    return Parameter([written(trial.params[axis.name]) for trial in trials], choices=names)


def _show(run: RunFolder, title: str, figure: "Figure", caption: str) -> None:
    png, svg = figures.to_png(figure), figures.to_svg(figure)
    run.add_figure(title, png, caption=caption, svg=svg)
