"""What a run folder may ask for when its network is built again, and what it may not."""

import json
import time

import pytest
import torch

from vislab import models
from vislab.errors import RunError, VislabError
from vislab.inference.networks import network_of
from vislab.models.from_a_folder import require_harmless
from vislab.models.weights import load_weights, save_weights, sha256_of
from vislab.runs.folder import RunFolder
from vislab.runs.model_card import ModelCard


@pytest.mark.parametrize(
    ("name", "options", "refused"),
    [
        ("timm:resnet18", {"checkpoint_path": "/tmp/x.pth"}, "the option 'checkpoint_path'"),
        ("timm:resnet18", {"pretrained": True}, "the option 'pretrained'"),
        ("timm:resnet18", {"pretrained_cfg": {"file": "x"}}, "the option 'pretrained_cfg'"),
        ("timm:resnet18", {"scriptable": True}, "the option 'scriptable'"),
        ("torchvision:resnet18", {"weights": "DEFAULT"}, "the option 'weights'"),
        ("torchvision:resnet18", {"pretrained": True}, "the option 'pretrained'"),
        ("convnet", {"weights": "x"}, "the option 'weights'"),
        ("yolo", {"pretrained": True}, "the option 'pretrained'"),
        ("hf:o/n", {}, "no configuration of hf:o/n"),
        ("hf:o/n", {"config": {"attn_implementation": "x/y"}}, "'attn_implementation'"),
        ("hf:o/n", {"config": {"a": [{"auto_map": {"x": "y"}}]}}, "'auto_map'"),
        ("hf:o/n", {"config": {"use_pretrained_backbone": True}}, "'use_pretrained_backbone'"),
        ("bilinear", {"streams": ["hf:o/n"]}, "a network inside bilinear"),
        ("http:x", {}, "the network 'http:x'"),
    ],
)
def test_what_would_fetch_open_or_run_something_is_refused_by_name(name, options, refused):
    with pytest.raises(RunError, match=refused):
        require_harmless({"name": name, "options": options}, "model.json")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("timm:vit_tiny_patch16_224", {"img_size": 32, "depth": 2, "size": 32}),
        ("torchvision:googlenet", {"transform_input": True}),
        ("convnet", {"widths": [4, 8]}),
        ("hf:o/n", {"config": {"model_type": "vit", "_attn_implementation": "sdpa"}}),
        ("hf:o/n", {"config": {"auto_map": None, "use_pretrained_backbone": False}}),
    ],
)
def test_what_says_how_a_network_looks_is_not(name, options):
    require_harmless({"name": name, "options": options}, "model.json")


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def card(folder, **built):
    made = models.create("convnet", classes=2, widths=(4,))
    about = ModelCard(made.built_as, ("a", "b"), 16, mean=(0.0,) * 3, std=(1.0,) * 3)
    RunFolder.create(folder, "little", {})
    about.write(folder)
    save_weights(folder / "model.safetensors", made.state_dict())
    content = json.loads((folder / "model.json").read_text())
    content["built_as"] |= built
    (folder / "model.json").write_text(json.dumps(content))
    return RunFolder.open(folder)


def test_no_pickle_is_opened_because_a_run_folder_names_one(tmp_path):
    torch.save(Hostile(str(tmp_path / "was here")), tmp_path / "x.pth")
    options = {"checkpoint_path": str(tmp_path / "x.pth")}
    run = card(tmp_path / "run", name="timm:resnet18", options=options)
    with pytest.raises(RunError, match="asks for the option 'checkpoint_path' of timm:resnet18"):
        network_of(run)
    with pytest.raises(RunError, match="asks for the option 'checkpoint_path' of timm:resnet18"):
        models.create(str(run.path), classes=2)
    assert not (tmp_path / "was here").exists()


def test_a_run_that_names_a_folder_as_its_network_is_not_followed(tmp_path):
    run = card(tmp_path / "run", name=str(tmp_path / "run"))
    with pytest.raises(RunError, match="it names a folder"):
        network_of(run)


def test_what_was_kept_is_built_again(tmp_path):
    model, _ = network_of(card(tmp_path / "run"))
    assert sum(p.numel() for p in model.parameters()) > 0


@pytest.mark.parametrize(
    ("built", "sentence"),
    [
        ({"options": {"widths": [10**9]}}, r"no network is built with 1000000000"),
        ({"classes": 10**9}, r"it\.built_as\.classes is 1000000000"),
        ({"options": {"widths": ["a"]}}, "cannot be built|not take these options"),
        ({"options": [1]}, r"it\.built_as\.options is \[1\], not an object"),
        ({"name": None}, r"it\.built_as\.name is None"),
    ],
)
def test_a_network_that_nobody_could_have_trained_is_refused(tmp_path, built, sentence):
    with pytest.raises(VislabError, match=sentence):
        network_of(card(tmp_path / "run", **built))


@pytest.mark.parametrize(
    "options",
    [{"widths": [30_000, 30_000]}, {"widths": [1] * 20_000}, {"widths": [999_999]}],
    ids=["wide", "deep", "a wide layer"],
)
def test_a_network_larger_than_its_weights_is_refused_before_it_takes_the_memory(tmp_path, options):
    run = card(tmp_path / "run", options=options)
    refused = pytest.raises(RunError, match="asks for a larger network than its weights are of")
    begun = time.monotonic()
    with refused:
        network_of(run)
    with refused:
        models.create(str(tmp_path / "run"), classes=None)
    assert time.monotonic() - begun < 20


def test_weights_of_another_run_are_told_from_those_that_the_run_ended_with(tmp_path):
    run = card(tmp_path / "run")
    weights = load_weights(run.path / "model.safetensors")
    run.result.weights_sha256 = sha256_of(run.path / "model.safetensors")
    run.result.status = "finished"
    network_of(run)
    other = {name: tensor + 1 for name, tensor in weights.items()}
    assert save_weights(run.path / "model.safetensors", other) != run.result.weights_sha256
    with pytest.raises(RunError, match="not those that the run ended with"):
        network_of(run)
    run.result.status = "interrupted"  # such a run may have been killed between the two
    network_of(run)
