"""A run that begins from the last checkpoint of another, with other options of learning."""

import json

import pytest
import torch

from tests.lab.small_recipe import few_images
from vislab.cli.main import main
from vislab.lab import beginning, training
from vislab.runs.folder import RunFolder

RECIPE = """
from dataclasses import dataclass, field

from vislab import models, tasks
from vislab.lab.recipe import Recipe
from vislab.tasks.optim import Optim


@dataclass(frozen=True)
class Mine(Recipe):
    '''Train a small network.'''

    data: str = "a folder"
    size: int = 16
    epochs: int = 4
    optim: Optim = field(default_factory=lambda: Optim(lr=1e-3))

    def run(self, lab):
        images = lab.images(self.data, size=self.size)
        for name in ("first", ""):
            network = models.create("convnet", classes=len(images.classes), widths=(4,))
            task = tasks.Classify(network, self.optim)
            lab.fit(task, images, epochs=self.epochs, batch=12, name=name)
            lab.test(task, images, name=name, examine=False)
"""


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Return the recipe file and a run whose loss became NaN in its second training."""
    monkeypatch.chdir(tmp_path)
    few_images(tmp_path / "images")
    (tmp_path / "mine.py").write_text(RECIPE)
    steps = 0
    before = training.Conductor.on_train_batch_start

    def spoil(self, trainer, task, batch, place):
        nonlocal steps
        steps += self.plan.name == "training"
        if steps == 8:
            with torch.no_grad():
                next(task.parameters()).fill_(torch.nan)
        before(self, trainer, task, batch, place)

    with monkeypatch.context() as patch:
        patch.setattr(training.Conductor, "on_train_batch_start", spoil)
        words = ["run", "mine.py", "--data", "images", "--folder", "run", "--save-every", "0"]
        assert main(words) == 1
    return tmp_path / "run"


def step_of(run):
    return torch.load(run / "checkpoints/training/last.ckpt", weights_only=True)


def test_after_a_loss_that_is_no_number_a_new_run_goes_on_at_a_lower_rate(broken, capsys):
    assert RunFolder.open(broken).result.status == "failed"
    state, kept = step_of(broken), (broken / "result.json").read_bytes()
    assert (state["epoch"], state["step"]) == (2, 1), "the last good step"
    words = ["run", "mine.py", "--resume", "run", "--optim.lr", "0.0001", "--folder", "new"]
    capsys.readouterr()
    assert main([*words, "--optim.weight-decay", "0.5"]) == 0
    told = "a new run, new, begins from the last checkpoint of run with --optim.lr 0.0001"
    assert told in capsys.readouterr().out
    assert (broken / "result.json").read_bytes() == kept, "the other run is left as it is"
    new = RunFolder.open(broken.with_name("new"))
    assert new.result.status == "finished"
    assert "It began from the last checkpoint of run, with --optim.lr 0.0001" in new.result.notes[0]
    assert new.result.command.startswith("vislab run mine.py --resume run --optim.lr 0.0001")
    options = new.recipe()["options"]
    assert (options["optim"]["lr"], options["run"]["begun_from"]) == (1e-4, "run")
    rates = {(line["fit"], line["epoch"]): line["lr"] for line in new.logged()}
    assert rates["training", 2] == 1e-3, "what was logged there before is there"
    assert rates["training", 3] == rates["training", 4] == 1e-4
    assert rates["first", 4] == 1e-3, "what was finished was not trained again"
    ended = step_of(new.path)
    groups = ended["optimisers"][0]["param_groups"]
    assert max(group["weight_decay"] for group in groups) == 0.5
    assert ended["seconds"] > state["seconds"]
    assert main(["run", "mine.py", "--resume", "new"]) == 0
    assert "finished already" in capsys.readouterr().out


def test_killed_before_the_copy_is_in_place_it_does_not_train_from_nothing(broken, monkeypatch):
    monkeypatch.setattr("vislab.lab.running.take_up", lambda _: 1 / 0)
    words = ["run", "mine.py", "--resume", "run", "--optim.lr", "0.0001", "--folder", "new"]
    assert main(words) == 1
    monkeypatch.undo()
    monkeypatch.chdir(broken.parent)
    new = broken.with_name("new")
    assert (new / beginning.WAITING).exists()
    assert main(["run", "mine.py", "--resume", "new"]) == 0
    assert RunFolder.open(new).logged()[0]["lr"] == 1e-3
    assert step_of(new)["seconds"] > step_of(broken)["seconds"]
    assert not (new / beginning.WAITING).exists()


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("--size 32", 2, "--size may not: begin a new run"),
        ("--optim.name sgd", 2, "--optim.name may not"),
        ("--seed 3", 2, "option of the run itself may not"),
        ("--optim.lr 0.001", 2, "run has these options already; leave them out"),
        ("--optim.lr 0.0001 --folder run", 1, "run is not empty; name another folder"),
    ],
)
def test_what_would_make_another_training_is_refused(broken, capsys, words, code, sentence):
    assert main(["run", "mine.py", "--resume", "run", *words.split()]) == code
    assert sentence in capsys.readouterr().err
    assert not (broken.parent / "runs").exists(), "nothing was begun"


def test_a_run_without_a_checkpoint_and_one_that_is_finished_are_refused(broken, capsys):
    words = ["run", "mine.py", "--resume", "run", "--optim.lr", "0.0001"]
    for file in broken.glob("checkpoints/*/*.ckpt"):
        file.unlink()
    assert main(words) == 1
    assert "run has no checkpoint to begin from" in capsys.readouterr().err
    result = json.loads((broken / "result.json").read_text())
    (broken / "result.json").write_text(json.dumps({**result, "status": "finished"}))
    assert main(words) == 2
    assert "and run is finished; begin a new run" in capsys.readouterr().err
