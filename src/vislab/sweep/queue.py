"""The trials of a sweep, shared by any number of workers through one storage (Optuna's).

A trial has one of the numbers 1 to N. Whoever runs it counts up its `beat`; where that stands still
for too long, another worker puts the trial back, and it is done again under its number. No clock of
one machine is compared with another's: each worker watches the beats with its own.

On one machine a lock lets one worker at a time take or end a trial. Workers elsewhere, who share
only a database, can take one too many; it is then given up before it is begun.
"""

import itertools
import platform
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState, create_trial

MISSED = 4  # beats after which a trial is put back
KEPT = ("number", "folder")  # what a trial that is done again knows of its first time


class Queue:
    """Takes trials up, keeps them alive and ends them. `beat` is in seconds."""

    def __init__(self, study: optuna.Study, folder: Path, trials: int, beat: float) -> None:
        self.study, self.folder, self.trials, self.beat = study, folder, trials, beat
        self.seen: dict[int, tuple[int, float]] = {}  # each trial's last beat, and since when

    def known(self) -> list[FrozenTrial]:
        """Return the trials that count: not those that were put back and stand in line again."""
        found = self.study.get_trials(deepcopy=False)
        again = {trial.user_attrs.get("again") for trial in found}
        return [
            trial
            for trial in found
            if trial.state != TrialState.FAIL
            # Told to have failed, by its own worker: a kill can come between the two.
            or ("error" in trial.user_attrs.get("ended", {}) and trial.number not in again)
        ]

    def over(self) -> list[FrozenTrial]:
        """Return the trials that have ended: complete, pruned or failed."""
        return [trial for trial in self.known() if trial.state.is_finished()]

    def finished(self) -> bool:
        """Return whether as many are over as were asked for."""
        return len(self.over()) >= self.trials

    def nothing_to_take(self) -> bool:
        """Return whether other workers have all that is left."""
        known = self.known()
        waiting = any(trial.state == TrialState.WAITING for trial in known)
        return not waiting and len(known) >= self.trials

    def take(self) -> optuna.Trial | None:
        """Take up a trial that waits, or a new one; None when there is none.

        Its number is among its user attributes. Nothing is drawn for it yet.
        """
        with locked(self.folder, "queue"):
            self.put_back_abandoned()
            if self.nothing_to_take():
                return None
            trial = self.study.ask()
            if "number" not in trial.user_attrs:
                number = self.free_number(trial.number)
                if number > self.trials:  # a worker elsewhere was faster
                    self.study.tell(trial, state=TrialState.FAIL)
                    return None
                trial.set_user_attr("number", number)
            trial.set_user_attr("machine", platform.node())
            return trial

    def free_number(self, place: int) -> int:
        """Return the lowest number that is free; trials without one get them in their order.

        `place` is Optuna's number of the trial, which it keeps and we do not show.
        """
        known = self.known()
        taken = {trial.user_attrs.get("number") for trial in known}
        without = sorted(t.number for t in known if "number" not in t.user_attrs)
        free = (number for number in itertools.count(1) if number not in taken)
        return next(itertools.islice(free, without.index(place), None))

    def put_back_abandoned(self) -> None:
        """Put back the trials whose workers have given no sign of life for too long."""
        now = time.monotonic()
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            beat = int(trial.user_attrs.get("beat", 0))
            last, since = self.seen.get(trial.number, (beat, now))
            since = since if beat == last else now
            self.seen[trial.number] = (beat, since)
            if now - since > MISSED * self.beat:
                self.put_back(trial)

    def put_back(self, trial: FrozenTrial) -> None:
        """Let a trial that is underway wait to be done again, with what its epochs reached."""
        try:
            self.study.tell(trial.number, state=TrialState.FAIL)
        except (ValueError, UpdateFinishedTrialError):
            return  # it ended after all, or another worker was faster
        if "number" in trial.user_attrs and trial.params:
            self.study.add_trial(
                create_trial(
                    state=TrialState.WAITING,
                    params=trial.params,
                    distributions=trial.distributions,
                    user_attrs={
                        "again": trial.number,
                        **{k: trial.user_attrs[k] for k in KEPT if k in trial.user_attrs},
                    },
                    intermediate_values=trial.intermediate_values,
                )
            )

    def look(self) -> None:
        """Watch the beats, between one's own trials too."""
        with locked(self.folder, "queue"):
            self.put_back_abandoned()

    def end(
        self, trial: optuna.Trial, state: TrialState, value: float | None, facts: Mapping[str, Any]
    ) -> bool:
        """Write down how a trial ended; return False when another worker has it by now.

        The facts are kept as its user attribute `ended`.
        """
        with locked(self.folder, "queue"):
            try:
                trial.set_user_attr("ended", dict(facts))
                self.study.tell(trial, value, state)
            except (ValueError, UpdateFinishedTrialError):
                return False
        return True

    def frozen(self, trial: optuna.Trial) -> FrozenTrial:
        """Return what the storage holds of a trial."""
        return self.study.get_trials(deepcopy=False)[trial.number]

    @contextmanager
    def alive(self, trial: optuna.Trial, tick: Callable[[], None]) -> Iterator[None]:
        """Count up the trial's beat, and call `tick` every second, until the block ends."""
        ended = threading.Event()

        def live() -> None:
            for beat in itertools.count(1):
                try:
                    trial.set_user_attr("beat", beat)
                except StorageInternalError:
                    pass  # one beat may be missed: the next comes
                except UpdateFinishedTrialError:
                    return  # another worker has it by now
                until = time.monotonic() + self.beat
                while (left := until - time.monotonic()) > 0:
                    if ended.wait(min(left, 1.0)):
                        return
                    tick()

        thread = threading.Thread(target=live, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Let one process at a time do this in a folder. The lock ends with its process, however."""
    # SQLite's locks of a file are the ones of the standard library that work on every system.
    path = folder / f".{what}.lock"
    with closing(sqlite3.connect(path, timeout=600.0, isolation_level=None)) as held:
        held.execute("BEGIN EXCLUSIVE")
        yield
