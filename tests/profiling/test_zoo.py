"""Networks by name: what is counted, what is kept on disk, what is told when it goes wrong."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from vislab import models
from vislab.errors import OptionError, UnknownName
from vislab.models import classifiers
from vislab.profiling import zoo
from vislab.profiling.costs import multiply_adds, parameters

NAMES = (
    "convnet", "resnet18", "torchvision:resnet34", "torchvision:resnet50", "torchvision:vgg16",
    "timm:resnet34",
)  # fmt: skip


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    """Return a folder of vislab's own where nothing is kept yet."""
    monkeypatch.setenv("VISLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def register(monkeypatch):
    """Return a function that makes a network known for this test."""
    monkeypatch.setattr(classifiers, "NETWORKS", dict(classifiers.NETWORKS))
    return models.register


@pytest.fixture
def counted(monkeypatch):
    """Note which networks are counted, in place of counting them."""
    calls = []

    def count(name, size=None):
        calls.append((name, size))
        return zoo.Count(name, size or 7, 100 + len(name), None if "34" in name else len(name))

    monkeypatch.setattr(zoo, "count", count)
    monkeypatch.setattr(zoo, "image_networks", lambda: list(NAMES))
    return calls


class Unlike(nn.Module):
    """Refuses all images but those of 48 pixels; its `image_size` says so."""

    def __init__(self, *, classes):
        super().__init__()
        self.image_size = 48
        self.conv = nn.Conv2d(3, classes, 5)

    def forward(self, x):
        if x.shape[-1] != 48:
            raise AssertionError(f"Wrong image height! Expected 48\n but got {x.shape[-1]}!")
        return self.conv(x).mean((2, 3))


@pytest.mark.parametrize("name", ["convnet", "all-cnn", "resnet18"])
def test_what_is_counted_without_memory_is_what_the_network_holds_and_computes(name):
    found = zoo.count(name)
    model = models.create(name, classes=zoo.CLASSES)
    assert found == zoo.Count(name, 32, parameters(model), multiply_adds(model, 32))


@pytest.mark.parametrize(
    ("name", "size", "held", "macs"),
    [
        # The counts of torchvision's own documentation, in GFLOPS of multiply-adds.
        ("torchvision:resnet18", 224, 11_689_512, 1.814e9),
        ("torchvision:vit_b_16", 224, 86_567_656, 17.564e9),
        ("torchvision:regnet_y_400mf", 224, 4_344_144, 0.402e9),
        ("torchvision:inception_v3", 299, 27_161_264 - 3_326_696, 5.713e9),  # without side head
    ],
)
def test_the_counts_of_known_networks_are_the_published_ones(name, size, held, macs):
    found = zoo.count(name)
    assert (found.size, found.problem) == (size, "")
    assert found.parameters == held
    assert found.macs == pytest.approx(macs, rel=1e-3)


def test_a_network_of_timm_is_counted_at_its_own_size():
    pytest.importorskip("timm")
    found = zoo.count("timm:deit_tiny_patch16_224")
    assert (found.size, found.parameters) == (224, 5_717_416)
    assert found.macs == pytest.approx(1.25e9, rel=0.01)


def test_nothing_is_allocated_for_a_count():
    model = zoo.weightless("torchvision:vit_b_16")
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"meta"}


