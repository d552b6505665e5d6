import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vislab import models
from vislab.errors import DataError, OptionError, RunError, UnknownName
from vislab.models import by_name, classifiers, course_networks
from vislab.models.preprocessing import Preprocessing

OURS = {
    "all-cnn": ("AllCNN", {}),
    "bilinear": ("Bilinear", {}),
    "compact": ("Compact", {}),
    "convnet": ("ConvNet", {}),
    "densenet": ("DenseNet", {"depth": 10}),
    "preact-resnet": ("PreActResNet", {"depth": 8}),
    "resnet18": ("ResNet", {}),
    "resnet9": ("ResNet9", {"width": 4}),
    "vgg": ("VGG", {"depth": 11, "width": 4}),
    "wide-resnet": ("WideResNet", {"depth": 10, "widen": 1}),
}


def test_a_network_can_be_built_again_from_what_it_remembers():
    model = models.create("convnet", classes=3, widths=[4, 6], noise=0.1)
    assert model.built_as == {
        "name": "convnet",
        "classes": 3,
        "options": {"widths": [4, 6], "noise": 0.1},
    }
    told = json.loads(json.dumps(model.built_as))
    again = models.create(told["name"], classes=told["classes"], **told["options"])
    again.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 9, 8)
    assert torch.equal(again.eval()(images), model.eval()(images))
    assert not hasattr(model, "preprocessing")  # nothing was loaded


@pytest.mark.parametrize("name", OURS)
def test_a_name_gives_the_network_it_says(name):
    kind, options = OURS[name]
    model = models.create(name, classes=7, **options)
    assert type(model).__name__ == kind
    assert model.built_as == {"name": name, "classes": 7, "options": options}
    assert model.eval()(torch.randn(1, 3, 32, 32)).shape == (1, 7)


def test_every_name_is_tested_above():
    courses = set(course_networks.NETWORKS)  # tested beside their twins by hand
    assert {*classifiers.NETWORKS, *by_name.COMPOSITES} - courses == OURS.keys()


@pytest.mark.parametrize(("version", "millions"), [(0, 4.65), (1, 5.42), (2, 6.09)])
def test_an_efficientnet_lite_has_the_size_that_its_authors_say(version, millions):
    """Of the table in the announcement: 4.7, 5.4 and 6.1 million with a thousand classes."""
    with torch.device("meta"):
        model = models.create(f"efficientnet-lite{version}", classes=None)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.01)
    assert model.built_as["name"] == f"efficientnet-lite{version}"


def test_names_are_of_every_source_that_needs_no_connection():
    names = models.names()
    assert len(set(names)) == len(names) > 1000
    ours = [name for name in names if ":" not in name]
    assert ours == sorted(ours) == names[: len(ours)]
    lite = {"efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"}
    assert set(ours) == OURS.keys() | set(course_networks.NETWORKS) | lite
    assert {"torchvision:resnet18", "torchvision:swin_t", "timm:convnext_tiny"} < set(names)
    sources = {name.partition(":")[0] for name in names if ":" in name}
    assert sources == {"torchvision", "timm"}


def test_an_unknown_name_lists_the_networks_and_the_nearest():
    with pytest.raises(
        UnknownName,
        match=r"'resnet-18'\. Did you mean 'resnet18'\? Known: all-cnn, .*captioner, .*convnet, .*"
        r"wide-resnet, yolo; or torchvision:NAME, timm:NAME, hf:NAME, or the folder of a run$",
    ):
        models.create("resnet-18", classes=2)


def test_an_unknown_source_lists_the_sources_and_the_nearest():
    sentence = (
        r"^no source of networks is named 'tim'\. Did you mean 'timm'\? "
        r"Known: hf, timm, torchvision$"
    )
    with pytest.raises(UnknownName, match=sentence):
        models.create("tim:resnet18", classes=2)
    with pytest.raises(UnknownName, match=sentence):
        models.natural_size("tim:resnet18")


@pytest.mark.parametrize("name", ["resnet18:", ":resnet18", "", "runs/nothing"])
def test_what_is_no_name_is_unknown(name):
    with pytest.raises(UnknownName):
        models.create(name, classes=2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("convnet", {"width": 5}),
        ("all-cnn", {"widths": (5,)}),
        ("resnet18", {"noise": 0.1}),
        ("vgg", {"widen": 2}),
        ("wide-resnet", {"width": 2}),
    ],
)
def test_an_option_that_a_network_lacks_is_named(name, options):
    with pytest.raises(OptionError, match=rf"network '{name}' .*'{next(iter(options))}'"):
        models.create(name, classes=2, **options)


def test_a_network_of_ours_needs_a_number_of_classes():
    with pytest.raises(OptionError, match=r"^network 'convnet' needs a number of classes$"):
        models.create("convnet", classes=None)


def test_a_network_of_ours_without_weights_says_who_has_some():
    sentence = (
        r"^there are no pre-trained weights for 'convnet'; efficientnet-lite0, "
        r"efficientnet-lite1, efficientnet-lite2 come with theirs, and torchvision:, timm: and hf: "
        r"names have theirs fetched$"
    )
    with pytest.raises(OptionError, match=sentence):
        models.create("convnet", classes=3, pretrained=True)


