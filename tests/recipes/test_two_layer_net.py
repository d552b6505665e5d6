"""One hidden layer: either engine, a linear classifier beside it, what is kept."""

import json

import pytest
from safetensors.torch import load_file

from tests.recipes.smoke import SIZE, close, smoked


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return smoked("two-layer-net", tmp_path_factory.mktemp("two") / "run")


def test_either_engine_gives_nearly_the_same_metrics(run, tmp_path):
    other = smoked("two-layer-net", tmp_path / "run", engine="autograd")
    close(run.result.metrics, other.result.metrics, accuracy=2.1 / 2000, loss=1e-3)


def test_the_gain_is_that_over_a_linear_classifier_of_the_same_images(run):
    metrics = run.result.metrics
    gain = metrics["test/accuracy"] - metrics["linear/test/accuracy"]
    assert metrics["gain over linear"] == pytest.approx(gain, abs=1e-9)
    assert {cost["name"] for cost in run.result.costs} == {"", "linear"}


def test_the_hidden_layers_network_is_the_one_that_is_kept(run):
    about = json.loads((run.path / "model.json").read_text())
    assert about["std"] == [1, 1, 1], "centred, not scaled"
    assert about["built_as"]["name"] == "fully-connected"
    assert about["built_as"]["options"] == {"features": 3 * SIZE**2, "hidden": [8]}
    kept = load_file(run.path / "model.safetensors")
    assert {name: tuple(w.shape) for name, w in kept.items()} == {
        "W1": (192, 8), "b1": (8,), "W2": (8, 10), "b2": (10,)
    }  # fmt: skip
    # 192·8 + 8 + 8·10 + 10
    assert run.result.costs[0]["parameters"] == 1634


def test_another_seed_is_another_training_and_the_same_the_same(run, tmp_path):
    again = smoked("two-layer-net", tmp_path / "again")
    assert again.result.weights_sha256 == run.result.weights_sha256
    assert again.result.metrics == run.result.metrics