def test_what_cannot_be_counted_is_unknown_and_says_why(register):
    register("unlike")(Unlike)
    assert zoo.count("unlike") == zoo.Count("unlike", 48, 760, 44 * 44 * 750)
    assert zoo.count("unlike", 32) == zoo.Count(
        "unlike", 32, 760, None, "AssertionError: Wrong image height! Expected 48 but got 32!"
    )
    register("broken")(lambda *, classes: 1 // 0)
    found = zoo.count("broken")
    assert (found.size, found.parameters, found.macs) == (None, None, None)
    assert found.problem.startswith("ZeroDivisionError")


def test_networks_that_need_more_than_classes_or_an_image_are_no_image_networks(register):
    class TwoInputs(nn.Linear):
        def __init__(self, *, classes):
            super().__init__(3, classes)

        def forward(self, x, words):
            return x

    class Optional(TwoInputs):
        def forward(self, x, words=None):
            return x

    register("two-inputs")(TwoInputs)
    register("optional-input")(Optional)
    register("with-options")(lambda *, classes, width=3: Optional(classes=classes))
    register("with-needs")(lambda *, classes, width: Optional(classes=classes))
    names = zoo.image_networks()
    assert {"convnet", "all-cnn", "resnet18", "optional-input", "with-options"} <= set(names)
    assert not {"captioner", "linear-scores", "deep-conv", "two-inputs", "with-needs"} & set(names)
    libraries = [name for name in names if ":" in name]
    assert "torchvision:resnet18" in libraries
    assert names[-len(libraries) :] == libraries


def test_without_a_pattern_all_but_timms_are_listed(own_home, counted):
    assert [one.name for one in zoo.listing(quiet=True)] == list(NAMES[:-1])
    assert [name for name, _ in counted] == list(NAMES[:-1])


def test_a_pattern_is_the_shells(own_home, counted):
    names = [one.name for one in zoo.listing("*:resnet?[48]", quiet=True)]
    assert names == ["torchvision:resnet34", "timm:resnet34"] == [name for name, _ in counted]
    assert [one.name for one in zoo.listing("*", quiet=True)] == list(NAMES)
    with pytest.raises(UnknownName, match=r"no network's name matches 'no\*such'"):
        zoo.listing("no*such", quiet=True)


def test_a_count_is_kept_for_its_size_and_not_counted_again(own_home, counted):
    first = zoo.listing("resnet1*", quiet=True)
    assert zoo.listing("resnet1*", quiet=True) == first
    assert zoo.listing("resnet1*", size=64, quiet=True)[0].size == 64
    assert zoo.listing("resnet1*", size=64, quiet=True)[0].size == 64
    assert counted == [("resnet18", None), ("resnet18", 64)]


@pytest.mark.parametrize("package", ["torch", "torchvision", "timm", "vislab"])
def test_another_version_is_counted_anew(own_home, counted, monkeypatch, package):
    zoo.listing("resnet1*", quiet=True)
    others = {**zoo.versions(), package: "0.0.1"}
    monkeypatch.setattr(zoo, "versions", lambda: others)
    zoo.listing("resnet1*", quiet=True)
    zoo.listing("resnet1*", quiet=True)
    assert len(counted) == 2


def test_changed_networks_of_vislab_are_counted_anew(own_home, counted, monkeypatch, tmp_path):
    zoo.listing("resnet1*", quiet=True)
    package = tmp_path / "vislab"
    (package / "models").mkdir(parents=True)
    (package / "models/resnet.py").write_text("changed")
    monkeypatch.setattr(zoo.vislab, "__file__", str(package / "__init__.py"))
    zoo.listing("resnet1*", quiet=True)
    assert len(counted) == 2


@pytest.mark.parametrize(
    "damage", ["", "{", "[1]", '{"made_with": 3}', "null", '{"names": ["x"]}', '"text"']
)
def test_a_damaged_file_is_counted_anew(own_home, counted, damage):
    first = zoo.listing("resnet1*", quiet=True)
    (own_home / "networks.json").write_text(damage)
    assert zoo.listing("resnet1*", quiet=True) == first
    assert len(counted) == 2
    assert json.loads((own_home / "networks.json").read_text())["counts"]


def test_a_list_that_is_stopped_keeps_what_was_counted(own_home, monkeypatch):
    calls = []

    def count(name, size=None):
        calls.append(name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return zoo.Count(name, 7, 1, 2)

    monkeypatch.setattr(zoo, "count", count)
    monkeypatch.setattr(zoo, "image_networks", lambda: list(NAMES))
    with pytest.raises(KeyboardInterrupt):
        zoo.listing("*", quiet=True)
    assert [one.name for one in zoo.listing("*", quiet=True)] == list(NAMES)
    assert calls == [*NAMES[:3], *NAMES[2:]]  # only the one that was cut off comes twice


def test_a_kept_list_comes_without_torch(own_home, counted):
    wanted = zoo.listing("resnet1*", quiet=True)
    code = (
        "import sys\n"
        "from vislab.profiling import zoo\n"
        "print(zoo.listing('resnet1*'))\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(wanted)


def test_a_card_tells_the_sums_of_the_layers_and_times(monkeypatch):
    monkeypatch.setattr("vislab.profiling.costs.PATIENCE", 0.0)
    card = zoo.card("all-cnn", 16, quiet=True)
    size, rows = zoo.open_layers("all-cnn", 16)
    assert size == card.size == 16
    assert card.layers == len(rows) == 25
    assert card.multiplying == 9
    assert card.parameters == sum(row.parameters for row in rows)
    assert card.macs == sum(row.macs for row in rows)
    for images in ("1", "64"):
        assert 0 < card.latency_ms[images]["median"] <= card.latency_ms[images]["p95"]


def test_a_slow_network_is_not_timed_in_batches(monkeypatch):
    asked = []

    def latency(model, size, batch, device):
        asked.append(batch)
        return {"median": zoo.SLOWEST / 64, "p95": zoo.SLOWEST}

    monkeypatch.setattr("vislab.profiling.costs.latency", latency)
    assert zoo.card("convnet", quiet=True).latency_ms["64"] is None
    assert asked == [1]


def test_an_image_of_the_wrong_size_is_told_in_a_sentence(register):
    register("unlike")(Unlike)
    wanted = r"unlike cannot be run on an image of 32×32: AssertionError: Wrong image height! "
    for look in (zoo.open_layers, zoo.card):
        with pytest.raises(OptionError, match=wanted):
            look("unlike", 32)
    with pytest.raises(OptionError, match=wanted):
        zoo.measure("unlike", 32, batch=2, classes=3, device=torch.device("cpu"))


def test_measuring_times_one_image_and_a_batch(monkeypatch):
    asked = []

    def latency(model, size, batch, device):
        asked.append((type(model).__name__, size, batch, device.type))
        return {"median": 2.0 * batch**0.5, "p95": 9.0}

    monkeypatch.setattr("vislab.profiling.costs.latency", latency)
    found = zoo.measure("convnet", 24, batch=4, classes=7, device=torch.device("cpu"))
    assert asked == [("ConvNet", 24, 1, "cpu"), ("ConvNet", 24, 4, "cpu")]
    model = models.create("convnet", classes=7)
    assert (found.parameters, found.name) == (parameters(model), "convnet")
    assert found.macs == multiply_adds(model, 24)
    assert found.images_per_second == 4 / 4.0e-3
    assert found.pace == found.macs / 2.0e-3
