"""The recipe of networks: its table, its orders, and what its numbers mean."""

import itertools
import math

import pytest

from tests.lab.undrawn import draw_nothing
from vislab.errors import OptionError
from vislab.lab.running import execute
from vislab.profiling import zoo
from vislab.profiling.zoo import Measured
from vislab.recipes.model_zoo import (
    CLASSES,
    ModelZoo,
    rank_correlation,
    rank_interval,
    reversed_pairs,
    shortened,
)
from vislab.runs.lesson import read_lesson

# Name, parameters, multiply-adds, milliseconds for one image and for a batch.
ANIMALS = {
    "mouse": (10, 1_000, 1.0, 4.0),
    "cat": (30, 2_000, 8.0, 8.0),
    "horse": (20, 4_000, 2.0, 16.0),
    "whale": (40, 8_000, 16.0, 32.0),
}


def animal(name, *, certain=1.1):
    parameters, macs, alone, together = ANIMALS[name]
    spread = {"median": alone, "p95": certain * alone}
    return Measured(name, parameters, macs, spread, {"median": together, "p95": together}, 4)


@pytest.fixture
def animals(monkeypatch, tmp_path):
    """Run the recipe on networks whose sizes and times are known."""
    draw_nothing(monkeypatch)
    asked = []

    def measure(name, size, **options):
        asked.append((name, size, options.pop("device").type, options))
        return animal(name)

    monkeypatch.setattr(zoo, "measure", measure)
    names = ("horse", "whale", "mouse", "cat")
    done = execute(ModelZoo(names, size=48, batch=4), "model-zoo", tmp_path / "run", quiet=True)
    return done, asked


def test_every_network_is_measured_once_as_asked(animals):
    _, asked = animals
    assert [name for name, *_ in asked] == ["horse", "whale", "mouse", "cat"]
    assert {size for _, size, *_ in asked} == {48}
    assert all(options == {"batch": 4, "classes": CLASSES} for *_, options in asked)


def test_the_table_is_sorted_by_parameters_and_computes_its_columns(animals):
    columns, rows = animals[0].table("networks by parameters")
    assert [row[0] for row in rows] == ["mouse", "horse", "cat", "whale"]
    horse = dict(zip(columns, rows[1], strict=True))
    assert (horse["parameters"], horse["multiply-adds"]) == ("20", "4000")
    assert float(horse["ms for one image"]) == 2.0
    assert float(horse["95 % below, ms"]) == 2.2
    assert float(horse["images/s in batches of 4"]) == 4 / 16e-3
    assert float(horse["gain of the batch"]) == 0.5  # 250 a second, and 500 alone
    assert float(horse["billion multiply-adds/s"]) == 4_000 / 2e-3 / 1e9


def test_the_metrics_are_those_of_the_two_orders(animals):
    result = animals[0].result
    # By multiply-adds the times rank 1 3 2 4, by parameters 1 2 3 4.
    assert result.metrics["rank correlation"] == pytest.approx(0.8)
    assert result.metrics["rank correlation of parameters"] == pytest.approx(1.0)
    assert result.metrics["pairs in reverse"] == pytest.approx(1 / 6)  # cat and horse
    assert result.metrics["slowest over fastest multiply-add"] == pytest.approx(8.0)
    low, high = result.intervals["rank correlation"]
    assert -1 < low < 0.8 < high < 1
    assert "rank correlation of parameters" not in result.intervals
    verdicts = [claim["verdict"] for claim in result.claims]
    assert verdicts == ["undecided", "confirmed", "confirmed"]


def test_a_pair_is_in_reverse_only_when_it_is_clear():
    calm = [animal(name) for name in ANIMALS]
    restless = [animal(name, certain=5.0) for name in ANIMALS]
    assert (reversed_pairs(calm), reversed_pairs(restless)) == (1 / 6, 0)
    assert reversed_pairs([animal("cat"), animal("cat")]) == 0  # equal multiply-adds are no pair


def test_the_rank_correlation_knows_only_ranks():
    assert rank_correlation([1, 2, 3, 4], [1, 10, 100, 1000]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3, 4], [9, 8, 2, 1]) == pytest.approx(-1)
    # 1 - 6 Σd² / (n³ - n), with d = 0, 1, 2, 1, 2.
    assert rank_correlation([1, 2, 3, 4, 5], [1, 3, 5, 4 - 1e-9, 2]) == pytest.approx(
        1 - 6 * (0 + 1 + 4 + 0 + 9) / 120
    )
    assert rank_correlation([1, 1, 2], [5, 5, 9]) == pytest.approx(1)  # ties share their rank


def test_the_interval_of_a_rank_correlation_covers_it_as_often_as_it_says(rng):
    import torch

    true = 0.6  # of the values; of the ranks it is 6 / π · asin(true / 2)
    wanted, inside, rounds = 6 / math.pi * math.asin(true / 2), 0, 400
    for _ in range(rounds):
        x, noise = torch.randn(2, 25, generator=rng)
        y = true * x + math.sqrt(1 - true**2) * noise
        low, high = rank_interval(rank_correlation(x.tolist(), y.tolist()), 25)
        inside += low <= wanted <= high
    assert 0.92 < inside / rounds < 0.98


@pytest.mark.parametrize(("rank", "count"), [(1.0, 9), (-1.0, 9), (0.5, 3), (float("nan"), 9)])
def test_without_doubt_to_measure_there_is_no_interval(rank, count):
    assert rank_interval(rank, count) is None


def test_more_networks_narrow_the_interval():
    widths = [high - low for low, high in (rank_interval(0.5, n) for n in (4, 8, 16, 100))]
    assert all(one > other for one, other in itertools.pairwise(widths))
    assert widths[-1] < 0.35


def test_names_lose_where_they_come_from_unless_two_would_be_alike():
    names = ["convnet", "torchvision:vgg16", "resnet18", "torchvision:resnet18"]
    assert shortened(names) == ["convnet", "vgg16", "resnet18", "torchvision:resnet18"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"networks": ("convnet", "all-cnn", "resnet18")}, "name four or more"),
        ({"networks": ("convnet", "all-cnn", "resnet18", "convnet", "x")}, "each once"),
        ({"size": 0}, "--size 0 is no image"),
        ({"batch": 0}, "--batch 0 is no image"),
    ],
)
def test_what_cannot_be_ranked_or_timed_is_refused(options, sentence, tmp_path):
    with pytest.raises(OptionError, match=sentence):
        execute(ModelZoo(**options), "model-zoo", tmp_path / "run", quiet=True)


def test_the_exercises_have_the_answers_that_the_layers_give():
    import torch
    from torch import nn

    from vislab.profiling.layers import layers

    first, second = read_lesson(ModelZoo.__doc__).exercises
    body = nn.Sequential(nn.Conv2d(3, 64, 1), nn.Conv2d(64, 128, 3, padding=1))
    assert first.answer == f"{layers(body, 56)[-1].macs / 1e6:.1f}"
    vgg = {row.name: row for row in layers(zoo.weightless("torchvision:vgg16"), 224)}
    assert second.answer == f"{vgg['classifier.0'].parameters / 1e6:.1f}"
    assert isinstance(vgg["classifier.0"].macs, int)
    assert torch.is_grad_enabled()


def test_the_networks_of_every_size_are_known_by_name():
    known = set(zoo.image_networks())
    for preset in ({}, ModelZoo.quick, ModelZoo.smoke):
        assert set(ModelZoo(**preset).networks) <= known
