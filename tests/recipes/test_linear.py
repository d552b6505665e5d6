"""Linear classifiers: two losses, the better one kept, either engine."""

import json

import pytest
from PIL import Image
from safetensors.torch import load_file

from tests.recipes.smoke import SIZE, close, smoked
from vislab import data, recipes
from vislab.errors import UnknownName
from vislab.inference import predict
from vislab.runs.folder import RunFolder
from vislab.runs.witnessed import read_witnessed


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return smoked("linear", tmp_path_factory.mktemp("linear") / "run")


def logged(run):
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


def test_either_engine_gives_nearly_the_same_metrics(run, tmp_path):
    other = smoked("linear", tmp_path / "run", engine="autograd")
    close(run.result.metrics, other.result.metrics, accuracy=2.1 / 2000, loss=1e-3)
    ours, theirs = (load_file(one.path / "model.safetensors") for one in (run, other))
    assert (ours["W"] - theirs["W"]).abs().max() < 1e-4 * ours["W"].abs().max()


@pytest.mark.parametrize("losses", [("svm", "softmax"), ("softmax", "svm")])
def test_the_better_losss_weights_are_kept_and_predict_as_it_did(losses, tmp_path):
    options = {"per_class": 8, "learning_rates": (0.3,), "penalties": (1e-3,), "epochs": 4}
    run = smoked("linear", tmp_path / "run", losses=losses, **options)
    found = {line["fit"]: [] for line in logged(run)}
    for line in logged(run):
        found[line["fit"]].append(line["val/accuracy"])
    better = max(losses, key=lambda loss: max(found[loss]))
    assert max(found["svm"]) != max(found["softmax"]), "one must be better"
    _, told = run.table(f"{better} test predictions")
    _, other = run.table(f"{min(set(losses) - {better})} test predictions")
    images = data.images("shapes:easy", size=SIZE, per_class=8, validation=0.2)
    test, paths = images.split("test"), []
    for place in range(0, 2000, 59):
        paths.append(tmp_path / f"{place}.png")
        Image.fromarray(test.take(slice(place, place + 1))[0]).save(paths[-1])
    said = predict(RunFolder.open(run.path), paths)
    assert [one["label"] for one in said] == [row[2] for row in told[::59]]
    wanted = [float(row[3]) for row in told[::59]]
    assert [one["probability"] for one in said] == pytest.approx(wanted, abs=2e-6)
    assert [one["label"] for one in said] != [row[2] for row in other[::59]]

    accuracies = [run.result.metrics[f"{loss}/test/accuracy"] for loss in losses]
    gain = run.result.metrics[f"{losses[1]}: gain in accuracy"]
    assert gain == pytest.approx(accuracies[1] - accuracies[0], abs=1e-9)
    assert gain
    low, high = run.result.intervals[f"{losses[1]}: gain in accuracy"]
    assert low <= gain <= high


def test_images_are_centred_and_not_scaled(run):
    about = json.loads((run.path / "model.json").read_text())
    assert about["std"] == [1, 1, 1]
    assert about["built_as"]["options"] == {"features": 3 * SIZE**2 + 1}


def test_each_loss_has_a_grid_and_trains_longer_with_its_best_cell(run):
    kind = recipes.find("linear")
    for loss in ("svm", "softmax"):
        grid = read_witnessed(run.path / f"checkpoints/{loss}-grid.json")
        assert len(grid) == 4
        assert len([line for line in logged(run) if line["fit"] == loss]) == kind.smoke["epochs"]


def test_one_loss_alone_has_nothing_to_be_compared_with(tmp_path):
    run = smoked("linear", tmp_path / "run", losses=("softmax",))
    names = {"softmax/val/accuracy", "softmax/test/accuracy", "softmax/test/loss"}
    assert set(run.result.metrics) == names
    assert (run.path / "model.safetensors").exists()


def test_a_loss_nobody_knows_names_both(tmp_path):
    with pytest.raises(UnknownName, match=r"'sofmax'\. Did you mean 'softmax'\?"):
        smoked("linear", tmp_path / "run", losses=("sofmax",))


def test_no_loss_at_all_is_told_in_a_sentence(tmp_path, capsys):
    from vislab.cli.main import main

    words = ["run", "linear", "--quick", "--per-class", "2", "--size", "8", "--losses"]
    assert main([*words, "--folder", str(tmp_path / "run")]) == 2
    assert "--losses" in capsys.readouterr().err
