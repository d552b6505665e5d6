"""One training, from wherever it stands to its end: Lightning's Trainer over a stream of batches.

The stream is flat: to the Trainer the remaining steps are one epoch. Where epochs end, what is
saved and what is drawn is decided here, as a function of (seed, epoch, step), so that a training
continues at any step without the Trainer having to remember one.
"""

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import lightning.pytorch as lightning
import torch
from safetensors.torch import save
from torch import Tensor

from vislab.errors import NonFiniteLoss, RunError
from vislab.lab.checkpoints import OF_TASK, fitting, load_checkpoint, save_checkpoint
from vislab.lab.sync_batch_norm import share_batch_norm
from vislab.ops import processes
from vislab.ops.seeding import seed_of
from vislab.progress import Advance, track
from vislab.runs.folder import RunFolder
from vislab.runs.report import flat
from vislab.runs.writing import write_bytes
from vislab.tasks.task import Task

RATES = ("optim.lr", "lr", "learning_rate", "learning_rates")  # as recipes call it
SAVING_SHARE = 0.05  # at most this share of the time goes into checkpoints

# Told a training's name, the epoch that ended and the score on validation.
Watch = Callable[[str, int, float], None]


class Stopped(Exception):
    """What a watch raises to end a run early; the run says interrupted, and this sentence."""


@dataclass(frozen=True)
class Plan:
    """How long and under which conditions to train."""

    name: str
    seed: int
    epochs: int
    seconds: float | None  # stop after about this long, with the schedule run through
    until: float | None  # stop once this share of the training images is right
    patience: int | None  # stop after so many epochs without a better validation accuracy
    save_every: float  # seconds between checkpoints
    score: str = "accuracy"  # what is best where it is largest


@runtime_checkable
class Batch(Protocol):
    """N images, this process's part of a batch of `whole`, and what is known of them."""

    @property
    def images(self) -> Tensor:
        """What the network is shown."""
        ...

    @property
    def rows(self) -> Tensor:
        """Places in the split."""
        ...

    @property
    def whole(self) -> int:
        """Images in the whole batch."""
        ...


@runtime_checkable
class Source(Protocol):
    """Where batches come from: so many steps an epoch, beginning at any epoch and step."""

    steps: int
    epoch: int
    first: int

    def __iter__(self) -> Iterator[Batch]:
        """Yield the rest of the epoch."""


class Stream:
    """The batches that remain, epoch after epoch."""

    def __init__(self, batches: Source, epochs: int, *, epoch: int, step: int) -> None:
        self.batches, self.epochs = batches, epochs
        self.epoch, self.step = epoch, step

    def __len__(self) -> int:
        return (self.epochs - self.epoch) * self.batches.steps - self.step

    def __iter__(self) -> Iterator[Batch]:
        for epoch in range(self.epoch, self.epochs):
            self.batches.epoch = epoch
            self.batches.first = self.step if epoch == self.epoch else 0
            yield from self.batches


