"""A task with two optimisers: both take their steps, and both are taken up after a kill."""

import multiprocessing
import os
import signal

import pytest
import torch

from tests.lab.small_recipe import few_images
from tests.lab.two_optimisers import TwoOptimisers
from vislab.lab import checkpoints
from vislab.lab.running import execute
from vislab.runs import writing
from vislab.runs.folder import RunFolder

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.lab.two_optimisers", "vislab.lab.running"])


def run_it(folder, data, dies_at_write=None):
    """Run or continue in a process of its own, which may die in the middle of a write."""
    os.environ["VISLAB_HOME"] = str(data / "home")
    torch.set_num_threads(1)
    if dies_at_write is not None:
        count = 0
        flush = os.fsync

        def die(number):
            nonlocal count
            count += 1
            if count == dies_at_write:
                os.kill(os.getpid(), signal.SIGKILL)
            flush(number)

        writing.os.fsync = die
    recipe = TwoOptimisers(data=str(data / "images"))
    resume = (folder / "recipe.yaml").exists()
    execute(recipe, "two", folder, resume=resume, save_every=0.0, quiet=True)


def run(folder, data, **options):
    process = processes.Process(target=run_it, args=(folder, data), kwargs=options)
    process.start()
    process.join(180)
    return process.exitcode


def end_of(folder):
    result = RunFolder.open(folder).result
    state = checkpoints.load_checkpoint(folder / "checkpoints" / "training")
    return result.status, result.weights_sha256, result.metrics, state


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    few_images(folder / "images")
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert run(folder, data) == 0
    return end_of(folder)


def test_both_optimisers_and_the_schedule_are_in_the_checkpoint(undisturbed):
    state = undisturbed[3]
    adam, momentum = (one["state"] for one in state["optimisers"])
    assert {"exp_avg", "exp_avg_sq", "step"} == set(adam[0])
    assert "momentum_buffer" in momentum[0]
    assert [one["last_epoch"] for one in state["schedules"]] == [30]  # 5 epochs of 6 steps


@pytest.mark.parametrize("write", [9, 24])
def test_killed_and_continued_it_ends_at_the_same_weights(tmp_path, data, undisturbed, write):
    folder = tmp_path / "run"
    assert run(folder, data, dies_at_write=write) == -signal.SIGKILL
    before = checkpoints.load_checkpoint(folder / "checkpoints" / "training")
    assert before is not None
    assert not before["finished"]
    assert run(folder, data) == 0
    assert end_of(folder)[:3] == undisturbed[:3]


def test_a_checkpoint_of_one_optimiser_is_read(tmp_path):
    old = {"optimiser": {"state": {}}, "counts": {}, "best": {}, "format": 2}
    found = checkpoints.renamed(old)
    assert found["optimisers"] == [{"state": {}}]
    assert found["schedules"] == []
    assert "optimiser" not in found
