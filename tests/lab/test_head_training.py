"""A head trained on features that were computed once, and what a strategy does to `Lab.fit`."""

import copy
import json
import math
import multiprocessing
import os
import signal
from dataclasses import dataclass, fields, replace
from itertools import count

import numpy as np
import pytest
import torch
from torch import nn

from tests.lab.small_recipe import few_images
from vislab import data, models, tasks
from vislab.data.augment import Augment
from vislab.data.batches import Batches
from vislab.errors import OptionError
from vislab.evaluate.features import features
from vislab.inference import network_of
from vislab.lab.bench import Lab
from vislab.lab.head_training import FeatureBatches, HeadTraining, can_be_kept
from vislab.lab.recipe import Recipe
from vislab.lab.running import execute
from vislab.lab.whole_training import WholeTraining
from vislab.models.parameter_groups import parameter_groups
from vislab.runs import writing
from vislab.runs.folder import RunFolder
from vislab.tasks.optim import Optim
from vislab.tasks.strategy import Strategy

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return str(few_images(tmp_path_factory.mktemp("few") / "images"))


@pytest.fixture(scope="module")
def images(few):
    """36 to train on, 9 to validate and 15 to test on, of three classes."""
    return data.images(few, size=16)


@pytest.fixture
def without_validation(images):
    return replace(images, splits=np.where(images.splits == 1, 2, images.splits))


@pytest.fixture
def open_lab(tmp_path):
    numbers = count()
    return lambda: Lab(
        RunFolder.create(tmp_path / f"run-{next(numbers)}", "a test", {}), quiet=True
    )


def network(noise=0.1):
    """A ConvNet whose batch normalisation has seen something, so that eval mode tells."""
    torch.manual_seed(3)
    model = models.create("convnet", classes=3, widths=(6, 8), noise=noise)
    with torch.no_grad():
        for _ in range(4):
            model.train()(1.5 * torch.randn(8, 3, 16, 16) + 0.3)
    return model


def task_of(text="head", optim=None, model=None, **options):
    model = model or network()
    return tasks.Classify(
        model,
        optim or Optim("adamw", lr=2e-2, weight_decay=0.05, schedule="cosine"),
        strategy=Strategy.parse(text),
        groups=parameter_groups(model, torch.zeros(1, 3, 16, 16)),
        **options,
    )


def logged(lab):
    path = lab.run.path / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def body(model):
    return {name: v.clone() for name, v in model.state_dict().items() if "head" not in name}


def passes(model):
    """Count how often the layers before the head work."""
    calls = []
    model.features.register_forward_hook(lambda *_: calls.append(1))
    return calls


OPTIMS = {
    "adamw, cosine": Optim("adamw", lr=2e-2, weight_decay=0.05, schedule="cosine"),
    "sgd, clipped, one-cycle": Optim("sgd", lr=0.1, schedule="one-cycle", clip=0.3),
    "averaged": Optim("adam", lr=2e-2, weight_decay=0.1, ema=0.8, warmup=0.3),
}


