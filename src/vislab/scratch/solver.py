"""Training: draw a batch, take loss and gradients, let the update rule step, and keep the best.

    solver = Solver(model, data, update_rule="adam", optim_config={"learning_rate": 1e-3})
    solver.train()

`data` has X_train, y_train, X_val, y_val. X may be a tensor (N, ...) or anything whose `X[rows]`
gives the float tensor of these rows, so that images can be read as they are needed. The model has
`params`, `loss(X, y)` and `right(X, y)`, as every network of this room.
"""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from vislab.errors import NonFiniteLoss, OptionError, pick
from vislab.ops.seeding import generator, seed_of
from vislab.scratch import expect
from vislab.scratch.update_rules import RULES, Config, Rule

PER_CHECK = 250  # images scored at once when accuracy is measured


class Solver:
    """Train one model.

    Which images a batch holds, and what dropout drops, follow from (seed, epoch, step) alone, so
    training can be put down and taken up again (`state`, `restore`). An epoch goes once through all
    images in an order of its own. Histories: `loss_history` a step, `train_acc_history` and
    `val_acc_history` an epoch.
    """

    def __init__(
        self,
        model: Any,
        data: Mapping[str, Any],
        update_rule: str | Rule = "sgd",
        optim_config: Config | None = None,
        lr_decay: float = 1.0,
        batch_size: int = 100,
        num_epochs: int = 10,
        *,
        num_train_samples: int | None = 1000,
        num_val_samples: int | None = None,
        clip: float | None = None,
        seed: int = 0,
    ) -> None:
        """Set up. `lr_decay` multiplies the learning rate after every epoch.

        `num_train_samples` and `num_val_samples` are how many images accuracy is measured on,
        None for all; `clip` is the largest norm of all gradients together.
        """
        missing = {"X_train", "y_train", "X_val", "y_val"} - set(data)
        if missing:
            raise OptionError(
                f"data lacks {min(missing)!r}; it needs X_train, y_train, X_val and y_val"
            )
        if len(data["X_train"]) == 0:
            raise OptionError("data['X_train'] is empty; give images to train on")
        for split in ("train", "val"):
            images, labels = len(data[f"X_{split}"]), len(data[f"y_{split}"])
            if images != labels:
                raise OptionError(
                    f"data['y_{split}'] has {labels} rows where X_{split} has {images}; "
                    "every image needs a label"
                )
        expect.option("batch_size", batch_size, low=1)
        expect.option("num_epochs", num_epochs, low=1)
        self.model, self.data = model, data
        self.rule: Rule = (
            pick(RULES, update_rule, "update rule") if isinstance(update_rule, str) else update_rule
        )
        self.lr_decay, self.batch_size, self.num_epochs = lr_decay, batch_size, num_epochs
        self.num_train_samples, self.num_val_samples = num_train_samples, num_val_samples
        self.clip, self.seed = clip, seed
        self.configs: dict[str, Config] = {name: dict(optim_config or {}) for name in model.params}
        # A last batch of one or two images would be noise: batches differ in size by one at most.
        self.steps_per_epoch = -(-len(data["X_train"]) // batch_size)
        self.epoch = self.step_in_epoch = 0
        self.loss_history: list[float] = []
        self.train_acc_history: list[float] = []
        self.val_acc_history: list[float] = []
        self.best_val_acc, self.best_epoch = -1.0, 0
        self.best_params: dict[str, Tensor] = {}
        self.best_running: dict[str, Tensor] = {}
        self._order: tuple[int, tuple[Tensor, ...]] | None = None

    def rows(self, epoch: int, step: int) -> Tensor:
        """Return which training images stand in a batch."""
        if self._order is None or self._order[0] != epoch:
            draws = generator(self.seed, epoch, "order")
            order = torch.randperm(len(self.data["X_train"]), generator=draws)
            self._order = epoch, order.tensor_split(self.steps_per_epoch)
        return self._order[1][step]

    def step(self) -> float:
        """Take one step and return its loss. Raises NonFiniteLoss when that is no number."""
        rows = self.rows(self.epoch, self.step_in_epoch)
        draws = getattr(self.model, "generator", None)
        if draws is not None:
            draws.manual_seed(seed_of(self.seed, self.epoch, self.step_in_epoch, "dropout"))
        loss, grads = self._loss(self.data["X_train"][rows], self.data["y_train"][rows])
        if self.clip is not None:
            clip_gradients(grads, self.clip)
        for name, w in self.model.params.items():
            self.model.params[name], self.configs[name] = self.rule(
                w, grads[name], self.configs[name]
            )
        self.loss_history.append(loss)
        self.step_in_epoch += 1
        return loss

    def _loss(self, X: Tensor, y: Tensor) -> tuple[float, dict[str, Tensor]]:
        place = f"at step {self.step_in_epoch + 1} of epoch {self.epoch + 1}"
        try:
            loss, grads = self.model.loss(X, y)
        except expect.NotFinite as error:
            raise NonFiniteLoss(f"{error}; {place}") from error
        if not math.isfinite(loss):
            raise NonFiniteLoss(f"the loss became {loss} {place}; try a tenth of the learning rate")
        return float(loss), grads

    def require_finite_weights(self) -> None:
        """Raise NonFiniteLoss, naming the weights, where some are no longer numbers."""
        for name, w in self.model.params.items():
            if not w.isfinite().all():
                raise NonFiniteLoss(
                    f"the weights {name} became NaN or infinite in epoch {self.epoch + 1}; "
                    "try a tenth of the learning rate"
                )

    def end_epoch(self) -> None:
        """Lower the learning rate, measure accuracy and keep the weights if they are the best."""
        self.require_finite_weights()
        self.epoch, self.step_in_epoch = self.epoch + 1, 0
        for config in self.configs.values():
            config["learning_rate"] *= self.lr_decay
        self.train_acc_history.append(
            self.check_accuracy(self.data["X_train"], self.data["y_train"], self.num_train_samples)
        )
        accuracy = self.check_accuracy(self.data["X_val"], self.data["y_val"], self.num_val_samples)
        self.val_acc_history.append(accuracy)
        if accuracy > self.best_val_acc:
            self.best_val_acc, self.best_epoch = accuracy, self.epoch
            self.best_params = {name: w.clone() for name, w in self.model.params.items()}
            running = getattr(self.model, "running", {})
            self.best_running = {name: value.clone() for name, value in running.items()}

    def train(self, after_step: Callable[["Solver"], bool] | None = None) -> None:
        """Take all steps that remain, then put the best weights back into the model.

        `after_step` is called after each and may return True to stop.
        """
        stop = False
        while self.epoch < self.num_epochs and not stop:
            self.step()
            if self.step_in_epoch == self.steps_per_epoch:
                self.end_epoch()
            stop = after_step is not None and after_step(self)
        self.use_best()

    def use_best(self) -> None:
        """Put the weights of the best epoch into the model."""
        if self.best_params:
            self.model.params.update({n: w.clone() for n, w in self.best_params.items()})
            for name, value in self.best_running.items():
                self.model.running[name].copy_(value)

    def check_accuracy(self, X: Any, y: Tensor, num_samples: int | None = None) -> float:
        """Return the share of images, or of words, that the model has right.

        With `num_samples` of so many, drawn once and for all.
        """
        rows = torch.arange(len(y))
        if num_samples is not None and num_samples < len(y):
            draws = generator(self.seed, "sample")
            rows = torch.randperm(len(y), generator=draws)[:num_samples]
        if len(rows) == 0:
            return float("nan")
        right = torch.cat(
            [self.model.right(X[part], y[part]) for part in torch.split(rows, PER_CHECK)]
        )
        return float(right.double().mean())

    def state(self) -> dict[str, Any]:
        """Return all that a training needs to go on: copies of tensors, and plain values."""
        live = {
            "params": dict(self.model.params),
            "running": dict(getattr(self.model, "running", {})),
            "configs": self.configs,
            "epoch": self.epoch,
            "step_in_epoch": self.step_in_epoch,
            "loss_history": self.loss_history,
            "train_acc_history": self.train_acc_history,
            "val_acc_history": self.val_acc_history,
            "best_val_acc": self.best_val_acc,
            "best_epoch": self.best_epoch,
            "best_params": self.best_params,
            "best_running": self.best_running,
        }
        return copy.deepcopy(live)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        rest = copy.deepcopy(dict(state))
        devices = {name: w.device for name, w in self.model.params.items()}
        self.model.params.update({n: w.to(devices[n]) for n, w in rest.pop("params").items()})
        self.configs = {
            name: {k: v.to(devices[name]) if isinstance(v, Tensor) else v for k, v in known.items()}
            for name, known in rest.pop("configs").items()
        }
        for name, value in rest.pop("running").items():
            self.model.running[name].copy_(value)
        for name, value in rest.items():
            setattr(self, name, value)


def clip_gradients(grads: dict[str, Tensor], largest: float) -> float:
    """Scale all gradients together, in place, to a norm of `largest` at most; return their norm.

    Pascanu, Mikolov and Bengio 2013 (arXiv 1211.5063), algorithm 1.
    """
    norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in grads.values()))
    if norm > largest:
        for g in grads.values():
            g.mul_(largest / norm)
    return norm
