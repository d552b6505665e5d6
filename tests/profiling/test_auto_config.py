"""What is chosen from how many images there are, how long there is and how fast it goes."""

import re

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vislab.data.images import Survey
from vislab.profiling import auto_config
from vislab.profiling.auto_config import choose, default_network

CPU = torch.device("cpu")
SOME = Survey(classes=10, train=1000, val=100, test=200)
LITE = "efficientnet-lite0"


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr("vislab.models.efficientnet_lite.is_installed", lambda _version=0: True)


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr("vislab.models.efficientnet_lite.is_installed", lambda _version=0: False)


@pytest.fixture
def speeds(monkeypatch):
    """Seconds an image: answered 0.01, all layers trained 0.04, the last 5 blocks 0.02."""
    asked = []

    def told(name, size, device):
        asked.append((name, size, device))
        return 0.01, 0.04, 0.02, 5

    monkeypatch.setattr(auto_config, "_speeds", told)
    return asked


@pytest.fixture
def unmeasured(monkeypatch):
    def refuse(*_):
        raise AssertionError("measured for nothing")

    monkeypatch.setattr(auto_config, "_speeds", refuse)


# At 224 pixels: the head's features, twice each image, 26 s; an epoch of all layers 41 s and of
# the last blocks 21 s, validation among it. 16 000 images seen are 16 epochs; 8 are enough.
# A side of 160 takes (160/224)² = 0.510 of that, one of 128 0.327.
BY_HAND = [
    (12.0, "layer-decay:0.8", 224, 16),  # 26 + 16 · 41 = 682 s
    (11.0, "layer-decay:0.8", 224, 15),
    (6.0, "layer-decay:0.8", 224, 8),  # 354 s
    (5.5, "layer-decay:0.8", 160, 15),  # 0.510 · (26 + 15 · 41) = 327 s
    (2.5, "layer-decay:0.8", 128, 10),
    (1.8, "last-blocks:5", 160, 8),  # 8 epochs of all at 128 take 116 s; these take 99 s
    (1.2, "last-blocks:5", 128, 9),
    (0.7, "head", 224, 30),
    (0.3, "head", 160, 30),
    (0.01, "head", 128, 30),  # not even its features fit: at least they are small
]


@pytest.mark.usefixtures("installed", "speeds")
@pytest.mark.parametrize(("minutes", "strategy", "size", "epochs"), BY_HAND)
def test_the_less_time_the_smaller_the_images_then_the_fewer_the_layers(
    minutes, strategy, size, epochs
):
    found = choose(SOME, minutes, CPU)
    assert (found.strategy, found.size, found.epochs) == (strategy, size, epochs)
    assert (found.network, found.pretrained) == (LITE, True)
    assert f"{minutes:g} minutes given" in found.reason
    assert "1000 images" in found.reason
    assert f"{size} pixels" in found.reason


@pytest.mark.usefixtures("installed")
def test_speed_is_measured_once_at_the_networks_own_size(speeds):
    choose(SOME, 1.0, CPU)
    assert speeds == [(LITE, 224, CPU)]


@pytest.mark.usefixtures("installed", "speeds")
def test_without_a_time_ten_minutes_are_aimed_at():
    found, same = choose(SOME, None, CPU), choose(SOME, 10.0, CPU)
    assert "(10 minutes aimed at)" in found.reason
    assert (found.strategy, found.size, found.epochs) == (same.strategy, same.size, same.epochs)


@pytest.mark.usefixtures("installed", "speeds")
def test_the_sentence_tells_images_a_second_and_minutes():
    text = choose(SOME, 12.0, CPU).reason
    # 682 s are 11.4 minutes; 0.04 s an image are 25 a second.
    assert "1000 images at 25 a second take about 11.4 minutes (12 minutes given)" in text
    # 0.02 · 0.51 s an image are 98 a second; 0.51 · (26 + 8 · 21) = 99 s.
    assert "at 98 a second take about 1.6 minutes" in choose(SOME, 1.8, CPU).reason


@pytest.mark.usefixtures("installed", "unmeasured")
@pytest.mark.parametrize("minutes", [0.1, 1000.0, None])
def test_of_fewer_than_five_images_a_class_the_head_alone_learns(minutes):
    found = choose(Survey(classes=10, train=49, val=5, test=10_000), minutes, CPU)
    assert (found.strategy, found.size, found.epochs) == ("head", 224, 30)
    found = choose(Survey(classes=10, train=40, val=5, test=10), minutes, CPU, size=96, epochs=8)
    assert (found.strategy, found.size, found.epochs) == ("head", 96, 8)
    assert "its head alone: 4 images a class are too few to move more" in found.reason


@pytest.mark.usefixtures("installed", "speeds")
def test_of_five_images_a_class_more_may_move():
    assert choose(Survey(10, 50, 5, 100), 1000.0, CPU).strategy == "layer-decay:0.8"