def test_a_network_of_ones_own_is_created_by_its_name(monkeypatch):
    monkeypatch.setattr(classifiers, "NETWORKS", dict(classifiers.NETWORKS))

    @models.register("mine")
    class Mine(nn.Linear):
        def __init__(self, *, classes, inner=5):
            super().__init__(inner, classes)

    assert Mine(classes=3).out_features == 3  # the class is still there under its own name
    model = models.create("mine", classes=4, inner=6)
    assert isinstance(model, Mine)
    assert model.weight.shape == (4, 6)
    assert model.built_as == {"name": "mine", "classes": 4, "options": {"inner": 6}}
    with pytest.raises(UnknownName, match=r"Known: all-cnn, .*, mine, .*resnet18"):
        models.create("nobody's", classes=2)


def test_it_is_told_from_a_name_whether_there_are_weights(run):
    there = ["efficientnet-lite1", "bilinear", "torchvision:resnet18", "timm:test_vit", "hf:a/b"]
    assert all(models.has_weights(name) for name in [*there, str(run.folder)])
    assert not any(models.has_weights(name) for name in OURS.keys() - {"bilinear"})


# Images that a network was made for


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("convnet", 32),
        ("efficientnet-lite0", 224),
        ("efficientnet-lite1", 240),
        ("efficientnet-lite2", 260),
        ("torchvision:resnet18", 224),
        ("torchvision:inception_v3", 299),
        ("timm:resnet10t", 176),
        ("timm:test_vit", 160),
    ],
)
def test_a_network_has_a_natural_size(name, side):
    assert models.natural_size(name) == side


@pytest.mark.parametrize("name", ["torchvision:resnt18", "timm:resnt18", "timm:resnet18.mine"])
def test_a_network_that_there_is_not_has_no_natural_size(name):
    with pytest.raises((UnknownName, OptionError), match=r"resnt18|mine"):
        models.natural_size(name)


def test_a_network_of_a_run_has_the_size_of_the_run_s_images(run):
    assert models.natural_size(str(run.folder)) == 48


def test_a_network_of_hugging_face_has_the_size_of_its_configuration(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "vit", "image_size": 96}')
    assert models.natural_size(f"hf:{tmp_path}") == 96


# Weights of a file


@pytest.fixture
def trained(tmp_path):
    """Return a network of ours with five classes, and a file of its weights."""
    model = changed(models.create("convnet", classes=5, widths=(4, 6)))
    torch.save({"state_dict": model.state_dict()}, tmp_path / "mine.pt")
    return model, tmp_path / "mine.pt"


def changed(model):
    """Give every number a value that no initialisation gives."""
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(torch.rand(tensor.shape) * 0.1 + 0.01)
    return model.eval()


def assert_same(model, source, *, but=()):
    """All tensors are the source's but these, which are others."""
    given = source.state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, given[name]) is (name not in but)


def test_weights_of_a_file_are_loaded_with_their_head(trained):
    source, path = trained
    model = models.create("convnet", classes=5, weights=path, widths=(4, 6))
    assert_same(model, source)
    assert model.built_as == {"name": "convnet", "classes": 5, "options": {"widths": (4, 6)}}
    assert model.preprocessing is None  # the file does not say what they were shown


def test_a_head_for_other_classes_than_a_file_s_is_fresh(trained):
    source, path = trained
    model = models.create("convnet", classes=3, weights=path, widths=(4, 6))
    assert model.head.weight.shape == (3, 6)
    assert_same(model, source, but={"head.weight", "head.bias"})


def test_weights_of_a_file_that_do_not_fit_name_the_file(trained):
    _, path = trained
    sentence = (
        rf"^the weights of {re.escape(str(path))} do not fit this network: \d+ tensors differ, "
        r"the first is features\.0\.weight, \(5, 3, 3, 3\) here and \(4, 3, 3, 3\) there$"
    )
    with pytest.raises(DataError, match=sentence):
        models.create("convnet", classes=5, weights=path, widths=(5, 6))
    with pytest.raises(DataError, match="no weights file"):
        models.create("convnet", classes=5, weights=path.with_name("other.pt"), widths=(4, 6))


def test_weights_of_a_file_for_a_library_s_network_were_shown_what_the_library_says(tmp_path):
    source = changed(models.create("torchvision:shufflenet_v2_x0_5", classes=4))
    save_file(source.state_dict(), tmp_path / "mine.safetensors")
    model = models.create(
        "torchvision:shufflenet_v2_x0_5", classes=3, weights=tmp_path / "mine.safetensors"
    )
    assert model.preprocessing == Preprocessing(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    given = source.state_dict()
    for name, tensor in model.state_dict().items():
        assert name in ("fc.weight", "fc.bias") or torch.equal(tensor, given[name])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("timm:vit_tiny_patch16_224", {"img_size": 32, "depth": 2}),
        ("timm:resnet10t", {"in_chans": 1}),
        ("deep-conv", {"side": 8, "filters": [2], "pools": [0], "batchnorm": False}),
    ],
    ids=["smaller", "gray", "ours"],
)
def test_weights_of_a_file_fit_a_network_for_images_of_its_own(tmp_path, name, options):
    """The images that the library says it was made for, it does not take."""
    source = changed(models.create(name, classes=5, **options))
    save_file(source.state_dict(), tmp_path / "mine.safetensors")
    model = models.create(name, classes=5, weights=tmp_path / "mine.safetensors", **options)
    assert_same(model, source)