class Conductor(lightning.Callback):
    """Seeds each step, sets its learning rate, counts, validates, saves and stops."""

    def __init__(
        self,
        plan: Plan,
        batches: Source,
        run: RunFolder,
        validate: Callable[[], dict[str, float]] | None,
        known: Callable[[], float],
        advance: Advance,
        watch: Watch | None = None,
    ) -> None:
        self.watch = watch
        self.plan, self.batches, self.run = plan, batches, run
        self.validate, self.known, self.advance = validate, known, advance
        self.folder = run.path / "checkpoints" / plan.name
        self.epoch, self.step = 0, 0  # the step about to be taken
        self.trained_before = 0.0  # seconds, before this process
        self.counts: dict[str, float] = {"images": 0.0}
        self.best: dict[str, Any] = {}
        self.writer: Any = None
        self.batch: Batch | None = None
        self.begun = self.saved = time.monotonic()
        self.images_seen = 0
        self.stopped_by = "epochs"
        self.last_score: float | None = None
        self.restored: dict[str, Any] | None = None  # what optimisers and schedules take up
        self._device_counts: dict[str, Tensor] = {}

    def continue_from(self, state: dict[str, Any]) -> None:
        """Take up place and counts of a checkpoint.

        Raises ValueError where it stands at no place of this training.
        """
        if state["epoch"] > self.plan.epochs or state["step"] >= self.batches.steps:
            raise ValueError(f"it stands at epoch {state['epoch']}, step {state['step']}")
        if "images" not in state["counts"]:
            raise ValueError("it counts no images")
        self.epoch, self.step = state["epoch"], state["step"]
        self.counts, self.best = dict(state["counts"]), dict(state["best"])
        self.trained_before = state["seconds"]
        self.run.forget_after(self.plan.name, self.global_step)

    @property
    def global_step(self) -> int:
        """How many steps have been taken since the training began."""
        return self.epoch * self.batches.steps + self.step

    @property
    def seconds(self) -> float:
        """How long this training has taken, over all its processes in turn."""
        return self.trained_before + time.monotonic() - self.begun

    def progress(self) -> float:
        """Return the share of the training that is done, by steps or by time."""
        share = self.global_step / (self.plan.epochs * self.batches.steps)
        if self.plan.seconds is not None:
            # The slowest process decides, or their learning rates would drift apart.
            share = max(share, processes.share(self.seconds / self.plan.seconds))
        return share

    def on_train_start(self, trainer: Any, task: Any) -> None:
        """Take up the optimisers' states, open the event file and start the clock."""
        if self.restored is not None:
            with fitting(self.folder):
                for optimiser, state in zip(
                    trainer.optimizers, self.restored["optimisers"], strict=True
                ):
                    restore_optimiser(optimiser, state)
                for config, state in zip(
                    trainer.lr_scheduler_configs, self.restored["schedules"], strict=True
                ):
                    config.scheduler.load_state_dict(state)
            self.restored = None
        self.begun = self.saved = time.monotonic()
        if not self.run.silent:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(
                str(self.run.path), filename_suffix=f".{self.plan.name}", purge_step=None
            )

    def on_train_batch_start(self, trainer: Any, task: Any, batch: Batch, _: int) -> None:
        """Make this step's randomness and learning rate what they must be."""
        self.batch = batch
        key = (self.plan.seed, self.plan.name, self.epoch, self.step, "network")
        torch.manual_seed(seed_of(*key, *([processes.rank()] if processes.rank() else [])))
        progress = self.progress()
        task.before_step(progress)
        for optimiser, optim in zip(trainer.optimizers, task.optims, strict=False):
            rate = optim.rate(progress)
            for group in optimiser.param_groups:
                if "scale" in group:  # of one that a task built itself the rate is the task's
                    group["lr"] = rate * group["scale"]

    def on_train_batch_end(
        self, trainer: Any, task: Any, outputs: Any, batch: Batch, _: int
    ) -> None:
        """Count; at the end of an epoch log and validate; save when it is time."""
        task.after_step()
        known = self._device_counts
        for key, value in outputs["sums"].items():
            known[key] = known[key] + value.double() if key in known else value.double()
        self.counts["images"] += len(batch.rows)
        self.images_seen += batch.whole
        self.step += 1
        stop = False
        if self.step == self.batches.steps:
            self.epoch, self.step = self.epoch + 1, 0
            stop = self._epoch_end(trainer, task)
        self._note()
        if self.plan.seconds is not None and processes.share(self.seconds) >= self.plan.seconds:
            self.stopped_by, stop = "minutes", True
        last = stop or self.epoch == self.plan.epochs
        # One process decides for all: saving is a meeting that none may miss.
        if last or processes.share(time.monotonic() - self.saved >= self.plan.save_every):
            self.save(trainer, task, last=last)
        if stop:
            trainer.should_stop = True

    def _drain(self) -> None:
        """Bring the counts over from the device; once an epoch, for it waits for the device."""
        if self._device_counts:
            sums = torch.stack(list(self._device_counts.values())).tolist()
            for key, value in zip(self._device_counts, sums, strict=True):
                self.counts[key] = self.counts.get(key, 0.0) + value
            self._device_counts = {}

    def _note(self) -> None:
        note = f"epoch {min(self.epoch + 1, self.plan.epochs)} of {self.plan.epochs}"
        if self.last_score is not None:
            shown = (
                f"{self.last_score:.1%}"
                if self.plan.score == "accuracy"
                else (f"{self.last_score:.3g}")
            )
            note += f", {self.plan.score} {shown}"
        self.advance(1, note)

    def _epoch_end(self, trainer: Any, task: Any) -> bool:
        self._drain()
        parts = processes.gather(self.counts)
        sums = {key: sum(part[key] for part in parts) for key in self.counts}
        images = sums.pop("images")
        means = {f"train/{key}": value / images for key, value in sums.items()}
        line: dict[str, Any] = {
            "fit": self.plan.name,
            "epoch": self.epoch,
            "step": self.global_step,
            **means,
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
        }
        self.counts = dict.fromkeys(self.counts, 0.0)
        stop = False
        if self.plan.until is not None and means.get("train/accuracy", 0.0) >= self.plan.until:
            # Batch normalisation answers otherwise once its averages stand still: ask again.
            stop = self.known() >= self.plan.until
            self.stopped_by = "until" if stop else self.stopped_by
        if self.validate is not None:
            line |= self.validate()
            stop |= self._keep_best(task, line[f"val/{self.plan.score}"])
        score = self.plan.score
        self.last_score = line.get(f"val/{score}", line.get(f"train/{score}"))
        self.run.log(line)
        if self.writer is not None:
            for name, value in line.items():
                if name not in ("fit", "epoch", "step"):
                    self.writer.add_scalar(f"{self.plan.name}/{name}", value, self.global_step)
        if self.watch is not None and f"val/{score}" in line:
            self.watch(self.plan.name, self.epoch, line[f"val/{score}"])
        return stop

    def _keep_best(self, task: Task, score: float) -> bool:
        """Keep the weights when they are better; return whether patience is at its end."""
        # While nothing is right at all, later weights are the better guess.
        if not self.best or score > self.best["score"] or score == self.best["score"] == 0:
            weights = {k: v.detach().cpu().clone() for k, v in task.network.state_dict().items()}
            self.best = {"score": score, "epoch": self.epoch, "weights": weights}
        if self.plan.patience is not None and self.epoch - self.best["epoch"] >= self.plan.patience:
            self.stopped_by = "patience"
            return True
        return False

    def save(self, trainer: Any, task: Task, *, last: bool) -> None:
        """Write a checkpoint, after making sure that it is worth continuing from."""
        bad = [name for name, p in task.named_parameters() if not torch.isfinite(p).all()]
        if bad:
            raise NonFiniteLoss(f"the weights of {bad[0]} became NaN or infinite")
        self._drain()
        # Each process has counted its own images; the one that saves must know all.
        parts = processes.gather(self.counts)
        if processes.rank() == 0:
            begun = time.monotonic()
            save_checkpoint(
                self.folder,
                {
                    "task": task.state_dict(),
                    "optimisers": [one.state_dict() for one in trainer.optimizers],
                    "schedules": [
                        config.scheduler.state_dict() for config in trainer.lr_scheduler_configs
                    ],
                    "epoch": self.epoch,
                    "step": self.step,
                    "counts": {key: sum(part[key] for part in parts) for key in self.counts},
                    "best": self.best,
                    "seconds": self.seconds,
                    "finished": last,
                    "stopped_by": self.stopped_by,
                },
            )
            # A slow disk saves less often, so that training keeps its speed.
            taken = time.monotonic() - begun
            if self.plan.save_every > 0:
                self.saved = time.monotonic() + max(
                    0.0, taken / SAVING_SHARE - self.plan.save_every
                )


