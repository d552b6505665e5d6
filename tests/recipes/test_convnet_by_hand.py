"""A deep ConvNet by hand: it learns fifty by heart, and its beginnings are told apart."""

import json

import pytest

from tests.recipes.smoke import close, smoked
from vislab import recipes
from vislab.lab.bench import Lab
from vislab.runs import figures

TINY = {"size": 16, "filters": (6, 8), "per_class": 5}


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Return a run, and what the figures of its beginnings were drawn from."""
    drawn, signal, curves = {}, figures.signal, figures.curves

    def heard_signal(activations, gradients, **named):
        drawn.update(activations=activations, gradients=gradients)
        return signal(activations, gradients, **named)

    def heard_curves(series, **named):
        if "Kaiming" in series:
            drawn["losses"] = {name: values for name, (_, values) in series.items()}
        return curves(series, **named)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("vislab.runs.figures.signal", heard_signal, raising=False)
        patched.setattr("vislab.runs.figures.curves", heard_curves, raising=False)
        return smoked("convnet-by-hand", tmp_path_factory.mktemp("conv") / "run", **TINY), drawn


def test_it_learns_fifty_images_by_heart(watched):
    assert watched[0].result.metrics["50 images/train accuracy"] >= 0.99


def test_small_fixed_weights_lose_the_signal_and_kaimings_keep_it(watched):
    drawn = watched[1]
    assert set(drawn["activations"]) == {"fixed 0.01", "fixed 0.1", "Xavier", "Kaiming"}
    for series in (drawn["activations"], drawn["gradients"]):
        assert all(len(values) == 20 for values in series.values())
    kept = {name: v[-1] / v[0] for name, v in drawn["activations"].items()}
    assert kept["fixed 0.01"] < 1e-6 < kept["Xavier"] < kept["Kaiming"]
    # Behind the poolings the maps are 2×2, and more than half of what a kernel sees is padding.
    before = {name: v[3] / v[0] for name, v in drawn["activations"].items()}
    assert 0.4 < before["Kaiming"] < 2.5
    assert before["Xavier"] < 0.8 * before["Kaiming"]
    back = {name: v[0] / v[-1] for name, v in drawn["gradients"].items()}
    assert back["fixed 0.01"] < 1e-6 < back["Kaiming"]


def test_the_losses_of_the_beginnings_are_told_beside_kaimings(watched):
    run, drawn = watched
    last = {name: values[-1] for name, values in drawn["losses"].items()}
    beside = {name for name in run.result.metrics if name.endswith("loss above Kaiming's")}
    assert len(beside) == 3
    for name in ("fixed 0.01", "fixed 0.1", "Xavier"):
        assert run.result.metrics[f"{name}: loss above Kaiming's"] == pytest.approx(
            last[name] - last["Kaiming"], rel=1e-9
        )
    assert len(set(last.values())) == 4


def test_what_is_kept_is_the_network_that_was_asked_for(watched):
    about = json.loads((watched[0].path / "model.json").read_text())
    built = about["built_as"]
    assert about["std"] == [1, 1, 1], "centred, not scaled"
    assert built["name"] == "deep-conv"
    assert built["options"] == {
        "side": 16, "filters": [6, 8], "pools": [0, 1], "batchnorm": True, "channels": 3
    }  # fmt: skip


def train_only(monkeypatch):
    """Leave the fifty images and the beginnings out."""
    kind = recipes.find("convnet-by-hand")
    for part in ("beginnings", "overfit"):
        monkeypatch.setattr(kind, part, lambda _self, _lab, _images: None)


def test_either_engine_gives_nearly_the_same_metrics(watched, tmp_path, monkeypatch):
    # The beginnings are by hand with either, and the fifty take most of the time.
    train_only(monkeypatch)
    other = smoked("convnet-by-hand", tmp_path / "run", engine="autograd", **TINY)
    ours = watched[0].result.metrics
    assert {"val/accuracy", "test/accuracy", "test/loss"} <= other.result.metrics.keys()
    close({name: ours[name] for name in other.result.metrics}, other.result.metrics,
          accuracy=0.021, loss=5e-3)  # fmt: skip


def test_stopped_by_minutes_it_still_reports(tmp_path, monkeypatch):
    monkeypatch.setattr(Lab, "_seconds_for_next", lambda _self: 0.0)
    train_only(monkeypatch)
    run = smoked("convnet-by-hand", tmp_path / "run", **TINY)
    assert run.result.costs[0]["stopped_by"] == "minutes"
    assert run.result.status == "finished"