@pytest.mark.parametrize(("validated", "smoothing"), [(True, 0.2), (False, 0.0)])
@pytest.mark.parametrize("optim", OPTIMS.values(), ids=OPTIMS)
def test_kept_features_lead_to_the_head_that_the_whole_network_leads_to(
    images, without_validation, open_lab, monkeypatch, optim, validated, smoothing
):
    shown = images if validated else without_validation
    ends, lines = [], []
    for kept in (True, False):
        if not kept:
            monkeypatch.setattr("vislab.lab.bench.can_be_kept", lambda *_: False)
        lab, task = open_lab(), task_of(optim=optim, label_smoothing=smoothing)
        calls, start = passes(task.model), task.model.head.weight.detach().clone()
        lab.fit(task, shown, epochs=5, batch=10)
        assert (len(calls) <= 2) == kept
        assert (task.network.head.weight - start).abs().max() > 0.02
        ends.append(task.network.state_dict())
        lines.append(logged(lab))
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], atol=1e-5, rtol=0)
    assert len(lines[0]) == 5
    for one, other in zip(*lines, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_layers_before_the_head_work_once_and_stay_as_they_were(images, open_lab):
    task = task_of()
    before, calls = body(task.model), passes(task.model)
    lab = open_lab()
    lab.fit(task, images, epochs=7, batch=10)
    assert len(calls) == 2  # 36 images to train on, 9 to validate: fewer than 64
    for name, value in body(task.model).items():
        assert torch.equal(before[name], value), name
    assert len(logged(lab)) == 7
    assert lab.run.result.costs[0]["epochs"] == 7


def test_features_are_what_the_head_is_given_in_eval_mode_in_order(images):
    model = network().train()
    found = features(model, model.head, images, "val", CPU, quiet=True)
    mean, std = (torch.tensor(v)[:, None, None] for v in images.normalisation)
    split = images.split("val")
    shown = torch.from_numpy(split.take(slice(0, 9))).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        expected = model.eval().features((shown - mean) / std).mean(dim=(2, 3))
    torch.testing.assert_close(found, expected)
    assert not found.is_inference()
    assert not model.head._forward_pre_hooks


def test_modes_and_hooks_stay_also_when_an_image_cannot_be_read(images, monkeypatch):
    def fail(*_args, **_named):
        raise OSError("no such image")
        yield

    monkeypatch.setattr("vislab.evaluate.features.in_order", fail)
    model = network().train()
    with pytest.raises(OSError, match="no such image"):
        features(model, model.head, images, "val", CPU, quiet=True)
    assert all(module.training for module in model.modules())
    assert not model.head._forward_pre_hooks


def test_a_split_without_images_has_no_features(without_validation):
    model = network()
    found = features(model, model.head, without_validation, "val", CPU, quiet=True)
    assert found.shape == (0, 8)


def prepared(images, augment, batch=10, seed=5):
    work = HeadTraining(
        task_of(), images, batch, seed=seed, augment=augment, device=CPU, quiet=True
    )
    work.prepare()
    return work


def test_mirrored_images_are_shown_about_half_the_time(images):
    work = prepared(images, Augment(flip=True))
    turned = replace(images, pixels=np.ascontiguousarray(images.pixels[:, :, ::-1]))
    as_they_are, mirrored = prepared(images, Augment()), prepared(turned, Augment())
    plain, other = as_they_are.batches.views[0], mirrored.batches.views[0]
    torch.testing.assert_close(work.batches.views, torch.stack([plain, other]))
    assert (plain - other).abs().amax(dim=1).min() > 1e-3
    seen = []
    for epoch in range(20):
        work.batches.epoch = epoch
        for batch in work.batches:
            is_plain = (batch.images == work.batches.views[0, batch.rows]).all(dim=1)
            is_other = (batch.images == work.batches.views[1, batch.rows]).all(dim=1)
            assert (is_plain ^ is_other).all()
            seen += is_other.tolist()
    # 720 throws of a coin: four standard deviations are 54.
    assert abs(sum(seen) - 360) < 54


def test_without_flip_no_image_is_mirrored(images):
    work = prepared(images, Augment())
    assert len(work.batches.views) == 1
    for batch in work.batches:
        assert torch.equal(batch.images, work.batches.views[0, batch.rows])


@pytest.mark.parametrize("batch", [1, 10, 12, 36, 50])
def test_batches_of_features_have_the_order_of_batches_of_images(images, batch):
    ours = prepared(images, Augment(), batch=batch).batches
    theirs = Batches(images, batch, seed=5, augment=Augment())
    assert len(ours) == len(theirs)
    for epoch in (0, 3):
        ours.epoch = theirs.epoch = epoch
        for one, other in zip(ours, theirs, strict=True):
            assert torch.equal(one.rows, other.rows)
            assert torch.equal(one.labels, other.labels)
            assert torch.equal(one.targets, other.targets)
            assert one.whole == other.whole


def test_an_epoch_taken_up_in_the_middle_is_the_rest_of_it(images):
    batches = prepared(images, Augment(flip=True)).batches
    batches.epoch = 2
    whole = list(batches)
    batches.first = 3
    rest = list(batches)
    assert len(whole) == 4
    assert len(rest) == 1
    assert torch.equal(rest[0].images, whole[3].images)
    assert len(list(batches)) == 4  # and the next epoch is whole again


def test_batches_of_no_features_are_refused(images, open_lab):
    with pytest.raises(OptionError, match="--batch 0 holds no image"):
        open_lab().fit(task_of(), images, epochs=1, batch=0)


def test_features_are_kept_for_a_linear_head_and_at_most_mirrored_images():
    assert can_be_kept(task_of(), Augment())
    assert can_be_kept(task_of(), Augment(flip=True))


def test_features_are_not_kept_without_a_strategy():
    assert not can_be_kept(tasks.Classify(network()), Augment())


@pytest.mark.parametrize("text", ["none", "last-blocks:1", "all", "layer-decay:0.8", "gradual"])
def test_features_are_not_kept_where_more_than_the_head_moves(text):
    assert not can_be_kept(task_of(text), Augment())


def test_features_are_not_kept_for_a_head_that_is_not_one_linear_layer():
    task = task_of()
    task.groups = replace(task.groups, separable=False)
    assert not can_be_kept(task, Augment())


CHANGED = {"randaugment": 2, "rotation": True} | dict.fromkeys(
    ("crop", "shift", "resized_crop", "colour", "cutout", "mixup", "cutmix"), 0.2
)


@pytest.mark.parametrize(("name", "value"), CHANGED.items())
def test_features_are_not_kept_where_images_change_from_epoch_to_epoch(name, value):
    assert {f.name for f in fields(Augment)} == {*CHANGED, "flip", "magnitude"}
    for flip in (False, True):
        assert not can_be_kept(task_of(), replace(Augment(flip=flip), **{name: value}))


def test_features_are_not_kept_by_several_processes(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not can_be_kept(task_of(), Augment())


def test_a_head_of_another_kind_is_trained_through_the_whole_network(images, open_lab):
    """A 1×1 convolution gives the scores of each place; their mean is the answer."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    task, calls = task_of(model=model), []
    assert not task.groups.separable
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model[0].register_forward_hook(lambda *_: calls.append(1))
    open_lab().fit(task, images, epochs=3, batch=12)
    assert len(calls) >= 9
    moved = {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved == {"2.weight", "2.bias"}


def test_dropout_before_the_head_is_the_same_whether_features_are_kept_or_not(
    images, open_lab, monkeypatch
):
    """As in torchvision's MobileNets and EfficientNets."""
    ends = []
    for kept in (True, False):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5),
            nn.Linear(6, 3),
        )  # fmt: skip
        if not kept:
            monkeypatch.setattr("vislab.lab.bench.can_be_kept", lambda *_: False)
        open_lab().fit(task_of(model=model), images, epochs=3, batch=12)
        ends.append(model[5].weight.detach().clone())
    torch.testing.assert_close(*ends, atol=1e-5, rtol=0)


