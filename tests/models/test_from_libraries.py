"""Networks of torchvision, timm and Hugging Face, without a connection.

What would be fetched lies where each library keeps what it fetched before.
"""

import json
import logging
import shutil
import socket
import time
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import nn

from vislab import models
from vislab.errors import DataError, OptionError, UnknownName
from vislab.models import from_hugging_face, from_timm, from_torchvision, hub
from vislab.models.preprocessing import Preprocessing

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


@pytest.fixture(autouse=True)
def no_connection(monkeypatch, tmp_path):
    """Make every look-up of a name fail, and every cache empty."""

    def refuse(*_arguments, **_options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("HTTPS_PROXY", "https_proxy", "HF_ENDPOINT", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def transformers():
    return pytest.importorskip("transformers")


def random_weights(model):
    """Give every tensor values that no initialisation gives."""
    for tensor in model.state_dict().values():
        if tensor.ndim == 1:  # scales, shifts, means, variances
            tensor.add_(torch.rand(tensor.shape) * 0.1)
        elif tensor.is_floating_point():
            tensor.mul_(torch.rand(tensor.shape) * 0.1 + 1)
    return model.eval()


def kept_by_torch(folder, name, weights):
    """Put a file where torch's hub keeps what it has downloaded."""
    url = torchvision.models.get_model_weights(name).DEFAULT.url
    path = folder / "torch" / "hub" / "checkpoints" / url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    torch.save(weights, path)
    return path


def kept_by_the_hub(folder, repository):
    """Return a folder in which the hub's client looks for a repository's files."""
    kept = folder / "hub" / f"models--{repository.replace('/', '--')}"
    revision = "0" * 40
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text(revision)
    (kept / "snapshots" / revision).mkdir(parents=True)
    return kept / "snapshots" / revision


def assert_same_answers(one, other, side):
    torch.manual_seed(1)
    images = torch.randn(2, 3, side, side)
    with torch.no_grad():
        answer = one.eval()(images)
        assert not torch.equal(answer[0], answer[1])  # it sees which image it is
        assert torch.equal(answer, other.eval()(images))


def assert_new_head_on_the_same_body(model, source, head):
    """All but the head's tensors are the source's; the head's are of this shape, and fresh."""
    given = source.state_dict()
    for name, tensor in model.state_dict().items():
        if name in head:
            assert tuple(tensor.shape) == head[name]
            assert tensor.shape != given[name].shape
        else:
            assert torch.equal(tensor, given[name])


# torchvision


@pytest.mark.parametrize("classes", [None, 3])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("squeezenet1_1", {}),
        ("shufflenet_v2_x0_5", {}),
        ("mnasnet0_5", {"dropout": 0.1}),
        ("mobilenet_v3_small", {}),
        ("googlenet", {"aux_logits": False, "init_weights": False}),
    ],
)
def test_a_network_of_torchvision_answers_as_the_library_s(name, options, classes):
    theirs = torchvision.models.get_model(
        name, weights=None, num_classes=classes or 1000, **options
    )
    random_weights(theirs)
    named = options if name == "mnasnet0_5" else {}
    ours = models.create(f"torchvision:{name}", classes=classes, **named)
    ours.load_state_dict(theirs.state_dict())
    assert_same_answers(ours, theirs, 64)
    assert ours.built_as == {"name": f"torchvision:{name}", "classes": classes, "options": named}
    assert not hasattr(ours, "preprocessing")


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "googlenet"])
def test_weights_of_torchvision_are_those_that_the_library_loads(tmp_path, name):
    """googlenet's come with two side heads and want its inputs changed."""
    options = {"init_weights": False} if name == "googlenet" else {}
    source = random_weights(torchvision.models.get_model(name, weights=None, **options))
    kept_by_torch(tmp_path, name, source.state_dict())
    theirs = torchvision.models.get_model(name, weights="DEFAULT")
    ours = models.create(f"torchvision:{name}", classes=None, pretrained=True)
    assert_same_answers(ours, theirs, 64)
    assert ours.preprocessing == Preprocessing(224, *IMAGENET)


