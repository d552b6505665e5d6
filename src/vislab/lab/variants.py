"""Several networks trained and tested alike: compared, the best one kept, and what each gains.

found = lab.variants(self.networks, build, images, epochs=self.epochs, batch=self.batch)
found.gain("skips: gain in Dice", "unet", over="no-skips")
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vislab.data.table import Table
from vislab.errors import OptionError, pick
from vislab.evaluate.comparison import compare
from vislab.evaluate.report import form_of
from vislab.profiling.costs import known_multiply_adds, parameters
from vislab.runs.formatting import singular
from vislab.tasks.outcome import Outcome
from vislab.tasks.task import Task

Bench = Any  # a `Lab`, whose file imports this one


@dataclass(frozen=True, eq=False)
class Variant:
    """One of them: its task, the images as its network is shown them, and what it came to."""

    task: Task
    table: Table
    validation: float | None  # the best score on validation images, where there are any
    outcome: Any  # of the test images
    known: Any = None  # of the training images, where they were asked

    @property
    def merit(self) -> float:
        """By what the best is chosen: on validation images, or else on test images."""
        return self.outcome.mean() if self.validation is None else self.validation


class Variants(dict[str, Variant]):
    """The variants by name, in the order in which they were trained."""

    def __init__(self, lab: Bench, what: str) -> None:
        super().__init__()
        self.lab, self.what = lab, what

    @property
    def outcomes(self) -> dict[str, Any]:
        """What each came to on the test images."""
        return {name: one.outcome for name, one in self.items()}

    @property
    def best(self) -> str:
        """The best on validation images, the earlier one among equals."""
        return max(self, key=lambda name: self[name].merit)

    def keep(self, name: str | None = None) -> Variant:
        """Make one of them the run's own, the best unless named, and note which."""
        chosen = name or self.best
        one = self[chosen]
        self.lab.keep(one.task, one.table)
        if len(self) > 1:
            why = ""
            if name is None and one.validation is not None:
                why = ", the best on the validation images"
            elif name is None:
                why = (
                    ", the best on the test images, for there are none for validation: its score "
                    "is a little too good"
                )
            self.lab.note(f"Kept for `vislab predict`: {chosen}{why}.")
        return one

    def conclude(self, name: str | None = None) -> Variant:
        """Keep one of them, the best unless named, and file its test as the run's own."""
        one = self.keep(name)
        score, trivial = one.task.score, one.task.chance(one.table)
        if one.validation is not None:
            self.lab.record(f"val/{score}", one.validation, trivial=trivial.get(score))
        self.lab.test(one.task, one.table, outcome=one.outcome)
        return one

    def compare(self) -> None:
        """File a table and a figure of all, and a note on the winner."""
        first = next(iter(self.values()))
        score = first.task.score
        compare(
            self.lab, self.outcomes, what=self.what,
            trivial=first.task.chance(first.table).get(score, first.outcome.trivial.get(score)),
            unit=first.task.units.get(score, ""),
        )  # fmt: skip

    def costs(self) -> None:
        """File what each costs beside what it scores."""
        costs = {cost["name"]: cost for cost in self.lab.run.result.costs}
        form = form_of(next(iter(self.values())).outcome)
        self.lab.table(
            f"what each {singular(self.what)} costs",
            (
                singular(self.what), ("parameters", ",d"), ("MACs", ",d"),
                ("train", form), ("test", form), "epochs", ("minutes", ".1f"),
                ("images/s", ".0f"),
            ),
            [
                (
                    name, parameters(one.task.model),
                    known_multiply_adds(one.task.model, one.table.size),
                    None if one.known is None else one.known.mean(), one.outcome.mean(),
                    costs[name]["epochs"], costs[name]["seconds"] / 60,
                    costs[name].get("train_images_per_second", 0),
                )
                for name, one in self.items()
            ],
        )  # fmt: skip

    def gain(
        self,
        metric: str,
        name: str,
        *,
        over: str,
        score: str | None = None,
        known: bool = False,
    ) -> None:
        """Record by how much one scores more than another on the same images, if both are there.

        By the main score unless another is named; of a loss or a distance, name the one that is to
        be larger first. With `known` on the training images.
        """
        if {name, over} <= self.keys():
            mine, other = self[name], self[over]
            pair = (mine.known, other.known) if known else (mine.outcome, other.outcome)
            value, interval = pair[0].gain_over(pair[1], score)
            self.lab.record(metric, value, interval=interval)


def require_names(names: Sequence[str], of: Iterable[str] | None, what: str) -> None:
    """Raise UnknownName for a name that is none of these, OptionError where there is none."""
    for name in names if of is not None else ():
        pick({known: known for known in of or ()}, name, singular(what))
    if not names:
        some = f"; take some of {', '.join(of)}" if of else ""
        raise OptionError(f"--{what} names none{some}")


def train_variants(
    lab: Bench,
    names: Sequence[str],
    build: Callable[[str], Task | tuple[Task, Table]],
    table: Table,
    *,
    what: str,
    known: bool,
    examine: bool,
    fit: Mapping[str, Any] | Callable[[str], Mapping[str, Any]],
) -> Variants:
    """Train and test each; see `Lab.variants`."""
    lab.plan(fits=len(names))
    lab.dry_run(build, names)
    found = Variants(lab, what)
    for name in names:
        built = build(name)
        task, shown = built if isinstance(built, tuple) else (built, table)
        options = fit(name) if callable(fit) else fit
        found[name] = train_variant(
            lab, task, shown, name=name, known=known, examine=examine, fit=options
        )
    return found


def train_variant(
    lab: Bench,
    task: Task,
    table: Table,
    *,
    name: str,
    known: bool,
    examine: bool,
    fit: Mapping[str, Any],
) -> Variant:
    """Train and test one; see `Lab.variant`."""
    shown = table.shown_to(task.model)
    score = lab.fit(task, shown, name=name, **fit)
    by_heart = lab.test(task, shown, split="train", name=name) if known else None
    outcome: Outcome = lab.test(task, shown, name=name, examine=examine)
    return Variant(task, shown, score, outcome, by_heart)