def test_the_best_epoch_on_validation_is_kept_and_is_what_is_tested(images, open_lab):
    lab, task = open_lab(), task_of(optim=Optim("adam", lr=0.3))
    best = lab.fit(task, images, epochs=12, batch=5)
    scores = [line["val/accuracy"] for line in logged(lab)]
    assert best == max(scores)
    assert min(scores) < best
    assert lab.test(task, images, split="val", examine=False).accuracy == best
    losses = [line["val/loss"] for line in logged(lab) if line["val/accuracy"] == best]
    assert lab.run.result.metrics["val/loss"] == pytest.approx(losses[0], abs=1e-4)


@pytest.mark.parametrize("flip", [False, True])
def test_a_head_is_trained_until_it_knows_every_image(without_validation, open_lab, flip):
    lab, task = open_lab(), task_of(optim=Optim("adam", lr=5e-2))
    lab.fit(task, without_validation, epochs=400, batch=12, augment=Augment(flip=flip), until=1.0)
    assert len(logged(lab)) < 400
    assert lab.run.result.costs[0]["stopped_by"] == "until"
    assert lab.test(task, without_validation, split="train", examine=False).accuracy == 1.0


def test_averaged_weights_are_tested_and_their_other_layers_are_the_networks_own(
    without_validation, open_lab
):
    lab, task = open_lab(), task_of(optim=Optim("sgd", lr=0.2, momentum=0.0, ema=0.5))
    start = task.model.head.weight.detach().clone()
    rows = []

    def note(module, _arguments, _output):
        if torch.is_grad_enabled():
            rows.append(module.weight.detach().clone())

    task.model.head.register_forward_hook(note)
    lab.fit(task, without_validation, epochs=2, batch=18)
    # The weights before the second, third and fourth step are those after the first three.
    assert len(rows) == 4
    assert torch.equal(rows[0], start)
    first = {name: value for name, value in task.network.state_dict().items() if "head" not in name}
    for name, value in body(task.model).items():
        assert torch.equal(first[name], value)
    twin = task_of(optim=Optim("sgd", lr=0.2, momentum=0.0))
    open_lab().fit(twin, without_validation, epochs=2, batch=18)
    average = rows[1]
    for weights in (rows[2], rows[3], twin.model.head.weight.detach()):
        average = 0.5 * average + 0.5 * weights
    torch.testing.assert_close(task.network.head.weight, average)
    assert (average - twin.model.head.weight).abs().max() > 1e-3


