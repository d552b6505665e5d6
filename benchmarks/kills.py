"""Kill runs of six recipes at random moments, continue each, and compare with undisturbed ones.

`python benchmarks/kills.py [KILLS]`, 30 by default and shared by the recipes. A third of the
moments lie where the last figures are drawn and the report is written. Asked for are the same
weights, to the last bit, the same metrics, but for timings, and a report; the aim is no exception.
"""

import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

from vislab import recipes
from vislab.lab.running import execute
from vislab.runs.folder import RunFolder

NAMES = ("linear", "autoencoder", "detect-yolo", "segment-unet", "see-inside", "augmentation")
SIZE = {"detect-yolo": 32, "segment-unet": 32, "see-inside": 32}
LATE = 0.15  # the part of a run's time that counts as its end

# The server imports torch once; every process is a quick fork of it.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    ["vislab.lab.running", "vislab.recipes", "lightning.pytorch", "matplotlib.figure"]
)


def run_it(name: str, folder: Path, resume: bool) -> None:
    """Run a recipe in a small size, or continue its run."""
    torch.set_num_threads(1)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    kind = recipes.find(name)
    recipe = kind(**{**kind.smoke, "size": SIZE.get(name, 8)})
    execute(recipe, name, folder, resume=resume, save_every=0.0, quiet=True)


def begun(name: str, folder: Path) -> "multiprocessing.process.BaseProcess":
    """Start a process that runs a recipe from wherever the folder stands."""
    resume = (folder / "recipe.yaml").exists()
    process = processes.Process(target=run_it, args=(name, folder, resume), daemon=True)
    process.start()
    return process


def outcome(folder: Path) -> tuple[str, str | None, dict[str, float], bool]:
    """Return status, digest of the weights, metrics and whether the report says that it ended."""
    result = RunFolder.open(folder).result
    path = folder / "report.html"
    told = path.exists() and "Finished" in path.read_text(encoding="utf-8")
    json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return result.status, result.weights_sha256, dict(result.metrics), told


def killed(name: str, folder: Path, seconds: float, chance: random.Random) -> float | None:
    """Kill a run at a random moment; return that moment, or None where the run was faster."""
    late = chance.random() < 1 / 3
    moment = seconds * chance.uniform(1 - LATE if late else 0, 1.02)
    process = begun(name, folder)
    process.join(moment)
    if process.pid is None or process.exitcode is not None:
        return None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return moment


def tried(name: str, kills: int, chance: random.Random, work: Path) -> int:
    """Kill and continue one recipe so many times; return how often it ended otherwise."""
    undisturbed, seconds = [], 0.0
    for number in range(2):  # the second finds its images in the cache, and gives the time
        start = time.monotonic()
        process = begun(name, work / str(number))
        process.join()
        seconds = time.monotonic() - start
        undisturbed.append(outcome(work / str(number)))
    first, second = undisturbed
    same = {key: value for key, value in first[2].items() if second[2].get(key) == value}
    assert first[:2] == second[:2], f"{name}: two runs differ"
    others = wrong = done = 0
    while done < kills:
        folder = work / "killed"
        moment = killed(name, folder, seconds, chance)
        if moment is not None:
            done += 1
            begun(name, folder).join()
            status, weights, metrics, told = outcome(folder)
            kept = {key: metrics.get(key) for key in same}
            good = (status, weights, kept, told) == (*first[:2], same, True)
            left = [path.name for path in folder.rglob(".*.part")]
            if not good or left or metrics.keys() != first[2].keys():
                wrong += 1
                print(f"  {name} killed after {moment:.2f} of {seconds:.2f} s: {status}, {left}")
        else:
            others += 1
        shutil.rmtree(folder, ignore_errors=True)
    print(
        f"{name}: {kills} kills, {wrong} ended otherwise; {len(same)} of {len(first[2])} metrics "
        f"compared, the others are timings; {seconds:.1f} s undisturbed, {others} were faster"
    )
    return wrong


def main() -> None:
    """Kill each recipe its share of times."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    wrong = 0
    with tempfile.TemporaryDirectory() as home:
        os.environ["VISLAB_HOME"] = home
        for place, name in enumerate(NAMES):
            share = kills // len(NAMES) + (place < kills % len(NAMES))
            with tempfile.TemporaryDirectory() as work:
                wrong += tried(name, share, random.Random(place), Path(work))
    print(f"{kills} kills, {wrong} of them ended otherwise")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
