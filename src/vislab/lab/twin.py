"""Two engines, one network: where do the gradients by hand and those of autograd differ?

Both begin with the same weights and see the same batches; each takes its own steps. What should be
equal is compared after every step: the loss, and every parameter's gradient. Then, for one small
batch, every layer is asked alone: does its gradient agree with autograd's of its own forward pass,
and with finite differences of it? A wrong layer spoils the gradients of all layers below it, but
only its own two answers.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vislab import runs
from vislab.errors import OptionError, VislabError, pick
from vislab.lab.knobs import flags
from vislab.lab.recipe import Recipe
from vislab.lab.solving import data_of
from vislab.ops.seeding import generator
from vislab.progress import track
from vislab.scratch.gradient_check import check_gradient, rel_error
from vislab.scratch.network import Network
from vislab.scratch.tracing import Call, parse_place, trace
from vislab.scratch.update_rules import RULES, Config
from vislab.tasks.engines import AutogradEngine, ByHand

if TYPE_CHECKING:
    from vislab.data.table import Table
    from vislab.lab.bench import Lab

# Gradients differ by rounding and, because each engine goes its own way, a little more each step.
GRADIENT_TOLERANCE = 1e-7
# A layer alone: against autograd only rounding; against differences, of step 1e-9, less exact.
LAYER_TOLERANCE, NUMERIC_STEP, NUMERIC_TOLERANCE = 1e-10, 1e-9, 1e-4
SHOWN = 4  # images in the batch that every layer is checked on


@dataclass(frozen=True)
class Pair:
    """What a recipe gives to be compared: a network in float64 and batches for its steps."""

    network: Network
    batch: Callable[[int], tuple[Any, Tensor]]  # X and y of a step
    rule: str = "sgd"
    config: Config = field(default_factory=lambda: {"learning_rate": 1e-2})


class TwinsDiffer(VislabError):
    """The engines differ by more than the tolerance."""


@dataclass
class Steps:
    """What each step found: losses by hand, their differences, and each gradient's difference."""

    losses: list[float] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)
    gradients: list[dict[str, float]] = field(default_factory=list)

    def worst(self, step: int) -> tuple[str, float]:
        """Return the parameter whose gradients differ most at a step, and by how much."""
        name = max(self.gradients[step], key=lambda known: self.gradients[step][known])
        return name, self.gradients[step][name]


@dataclass(frozen=True)
class LayerCheck:
    """One layer alone: its largest relative errors against autograd and against differences."""

    name: str
    autograd: float
    numeric: float

    @property
    def wrong(self) -> bool:
        """Whether either check refuses it."""
        return not (self.autograd <= LAYER_TOLERANCE and self.numeric <= NUMERIC_TOLERANCE)


def compare(pair: Pair, steps: int, plant: tuple[str, int, str] | None, *, quiet: bool) -> Steps:
    """Train both engines side by side and return what differed."""
    by_hand, twin = pair.network, AutogradEngine(pair.network)
    rule = pick(RULES, pair.rule, "update rule")
    configs: dict[str, dict[str, Config]] = {
        who: {name: dict(pair.config) for name in by_hand.params} for who in ("hand", "autograd")
    }
    found = Steps()
    with track("comparing the engines", total=steps, quiet=quiet) as advance:
        for step in range(steps):
            X, y = pair.batch(step)
            for engine in (by_hand, twin):
                if engine.generator is not None:
                    engine.generator.manual_seed(step)
            with trace(plant) as calls:
                loss, grads = by_hand.loss(X, y)
            their_loss, their_grads = twin.loss(X, y)
            if plant is not None:
                _require_layer(plant, calls)
            found.losses.append(loss)
            found.differences.append(abs(loss - their_loss))
            found.gradients.append(differences(grads, their_grads)[0])
            for who, engine, ours in (("hand", by_hand, grads), ("autograd", twin, their_grads)):
                for name, gradient in ours.items():
                    weight, config = engine.params[name], configs[who][name]
                    engine.params[name], configs[who][name] = rule(weight, gradient, config)
            advance(1)
    return found


def _require_layer(plant: tuple[str, int, str], calls: list[Call]) -> None:
    names = [call.name for call in calls]
    if f"{plant[0]} {plant[1]}" not in names:
        known = ", ".join(name.replace(" ", ":") for name in names)
        raise OptionError(f"this network has no layer {plant[0]}:{plant[1]}; it has {known}")


def check_layers(pair: Pair, plant: tuple[str, int, str] | None) -> list[LayerCheck]:
    """Check each layer alone on a small batch; return the checks from the input up.

    Each is asked at a point near the one it saw: in a network many of its numbers are exactly zero
    or equal, where ReLU and MaxPool have no derivative to agree on.
    """
    X, y = pair.batch(0)
    with trace(plant) as calls:
        pair.network.loss(X[:SHOWN], y[:SHOWN])
    return [check_layer(call) for call in calls if call.dout is not None]