def test_strategy_none_trains_nothing_and_can_be_tested_and_kept(images, open_lab):
    lab, task = open_lab(), task_of("none")
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    calls = passes(task.model)
    assert lab.fit(task, images, epochs=5, batch=10) is None
    assert not calls
    assert not logged(lab)
    assert not list((lab.run.path / "checkpoints").rglob("*.ckpt"))
    outcome = lab.test(task, images, examine=False)
    for name, value in task.model.state_dict().items():
        assert torch.equal(before[name], value), name
    entry = lab.run.result.costs[0]
    assert (entry["epochs"], entry["stopped_by"]) == (0, "strategy none")
    assert lab.run.result.protocol["network"] == "convnet, none"
    lab.run.result.status = "finished"
    kept, card = network_of(lab.run)
    assert card.classes == ("blue", "green", "red")
    shown = next(iter(data.in_order(images, "test"))).images
    with torch.no_grad():
        np.testing.assert_allclose(kept(shown).softmax(1).numpy(), outcome.probabilities, atol=1e-6)


def test_a_finished_head_is_loaded_and_no_feature_computed_again(images, open_lab):
    lab, task = open_lab(), task_of()
    lab.fit(task, images, epochs=3, batch=10)
    again = task_of()
    calls = passes(again.model)
    Lab(lab.run, quiet=True).fit(again, images, epochs=3, batch=10)
    assert not calls
    assert torch.equal(task.model.head.weight, again.model.head.weight)
    assert len(logged(lab)) == 3


def test_gradual_unfreezes_step_by_step_while_it_trains(without_validation, open_lab):
    """Twelve steps, four blocks: frozen are ⌈4 − 8k / 12⌉ before step k."""
    task, seen = task_of("gradual"), []
    kernels = [p for p in task.model.features.parameters() if p.ndim == 4]

    def note(module, _arguments):
        if module.training:
            seen.append(sum(not kernel.requires_grad for kernel in kernels))

    task.model.head.register_forward_pre_hook(note)
    open_lab().fit(task, without_validation, epochs=4, batch=12)
    assert seen == [4, 4, 3, 2, 2, 1, 0, 0, 0, 0, 0, 0]


def test_each_block_moves_at_its_share_of_the_scheduled_rate(without_validation, open_lab):
    """One step of plain descent: with half the rate a weight goes half as far."""
    moves = {}
    for text in ("all", "layer-decay:0.5"):
        optim = Optim("sgd", lr=0.1, momentum=0.0, schedule="one-cycle")  # begins at lr / 25
        task = task_of(text, optim, network(noise=0.0))
        before = {name: p.detach().clone() for name, p in task.model.named_parameters()}
        open_lab().fit(task, without_validation, epochs=1, batch=36)
        moves[text] = {n: p.detach() - before[n] for n, p in task.model.named_parameters()}
    kernels = [name for name, move in moves["all"].items() if move.ndim == 4]
    assert len(kernels) == 4
    for depth, name in enumerate(reversed([*kernels, "head.weight"])):
        whole, part = moves["all"][name], moves["layer-decay:0.5"][name]
        assert part.norm() / whole.norm() == pytest.approx(0.5**depth, rel=2e-2)
        torch.testing.assert_close(part, whole * 0.5**depth, atol=2e-7, rtol=0)


