"""Checkpoints of every form that training scripts leave, into a network that is built for them."""

import argparse
import collections
import pathlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from vislab import models
from vislab.errors import DataError
from vislab.models.checkpoints import Part, bare, choose, read_parts
from vislab.models.weights import read_weights

NAME = "torchvision:squeezenet1_1"


@pytest.fixture(scope="module")
def trained():
    """Return the state dict of a network whose weights no other has."""
    torch.manual_seed(5)
    return models.create(NAME, classes=4).state_dict()


def behind(prefix, weights):
    return {prefix + name: tensor for name, tensor in weights.items()}


def zeros(weights):
    return {name: torch.zeros_like(tensor) for name, tensor in weights.items()}


def loaded(tmp_path, content, name=NAME, **options):
    torch.save(content, tmp_path / "a.pth")
    return models.create(name, weights=tmp_path / "a.pth", **{"classes": None, **options})


def assert_holds(model, weights):
    found = model.state_dict()
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())


@pytest.mark.parametrize(
    "prefix",
    [
        "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "net.",
        "model.module.", "_orig_mod.model._orig_mod.", "classifier_of_mine.", "a.b.c.",
        "_fsdp_wrapped_module.", "module.model.backbone.",
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", [None, "state_dict", "net", "weights_of_mine"])
def test_what_stands_before_every_name_is_no_matter(tmp_path, trained, prefix, key):
    weights = behind(prefix, trained)
    content = weights if key is None else {"epoch": 3, key: weights, "best_acc1": torch.tensor(0.5)}
    assert_holds(loaded(tmp_path, content), trained)


@pytest.mark.parametrize("wrapper", ["module", "_orig_mod", "_checkpoint_wrapped_module"])
def test_a_wrapper_of_a_part_is_no_matter(tmp_path, trained, wrapper):
    """As where the convolutions alone ran on several devices, and one layer was compiled."""
    content = {
        name.replace("features.", f"features.{wrapper}.").replace("squeeze.", f"squeeze.{wrapper}.")
        : tensor
        for name, tensor in trained.items()
    }  # fmt: skip
    assert f"features.{wrapper}.3.squeeze.{wrapper}.weight" in content
    assert_holds(loaded(tmp_path, content), trained)


def test_the_names_of_wrappers_stand_between_points():
    assert bare("module.features._orig_mod.0.module.weight") == "features.0.weight"
    assert bare("submodule.modules.my_orig_mod.weight") == "submodule.modules.my_orig_mod.weight"


class Wrapping(nn.Module):
    """A network whose own layer is called as wrappers call what they wrap."""

    def __init__(self):
        super().__init__()
        self.module = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 2)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.module."])
def test_a_network_s_own_names_are_kept_whatever_they_are(prefix):
    weights = Wrapping().state_dict()
    found = choose([Part("", behind(prefix, weights))], Wrapping().state_dict(), (), "there")
    assert found.fits
    assert found.weights.keys() == {"module.weight", "module.bias", "head.weight", "head.bias"}
    assert found.weights["module.weight"] is weights["module.weight"]


def test_names_that_wrappers_alone_tell_apart_are_kept_apart():
    wanted = {"module.weight": torch.ones(3), "weight": torch.zeros(2)}
    given = {"net.module.weight": torch.full((3,), 5.0), "net.weight": torch.full((2,), 7.0)}
    found = choose([Part("", given)], wanted, (), "there")
    assert found.fits
    assert found.weights["module.weight"][0] == 5
    assert found.weights["weight"][0] == 7


def test_of_a_module_that_trains_a_network_the_network_is_loaded(tmp_path, trained, capsys):
    content = {
        "state_dict": {
            **behind("model.", trained),
            "criterion.weight": torch.ones(4),
            "teacher.features.0.weight": torch.ones(8, 3, 3, 3),
            "val_accuracy.total": torch.tensor(7),
        },
        "pytorch-lightning_version": "2.6.6",
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}}],
    }
    model = loaded(tmp_path, content)
    assert_holds(model, trained)
    (note,) = model.notes
    assert "criterion, teacher, val_accuracy" in note
    assert note in capsys.readouterr().err


def test_two_networks_that_fit_are_not_chosen_between(tmp_path, trained):
    content = {**behind("student.", trained), **behind("teacher.", zeros(trained))}
    with pytest.raises(DataError, match=r"a\.pth holds more than one .* student and teacher; save"):
        loaded(tmp_path, content)
    twice = {**behind("model.", trained), **behind("network.", trained)}
    assert_holds(loaded(tmp_path, twice), trained)  # one network, kept under two names