def test_a_network_of_torchvision_with_weights_gets_a_head_for_other_classes(tmp_path):
    source = random_weights(torchvision.models.shufflenet_v2_x0_5(weights=None))
    kept_by_torch(tmp_path, "shufflenet_v2_x0_5", source.state_dict())
    model = models.create("torchvision:shufflenet_v2_x0_5", classes=3, pretrained=True)
    head = {"fc.weight": (3, 1024), "fc.bias": (3,)}
    assert_new_head_on_the_same_body(model, source, head)


def test_a_network_whose_weights_want_changed_inputs_is_built_again_with_them(tmp_path):
    source = torchvision.models.googlenet(weights=None, init_weights=False)
    kept_by_torch(tmp_path, "googlenet", random_weights(source).state_dict())
    model = models.create("torchvision:googlenet", classes=3, pretrained=True)
    built = json.loads(json.dumps(model.built_as))
    again = models.create(built["name"], classes=built["classes"], **built["options"])
    again.load_state_dict(model.state_dict())
    assert_same_answers(again, model, 64)


@pytest.mark.parametrize("name", ["vit_b_16", "vit_h_14"])
def test_a_network_of_torchvision_is_built_for_the_size_of_its_weights(name):
    side = torchvision.models.get_model_weights(name).DEFAULT.transforms().crop_size[0]
    with torch.device("meta"):
        model = from_torchvision.build(name, None, **from_torchvision.trained_with(name))
    assert model.image_size == side == from_torchvision.preprocessing(name).size


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", Preprocessing(224, *IMAGENET)),
        ("inception_v3", Preprocessing(299, *IMAGENET)),
        ("efficientnet_b3", Preprocessing(300, *IMAGENET)),
        ("vit_h_14", Preprocessing(518, *IMAGENET)),
    ],
)
def test_torchvision_says_what_its_weights_were_shown(name, expected):
    assert from_torchvision.preprocessing(name) == expected


def test_a_network_of_torchvision_without_weights_says_so(monkeypatch):
    """All of this version have some; others had a few without."""

    class NoWeights(torchvision.models.WeightsEnum):
        pass

    monkeypatch.setattr(torchvision.models, "get_model_weights", lambda _name: NoWeights)
    with pytest.raises(
        OptionError, match=r"^torchvision has no pre-trained weights for 'alexnet'$"
    ):
        models.create("torchvision:alexnet", classes=3, pretrained=True)
    assert from_torchvision.preprocessing("alexnet") is None


class Trap:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return Path.mkdir, (self.folder,)


def test_code_among_downloaded_weights_is_not_run(tmp_path):
    content = {"features.0.weight": torch.ones(1), "more": Trap(tmp_path / "sprung")}
    kept_by_torch(tmp_path, "squeezenet1_1", content)
    with pytest.raises(DataError, match="the weights of torchvision:squeezenet1_1 "):
        models.create("torchvision:squeezenet1_1", classes=3, pretrained=True)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"<html>404</html>"])
def test_a_damaged_download_of_torchvision_is_an_error_of_ours(tmp_path, content):
    kept_by_torch(tmp_path, "squeezenet1_1", {}).write_bytes(content)
    with pytest.raises(DataError, match="the weights of torchvision:squeezenet1_1 "):
        models.create("torchvision:squeezenet1_1", classes=3, pretrained=True)


def test_an_option_that_a_network_of_torchvision_lacks_is_named():
    with pytest.raises(OptionError, match=r"torchvision.* 'resnet18' .*'widen'"):
        models.create("torchvision:resnet18", classes=3, widen=2)


# timm