@pytest.mark.usefixtures("installed", "speeds")
def test_a_strategy_that_is_asked_for_is_not_refused_for_few_images():
    assert choose(Survey(10, 20, 0, 20), None, CPU, strategy="all").strategy == "all"


@pytest.mark.usefixtures("installed", "speeds")
@pytest.mark.parametrize(
    ("train", "epochs"), [(1, 30), (50, 30), (533, 30), (534, 30), (640, 25), (5400, 3), (10**6, 3)]
)
def test_epochs_are_as_many_as_show_sixteen_thousand_images(train, epochs):
    found = choose(Survey(1, train, 0, 10), 1e9, CPU, strategy="all")
    assert found.epochs == epochs


GIVEN = {"size": 96, "strategy": "gradual", "epochs": 41}


@pytest.mark.usefixtures("installed", "speeds")
@pytest.mark.parametrize("minutes", [0.01, 1.5, 1e6])
@pytest.mark.parametrize("names", [["size"], ["strategy"], ["epochs"], list(GIVEN)])
def test_what_is_given_is_kept(names, minutes):
    given = {name: GIVEN[name] for name in names}
    found = choose(SOME, minutes, CPU, **given)
    assert {name: getattr(found, name) for name in names} == given


@pytest.mark.usefixtures("nothing_installed")
def test_a_network_that_is_asked_for_is_kept_with_its_weights_and_its_size(speeds):
    found = choose(SOME, 1e6, CPU, network="torchvision:resnet18")
    assert (found.network, found.pretrained, found.size) == ("torchvision:resnet18", True, 224)
    assert speeds == [("torchvision:resnet18", 224, CPU)]
    assert "torchvision:resnet18, as asked" in found.reason


@pytest.mark.usefixtures("installed", "speeds")
def test_images_are_never_enlarged_for_want_of_time():
    for minutes in (0.01, 1.0, 2.0, 5.0, 100.0):
        assert choose(SOME, minutes, CPU, network="convnet").size == 32


@pytest.mark.usefixtures("nothing_installed", "unmeasured")
def test_without_weights_a_network_learns_from_scratch_and_is_told_how_to_do_better():
    found = choose(SOME, 5.0, CPU)
    assert (found.network, found.pretrained, found.strategy) == ("resnet18", False, "all")
    assert (found.size, found.epochs) == (64, 30)
    assert "from random weights" in found.reason
    assert "`pip install 'vislab[weights]'`" in found.reason
    assert "--network torchvision:resnet18 downloads one" in found.reason
    given = choose(SOME, 5.0, CPU, size=48, epochs=7)
    assert (given.size, given.epochs) == (48, 7)


@pytest.mark.usefixtures("nothing_installed", "unmeasured")
def test_a_strategy_that_is_asked_for_is_kept_without_weights_too():
    assert choose(SOME, 5.0, CPU, strategy="last-blocks:2").strategy == "last-blocks:2"


@pytest.mark.usefixtures("installed")
def test_with_weights_at_hand_they_are_the_ones_to_begin_from():
    name, why = default_network()
    assert name == LITE
    assert "without a download" in why


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    minutes=st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)),
    train=st.integers(5, 20_000),
    held=st.integers(0, 5_000),
)
@pytest.mark.usefixtures("installed", "speeds")
def test_more_time_never_gives_less_and_no_plan_takes_longer_than_there_is(minutes, train, held):
    order = [
        (kind, size)
        for kind in ("layer-decay:0.8", "last-blocks:5")
        for size in (224, 160, 128)
    ] + [("head", 224), ("head", 160), ("head", 128)]  # fmt: skip
    ranks = []
    for given_minutes in sorted(minutes):
        found = choose(Survey(1, train, held // 3, held), given_minutes, CPU)
        ranks.append((order.index((found.strategy, found.size)), -found.epochs))
        took = re.search(r"take about ([\d.]+) minutes", found.reason)
        assert (took is None) == (found.strategy == "head")
        if took is not None:
            assert float(took.group(1)) <= given_minutes + 0.05  # as it is rounded
    assert ranks[1] <= ranks[0]


def test_speeds_are_those_of_answering_of_all_layers_and_of_the_last_third(monkeypatch):
    asked = []

    def note(task, size, device, *, train, batch=16):
        trained = [n for n, p in task.model.named_parameters() if p.requires_grad and p.ndim == 4]
        asked.append((size, train, len(trained)))
        return float(len(asked))

    monkeypatch.setattr(auto_config, "seconds_per_image", note)
    # A ConvNet of six convolutions.
    assert auto_config._speeds("convnet", 24, CPU) == (1.0, 2.0, 3.0, 2)
    assert asked == [(24, False, 6), (24, True, 6), (24, True, 2)]


def test_a_speed_is_truly_measured():
    forward, everything, some, blocks = auto_config._speeds("convnet", 16, CPU)
    assert 0 < forward < everything
    assert 0 < some < everything
    assert blocks == 2