def restore_optimiser(optimiser: Any, state: dict[str, Any]) -> None:
    """Give an optimiser its state back; groups built from a recipe keep the recipe's own options.

    They differ where a run begins from another's checkpoint with another weight decay.
    """
    ours = [{k: v for k, v in group.items() if k != "params"} for group in optimiser.param_groups]
    optimiser.load_state_dict(state)
    for group, options in zip(optimiser.param_groups, ours, strict=True):
        if "scale" in options:
            group.update(options)


def train(
    task: Task,
    batches: Source,
    run: RunFolder,
    plan: Plan,
    *,
    validate: Callable[[], dict[str, float]] | None,
    known: Callable[[], float],
    quiet: bool,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Train to the end, from the last checkpoint if there is one, and return the final state.

    `validate` returns losses and scores on the validation images, `known` the share of the
    training images, as they are, that the network has right.
    The task holds the final weights afterwards: the best on validation where there was one; the
    last otherwise, and where `until` asks for the training images to be known. Raises
    NonFiniteLoss, with the batch saved, when the loss or a weight stops being a number; the last
    good checkpoint stays.
    """
    folder = run.path / "checkpoints" / plan.name
    state = load_checkpoint(folder, OF_TASK)
    if processes.world_size() > 1 and not torch.cuda.is_available():
        share_batch_norm(task)
    name = plan.name.replace("-", " ")
    total = plan.epochs * batches.steps
    if state is None or not state["finished"]:
        with track(f"training {name}", total=total, quiet=quiet or run.silent) as advance:
            conductor = Conductor(plan, batches, run, validate, known, advance, watch)
            if state is None:
                run.forget_after(plan.name, 0)  # what was logged before the first checkpoint
            else:
                take_weights(task, state["task"], folder)
                with fitting(folder):
                    conductor.continue_from(state)
                if processes.rank():
                    conductor.counts = dict.fromkeys(conductor.counts, 0.0)
                advance(conductor.global_step)
            state = _go(task, conductor, state)
    else:
        take_weights(task, state["task"], folder)
    if state["best"] and plan.until is None:
        with fitting(folder):
            task.network.load_state_dict(state["best"]["weights"])
    return state


def take_weights(task: Task, weights: dict[str, Any], folder: Path) -> None:
    """Load the weights of a checkpoint. Raises RunError where they do not fit or are no numbers."""
    with fitting(folder):
        task.load_state_dict(weights)
    bad = [name for name, p in task.named_parameters() if not torch.isfinite(p).all()]
    if bad:
        raise RunError(
            f"the checkpoint in {folder} is damaged: {bad[0]} is not finite; delete it to train "
            "this part from its beginning"
        )


def _go(task: Task, conductor: Conductor, state: dict[str, Any] | None) -> dict[str, Any]:
    stream = Stream(
        conductor.batches, conductor.plan.epochs, epoch=conductor.epoch, step=conductor.step
    )
    conductor.restored = state
    trainer = make_trainer(task, conductor)
    begun = time.monotonic()
    try:
        trainer.fit(task, train_dataloaders=stream)
    except NonFiniteLoss as error:
        raise NonFiniteLoss(_report_bad_batch(conductor, error)) from error
    finally:
        if conductor.writer is not None:
            conductor.writer.close()
        task.to(processes.device())
    taken = time.monotonic() - begun
    processes.wait()  # until the first has written the last checkpoint
    return {
        "epoch": conductor.epoch,
        "best": conductor.best,
        "seconds": conductor.seconds,
        "stopped_by": conductor.stopped_by,
        "images_per_second": conductor.images_seen / max(taken, 1e-9),
    }


def make_trainer(task: Task, conductor: Conductor) -> lightning.Trainer:
    """Return Lightning's Trainer with everything that we decide ourselves switched off."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    cuda = torch.cuda.is_available()
    bf16 = cuda and torch.cuda.is_bf16_supported()
    world = processes.world_size()
    strategy: Any = "auto"
    if world > 1:
        from lightning.pytorch.strategies import DDPStrategy

        strategy = DDPStrategy(process_group_backend="nccl" if cuda else "gloo")
    return lightning.Trainer(
        max_epochs=1,
        accelerator={"cuda": "gpu", "mps": "mps"}.get(processes.device().type, "cpu"),
        devices=_local_world_size() if world > 1 else 1,
        num_nodes=world // _local_world_size() if world > 1 else 1,
        strategy=strategy,
        sync_batchnorm=world > 1 and cuda,
        precision="bf16-mixed" if bf16 else "32-true",
        callbacks=[conductor],
        # A task that steps its optimisers itself clips itself, too.
        gradient_clip_val=(task.optim.clip or None) if task.automatic_optimization else None,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=True,
    )


def _local_world_size() -> int:
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def vars_of(batch: Batch) -> dict[str, Tensor]:
    """Return what tensors a batch holds, by name."""
    fields = {name: getattr(batch, name) for name in dir(batch) if not name.startswith("_")}
    return {name: value for name, value in fields.items() if isinstance(value, Tensor)}


def _report_bad_batch(conductor: Conductor, error: NonFiniteLoss) -> str:
    """Save the batch and say where, what is kept and what to try."""
    path: Path = conductor.folder / "bad-batch.safetensors"
    if conductor.batch is not None and not conductor.run.silent:
        tensors = {
            name: value.cpu().contiguous() for name, value in vars_of(conductor.batch).items()
        }
        conductor.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, save(tensors))
    kept = (
        "the last good checkpoint is kept"
        if (conductor.folder / "last.ckpt").exists()
        else "no checkpoint was saved yet"
    )
    return (
        f"{error} at step {conductor.global_step} (epoch {conductor.epoch + 1}) of "
        f"{conductor.plan.name}; its batch is saved in {path} and {kept}. "
        f"Try {gentler(conductor.run)}"
    )


def gentler(run: RunFolder) -> str:
    """Say by which of its recipe's options a run could be trained more gently."""
    options = flat(run.recipe()["options"]) or {"optim.lr": None, "optim.clip": None}
    named = [name for name in RATES if name in options]
    rate = f"lower --{named[0].replace('_', '-')}" if named else "lower learning rate"
    return f"a {rate}" + (", or --optim.clip 1" if "optim.clip" in options else "")