def check_layer(call: Call) -> LayerCheck:
    """Check a layer's gradients against autograd of its own forward pass and differences of it."""
    draws = generator("near", call.name)
    inputs = list(call.inputs)
    for place in call.differentiated:
        x = inputs[place].detach()
        noise = torch.randn(x.shape, generator=draws, dtype=x.dtype).to(x.device)
        inputs[place] = x + 0.5 * (x.std(correction=0) + 1e-3) * noise
    assert call.dout is not None, "the layer went backward"
    ours = call.backward(call.dout, call.forward(tuple(inputs))[1])
    return LayerCheck(
        call.name,
        _against_autograd(call, inputs, ours),
        _against_differences(call, inputs, ours),
    )


def _against_autograd(call: Call, inputs: list[Any], ours: tuple[Tensor, ...]) -> float:
    leaves = list(inputs)
    for place in call.differentiated:
        leaves[place] = leaves[place].clone().requires_grad_()
    asked = [leaves[place] for place in call.differentiated]
    with torch.enable_grad():
        out = call.forward(tuple(leaves))[0]
    theirs = torch.autograd.grad(out, asked, call.dout)
    return differences(dict(enumerate(ours)), dict(enumerate(theirs)))[1]


def _against_differences(call: Call, inputs: list[Any], ours: tuple[Tensor, ...]) -> float:
    worst = 0.0
    for place, claimed in zip(call.differentiated, ours, strict=True):

        def moved(value: Tensor, place: int = place) -> Tensor:
            return call.forward((*inputs[:place], value, *inputs[place + 1 :]))[0]

        found = check_gradient(
            moved, inputs[place], claimed, call.dout,
            tolerance=float("inf"), directions=2, coordinates=4, h=NUMERIC_STEP,
        )  # fmt: skip
        worst = max(worst, found.along_directions, found.by_coordinates)
    return worst


def largest_of(values: Iterable[float]) -> float:
    """Return the largest; NaN where one is: `max` would depend on their order."""
    return float(torch.tensor(list(values), dtype=torch.float64).max())


def differences(
    ours: Mapping[Any, Tensor], theirs: Mapping[Any, Tensor]
) -> tuple[dict[Any, float], float]:
    """Return the relative difference of each gradient, and the largest of them.

    Relative to its own size, but never to less than a millionth of the largest gradient: a bias
    before batch normalisation has the gradient zero, and two roundings of zero differ wholly.
    """
    largest = max(float(g.abs().max()) for g in ours.values())
    found = {
        name: rel_error(ours[name], theirs[name], eps=1e-6 * largest + 1e-300) for name in ours
    }
    return found, largest_of(found.values())


