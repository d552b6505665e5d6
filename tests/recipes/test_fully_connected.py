"""Update rules from one start, dropout on and off, and the better one kept."""

import json

import pytest
from safetensors.torch import load_file

from tests.recipes.smoke import close, smoked
from vislab.lab.bench import Lab

RULES = {"sgd", "sgd_momentum", "rmsprop", "adam"}


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Return a run, and the solver of each of its trainings by name."""
    solvers, solve = {}, Lab.solve

    def heard(self, *args, **named):
        solvers[named["name"]] = solve(self, *args, **named)
        return solvers[named["name"]]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Lab, "solve", heard)
        return smoked("fully-connected", tmp_path_factory.mktemp("fc") / "run"), solvers


def test_all_rules_begin_with_the_same_weights_on_the_same_batches(watched):
    _, solvers = watched
    rules = {name: s for name, s in solvers.items() if name.startswith("rule ")}
    assert {name.removeprefix("rule ") for name in rules} == RULES
    first = {solver.loss_history[0] for solver in rules.values()}
    assert len(first) == 1
    assert len({tuple(solver.rows(0, 0).tolist()) for solver in rules.values()}) == 1
    assert len({tuple(solver.loss_history) for solver in rules.values()}) == 4


def test_the_lead_of_adam_is_in_accuracy_on_validation(watched):
    run, solvers = watched
    last = {rule: solvers[f"rule {rule}"].val_acc_history[-1] for rule in RULES}
    assert run.result.metrics["adam: lead over sgd"] == pytest.approx(last["adam"] - last["sgd"])


def test_gains_and_gaps_are_those_with_dropout_less_those_without(watched):
    run, solvers = watched
    metrics, without, dropped = (
        run.result.metrics, solvers["without dropout"], solvers["with dropout"]
    )  # fmt: skip
    assert metrics["dropout: gain in accuracy"] == pytest.approx(
        metrics["with dropout/test/accuracy"] - metrics["without dropout/test/accuracy"]
    )
    gap = [one.train_acc_history[-1] - one.val_acc_history[-1] for one in (dropped, without)]
    assert metrics["dropout: change of the gap"] == pytest.approx(gap[0] - gap[1])
    assert without.model.dropout == 0
    assert dropped.model.dropout == 0.3


def test_the_better_on_validation_is_kept_and_tested_again(watched):
    run, solvers = watched
    names = ("without dropout", "with dropout")
    best = max(names, key=lambda name: solvers[name].best_val_acc)
    kept = load_file(run.path / "model.safetensors")
    assert all(kept[name].equal(w) for name, w in solvers[best].best_params.items())
    metrics = run.result.metrics
    assert metrics["test/accuracy"] == metrics[f"{best}/test/accuracy"]
    assert metrics["val/accuracy"] == pytest.approx(solvers[best].best_val_acc)
    about = json.loads((run.path / "model.json").read_text())
    assert about["std"] == [1, 1, 1], "centred, not scaled"
    assert about["built_as"]["options"]["dropout"] == solvers[best].model.dropout


def test_either_engine_gives_nearly_the_same_metrics(watched, tmp_path):
    other = smoked("fully-connected", tmp_path / "run", engine="autograd")
    close(watched[0].result.metrics, other.result.metrics, accuracy=0.026, loss=5e-3)


def test_stopped_by_minutes_within_the_rules_it_still_reports(tmp_path, monkeypatch):
    monkeypatch.setattr(Lab, "_seconds_for_next", lambda _self: 0.0)
    assert smoked("fully-connected", tmp_path / "run").result.status == "finished"
