"""Where a sweep is kept: its folder, and its study in a storage that its workers share (Optuna's).

The folder's recipe.yaml and the study both say which sweep they hold, so that no worker mixes two.
"""

import contextlib
import json
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy.engine
import sqlalchemy.exc
from optuna.exceptions import StorageInternalError

from vislab.errors import OptionError, RunError
from vislab.lab.knobs import flags, plain
from vislab.lab.recipe import Recipe
from vislab.lab.running import Conditions
from vislab.runs.environment import environment
from vislab.runs.folder import RunFolder, file_name
from vislab.runs.report import flat
from vislab.runs.writing import saying_why, write_json
from vislab.sweep.queue import locked
from vislab.sweep.space import Axis

DEFAULT_METRIC = "val/accuracy"
PAUSES = (0.1, 0.2, 0.4, 0.8)  # seconds between tries to open a database
SURE_EPOCHS, SURE_TRIALS = 2, 5  # epochs of a trial, and complete ones, before any is pruned


@dataclass(frozen=True)
class Sweep:
    """What is searched and how. `recipe` holds the options that stay as they are."""

    recipe: Recipe
    name: str  # as it is typed: a recipe's name or its file
    axes: tuple[Axis, ...]
    trials: int = 30
    metric: str = DEFAULT_METRIC
    minutes: float | None = None  # of each trial
    seed: int = 0
    prune: bool = True
    storage: str | None = None  # a database's address; None is a file in the folder

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise OptionError(f"--trials {self.trials} tries nothing; use 1 or more")
        Conditions(self.seed, minutes=self.minutes)  # refuses what no trial could run with

    @property
    def lowest(self) -> bool:
        """Whether low values of the metric are the good ones."""
        return self.metric.endswith("loss")

    @property
    def judged_by(self) -> str | None:
        """The training whose epochs tell early how a trial goes; None where none does."""
        if not self.prune or not f"/{self.metric}".endswith("/val/accuracy"):
            return None
        return file_name(self.metric.removesuffix("val/accuracy").rstrip("/") or "training")

    def described(self) -> dict[str, Any]:
        """Return what makes it this sweep and no other."""
        return {
            "recipe": self.name,
            "over": [str(axis) for axis in self.axes],
            "metric": self.metric,
            "minutes": self.minutes,
            "seed": self.seed,
            "prune": self.prune,
            "options": plain(self.recipe),
        }

    def command(self, folder: Path | None = None) -> str:
        """Return the command that repeats it or, with its folder, the one that goes on."""
        words = ["vislab", "sweep", self.name]
        for axis in self.axes:
            words += ["--over", str(axis)]
        words += ["--trials", str(self.trials), "--seed", str(self.seed)]
        if self.metric != DEFAULT_METRIC:
            words += ["--metric", self.metric]
        if self.minutes is not None:
            words += ["--minutes", f"{self.minutes:g}"]
        if not self.prune:
            words += ["--no-prune"]
        if self.storage is not None:
            words += ["--storage", without_password(self.storage)]
        if folder is not None:
            words += ["--folder", str(folder)]
        fixed = flags(self.recipe)
        return shlex.join([*words, "--", *fixed] if fixed else words)


def join(sweep: Sweep, folder: Path) -> optuna.Study:
    """Begin the sweep in the folder, or go on with it there; return its study.

    Raises RunError when folder or storage hold something else.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; name a folder for the sweep")
    with saying_why(folder):
        folder.mkdir(parents=True, exist_ok=True)
        foreign = any(not file.name.startswith(".") for file in folder.iterdir())
    # A sweep's first file is recipe.yaml: a folder with others, but not that one, is none.
    if foreign and not (folder / "recipe.yaml").exists():
        raise RunError(f"{folder} is not empty and holds no sweep; name another folder")
    storage = without_password(sweep.storage) if sweep.storage else None
    here = {**sweep.described(), "storage": storage}
    with locked(folder, "queue"):
        if (folder / "recipe.yaml").exists():
            content = RunFolder(folder).recipe()
            if content["recipe"] != "sweep":
                raise RunError(f"{folder} holds a run of {content['recipe']}; name another folder")
            _require_same(content["options"], here, str(folder))
        else:
            run = RunFolder.create(folder, "sweep", here)
            about = {**environment(), "seed": sweep.seed}
            write_json(run.path / "environment.json", about)
        return _study(sweep, folder)


def _require_same(there: dict[str, Any], here: dict[str, Any], where: str) -> None:
    before, now = flat(there), flat(json.loads(json.dumps(here)))
    for name in (*now, *before):
        if before.get(name) != now.get(name):
            raise RunError(
                f"{where} holds another sweep: {name} is {before.get(name)!r} there and "
                f"{now.get(name)!r} here; type its own command, or name another folder"
            )


def _study(sweep: Sweep, folder: Path) -> optuna.Study:
    """Open the sweep's study in its storage, where it has the folder's name, or begin it."""
    url, options, name = sweep.storage, {}, folder.resolve().name
    if url is None:  # a folder of its own needs no name, and can be given another
        url, name = f"sqlite:///{folder.resolve() / 'sweep.db'}", "sweep"
    if url.startswith("sqlite"):
        options = {"connect_args": {"timeout": 60.0}}
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if sweep.judged_by is not None:
        pruner = optuna.pruners.MedianPruner(SURE_TRIALS, SURE_EPOCHS)
    try:
        direction = "minimize" if sweep.lowest else "maximize"
        study = _opened(url, options, study_name=name, direction=direction, pruner=pruner)
    except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError, ImportError) as error:
        raise RunError(
            f"the storage {without_password(url)} cannot be opened ({reason(error)}); "
            "write an address such as sqlite:////folder/sweeps.db or postgresql://user@host/name"
        ) from error
    described = study.user_attrs.get("sweep")
    if described is None:
        study.set_user_attr("sweep", sweep.described())
    else:
        _require_same(described, sweep.described(), f"{name} in {without_password(url)}")
    return study


def _opened(url: str, options: dict[str, Any], **study: Any) -> optuna.Study:
    """Open or begin a study; wait a little while another worker is making the tables."""
    for pause in (*PAUSES, None):
        try:
            storage = optuna.storages.RDBStorage(url, options)
            return optuna.create_study(storage=storage, load_if_exists=True, **study)
        except (sqlalchemy.exc.DBAPIError, StorageInternalError):
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def without_password(url: str) -> str:
    """Return a database's address as it may be shown."""
    try:
        return sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return url


def reason(error: BaseException) -> str:
    """Return what a database said, on one line."""
    inner = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    return str(getattr(inner, "orig", inner)).splitlines()[0].rstrip(".")


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's own lines away; ours say the same."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