@pytest.mark.parametrize("classes", [None, 3])
@pytest.mark.parametrize(
    ("name", "options", "side"),
    [
        ("resnet10t", {}, 33),
        ("test_convnext", {}, 40),
        ("vit_tiny_patch16_224", {"img_size": 32, "depth": 2}, 32),
        ("test_vit.r160_in1k", {"img_size": 48}, 48),
    ],
)
def test_a_network_of_timm_answers_as_the_library_s(name, options, side, classes):
    theirs = random_weights(timm.create_model(name, num_classes=classes or 1000, **options))
    ours = models.create(f"timm:{name}", classes=classes, **options)
    ours.load_state_dict(theirs.state_dict())
    assert_same_answers(ours, theirs, side)
    assert ours.built_as == {"name": f"timm:{name}", "classes": classes, "options": options}


@pytest.mark.parametrize("name", ["test_vit", "test_vit.r160_in1k"])
def test_weights_of_timm_come_from_the_hub_s_cache(tmp_path, name):
    source = random_weights(timm.create_model("test_vit"))
    kept = kept_by_the_hub(tmp_path, "timm/test_vit.r160_in1k")
    save_file(source.state_dict(), kept / "model.safetensors")
    whole = models.create(f"timm:{name}", classes=None, pretrained=True)
    assert_same_answers(whole, source, 160)
    assert whole.preprocessing == Preprocessing(160, *HALF)
    other = models.create(f"timm:{name}", classes=3, pretrained=True)
    head = {"head.weight": (3, 64), "head.bias": (3,)}
    assert_new_head_on_the_same_body(other, source, head)


def test_a_damaged_download_of_timm_is_an_error_of_ours(tmp_path):
    kept = kept_by_the_hub(tmp_path, "timm/test_vit.r160_in1k")
    (kept / "model.safetensors").write_bytes(b"<html>404</html>")
    with pytest.raises(DataError, match="the weights of timm:test_vit "):
        models.create("timm:test_vit", classes=3, pretrained=True)


def test_timm_says_what_its_weights_were_shown():
    assert from_timm.preprocessing("tf_efficientnet_lite0") == Preprocessing(224, *HALF)
    assert from_timm.preprocessing("vit_base_patch16_clip_224.openai").mean == pytest.approx(
        (0.4815, 0.4578, 0.4082), abs=1e-4
    )
    assert from_timm.preprocessing("efficientnet_b3") == Preprocessing(288, *IMAGENET)


def test_a_network_of_timm_without_weights_says_so():
    name = next(name for name in timm.list_models() if not timm.is_model_pretrained(name))
    with pytest.raises(OptionError, match=rf"^timm has no pre-trained weights for '{name}'$"):
        from_timm.weights(name)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        (
            "resnet10t",
            {"widen": 2},
            r"timm cannot build 'resnet10t' with .*'widen': 2.*: .*'widen'",
        ),
        ("resnet18.mine", {}, r"timm cannot build 'resnet18\.mine' with .*tag \(mine\)"),
        ("test_vit", {"img_size": 0}, r"timm cannot build 'test_vit' with .*'img_size': 0.*: "),
    ],
    ids=["option", "tag", "value"],
)
def test_what_timm_cannot_build_is_an_error_of_ours(name, options, said):
    with pytest.raises(OptionError, match=said):
        models.create(f"timm:{name}", classes=3, **options)


# Hugging Face


@pytest.fixture
def checkpoint(transformers, tmp_path):
    """Return a small network of transformers with four classes, and a folder that holds it."""
    return saved(transformers, tmp_path / "mine")


def saved(transformers, folder, **options):
    settings = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        image_size=24, patch_size=8, num_labels=4, **options,
    )  # fmt: skip
    model = random_weights(transformers.ViTForImageClassification(settings))
    model.save_pretrained(folder)
    shown = {
        "size": {"height": 24, "width": 24},
        "image_mean": [0.1, 0.2, 0.3],
        "image_std": [0.4, 0.5, 0.6],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(shown))
    return model, folder


class LogitsOf(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images):
        return self.inner(pixel_values=images).logits


