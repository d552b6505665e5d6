import pickle
import re

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vislab.errors import DataError
from vislab.models.weights import fit_weights, read_weights

HEAD = ("head.weight", "head.bias")


class Network(nn.Module):
    def __init__(self, classes, width=6):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images):
        return self.head(self.norm(self.stem(images)).mean(dim=(2, 3)))


def trained(classes=5, **options):
    """Return a network in which every tensor differs from a fresh one's."""
    model = Network(classes, **options)
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(17)
        else:
            tensor.copy_(torch.rand(tensor.shape) + 1)
    return model


def as_safetensors(weights, path):
    save_file(weights, path)


def as_zip(weights, path):
    torch.save(weights, path)


def as_before_2020(weights, path):
    torch.save(weights, path, _use_new_zipfile_serialization=False)


FILES = [(as_safetensors, "a.safetensors"), (as_zip, "a.pt"), (as_before_2020, "a.pth")]


@pytest.mark.parametrize(("write", "name"), FILES)
def test_weights_come_back_as_they_were_written(tmp_path, write, name):
    weights = {**trained().state_dict(), "half": torch.randn(2, 3).half(), "one": torch.tensor(7)}
    write(weights, tmp_path / name)
    found = read_weights(tmp_path / name)
    assert found.keys() == weights.keys()
    for key, tensor in weights.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor)


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
def test_weights_are_found_among_what_a_training_script_keeps(tmp_path, key):
    weights = trained().state_dict()
    others = {"epoch": 3, "optimizer": {"lr": 0.1}, "name": "mine"}
    torch.save({**others, key: weights}, tmp_path / "a.pt")
    found = read_weights(tmp_path / "a.pt")
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return type(self.folder).mkdir, (self.folder,)


@pytest.mark.parametrize("write", [as_zip, as_before_2020, pickle.dump])
def test_code_in_a_file_of_weights_is_refused_and_not_run(tmp_path, write):
    content = {"weight": torch.ones(2), "more": Trap(tmp_path / "sprung")}
    with (tmp_path / "a.pt").open("wb") as file:
        write(content, file)
    with pytest.raises(DataError, match=r"a\.pt .* holds code .* never run; save the state dict"):
        read_weights(tmp_path / "a.pt")
    assert not (tmp_path / "sprung").exists()
    with (tmp_path / "a.pt").open("rb") as file:  # it would have been sprung
        torch.load(file, weights_only=False) if write is not pickle.dump else pickle.load(file)
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize(("write", "name"), FILES)
def test_a_file_that_was_cut_short_is_called_damaged(tmp_path, write, name):
    write({"a": torch.randn(3), "b": torch.arange(2)}, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    for length in range(0, len(content), max(1, len(content) // 80)):
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(DataError, match=re.escape(str(tmp_path / name))):
            read_weights(tmp_path / name)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
@pytest.mark.parametrize(
    "content", [b"", b"<html>404</html>", b"version https://git-lfs.github.com/spec/v1\n", b"hello"]
)
def test_a_file_of_something_else_is_no_file_of_weights(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="no file of weights"):
        read_weights(tmp_path / name)


@pytest.mark.parametrize(
    "content", [[torch.ones(2)], torch.ones(2), {"lr": 0.1}, {"a": torch.ones(2), "epoch": 3}]
)
def test_a_file_without_named_tensors_alone_asks_for_a_state_dict(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"a\.pt holds no named tensors; save a state dict$"):
        read_weights(tmp_path / "a.pt")


def test_a_file_that_is_not_there_is_named(tmp_path):
    sentence = f"^there is no weights file at {re.escape(str(tmp_path / 'a.pt'))}$"
    with pytest.raises(DataError, match=sentence):
        read_weights(tmp_path / "a.pt")
    (tmp_path / "a.pt").mkdir()
    with pytest.raises(DataError, match=sentence):
        read_weights(tmp_path / "a.pt")


def test_weights_that_fit_are_loaded_with_their_head():
    source, model = trained(), Network(5)
    assert fit_weights(model, source.state_dict(), HEAD, "there") is True
    for name, tensor in source.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


def without(weights, *names):
    return {name: tensor for name, tensor in weights.items() if name not in names}


@pytest.mark.parametrize(
    "given",
    [
        trained(classes=9).state_dict(),
        without(trained().state_dict(), *HEAD),
        without(trained().state_dict(), "head.bias"),
        {**trained().state_dict(), "head.weight": torch.ones(5, 7)},
    ],
    ids=["other classes", "none", "half", "other width"],
)
def test_a_head_that_does_not_come_along_whole_stays_as_it_is(given):
    model = Network(5)
    fresh = {name: model.state_dict()[name].clone() for name in HEAD}
    assert fit_weights(model, given, HEAD, "there") is False
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, fresh[name] if name in HEAD else given[name])


@pytest.mark.parametrize(
    ("given", "differ"),
    [
        (
            trained(width=7).state_dict(),
            "6 tensors differ, the first is stem.weight, (6, 3, 3, 3) here and (7, 3, 3, 3) there",
        ),
        (
            without(trained().state_dict(), "norm.running_var"),
            "1 tensor differs, the first is norm.running_var, (6,) here and missing there",
        ),
        (
            {**trained().state_dict(), "norm.bias": torch.ones(6, 1)},
            "1 tensor differs, the first is norm.bias, (6,) here and (6, 1) there",
        ),
    ],
    ids=["other width", "missing", "other shape"],
)
def test_weights_of_another_network_name_the_first_tensor_and_count_them(given, differ):
    model = Network(5)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    sentence = f"the weights of there.pt do not fit this network: {differ}"
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        fit_weights(model, given, HEAD, "there.pt")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])  # nothing of it was loaded