@dataclass(frozen=True)
class Twin(Recipe):
    """Compare the engines: the same network by hand and by autograd, step by step.

    Both begin with the same weights, in float64, and see the same batches. Drawn are the
    differences of the loss and of every parameter's gradient, then each layer's own two checks.

    Question: The two engines add the same numbers in another order. How large a difference of the
    loss would you expect in float64?
    Look at: The differences of the loss: rounding, about 1e-16 of the loss, or more?
    Look at: The gradients by parameter: with a planted fault, where does the dark begin?
    Look at: The checks of each layer alone: only the faulty one is refused.
    Exercise: A float64 has 52 binary digits after the first. To how many decimal digits is that?
    Answer: 15
    Exercise: A layer's backward pass has the wrong sign. How many layers above it, nearer to the
    loss, get a wrong gradient?
    Answer: 0
    """

    verb = "twin"

    recipe: Recipe = field(default_factory=Recipe)
    """What is compared."""
    steps: int = 50
    """Steps that both engines take."""
    inject: str | None = None
    """Plant a wrong gradient in this layer: its kind and its place, such as Conv:2."""
    fault: str = "sign"
    """What is wrong with it: sign, factor (a missing 2) or transpose."""
    tolerance: float = 1e-10
    """The largest difference of the loss that passes."""

    def words(self) -> list[str]:
        """Return its own options, and those in which the recipe is not in its quick size."""
        quick = type(self.recipe)(**self.recipe.quick)
        return flags(replace(self, recipe=Recipe())) + flags(self.recipe, beside=quick)

    def run(self, lab: "Lab") -> None:
        """Compare, draw, and raise TwinsDiffer when they differ."""
        pair = pair_of(self.recipe, lab)
        plant = None if self.inject is None else (*parse_place(self.inject), self.fault)
        checks = check_layers(pair, plant)  # before any step, while all weights are equal
        found = compare(pair, self.steps, plant, quiet=lab.quiet)
        for step in range(self.steps):
            name, gradient = found.worst(step)
            lab.say(
                f"  step {step + 1:>3}  loss {found.losses[step]:.6f}  differs by "
                f"{found.differences[step]:.1e}  gradients by {gradient:.1e} at most ({name})"
            )
        self._report(lab, found, checks)
        self._judge(lab, found, checks)

    def _report(self, lab: "Lab", found: Steps, checks: list[LayerCheck]) -> None:
        across = range(1, self.steps + 1)
        lab.record("largest difference of the loss", largest_of(found.differences))
        largest = largest_of(largest_of(step.values()) for step in found.gradients)
        lab.record("largest relative difference of a gradient", largest)
        lab.show(
            "the loss of both engines",
            runs.figures.curves({"by hand": (across, found.losses)}, x="step", y="loss"),
            caption="By hand; autograd's line would lie on it.",
        )
        lab.show(
            "difference of the loss",
            runs.figures.rounding(
                found.differences, across, tolerance=self.tolerance,
                x="step", y="difference of the loss",
            ),
            caption="Float64 keeps about 16 digits; below the line the engines agree.",
        )  # fmt: skip
        names = list(found.gradients[0])  # in the order of going backward
        lab.show(
            "difference of every gradient",
            runs.figures.heat_map(
                [[step[name] for step in found.gradients] for name in names],
                rows=names, columns=[str(step) for step in across],
                x="step", y="parameter, from the loss down", unit="relative difference", log=True,
            ),
            caption="max |a - b| / (max |a| + max |b|) of each parameter's gradient. A bias before "
            "batch normalisation has the gradient zero: what differs there are roundings of zero.",
        )  # fmt: skip
        lab.table(
            "differences by step",
            ("step", ("loss", ".6f"), ("difference", ".1e"), *((name, ".1e") for name in names)),
            [
                (
                    step + 1,
                    found.losses[step],
                    found.differences[step],
                    *(found.gradients[step][name] for name in names),
                )
                for step in range(self.steps)
            ],
            folded=True,
        )
        lab.show(
            "each layer alone",
            runs.figures.rounding_dots(
                [check.name for check in checks],
                {
                    "against autograd": [check.autograd for check in checks],
                    "against finite differences": [check.numeric for check in checks],
                },
                limits={
                    "against autograd": LAYER_TOLERANCE,
                    "against finite differences": NUMERIC_TOLERANCE,
                },
            ),
            caption="Relative error of a layer's gradients, given what came from above. The layers "
            "stand from the input down to the loss.",
        )
        lab.table(
            "checks of each layer",
            ("layer", ("against autograd", ".1e"), ("against differences", ".1e"), "verdict"),
            [(c.name, c.autograd, c.numeric, "wrong" if c.wrong else "right") for c in checks],
        )

    def _judge(self, lab: "Lab", found: Steps, checks: list[LayerCheck]) -> None:
        loss = largest_of(found.differences)
        gradient = largest_of(largest_of(step.values()) for step in found.gradients)
        wrong = [check for check in checks if check.wrong]
        lab.record("layers refused", float(len(wrong)))
        if loss <= self.tolerance and gradient <= GRADIENT_TOLERANCE and not wrong:
            lab.say(
                f"the engines agree: over {self.steps} steps the losses differ by {loss:.1e} at "
                f"most, the gradients by {gradient:.1e}; each of {len(checks)} layers passes alone"
            )
            return
        first = found.gradients[0]
        bad = [name for name, difference in first.items() if difference > GRADIENT_TOLERANCE]
        planted = (
            f", with the planted fault {self.fault!r} in {self.inject}," if self.inject else ""
        )
        text = (
            f"the engines differ{planted} the losses by {loss:.1e} "
            f"(tolerance {self.tolerance:g}), the gradients by {gradient:.1e}"
        )
        if bad:
            text += f"; wrong from the first step on: {', '.join(bad)}"
        if wrong:
            text += (
                ". Asked alone, these are off against autograd and against differences: "
                + ", ".join(f"{c.name} ({c.autograd:.2g} and {c.numeric:.2g})" for c in wrong)
            )
        lab.note(text)
        raise TwinsDiffer(text)


def pair_of(recipe: Recipe, lab: "Lab") -> Pair:
    """Return the pair that a recipe has to compare. Raises OptionError where it has none."""
    make: Callable[[Lab], Pair] | None = getattr(recipe, "pair", None)
    if make is None:
        raise OptionError(
            f"{type(recipe).__name__} takes no gradients, so there is nothing to compare; "
            "`vislab twin` lists the recipes that have two engines"
        )
    return make(lab)


def batches_of(table: "Table", task: ByHand, count: int) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Return a function from a step to its batch of training images."""
    data = data_of(table, task)
    total = len(data["y_train"])

    def batch(step: int) -> tuple[Tensor, Tensor]:
        rows = torch.randint(total, (min(count, total),), generator=generator("twin", step))
        return data["X_train"][rows], data["y_train"][rows]

    return batch