def test_a_network_of_hugging_face_answers_as_the_library_s(checkpoint):
    source, folder = checkpoint
    model = models.create(f"hf:{folder}", classes=None, pretrained=True)
    assert_same_answers(model, LogitsOf(source), 24)
    assert model(torch.zeros(2, 3, 24, 24)).shape == (2, 4)
    assert model.preprocessing == Preprocessing(24, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert models.natural_size(f"hf:{folder}", model) == 24


def test_a_network_of_hugging_face_gets_a_head_for_other_classes(checkpoint):
    source, folder = checkpoint
    model = models.create(f"hf:{folder}", classes=3, pretrained=True)
    head = {"inner.classifier.weight": (3, 16), "inner.classifier.bias": (3,)}
    assert_new_head_on_the_same_body(model, LogitsOf(source), head)


def test_a_network_of_hugging_face_without_its_weights_is_fresh(checkpoint):
    source, folder = checkpoint
    model = models.create(f"hf:{folder}", classes=None)
    given = LogitsOf(source).state_dict()
    assert model.state_dict().keys() == given.keys()
    assert not any(torch.equal(tensor, given[name]) for name, tensor in model.state_dict().items())
    assert not hasattr(model, "preprocessing")


def test_a_repository_of_the_hub_comes_from_its_cache(checkpoint, tmp_path):
    source, folder = checkpoint
    kept = kept_by_the_hub(tmp_path, "someone/small")
    for file in folder.iterdir():
        shutil.copy(file, kept)
    model = models.create("hf:someone/small", classes=None, pretrained=True)
    assert_same_answers(model, LogitsOf(source), 24)
    assert model.preprocessing.mean == (0.1, 0.2, 0.3)


@pytest.mark.parametrize("classes", [None, 3])
def test_a_network_of_hugging_face_is_built_again_without_the_hub(checkpoint, classes):
    _, folder = checkpoint
    model = models.create(f"hf:{folder}", classes=classes, pretrained=True)
    shutil.rmtree(folder)
    built = json.loads(json.dumps(model.built_as))
    assert built["name"] == f"hf:{folder}"
    again = models.create(built["name"], classes=built["classes"], **built["options"])
    again.load_state_dict(model.state_dict())
    assert_same_answers(again, model, 24)


def test_weights_kept_in_half_precision_are_trained_in_single(transformers, tmp_path):
    model, folder = saved(transformers, tmp_path / "half")
    model.half().save_pretrained(folder)
    model = models.create(f"hf:{folder}", classes=3, pretrained=True)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({"size": 192}, Preprocessing(192, *HALF)),
        ({"size": {"shortest_edge": 160}}, Preprocessing(160, *HALF)),
        ({"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224}},
         Preprocessing(224, *HALF)),
        ({"size": 256, "do_center_crop": True, "crop_size": 240}, Preprocessing(240, *HALF)),
        ({"size": 256, "do_center_crop": False, "crop_size": 240}, Preprocessing(256, *HALF)),
        ({"size": 96, "image_mean": [0.25], "image_std": [0.75]},
         Preprocessing(96, (0.25, 0.25, 0.25), (0.75, 0.75, 0.75))),
        ({}, Preprocessing(224, *HALF)),
    ],
)  # fmt: skip
def test_a_preprocessor_of_any_form_is_read(tmp_path, shown, expected):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(shown))
    assert from_hugging_face.preprocessing(str(tmp_path)) == expected


