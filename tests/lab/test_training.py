"""Trainings that go wrong, stop early, are timed, or are shared by several processes."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.lab.small_recipe import Small, few_images
from vislab import data, models, tasks
from vislab.errors import NonFiniteLoss, OptionError, RunError
from vislab.evaluate.testing import write_down
from vislab.lab.bench import Lab
from vislab.lab.running import Conditions, execute
from vislab.lab.sync_batch_norm import SharedBatchNorm2d, share_batch_norm
from vislab.lab.training import gentler
from vislab.runs.folder import RunFolder
from vislab.runs.formatting import with_span
from vislab.tasks.optim import Optim
from vislab.tasks.outcome import Outcome

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return str(few_images(tmp_path_factory.mktemp("few") / "images"))


@pytest.fixture
def lab(tmp_path):
    return Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)


def small_task(optim=None, classes=3, **options):
    return tasks.Classify(
        models.create("convnet", classes=classes, widths=(6, 8), **options), optim or Optim(lr=1e-2)
    )


def logged(run):
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


def test_two_runs_of_one_seed_are_identical_and_another_seed_is_not(few, tmp_path):
    runs = [
        execute(Small(data=few), "small", tmp_path / name, Conditions(seed=seed), quiet=True)
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    ]
    sums = [run.result.weights_sha256 for run in runs]
    assert sums[0] == sums[1] != sums[2]
    assert logged(runs[0]) == logged(runs[1]) != logged(runs[2])


def test_the_schedule_is_followed_step_by_step(few, lab):
    optim = Optim(lr=1e-2, schedule="cosine", warmup=0.25)
    lab.fit(small_task(optim), data.images(few, size=16), epochs=4, batch=12)
    # 36 images in 3 steps an epoch; the rate logged is that of the epoch's last step.
    expected = [optim.rate((3 * epoch - 1) / 12) for epoch in (1, 2, 3, 4)]
    assert [line["lr"] for line in logged(lab.run)] == pytest.approx(expected)


def test_training_stops_when_every_image_is_right(few, lab):
    images, task = data.images(few, size=16), small_task()
    lab.fit(task, images, epochs=200, batch=12, until=1.0)
    lines = logged(lab.run)
    assert lines[-1]["train/accuracy"] == 1.0
    assert len(lines) < 200
    # Right as they are tested too, not only while batch normalisation looks at their batch.
    assert lab.test(task, images, split="train").accuracy == 1.0
    assert lab.run.result.costs[0]["stopped_by"] == "until"


def test_patience_ends_a_training_that_no_longer_gets_better_and_keeps_its_best(few, lab):
    images, task = data.images(few, size=16), small_task(Optim(lr=3e-2))
    best = lab.fit(task, images, epochs=200, batch=12, patience=3)
    scores = [line["val/accuracy"] for line in logged(lab.run)]
    assert len(scores) < 200
    assert best == max(scores)
    assert scores.index(max(scores)) == len(scores) - 4
    assert lab.test(task, images, split="val", examine=False).accuracy == best


def test_minutes_are_a_budget_and_the_schedule_runs_through(few, tmp_path):
    run = RunFolder.create(tmp_path / "run", "a test", {})
    lab = Lab(run, minutes=4 / 60, quiet=True)
    optim = Optim(lr=1e-2, schedule="cosine")
    lab.fit(small_task(optim), data.images(few, size=16), epochs=100_000, batch=36)
    entry = run.result.costs[0]
    assert entry["stopped_by"] == "minutes"
    assert 3.9 < entry["seconds"] < 60  # one slow step may be added
    assert logged(run)[-1]["lr"] < 0.1 * optim.lr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"optim": {"lr": 1, "clip": 0}}, "a lower --optim.lr, or --optim.clip 1"),
        ({"learning_rates": [1], "data": "x"}, "a lower --learning-rates"),
        ({"lr": 0.1}, "a lower --lr"),
        ({"data": "x"}, "a lower learning rate"),
    ],
)
def test_what_to_try_is_an_option_of_the_recipe_at_hand(tmp_path, options, said):
    assert gentler(RunFolder.create(tmp_path / "run", "a test", options)) == said


def test_scores_of_very_few_images_are_told_one_by_one(lab):
    few = Outcome("dice", {"dice": np.array([0.5, 0.75, 0.875])}, count=3)
    write_down(lab, few, {}, "test", "")
    assert lab.run.result.notes == [
        "3 test images are too few to say how far their mean dice can be trusted; they scored "
        "0.5, 0.75, 0.875."
    ]
    assert "(" not in with_span(
        lab.run.result.metrics["test/dice"], lab.run.result.intervals["test/dice"], share=False
    )
    many = Outcome("dice", {"dice": np.full(6, 0.5)}, count=6)
    write_down(lab, many, {}, "val", "")
    assert len(lab.run.result.notes) == 1


def test_over_seeds_the_test_images_count_too(few, tmp_path):
    run = execute(Small(data=few), "small", tmp_path / "run", Conditions(1, seeds=2), quiet=True)
    parts = [RunFolder.open(tmp_path / f"run/seed-{seed}").result for seed in (1, 2)]
    low, high = run.result.intervals["test/accuracy"]
    mean = run.result.metrics["test/accuracy"]
    down = np.mean([p.metrics["test/accuracy"] - p.intervals["test/accuracy"][0] for p in parts])
    assert 0 <= low <= mean - down + 1e-9 < mean
    assert mean < high <= 1


def test_a_loss_that_is_not_a_number_stops_the_run_and_saves_the_batch(few, lab):
    images = data.images(few, size=16)
    task = small_task(Optim("sgd", lr=1e18), batch_norm=False)
    lab.save_every = 0.0
    with pytest.raises(
        NonFiniteLoss, match=r"became .* at step \d+ \(epoch \d+\) of training"
    ) as e:
        lab.fit(task, images, epochs=20, batch=12)
    assert "--optim.clip 1" in str(e.value)
    folder = lab.run.path / "checkpoints/training"
    batch = load_file(folder / "bad-batch.safetensors")
    assert batch["images"].shape == (12, 3, 16, 16)
    kept = torch.load(folder / "last.ckpt", weights_only=True) if "is kept" in str(e.value) else {}
    for tensor in kept.get("task", {}).values():
        assert torch.isfinite(tensor).all()


def test_a_failed_run_says_why_and_can_be_read(few, tmp_path):
    recipe = dataclasses.replace(Small(data=few), optim=Optim("sgd", lr=1e25))
    with pytest.raises(NonFiniteLoss):
        execute(recipe, "small", tmp_path / "run", quiet=True)
    run = RunFolder.open(tmp_path / "run")
    assert run.result.status == "failed"
    assert "became" in (run.result.error or "")
    assert "became" in (run.path / "report.html").read_text()


def test_several_seeds_report_mean_and_interval(few, tmp_path):
    run = execute(Small(data=few), "small", tmp_path / "run", Conditions(1, seeds=2), quiet=True)
    parts = [RunFolder.open(tmp_path / f"run/seed-{seed}").result for seed in (1, 2)]
    values = [part.metrics["test/loss"] for part in parts]
    assert run.result.metrics["test/loss"] == pytest.approx(sum(values) / 2)
    low, high = run.result.intervals["test/loss"]
    # Student with one degree of freedom: ±12.706 · |a − b| / 2.
    assert high - low == pytest.approx(12.706 * abs(values[0] - values[1]), rel=1e-3)
    assert run.table("seeds")[1][0][0] == "1"
    assert run.result.status == "finished"
    assert parts[0].weights_sha256 != parts[1].weights_sha256


def test_seeds_that_are_done_are_not_run_again(few, tmp_path):
    execute(Small(data=few), "small", tmp_path / "run", Conditions(seeds=2), quiet=True)
    stamps = [
        (tmp_path / f"run/seed-{seed}/model.safetensors").stat().st_mtime_ns for seed in (0, 1)
    ]
    execute(
        Small(data=few), "small", tmp_path / "run", Conditions(seeds=2), resume=True, quiet=True
    )
    assert stamps == [
        (tmp_path / f"run/seed-{seed}/model.safetensors").stat().st_mtime_ns for seed in (0, 1)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("world", [2])
def test_several_processes_give_the_losses_of_one(few, tmp_path, world):
    recipe = tmp_path / "shared.py"
    recipe.write_text(
        '''
from dataclasses import dataclass
from vislab import models, tasks
from vislab.data.augment import Augment
from vislab.lab.recipe import Recipe
from vislab.tasks.optim import Optim

@dataclass(frozen=True)
class Shared(Recipe):
    """Train a network with batch normalisation on mixed images."""
    data: str = "nothing"
    def run(self, lab):
        images = lab.images(self.data, size=16)
        model = models.create("convnet", classes=3, widths=(6, 8))
        task = tasks.Classify(model, Optim(lr=1e-2, clip=1.0, ema=0.9))
        augment = Augment(crop=0.2, flip=True, mixup=0.3)
        lab.fit(task, images, epochs=3, batch=11, augment=augment)
        lab.test(task, images, examine=False)
'''
    )
    words = ["-m", "vislab", "run", str(recipe), "--data", few, "--folder"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(name, *before):
        done = subprocess.run(
            [sys.executable, *before, *words, str(tmp_path / name)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return RunFolder.open(tmp_path / name)

    one = run("one")
    many = run("many", "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}")
    assert len(logged(one)) == 3
    for alone, together in zip(logged(one), logged(many), strict=True):
        assert alone["train/loss"] == pytest.approx(together["train/loss"], rel=1e-5)
        assert alone["val/loss"] == pytest.approx(together["val/loss"], rel=1e-4)
        assert alone["train/accuracy"] == together["train/accuracy"]
    assert one.result.metrics["test/accuracy"] == many.result.metrics["test/accuracy"]


def test_shared_batch_norm_alone_is_batch_norm(rng, monkeypatch):
    monkeypatch.setattr("torch.distributed.all_reduce", lambda tensor: None)  # a world of one
    plain = torch.nn.Sequential(torch.nn.BatchNorm2d(3, eps=1e-3, momentum=0.2)).double()
    with torch.no_grad():
        plain[0].weight.copy_(torch.randn(3, generator=rng))
    shared = torch.nn.Sequential(torch.nn.BatchNorm2d(3, eps=1e-3, momentum=0.2)).double()
    shared.load_state_dict(plain.state_dict())
    share_batch_norm(shared)
    assert type(shared[0]) is SharedBatchNorm2d
    shared.double()
    x = torch.randn(4, 3, 5, 7, dtype=torch.float64, generator=rng, requires_grad=True)
    upstream = torch.randn(4, 3, 5, 7, dtype=torch.float64, generator=rng)
    for mode in (True, False):
        plain.train(mode), shared.train(mode)
        torch.testing.assert_close(shared(x), plain(x))
        wanted = torch.autograd.grad(plain(x), x, upstream)[0]
        torch.testing.assert_close(torch.autograd.grad(shared(x), x, upstream)[0], wanted)
    assert shared.state_dict().keys() == plain.state_dict().keys()
    torch.testing.assert_close(shared[0].running_var, plain[0].running_var)


@pytest.mark.slow
def test_a_full_disk_keeps_what_was_written(few, tmp_path):
    small = tmp_path / "small disk"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        recipe = dataclasses.replace(Small(data=few), epochs=60)
        with pytest.raises(RunError, match=r"the disk is full: .*; free some space and continue"):
            execute(recipe, "small", small / "run", save_every=0.0, quiet=True)
        for left in (small / "run").rglob("*"):
            assert not left.name.endswith(".part")
        run = RunFolder.open(small / "run")
        assert run.result.status in ("failed", "interrupted")
        subprocess.run(["mount", "-o", "remount,size=30m", str(small)], check=True)
        recipe = dataclasses.replace(Small(data=few), epochs=60)
        run = execute(recipe, "small", small / "run", resume=True, quiet=True)
        assert run.result.status == "finished"
    finally:
        subprocess.run(["umount", str(small)], check=False)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"epochs": 0}, "--epochs 0 trains nothing"), ({"batch": 0}, "--batch 0 holds no image")],
)
def test_a_senseless_option_is_refused(few, lab, options, sentence):
    with pytest.raises(OptionError, match=sentence):
        lab.fit(small_task(), data.images(few, size=16), **{"epochs": 1, **options})


def test_costs_are_those_counted_by_hand():
    from vislab.profiling.costs import costs

    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 5, 3, padding=1, bias=False),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(5, 4),
    )
    found = costs(net, 8, torch.device("cpu"))
    assert found["parameters"] == 3 * 5 * 9 + 5 * 4 + 4
    assert found["macs"] == 8 * 8 * 5 * 3 * 9 + 5 * 4
    assert 0 < found["latency_ms"]["1"]["median"] <= found["latency_ms"]["1"]["p95"]
    assert net.training