def test_a_head_that_nobody_named_must_fit_like_the_rest():
    with pytest.raises(DataError, match=r"2 tensors differ, the first is head\.weight, \(5, 6\) "):
        fit_weights(Network(5), trained(classes=9).state_dict(), (), "there")


def test_weights_of_a_deeper_network_do_not_pass_for_a_shallower_one_s():
    """All of ResNet-18's tensors are in ResNet-34, and of its shapes."""
    deeper = {**trained().state_dict(), "stem2.weight": torch.ones(6, 6, 3, 3)}
    with pytest.raises(DataError, match=r"stem2\.weight"):
        fit_weights(Network(5), deeper, HEAD, "there")


def test_weights_of_a_network_that_was_trained_on_several_devices_fit():
    source, model = nn.DataParallel(trained()), Network(5)
    assert all(name.startswith("module.") for name in source.state_dict())
    assert fit_weights(model, source.state_dict(), HEAD, "there") is True
    assert torch.equal(model.stem.weight, source.module.stem.weight)


def test_a_layer_that_is_named_module_keeps_its_name():
    class Wrapper(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.Linear(3, 2)

    source, model = Wrapper(), Wrapper()
    assert fit_weights(model, source.state_dict(), (), "there") is True
    assert torch.equal(model.module.weight, source.module.weight)


def test_old_files_have_no_counters_of_batches():
    given = without(trained().state_dict(), "norm.num_batches_tracked")
    model = Network(5)
    assert fit_weights(model, given, HEAD, "there") is True
    assert torch.equal(model.norm.running_mean, given["norm.running_mean"])
    assert model.norm.num_batches_tracked == 0


def test_half_precision_is_widened():
    given = {name: tensor.half() for name, tensor in trained().state_dict().items()}
    model = Network(5)
    assert fit_weights(model, given, HEAD, "there") is True
    assert model.stem.weight.dtype == torch.float32
    assert torch.equal(model.stem.weight, given["stem.weight"].float())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["stem.weight", "norm.running_var", "head.bias"])
def test_a_weight_that_is_not_finite_is_named_and_nothing_is_loaded(bad, name):
    given = {key: tensor.clone() for key, tensor in trained().state_dict().items()}
    given[name].view(-1)[1] = bad
    model = Network(5)
    before = model.stem.weight.clone()
    with pytest.raises(DataError, match=rf"weights of there are damaged: {name} is not finite"):
        fit_weights(model, given, HEAD, "there")
    assert torch.equal(model.stem.weight, before)


def test_a_mask_may_hold_minus_infinity_and_no_other():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)
            self.register_buffer("mask", torch.zeros(2, 2))

    given = Masked().state_dict()
    given["mask"] = torch.tensor([[0.0, -torch.inf], [0.0, 0.0]])
    model = Masked()
    assert fit_weights(model, given, (), "there") is True
    assert torch.isneginf(model.mask[0, 1])
    given["mask"] = torch.tensor([[0.0, torch.nan], [0.0, 0.0]])
    with pytest.raises(DataError, match="mask is not finite"):
        fit_weights(Masked(), given, (), "there")


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int64, torch.bool])
def test_quantised_weights_are_refused(dtype):
    given = {**trained().state_dict(), "stem.weight": torch.ones(6, 3, 3, 3, dtype=dtype)}
    kind = str(dtype).removeprefix("torch.")
    with pytest.raises(DataError, match=rf"quantised: stem\.weight is {kind}"):
        fit_weights(Network(5), given, HEAD, "there")