def test_without_a_preprocessor_nothing_is_said_of_what_was_shown(tmp_path):
    assert from_hugging_face.preprocessing(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        ("{}", DataError, r"^hf:.* says no model_type in its config\.json; it cannot be built$"),
        ("{", DataError, r"^hf:.* cannot be fetched \(Expecting "),
        ('{"model_type": "bert"}', OptionError, r"^hf:.* is no classifier of images \("),
        ('{"model_type": "nobody"}', OptionError, r"^hf:.*nobody"),
    ],
    ids=["without a type", "broken", "of texts", "unknown"],
)
def test_a_configuration_of_nothing_we_know_is_refused(
    transformers, tmp_path, content, error, said
):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(error, match=said) as caught:
        models.create(f"hf:{tmp_path}", classes=3)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_configuration_is_named(transformers, tmp_path):
    with pytest.raises(DataError, match=rf"^hf:{tmp_path} cannot be fetched \(.*config\.json"):
        models.create(f"hf:{tmp_path}", classes=3)


@pytest.mark.parametrize("content", [None, b"<html>404</html>"])
def test_weights_of_hugging_face_that_are_damaged_or_missing_are_named(checkpoint, content):
    _, folder = checkpoint
    (folder / "model.safetensors").unlink()
    if content is not None:
        (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(DataError, match=rf"^the weights of hf:{folder} cannot be fetched \("):
        models.create(f"hf:{folder}", classes=3, pretrained=True)


def test_networks_of_hugging_face_say_what_to_install(monkeypatch):
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name: pytest.fail(name) if name != "transformers" else None,
    )
    sentence = r"^networks named hf:… need the transformers library: `pip install 'vislab\[hf\]'`$"
    with pytest.raises(OptionError, match=sentence):
        models.create("hf:someone/small", classes=3)


# All of them, and the hub


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torchvision:squeezenet1_1", "the weights of torchvision:squeezenet1_1 cannot be fetched"),
        ("timm:test_vit", "the weights of timm:test_vit cannot be fetched"),
        ("hf:someone/small", "hf:someone/small cannot be fetched"),
    ],
)
def test_without_a_connection_an_error_says_so_at_once(transformers, caplog, name, said):
    transformers.AutoConfig  # noqa: B018 - imported only when it is first asked for
    started = time.monotonic()
    with caplog.at_level(logging.WARNING), pytest.raises(DataError, match=rf"^{said} \(") as caught:
        models.create(name, classes=3, pretrained=True)
    assert time.monotonic() - started < 8  # five tries with pauses take longer
    assert "\n" not in str(caught.value)
    assert "Retrying" not in caplog.text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torchvision:resnt18", r"torchvision is named 'resnt18'\. Did you mean 'resnet18'\?"),
        ("timm:convnext_ato", r"timm is named 'convnext_ato'\. Did you mean 'convnext_atto'\?"),
        ("timm:resnt18.a1_in1k", r"timm is named 'resnt18'\. Did you mean 'resnet18'\?"),
    ],
)
def test_an_unknown_name_of_a_library_names_the_nearest(name, said):
    with pytest.raises(UnknownName, match=rf"^no network of {said}"):
        models.create(name, classes=3)


def test_libraries_list_their_classifiers_alone():
    found = from_torchvision.names()
    assert {"alexnet", "resnet18", "vit_b_16", "swin_v2_t"} <= set(found)
    assert not [name for name in found if "rcnn" in name or "deeplab" in name or "raft" in name]
    found = from_timm.names()
    assert {"resnet18", "convnext_atto", "tf_efficientnet_lite2"} <= set(found)
    assert not [name for name in found if "." in name]


def offline():
    return constants.HF_HUB_OFFLINE


def test_the_hub_is_asked_for_its_cache_alone_only_while_it_cannot_be_reached(monkeypatch):
    assert not offline()
    with hub.reaching_the_hub():
        assert offline()
    assert not offline()
    with pytest.raises(ZeroDivisionError), hub.reaching_the_hub():
        raise ZeroDivisionError
    assert not offline()
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port: [(host, port)])
    with hub.reaching_the_hub():
        assert not offline()


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "HF_ENDPOINT"])
def test_behind_a_proxy_or_at_a_mirror_names_are_not_looked_up(monkeypatch, name):
    monkeypatch.setenv(name, "http://mirror.example")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("looked up"))
    with hub.reaching_the_hub():
        assert not offline()