def test_a_teacher_beside_plain_names_is_no_part_of_the_network(tmp_path, trained):
    content = {**trained, **behind("teacher.", zeros(trained))}
    with pytest.raises(DataError, match=r"the file's own names and teacher"):
        loaded(tmp_path, content)
    assert_holds(loaded(tmp_path, {**zeros(trained), **behind("ema_model.", trained)}), trained)


def test_where_the_classes_are_known_the_network_with_as_many_is_meant(tmp_path, trained):
    other = models.create(NAME, classes=9).state_dict()
    content = {**behind("student.", trained), **behind("teacher.", other)}
    assert_holds(loaded(tmp_path, content, classes=4), trained)
    with pytest.raises(DataError, match="more than one"):
        loaded(tmp_path, content)


@pytest.mark.parametrize(
    ("raw", "averaged"),
    [
        ("state_dict", "state_dict_ema"), ("model", "model_ema"), ("model", "ema"),
        ("net", "ema_state_dict"), ("model", "averaged_model"), ("state_dict", "swa_state_dict"),
        ("weights", "zz_model_EMA"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("averaged_first", [True, False])
def test_averaged_weights_go_before_raw_ones_and_it_is_said(
    tmp_path, trained, capsys, raw, averaged, averaged_first
):
    content = {raw: zeros(trained), averaged: trained, "epoch": 2}
    if averaged_first:
        content = dict(reversed(content.items()))
    model = loaded(tmp_path, content)
    assert_holds(model, trained)
    assert len(model.notes) == 1
    assert f"under {averaged}, not those under {raw}" in model.notes[0]
    assert capsys.readouterr().err == f"{model.notes[0]}\n"
    assert_holds(models.create(NAME, classes=4, weights=tmp_path / "a.pth"), trained)
    assert torch.equal(
        read_weights(tmp_path / "a.pth")["features.0.weight"], trained["features.0.weight"]
    )


def test_averaged_weights_beside_raw_ones_in_one_state_dict(tmp_path, trained):
    content = {
        **behind("online_model.", zeros(trained)),
        **behind("ema_model.module.", trained),
        "ema_model.n_averaged": torch.tensor(3),
        "initted": torch.tensor(True),
        "step": torch.tensor(3),
    }
    assert_holds(loaded(tmp_path, {"state_dict": content}), trained)
    content = {"model": zeros(trained), "best": {**behind("module.", trained), "n_averaged": 1}}
    content["best"]["n_averaged"] = torch.tensor(1)  # a wrapper's count tells
    assert_holds(loaded(tmp_path, content), trained)


def test_lightning_keeps_averaged_weights_in_the_place_of_raw_ones(tmp_path, trained):
    content = {
        "state_dict": behind("net.", trained),
        "current_model_state": behind("net.", zeros(trained)),
        "averaging_state": {"n_averaged": torch.tensor(3)},
        "pytorch-lightning_version": "2.6.6",
    }
    model = loaded(tmp_path, content)
    assert_holds(model, trained)
    assert "not those under current_model_state.net" in model.notes[0]


def test_averaged_weights_alone_are_nothing_to_speak_of(tmp_path, trained, capsys):
    averaged = AveragedModel(models.create(NAME, classes=4))
    averaged.module.load_state_dict(trained)
    for content in (averaged.state_dict(), {"state_dict_ema": trained}, {"model_ema": trained}):
        model = loaded(tmp_path, content)
        assert_holds(model, trained)
        assert model.notes == ()
    assert capsys.readouterr().err == ""


def test_entries_that_no_wrapper_keeps_are_not_passed_over(tmp_path, trained):
    assert_holds(loaded(tmp_path, {**trained, "n_averaged": torch.tensor(3)}), trained)
    for name, tensor in (("temperature", torch.tensor(1.0)), ("n_averaged", torch.ones(3))):
        with pytest.raises(DataError, match=name):
            loaded(tmp_path, {**trained, name: tensor})
    with pytest.raises(DataError, match=r"features\.99\.weight"):
        loaded(tmp_path, behind("module.", {**trained, "features.99.weight": torch.ones(2)}))


def test_a_file_is_what_it_holds_whatever_it_is_called(tmp_path, trained):
    for name in ("a.pth", "a.bin", "a.ckpt", "a"):
        save_file(trained, tmp_path / name)
        assert_holds(models.create(NAME, classes=None, weights=tmp_path / name), trained)
    torch.save(trained, tmp_path / "b.safetensors")
    assert_holds(models.create(NAME, classes=None, weights=tmp_path / "b.safetensors"), trained)
    torch.save(trained, tmp_path / "c.safetensors", _use_new_zipfile_serialization=False)
    assert_holds(models.create(NAME, classes=None, weights=tmp_path / "c.safetensors"), trained)


@pytest.mark.parametrize("length", [640, 896, 1152, 33152])  # whose first bytes are a pickle's
def test_a_safetensors_header_of_any_length_is_told_from_a_pickle(tmp_path, length):
    weights = {"a.weight": torch.arange(6.0).view(2, 3)}
    save_file(weights, tmp_path / "a")
    content = (tmp_path / "a").read_bytes()
    header = int.from_bytes(content[:8], "little")
    padded = content[8 : 8 + header].ljust(length) + content[8 + header :]
    (tmp_path / "a").write_bytes(length.to_bytes(8, "little") + padded)
    assert torch.equal(read_weights(tmp_path / "a")["a.weight"], weights["a.weight"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_precision_are_used_in_single(tmp_path, trained, dtype):
    model = loaded(tmp_path, {name: tensor.to(dtype) for name, tensor in trained.items()})
    assert_holds(model, {name: tensor.to(dtype).float() for name, tensor in trained.items()})
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    "beside",
    [
        argparse.Namespace(lr=0.1, layers=[1, 2], out=pathlib.Path("runs/1")),
        np.float64(0.9),
        np.float32(0.9),
        np.int64(3),
        np.dtype("float32"),
        np.arange(6.0).reshape(2, 3),
        [np.array(["a", "b"]), {"deep": np.bool_(True)}],
        pathlib.Path("a/b"),
        collections.defaultdict(list, a=[1]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_options_and_numbers_beside_the_weights_are_passed_over(tmp_path, trained, beside):
    assert_holds(loaded(tmp_path, {"model": trained, "args": beside, "epoch": 1}), trained)


class Sprung:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder, *, through):
        self.folder, self.through = folder, through

    def __reduce__(self):
        return self.through, (f"open({str(self.folder)!r}, 'w')",)


@pytest.mark.parametrize("through", [eval, exec, __import__])
def test_code_beside_the_weights_is_refused_and_not_run(tmp_path, trained, through):
    with pytest.raises(DataError, match=r"holds code beside them .* never run"):
        loaded(tmp_path, {"model": trained, "x": Sprung(tmp_path / "trap", through=through)})
    assert not (tmp_path / "trap").exists()


def test_a_whole_pickled_model_is_refused_with_what_to_do(tmp_path):
    torch.save(nn.Sequential(nn.Linear(2, 2)), tmp_path / "a.pth")
    with pytest.raises(
        DataError, match=r"\(torch\.nn\.modules\.\w+\.\w+\), as a whole pickled model .* state dict"
    ):
        read_weights(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        [{"a": torch.ones(2)}],
        {"state_dict": {}},
        {"state_dict": None, "epoch": 3},
        None,
        3,
        "text",
        {"model": {"a": [torch.ones(2)]}},
    ],
    ids=str,
)
def test_a_file_without_named_tensors_asks_for_a_state_dict(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(DataError, match=r"a\.pth holds no named tensors; save a state dict$"):
        read_parts(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        (NAME, 1), (NAME, 2), (NAME, 1000), ("convnet", 1), ("convnet", 5), ("convnet", 7),
        ("resnet9", 3), ("timm:test_vit", 5), ("efficientnet-lite0", 5),
        ("torchvision:mobilenet_v2", 5),
    ],
)  # fmt: skip
def test_a_head_has_as_many_classes_as_the_file(tmp_path, name, classes):
    source = models.create(name, classes=classes).state_dict()
    model = loaded(tmp_path, {"model": behind("module.", source)}, name)
    assert_holds(model, source)
    assert model.built_as["classes"] == (None if classes == 1000 else classes)


def test_a_file_without_a_head_asks_how_many_classes(tmp_path, trained):
    body = {name: tensor for name, tensor in trained.items() if not name.startswith("classifier")}
    assert len(body) == len(trained) - 2
    with pytest.raises(DataError, match="have no head; say how many classes"):
        loaded(tmp_path, body)
    model = loaded(tmp_path, behind("model.", body), classes=3)
    assert torch.equal(model.features[0].weight, trained["features.0.weight"])


def test_weights_of_another_network_are_compared_with_what_comes_nearest(tmp_path, trained):
    other = {**trained, "features.3.squeeze.bias": torch.ones(17)}
    with pytest.raises(
        DataError,
        match=r"first is features\.3\.squeeze\.bias, \(16,\) here and \(17,\) there",
    ):
        loaded(tmp_path, {"state_dict": behind("module.model.", other), "epoch": 3}, classes=4)
    with pytest.raises(DataError, match="do not fit this network"):
        loaded(tmp_path, {"conv.weight": torch.ones(3, 3), "conv.bias": torch.ones(3)})