# A run's network


class Run:
    """The folder of a run that kept its network, as `vislab run` leaves it."""

    def __init__(self, folder: Path, model: nn.Module, **about):
        self.folder, self.model = folder, model
        folder.mkdir()
        save_file(model.state_dict(), folder / "model.safetensors")
        self.about = {
            "built_as": model.built_as,
            "classes": ["bird", "cat", "dog", "fish", "frog"],
            "size": 48,
            "mean": [0.1, 0.2, 0.3],
            "std": [0.4, 0.5, 0.6],
            **about,
        }
        (folder / "model.json").write_text(json.dumps(self.about))


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run", changed(models.create("convnet", classes=5, widths=[4, 6])))


@pytest.mark.parametrize("classes", [None, 5])
def test_the_network_of_a_run_is_taken_over_whole(run, classes):
    model = models.create(str(run.folder), classes=classes)
    assert_same(model, run.model)
    assert model.preprocessing == Preprocessing(48, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert models.create(str(run.folder), classes=classes, pretrained=True).built_as == (
        run.model.built_as  # so that it can be built again when the run is gone
    )


def test_the_network_of_a_run_gets_a_head_for_other_classes(run):
    model = models.create(str(run.folder), classes=3)
    assert model.head.weight.shape == (3, 6)
    assert_same(model, run.model, but={"head.weight", "head.bias"})
    assert model.built_as == {"name": "convnet", "classes": 3, "options": {"widths": [4, 6]}}


def test_the_network_of_a_run_on_gray_images_was_shown_one_mean(tmp_path):
    model = models.create("convnet", classes=5, widths=[4])
    run = Run(tmp_path / "run", model, mean=[0.25], std=[0.5])
    taken = models.create(str(run.folder), classes=None)
    assert taken.preprocessing == Preprocessing(48, (0.25, 0.25, 0.25), (0.5, 0.5, 0.5))


def test_the_network_of_a_run_of_a_library_s_is_built_by_the_library(tmp_path):
    source = changed(models.create("torchvision:shufflenet_v2_x0_5", classes=5))
    run = Run(tmp_path / "run", source)
    assert_same(models.create(str(run.folder), classes=None), source)
    other = models.create(str(run.folder), classes=2)
    assert_same(other.conv5, source.conv5)
    assert other.fc.weight.shape == (2, 1024)


def test_a_network_without_a_head_to_be_found_is_taken_over_as_it_is(tmp_path):
    source = changed(models.create("linear-scores", classes=5, features=3 * 4 * 4))
    run = Run(tmp_path / "run", source, size=4)
    assert_same(models.create(str(run.folder), classes=None), source)
    with pytest.raises(DataError, match=r"do not fit .* first is W, \(48, 2\) here and \(48, 5\)"):
        models.create(str(run.folder), classes=2)


@pytest.mark.parametrize("given", [{"widths": [4, 6]}, {"weights": Path("mine.pt")}])
def test_the_network_of_a_run_takes_neither_options_nor_weights(run, given):
    sentence = (
        rf"^the network of {re.escape(str(run.folder))} is taken as it is, without options or "
    )
    with pytest.raises(OptionError, match=sentence):
        models.create(str(run.folder), classes=5, **given)


def test_the_network_of_a_run_that_was_not_created_by_name_cannot_be_taken_over(run):
    (run.folder / "model.json").write_text(json.dumps({**run.about, "built_as": None}))
    with pytest.raises(DataError, match=r"has no name, so it cannot be built again$"):
        models.create(str(run.folder), classes=5)


def test_a_damaged_run_is_an_error_that_names_its_file(run):
    (run.folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"no weights file at .*model\.safetensors$"):
        models.create(str(run.folder), classes=5)
    (run.folder / "model.json").write_text("{")
    with pytest.raises(RunError, match=r"model\.json"):
        models.create(str(run.folder), classes=5)


def test_a_folder_is_a_run_when_it_kept_a_network(run, tmp_path, monkeypatch):
    assert by_name.is_run(str(run.folder))
    assert not by_name.is_run(str(tmp_path))
    assert not by_name.is_run(f"hf:{run.folder}")
    assert not by_name.is_run("convnet")
    run.folder.with_name("hf:mine").mkdir()
    run.folder.with_name("hf:mine").joinpath("model.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert not by_name.is_run("hf:mine")  # a library's name stays one
    monkeypatch.chdir(run.folder)
    assert by_name.is_run(".")
