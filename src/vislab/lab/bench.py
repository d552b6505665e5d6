"""The bench with one run open on it: what a recipe uses to tell its experiment."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from vislab import data, models
from vislab.data.annotated_images import Wanted
from vislab.data.augment import Augment
from vislab.data.batches import in_order
from vislab.data.decode import Fit
from vislab.data.images import HowToSplit
from vislab.data.table import Table
from vislab.errors import DataError, OptionError
from vislab.evaluate.classification import show_grad_cam
from vislab.evaluate.report import report
from vislab.evaluate.testing import run_test, told, write_down
from vislab.lab.checkpoints import load_checkpoint
from vislab.lab.head_training import HeadTraining, can_be_kept
from vislab.lab.same_data import SameData, digest_of
from vislab.lab.solving import CHECKED, Terms, data_of, solve
from vislab.lab.training import Plan, Watch, train
from vislab.lab.variants import (
    Variant,
    Variants,
    require_names,
    train_variant,
    train_variants,
)
from vislab.lab.whole_training import WholeTraining
from vislab.models.parameter_groups import ParameterGroups
from vislab.models.weights import save_weights
from vislab.ops import processes
from vislab.ops.seeding import seed_of
from vislab.profiling.costs import costs
from vislab.runs.folder import RunFolder, file_name
from vislab.runs.model_card import ModelCard
from vislab.runs.notebook import Notebook
from vislab.runs.references import Protocol, as_cells
from vislab.runs.witnessed import read_witnessed, write_witnessed
from vislab.scratch.solver import Solver
from vislab.tasks.classify import Classified, Classify
from vislab.tasks.engines import ByHand
from vislab.tasks.layout import settle_layout
from vislab.tasks.outcome import Outcome
from vislab.tasks.task import Measured, Task

if TYPE_CHECKING:
    pass

UNTRAINED = {"epoch": 0, "seconds": 0.0, "stopped_by": "strategy none", "best": None}


class Lab(Notebook):
    """One run: it opens images, trains, tests, and files what it finds in the run folder."""

    def __init__(
        self,
        run: RunFolder,
        *,
        seed: int = 0,
        minutes: float | None = None,
        save_every: float = 20.0,
        quiet: bool = False,
        watch: Watch | None = None,
        data_changed: bool = False,
    ) -> None:
        super().__init__(run, quiet=quiet)
        self._data = SameData(run, may_change=data_changed)
        self.seed, self.watch = seed, watch
        self.minutes, self.save_every = minutes, save_every
        self.device = processes.device()
        self._fits_left = 1
        self._seconds_used = 0.0
        self._protocols: dict[int, dict[str, Any]] = {}  # of each task that was trained
        self._trained: dict[str, str] = {}  # names, by their folder of checkpoints
        self._reseed("start")

    def _reseed(self, after: str) -> None:
        # Weights drawn next depend on what came before by name, not on how much it drew.
        torch.manual_seed(seed_of(self.seed, "after", after))

    def images(
        self,
        where: str,
        *,
        size: int = 64,
        per_class: int | None = None,
        validation: float = 0.0,
        split: HowToSplit = "given",
        labelled: bool = True,
        disjoint: bool = False,
        labels: str | None = None,
        fit: Fit = "crop",
    ) -> Table:
        """Open images (see `vislab.data.images`) and note in the run what they are.

        Raises DataError when there is nothing to test on.
        """
        options: dict[str, Any] = {
            "size": size, "per_class": per_class, "validation": validation, "split": split,
            "labelled": labelled, "disjoint": disjoint, "labels": labels, "fit": fit,
        }  # fmt: skip
        if processes.rank() == 0:
            data.images(where, **options)
        processes.wait()  # the others map what the first has decoded
        return self.open(data.images(where, **options), where)

    def annotated(
        self,
        where: str,
        *,
        wanted: Wanted,
        size: int,
        limit: int | None = None,
        validation: float = 0.0,
        skip_bad: bool = False,
        test_on: Literal["test", "val"] = "test",
    ) -> Table:
        """Open annotated images (see `vislab.data.annotated`) and note in the run what they are.

        `test_on="val"` tests on the validation split and leaves the test split alone.
        Raises DataError when there is nothing to test on, or an annotation cannot be learned from.
        """
        options: dict[str, Any] = {"wanted": wanted, "size": size, "limit": limit,
                                   "validation": validation, "skip_bad": skip_bad}  # fmt: skip
        if processes.rank() == 0:
            data.annotated(where, **options)
        processes.wait()  # the others map what the first has decoded
        opened = data.annotated(where, **options)
        if test_on == "val":
            opened = opened.tested_on_validation()
        if wanted == "boxes" and not opened.about()["instances"]["test"]:
            raise DataError(f"{where} has no objects in the images to test on; annotate some")
        return self.open(opened, where)

    def open(self, opened: Table, where: str | None = None) -> Table:
        """Note in the run what a table holds, and return it: for tables that a recipe makes itself.

        Raises DataError when there is nothing to test on, RunError when a resumed run was begun
        with others.
        """
        if len(opened.split("test")) == 0:
            place = where or opened.name
            raise DataError(f"{place} has no images to test on; add some, or a test folder")
        about = {**opened.about(), "digest": digest_of(opened)}
        self._data.note(about)
        counts = about["counts"]
        self.say(
            f"{opened.name}: {len(opened.classes)} classes, "
            + ", ".join(f"{count} {split}" for split, count in counts.items() if count)
            + f", {opened.size}×{opened.size} pixels"
        )
        for note in opened.notes:
            self.say(f"  note: {note}")
        return opened

    def create_model(
        self, network: str, table: Table, *, pretrained: bool = True, **options: Any
    ) -> tuple[nn.Module, ParameterGroups, Table]:
        """Build a network for these classes and return it, its parts, and the images.

        The images come back normalised as the network's weights expect. Raises OptionError when
        it cannot take images of this size.
        """
        count = len(table.classes)
        if network.startswith("timm:"):
            options = {"size": table.size, **options}
        model = models.create(network, classes=count, pretrained=pretrained, **options)
        shown = getattr(model, "preprocessing", None)
        if shown is not None:
            table = table.normalised_by(shown.mean, shown.std)
        try:
            parts = models.parameter_groups(model, torch.zeros(1, 3, table.size, table.size))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise OptionError(
                f"{network} does not take images of {table.size} pixels ({error}); it was "
                f"made for --size {models.natural_size(network, model)}"
            ) from error
        return model, parts, table

    def plan(self, *, fits: int) -> None:
        """Say how many trainings will follow, so that `--minutes` is shared among them."""
        self._fits_left = fits

    def dry_run(self, build: Callable[[str], object], names: Iterable[str]) -> None:
        """Build what each training of a run will need, once, and throw it away.

        An option that only the last of them refuses is then told before the first is trained. No
        weights are drawn otherwise for it.
        """
        with torch.random.fork_rng(devices=[]):
            for name in names:
                build(name)

    def once(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what `make` gives, JSON; a resumed run gets what it found the first time.

        For what a run measures and then builds upon: a rate, a batch, a choice.
        """
        path = self.run.path / "checkpoints" / f"{file_name(name)}.json"
        if path.exists():
            found = read_witnessed(path)
        else:
            found = dict(processes.share(make()))
            if not self.run.silent:
                write_witnessed(path, found)
            processes.wait()
        self._reseed(f"once {name}")  # whether it was made now or before
        return found

    def fit(
        self,
        task: Task,
        table: Table,
        *,
        epochs: int,
        batch: int = 64,
        augment: Augment | None = None,
        tile: int | None = None,
        name: str = "",
        until: float | None = None,
        patience: int | None = None,
    ) -> float | None:
        """Train, or take up a training that was cut short, or load one that is finished.

        A task whose strategy is `head` computes what lies before the head once, where that comes to
        the same; a strategy of `none` has nothing to train and is not trained.

        Give each training a `name` of its own when a recipe trains more than once; a name used
        twice raises ValueError. The unnamed training is the one that `predict` uses.

        With validation images the best epoch's weights are kept and its score (see `Task.score`)
        is returned; without, the last epoch's and None. With `until`, training ends when that share
        of the training images is right, and the last weights are kept. With `tile`, annotated
        images are learned from in windows of so many pixels.
        """
        if epochs < 1:
            raise OptionError(f"--epochs {epochs} trains nothing; use 1 or more")
        augment = augment or Augment()
        task.to(self.device, memory_format=torch.channels_last)
        for network in {task.model, task.network}:
            settle_layout(network, tile or table.size, self.device)
        task.before_step(0.0)
        seed, fit_name = seed_of(self.seed, name, "batches"), self._take_name(name)
        work: HeadTraining | WholeTraining
        if isinstance(task, Classify) and can_be_kept(task, augment):
            work = HeadTraining(
                task, table, batch, seed=seed, augment=augment, device=self.device,
                quiet=self.muted,
            )  # fmt: skip
        else:
            work = WholeTraining(
                task, table, batch, seed=seed, augment=augment, device=self.device, tile=tile
            )
        known = load_checkpoint(self.run.path / "checkpoints" / fit_name)
        if known is None or not known["finished"]:
            begun = time.monotonic()
            work.prepare()
            self._seconds_used += time.monotonic() - begun
        plan = Plan(
            name=fit_name,
            seed=self.seed,
            epochs=epochs,
            seconds=self._seconds_for_next(),
            until=until,
            patience=patience,
            save_every=self.save_every,
            score=task.score,
        )
        has_validation = len(table.split("val")) > 0
        strategy = task.strategy if isinstance(task, Classify) else None
        if strategy is not None and strategy.kind == "none":
            state: dict[str, Any] = dict(UNTRAINED)
        else:
            state = train(
                work.task,
                work.batches,
                self.run,
                plan,
                validate=work.validate if has_validation else None,
                known=work.known,
                quiet=self.quiet,
                watch=self.watch,
            )
        work.finish()
        self._seconds_used += float(state["seconds"])
        self._reseed(name)
        optim = task.optim
        self._note_protocol(
            task, table, augment.describe(), optim.describe(), optim.schedule, batch, state, name
        )
        if not name:
            self.keep(task, table)
        if not state["best"]:
            return None
        best = float(state["best"]["score"])
        self._record_validation(best, table, name, task)
        return best

    def variants(
        self,
        names: Sequence[str],
        build: Callable[[str], Task | tuple[Task, Table]],
        table: Table,
        *,
        of: Iterable[str] | None = None,
        what: str = "networks",
        known: bool = False,
        examine: bool = True,
        fit: Mapping[str, Any] | Callable[[str], Mapping[str, Any]],
    ) -> Variants:
        """Train and test several tasks alike, each under its name, and return all of them.

        `build` returns the task of a name, or the task and the images as it needs them; each is
        built once before the first is trained, so that what one refuses is told at once. `fit` are
        the options of `fit`, the same for all or by name. A name that is none `of` these is refused
        first. With `known` the training images are
        tested as well. Images are normalised as a pre-trained network expects.
        """
        require_names(names, of, what)
        return train_variants(
            self, names, build, table, what=what, known=known, examine=examine, fit=fit
        )

    def variant(
        self,
        task: Task,
        table: Table,
        *,
        name: str,
        known: bool = False,
        examine: bool = True,
        **fit: Any,
    ) -> Variant:
        """Train and test one task under its name; `fit` are the options of `fit`.

        For trainings that follow one another, where `variants` trains all alike.
        """
        return train_variant(self, task, table, name=name, known=known, examine=examine, fit=fit)

    def solve(
        self,
        task: ByHand,
        table: Table,
        *,
        rule: str,
        config: Mapping[str, float],
        epochs: int,
        batch: int,
        decay: float = 1.0,
        name: str = "",
        order: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Solver:
        """Train by `scratch.Solver`, with either engine, as `fit` trains a task.

        The best epoch's weights on validation are kept. Returns the solver with its histories. A
        `name` is needed when a recipe trains more than once, as for `fit`; trainings of one
        `order` see the same batches. `data` stands for images and labels where the network
        reads something else (see `Solver`).
        """
        if epochs < 1:
            raise OptionError(f"--epochs {epochs} trains nothing; use 1 or more")
        if processes.world_size() > 1:
            raise OptionError("what trains by hand trains in one process; leave --devices out")
        solver = Solver(
            task.engine, data or data_of(table, task), rule, dict(config), decay, batch, epochs,
            num_train_samples=CHECKED, seed=seed_of(self.seed, order or name, "batches"),
        )  # fmt: skip
        fit_name = self._take_name(name)
        terms = Terms(fit_name, self._seconds_for_next(), self.save_every, self.quiet)
        state = solve(solver, self.run, terms)
        self._seconds_used += float(state["seconds"])
        self._reseed(name)
        schedule = "constant" if decay == 1 else f"×{decay:g} an epoch"
        self._note_protocol(
            task, table, "none", f"{rule} {config['learning_rate']:g}", schedule, batch, state,
            name,
        )  # fmt: skip
        if not name:
            self.keep(task, table)
        if solver.best_epoch:
            self._record_validation(solver.best_val_acc, table, name, task)
        return solver

    def _take_name(self, name: str) -> str:
        # By its folder, or the second training would take up the first one's checkpoint.
        fit_name = file_name(name) if name else "training"
        if fit_name in self._trained:
            raise ValueError(
                f"a training named {name!r} cannot follow one named {self._trained[fit_name]!r} in "
                "the same run; give each lab.fit and lab.solve of a recipe a name of its own"
            )
        self._trained[fit_name] = name
        return fit_name

    def _record_validation(
        self,
        score: float,
        table: Table,
        name: str,
        task: Measured,
    ) -> None:
        # No interval: the best of several epochs is no fair draw.
        metric, trivial = task.score, task.chance(table).get(task.score)
        self.record(f"{name}/val/{metric}" if name else f"val/{metric}", score, trivial=trivial)

    def _seconds_for_next(self) -> float | None:
        if self.minutes is None:
            return None
        left = max(self.minutes * 60 - self._seconds_used, 1.0)
        share = left / max(self._fits_left, 1)
        self._fits_left -= 1
        return share

    def _note_protocol(
        self,
        task: Task | ByHand,
        table: Table,
        augmentation: str,
        optimiser: str,
        schedule: str,
        batch: int,
        state: dict[str, Any],
        name: str,
    ) -> None:
        epochs = int(state["epoch"])
        rate = state.get("images_per_second")
        entry = self._cost_entry(name)
        if rate is not None:
            entry["train_images_per_second"] = rate
        entry.update({"epochs": epochs, "seconds": state["seconds"]})
        entry["stopped_by"] = state["stopped_by"]
        built = getattr(task.model, "built_as", {})
        strategy = getattr(task, "strategy", None)
        protocol = as_cells(
            Protocol(
                data=table.name,
                train=len(table.split("train")),
                subset=table.subset,
                test=len(table.split("test")),
                pixels=table.origin,
                size=table.size,
                network=", ".join(
                    map(str, filter(None, (built.get("name", type(task.model).__name__), strategy)))
                ),
                augmentation=augmentation,
                optimiser=optimiser,
                schedule=schedule,
                batch=batch,
                epochs=epochs,
                metric=getattr(task, "score", "accuracy"),
            )
        )
        self._protocols[id(task)] = protocol
        if not name or not self.run.result.protocol:
            self.run.result.protocol = protocol

    def _cost_entry(self, name: str) -> dict[str, Any]:
        for known in self.run.result.costs:
            if known.get("name") == name:
                return known
        entry: dict[str, Any] = {"name": name}
        self.run.result.costs.append(entry)
        return entry

    def keep(
        self,
        task: Task | ByHand,
        table: Table,
        *,
        crop: str | None = None,
    ) -> None:
        """Make this network the run's own: the one that `predict` uses.

        With `crop="face"` it is shown the largest face of a photo.
        """
        self.run.result.protocol = self._protocols.get(id(task), self.run.result.protocol)
        mean, std = table.normalisation
        card = ModelCard(
            built_as=getattr(task.model, "built_as", None),
            classes=table.classes, size=table.size, mean=mean, std=std, crop=crop,
            fit=table.fit, depth=table.depth,
            answers=task.answers, takes=task.takes, outputs=task.outputs,
        )  # fmt: skip
        if not self.run.silent:
            card.write(self.run.path)
            path = self.run.path / "model.safetensors"
            self.run.result.weights_sha256 = save_weights(path, task.network.state_dict())

    def test(
        self,
        task: Measured,
        table: Table,
        *,
        split: str = "test",
        name: str = "",
        examine: bool = True,
        outcome: Outcome | None = None,
    ) -> Any:
        """Test any task on a split, unless its `outcome` is known already; record every score.

        Each with its 95 % interval and what the trivial answer scores. For the test split also what
        the outcome's kind has to show (see `evaluate.report`) and, with `examine`, what the network
        costs. Returns the outcome.
        """
        known = outcome is not None
        outcome = outcome or run_test(task, table, split, device=self.device, quiet=self.muted)
        trivial = {**task.chance(table), **outcome.trivial}
        write_down(self, outcome, trivial, split, name)
        if not known:
            self.say(told(task, outcome, trivial, split, name))
        if split == "test":
            report(outcome, self, task, table, name, examine=examine)
            if examine and isinstance(outcome, Classified) and not self.run.silent:
                entry = self._cost_entry(name)
                entry.update(costs(task.model, table.size, self.device))
        self.run.save()
        if isinstance(outcome, Classified):  # of other tasks no run has drawn anew after a test
            self._reseed(f"{name} {split}")
        return outcome

    def why(self, task: Task, table: Table, outcome: Classified, *, count: int = 4) -> None:
        """Show where the network looked on test images: some it got right, some wrong."""
        show_grad_cam(self, task, table, outcome, count)

    def example(self, table: Table, *, split: str = "test", place: int = 0) -> torch.Tensor:
        """Return one normalised image (3, S, S) on the bench's device."""
        batch = next(iter(in_order(table, split, batch=place + 1, device=self.device)))
        return batch.images[place]
