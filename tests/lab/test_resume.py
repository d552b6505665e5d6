"""A run that is killed and continued ends at the weights of one that was not."""

import json
import multiprocessing
import os
import random
import signal
import time

import pytest
import torch

from tests.lab.small_recipe import Small, few_images
from vislab.errors import RunError
from vislab.lab import checkpoints
from vislab.lab.running import execute
from vislab.runs import writing
from vislab.runs.folder import RunFolder

# The server imports torch once; every process of a test is a quick fork of it.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    [
        "tests.lab.small_recipe",
        "vislab.lab.running",
        "torch.utils.tensorboard",
        "lightning.pytorch",
        "matplotlib.figure",
    ]
)


def run_it(folder, data, resume, dies_at_write=None):
    """Run or continue in a process of its own, which may die in the middle of a write."""
    os.environ["VISLAB_HOME"] = str(data / "home")
    torch.set_num_threads(1)  # tiny networks: threads would only wait for one another
    if dies_at_write is not None:
        count = 0
        flush = os.fsync

        def die(number):
            nonlocal count
            count += 1
            if count == dies_at_write:
                os.ftruncate(number, os.fstat(number).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            flush(number)

        writing.os.fsync = die
    recipe = Small(data=str(data / "images"))
    execute(recipe, "small", folder, resume=resume, save_every=0.0, quiet=True)


def begin(folder, data, **options):
    resume = (folder / "recipe.yaml").exists()
    process = processes.Process(
        target=run_it, args=(folder, data, resume), kwargs=options, daemon=True
    )
    process.start()
    return process


def outcome(folder):
    result = RunFolder.open(folder).result
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return result.status, result.weights_sha256, result.metrics, lines


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    few_images(folder / "images")
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    begin(folder.with_name("warm"), data).join(120)
    begun = time.monotonic()
    process = begin(folder, data)
    process.join(120)
    assert process.exitcode == 0
    return outcome(folder), time.monotonic() - begun


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_at_the_same_weights(tmp_path, data, undisturbed):
    expected, seconds = undisturbed
    chance, folder, kills, again = random.Random(7), tmp_path / "run", 0, 0
    while kills < 10:
        process = begin(folder, data)
        process.join(chance.uniform(0.3, 0.9) * seconds)
        if process.exitcode is not None:  # it finished before the kill: begin another run
            assert process.exitcode == 0
            assert outcome(folder) == expected
            folder, again = tmp_path / f"run-{again}", again + 1
            seconds *= 0.7  # the machine is faster than it was: kill earlier
            continue
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += 1
    process = begin(folder, data)
    process.join(120)
    assert outcome(folder) == expected


RARE = [pytest.param(write, marks=pytest.mark.slow) for write in (1, 12, 20)]


@pytest.mark.parametrize("write", [3, 7, *RARE])
def test_killed_while_a_file_is_being_written_it_ends_at_the_same_weights(
    tmp_path, data, undisturbed, write
):
    folder = tmp_path / "run"
    process = begin(folder, data, dies_at_write=write)
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    process = begin(folder, data)
    process.join(120)
    assert outcome(folder) == undisturbed[0]


@pytest.fixture
def one_thread():
    """Compute as the killed processes did: with more threads sums are rounded otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_a_finished_run_is_not_trained_again(tmp_path, data, undisturbed):
    folder = tmp_path / "run"
    recipe = Small(data=str(data / "images"))
    execute(recipe, "small", folder, quiet=True)
    stamp = (folder / "checkpoints/first/last.ckpt").stat().st_mtime_ns
    execute(recipe, "small", folder, resume=True, quiet=True)
    assert (folder / "checkpoints/first/last.ckpt").stat().st_mtime_ns == stamp
    assert outcome(folder)[1] == undisturbed[0][1]


def test_a_continued_run_computes_with_as_many_threads_as_it_was_begun_with(
    tmp_path, data, undisturbed, one_thread
):
    folder, recipe = tmp_path / "run", Small(data=str(data / "images"))
    begin(folder, data, dies_at_write=12).join(120)
    torch.set_num_threads(2)
    execute(recipe, "small", folder, resume=True, quiet=True)
    assert outcome(folder)[1] == undisturbed[0][1]


@pytest.mark.usefixtures("one_thread")
def test_a_truncated_checkpoint_names_the_one_to_continue_from(tmp_path, data, undisturbed):
    folder, recipe = tmp_path / "run", Small(data=str(data / "images"))
    process = begin(folder, data, dies_at_write=12)
    process.join(120)
    last = folder / "checkpoints/first/last.ckpt"
    last.write_bytes(last.read_bytes()[:-300])
    with pytest.raises(RunError, match=r"last\.ckpt is damaged; delete it to continue from prev"):
        execute(recipe, "small", folder, resume=True, quiet=True)
    last.unlink()
    execute(recipe, "small", folder, resume=True, quiet=True)
    assert outcome(folder)[:3] == undisturbed[0][:3]


def test_a_hostile_checkpoint_is_not_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was here"),)

    torch.save({"format": 1, "task": Hostile()}, tmp_path / "last.ckpt")
    with pytest.raises(RunError, match="is damaged"):
        checkpoints.load_checkpoint(tmp_path)
    assert not (tmp_path / "was here").exists()


def test_a_checkpoint_of_a_newer_version_says_so(tmp_path):
    torch.save({"format": checkpoints.FORMAT + 1}, tmp_path / "last.ckpt")
    with pytest.raises(RunError, match="newer vislab"):
        checkpoints.load_checkpoint(tmp_path)


def test_a_checkpoint_of_the_first_format_is_read_under_todays_names(tmp_path):
    old = {
        **{"epoch": 3, "seconds": 1.0, "finished": False, "stopped_by": "epochs"},
        "best": {"accuracy": 0.5, "epoch": 2},
        "counts": {"total": 7.0, "correct": 3.0, "images": 4.0},
    }
    torch.save({**old, "format": 1}, tmp_path / "last.ckpt")
    state = checkpoints.load_checkpoint(tmp_path)
    assert state["best"] == {"score": 0.5, "epoch": 2}
    assert state["counts"] == {"loss": 7.0, "accuracy": 3.0, "images": 4.0}
    solver = {key: old[key] for key in ("epoch", "seconds", "finished", "stopped_by")}
    torch.save({**solver, "solver": {"epoch": 1}, "format": 1}, tmp_path / "last.ckpt")
    assert checkpoints.load_checkpoint(tmp_path)["solver"] == {"epoch": 1}