@pytest.mark.parametrize("text", ["last-blocks:2", "gradual", "all", "layer-decay:0.8"])
def test_what_was_frozen_for_the_head_moves_when_more_is_trained_and_averages_do_not(
    without_validation, open_lab, text
):
    """As when fine-tuning: the head first, then a copy of the network."""
    first = task_of("head")
    open_lab().fit(first, without_validation, epochs=1, batch=12)
    model = copy.deepcopy(first.model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    open_lab().fit(task_of(text, model=model), without_validation, epochs=2, batch=12)
    moved = {name for name, v in model.state_dict().items() if not torch.equal(v, before[name])}
    trained = {name for name, _ in model.named_parameters()}
    if text == "last-blocks:2":
        trained = {name for name in trained if name.startswith("head")} | {
            name for name in trained if name.startswith("features.") and int(name.split(".")[1]) > 7
        }
    assert moved == trained


@pytest.mark.parametrize("text", ["last-blocks:2", "gradual", "all", "layer-decay:0.8"])
def test_batch_normalisation_keeps_its_averages_while_any_strategy_trains(
    without_validation, open_lab, text
):
    task = task_of(text)
    before = {name: value.clone() for name, value in task.model.named_buffers()}
    open_lab().fit(task, without_validation, epochs=2, batch=12)
    for name, value in task.model.named_buffers():
        assert torch.equal(before[name], value), name


def test_gradual_is_refused_where_several_processes_train(images, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="gradual unfreezing trains in one process; leave --dev"):
        WholeTraining(task_of("gradual"), images, 12, seed=0, augment=Augment(), device=CPU)


def test_views_of_nothing_have_a_length_before_they_are_computed():
    batches = FeatureBatches(torch.zeros(25, dtype=torch.int64), 10, seed=0)
    assert len(batches) == math.ceil(25 / 10)


@dataclass(frozen=True)
class Heads(Recipe):
    """Train a head on kept features, mirrored and averaged, then unfreeze the rest by and by."""

    data: str = "a folder"

    def run(self, lab):
        images = lab.images(self.data, size=16)
        model = models.create("convnet", classes=3, widths=(6, 8), noise=0.1)
        parts = models.parameter_groups(model, torch.zeros(1, 3, 16, 16))
        for text, name in (("head", "first"), ("gradual", "")):
            task = tasks.Classify(
                model,
                Optim("adamw", lr=1e-2, schedule="one-cycle", ema=0.9 if name else 0.0),
                strategy=Strategy.parse(text),
                groups=parts,
            )
            lab.fit(task, images, epochs=4, batch=10, augment=Augment(flip=True), name=name)
            lab.test(task, images, name=name, examine=False)


processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    [
        "tests.lab.test_head_training",
        "torch.utils.tensorboard",
        "lightning.pytorch",
        "matplotlib.figure",
    ]
)


def run_it(folder, few, dies_at_write=None):
    """Run or continue in a process of its own, which may die in the middle of a write."""
    os.environ["VISLAB_HOME"] = str(folder.parent / "home")
    torch.set_num_threads(1)
    numbers, flush = count(1), os.fsync

    def die(number):
        if next(numbers) == dies_at_write:
            os.ftruncate(number, os.fstat(number).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        flush(number)

    writing.os.fsync = die
    resume = (folder / "recipe.yaml").exists()
    execute(Heads(few), "heads", folder, resume=resume, save_every=0.0, quiet=True)


def begin(folder, few, **options):
    process = processes.Process(target=run_it, args=(folder, few), kwargs=options, daemon=True)
    process.start()
    process.join(120)
    return process.exitcode


def outcome(folder):
    result = RunFolder.open(folder).result
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return result.status, result.weights_sha256, result.metrics, lines


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, few):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert begin(folder, few) == 0
    return outcome(folder)


def test_a_run_of_heads_ends(undisturbed):
    status, _, _, lines = undisturbed
    assert status == "finished"
    assert [line["fit"] for line in lines] == ["first"] * 4 + ["training"] * 4


@pytest.mark.slow
@pytest.mark.parametrize("write", [8, 15, 31])
def test_killed_while_head_or_blocks_are_trained_it_ends_at_the_same_weights(
    tmp_path, few, undisturbed, write
):
    folder = tmp_path / "run"
    assert begin(folder, few, dies_at_write=write) == -signal.SIGKILL
    assert begin(folder, few) == 0
    assert outcome(folder) == undisturbed
