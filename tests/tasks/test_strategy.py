"""What a strategy freezes, and that what is frozen stands still in every respect."""

import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vislab.data.batches import Batch
from vislab.errors import OptionError, UnknownName
from vislab.models import ConvNet
from vislab.models.parameter_groups import Block, ParameterGroups, parameter_groups
from vislab.ops.seeding import generator
from vislab.tasks import Classify
from vislab.tasks.optim import Optim
from vislab.tasks.strategy import Strategy, freeze

shares = st.floats(0, 1)
plain = st.sampled_from(["none", "head", "all", "gradual"])
counted = st.integers(1, 999).map("last-blocks:{}".format)
decaying = st.integers(1, 1000).map(lambda n: f"layer-decay:{n / 1000:g}")


@given(text=plain | counted | decaying)
def test_what_is_typed_is_read_and_written_again(text):
    assert str(Strategy.parse(text)) == text
    assert Strategy.parse(str(Strategy.parse(text))) == Strategy.parse(text)


def test_the_number_is_that_of_blocks_or_the_factor():
    assert Strategy.parse("last-blocks:4") == Strategy("last-blocks", 4.0)
    assert Strategy.parse("layer-decay:0.75") == Strategy("layer-decay", 0.75)
    assert Strategy.parse("head") == Strategy("head", 0.0)


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        ("last-block:4", UnknownName, r"no strategy is named 'last-block'\. Did you mean 'last-b"),
        ("", UnknownName, r"no strategy is named ''.*Known: all, gradual, head, last-blocks, lay"),
        ("head:3", OptionError, r"strategy 'head' takes no number, got '3'"),
        ("gradual:0.5", OptionError, r"strategy 'gradual' takes no number, got '0\.5'"),
        *(
            (f"last-blocks{bad}", OptionError, rf"'last-blocks{bad}' does not say how many blocks")
            for bad in ("", ":", ":0", ":-1", ":1.5", ":many", ":nan")
        ),
        *(
            (f"layer-decay{bad}", OptionError, rf"'layer-decay{bad}' needs a factor above 0 and at")
            for bad in ("", ":", ":0", ":-0.5", ":1.01", ":less", ":nan", ":inf")
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(text, kind, sentence):
    with pytest.raises(kind, match=sentence):
        Strategy.parse(text)


def test_no_number_of_blocks_is_infinite():
    with pytest.raises(OptionError, match="'last-blocks:inf' does not say how many blocks"):
        Strategy.parse("last-blocks:inf")


def test_naming_a_strategy_does_not_import_torch():
    code = (
        "import sys; from vislab.tasks.strategy import Strategy; Strategy.parse('last-blocks:2');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def drawn(*blocks):
    """A network on paper: blocks a, b, ... of a weight and a bias each, and a head."""
    parts = [Block((name,), (f"{name}.weight", f"{name}.bias")) for name in blocks]
    return ParameterGroups(tuple(parts), Block(("head",), ("head.weight", "head.bias")), True)


FOUR = drawn("a", "b", "c", "d")


def still(text, progress=0.0, parts=FOUR):
    """The frozen blocks, whole or not at all, as a word: "ab"."""
    names = Strategy.parse(text).frozen(parts, progress)
    modules = {name.partition(".")[0] for name in names}
    assert names == {f"{module}.{what}" for module in modules for what in ("weight", "bias")}
    return "".join(sorted(modules))


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    ("text", "frozen"),
    [
        ("none", "abcdhead"), ("head", "abcd"), ("all", ""), ("layer-decay:0.5", ""),
        ("last-blocks:1", "abc"), ("last-blocks:3", "a"), ("last-blocks:4", ""),
        ("last-blocks:9", ""),
    ],
)  # fmt: skip
def test_what_each_strategy_freezes_from_beginning_to_end(text, frozen, progress):
    assert still(text, progress) == "".join(sorted(frozen.replace("head", ""))) + (
        "head" if "head" in frozen else ""
    )


@pytest.mark.parametrize(
    ("progress", "frozen"),
    [
        (0.0, "abcd"), (0.06, "abcd"), (0.12, "abcd"), (0.13, "abc"), (0.24, "abc"), (0.26, "ab"),
        (0.37, "ab"), (0.38, "a"), (0.49, "a"), (0.5, ""), (0.51, ""), (1.0, ""),
    ],
)  # fmt: skip
def test_gradual_frees_a_block_after_each_eighth_and_the_last_by_the_middle(progress, frozen):
    assert still("gradual", progress) == frozen


@given(one=shares, other=shares, depth=st.integers(0, 30))
def test_what_gradual_has_freed_is_never_frozen_again_and_goes_from_the_last_to_the_first(
    one, other, depth
):
    names = [f"{place:02}" for place in range(depth)]
    before, after = (
        Strategy("gradual").frozen(drawn(*names), share) for share in sorted((one, other))
    )
    assert after <= before
    for frozen in (before, after):
        modules = sorted({name.partition(".")[0] for name in frozen})
        assert modules == names[: len(modules)]
    if one >= 0.5:
        assert not Strategy("gradual").frozen(drawn(*names), one)


def test_a_network_that_is_all_head_can_be_trained():
    nothing = drawn()
    assert Strategy("last-blocks", 2.0).frozen(nothing) == set()
    assert Strategy("head").frozen(nothing) == set()
    assert Strategy("layer-decay", 0.5).scales(nothing) == {"head.weight": 1.0, "head.bias": 1.0}


def test_layer_decay_by_hand():
    """The head at 1, the block before it at D, the next at D², ..."""
    found = Strategy("layer-decay", 0.5).scales(FOUR)
    by_hand = {"head": 1.0, "d": 0.5, "c": 0.25, "b": 0.125, "a": 0.0625}
    assert found == {f"{m}.{w}": by_hand[m] for m in by_hand for w in ("weight", "bias")}


@pytest.mark.parametrize("text", ["none", "head", "all", "gradual", "last-blocks:2"])
def test_without_layer_decay_every_rate_is_the_same(text):
    assert set(Strategy.parse(text).scales(FOUR).values()) == {1.0}
    assert len(Strategy.parse(text).scales(FOUR)) == 10


def convnet(noise=0.0):
    torch.manual_seed(1)
    return ConvNet(classes=4, widths=(4, 6), noise=noise)


def vit(**options):
    timm = pytest.importorskip("timm")
    torch.manual_seed(1)
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, depth=3, num_classes=4, embed_dim=48,
        num_heads=3, **options,
    )  # fmt: skip


BUILDS = {"convnet": convnet, "vit": vit}


def task_of(text, model, **options):
    parts = parameter_groups(model, torch.zeros(1, 3, 32, 32))
    options.setdefault("optim", Optim("adamw", lr=1e-2, weight_decay=0.1))
    task = Classify(model, strategy=Strategy.parse(text), groups=parts, **options)
    task._trainer = SimpleNamespace(world_size=1)
    return task


def batch_of(step=0, count=7):
    draws = generator("strategy", step)
    labels = torch.randint(4, (count,), generator=draws)
    images = torch.randn(count, 3, 32, 32, generator=draws)
    return Batch(images, torch.arange(count), count, labels=labels, targets=labels)


def trained(task, progress=0.0, steps=1):
    """Take steps at this share of a training; return the names of what moved."""
    task.train()
    optimiser = task.configure_optimizers()
    before = {name: p.detach().clone() for name, p in task.model.named_parameters()}
    for step in range(steps):
        task.before_step(progress)
        optimiser.zero_grad()
        task.training_step(batch_of(step), step)["loss"].backward()
        optimiser.step()
    return {n for n, p in task.model.named_parameters() if not torch.equal(p, before[n])}


# Of the ConvNet, the layers with weights; of the ViT, modules and what belongs to none.
CONVNET = ["features.0", "features.1", "features.3", "features.4", "features.7", "features.8",
           "features.10", "features.11", "head"]  # fmt: skip
VIT = ["patch_embed", "cls_token", "pos_embed", "blocks.0", "blocks.1", "blocks.2", "norm", "head"]
CASES = [
    ("convnet", "head", 0.0, CONVNET[8:]),
    ("convnet", "last-blocks:1", 0.0, CONVNET[6:]),
    ("convnet", "last-blocks:3", 0.0, CONVNET[2:]),
    ("convnet", "last-blocks:7", 0.0, CONVNET),
    ("convnet", "all", 0.0, CONVNET),
    ("convnet", "layer-decay:0.7", 0.0, CONVNET),
    ("convnet", "gradual", 0.0, CONVNET[8:]),
    ("convnet", "gradual", 0.2, CONVNET[6:]),
    ("convnet", "gradual", 0.9, CONVNET),
    ("vit", "head", 0.0, VIT[7:]),
    ("vit", "last-blocks:1", 0.0, VIT[5:]),
    ("vit", "last-blocks:3", 0.0, VIT[3:]),
    ("vit", "all", 0.0, VIT),
    ("vit", "layer-decay:0.7", 0.0, VIT),
    ("vit", "gradual", 0.3, VIT[4:]),
    ("vit", "gradual", 0.6, VIT),
]


@pytest.mark.parametrize(("network", "text", "progress", "moving"), CASES)
def test_a_step_moves_exactly_what_is_not_frozen(network, text, progress, moving):
    """Also where weights are decayed: what has no gradient is not shrunk either."""
    task = task_of(text, BUILDS[network]())
    moved = trained(task, progress)
    expected = {
        name
        for name, _ in task.model.named_parameters()
        if any(name == part or name.startswith(f"{part}.") for part in moving)
    }
    assert len(expected) >= len(moving)
    assert moved == expected
    with_gradient = {n for n, p in task.model.named_parameters() if p.grad is not None}
    assert with_gradient == expected


def test_with_strategy_none_nothing_has_a_gradient():
    task = task_of("none", convnet())
    task.before_step(0.0)
    assert not any(p.requires_grad for p in task.model.parameters())
    assert not any(module.training for module in task.model.modules())


def test_a_gradient_from_before_is_taken_away_from_what_is_frozen():
    task = task_of("last-blocks:1", convnet())
    for p in task.model.parameters():
        p.grad = torch.ones_like(p)
    task.before_step(0.0)
    kept = {name for name, p in task.model.named_parameters() if p.grad is not None}
    assert kept == {
        "features.10.weight", "features.11.weight", "features.11.bias", "head.weight", "head.bias",
    }  # fmt: skip


def test_holding_still_frees_whatever_is_not_named():
    model = convnet()
    freeze(model, {"features.0.weight", "head.bias"})
    freeze(model, {"features.4.weight"})
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == ["features.4.weight"]


def modes(model):
    return {name for name, module in model.named_modules() if module.training}


@pytest.mark.parametrize("turn", ["task.train()", "train(False) and back", "a parent's train()"])
def test_frozen_layers_stay_in_eval_mode_whoever_says_train(turn):
    task = task_of("last-blocks:1", vit())
    task.before_step(0.0)
    if turn == "task.train()":
        task.train()
    elif turn == "train(False) and back":
        task.train(False)
        assert not modes(task.model)
        task.train()
    else:
        nn.ModuleList([task]).train()
    frozen = {
        name
        for name, _ in task.model.named_modules()
        if name.startswith(("blocks.0", "blocks.1", "patch_embed"))
    }
    assert len(frozen) > 20
    assert not modes(task.model) & frozen
    assert {"", "blocks.2", "blocks.2.mlp.fc1", "norm", "head"} <= modes(task.model)
    assert task.training


def test_while_the_head_alone_learns_nothing_is_dropped_before_it():
    task = task_of("head", vit(drop_rate=0.5))
    task.before_step(0.0)
    task.train()
    assert modes(task.model) == {"head"}
    assert torch.equal(task.model(batch_of().images), task.model(batch_of().images))
    assert task.model.head.weight.requires_grad


def test_batch_normalisation_keeps_its_averages_and_normalises_by_them():
    model = convnet()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(), module.running_var.uniform_(0.5, 2.0)
    before = {name: value.clone() for name, value in model.named_buffers()}
    task = task_of("last-blocks:1", model)
    trained(task, steps=3)
    frozen = [name for name in before if int(name.split(".")[1]) < 10]
    assert len(frozen) == 9
    for name in frozen:
        assert torch.equal(before[name], dict(model.named_buffers())[name]), name
    images = batch_of().images
    with torch.no_grad():
        below = model.features[:10](images)
        torch.testing.assert_close(below, model.eval().features[:10](images))


@pytest.mark.parametrize("text", ["last-blocks:2", "all", "layer-decay:0.5", "gradual"])
def test_averages_stand_still_where_the_scale_is_trained_too(text):
    model = convnet()
    before = {name: value.clone() for name, value in model.named_buffers()}
    moved = trained(task_of(text, model), progress=0.9, steps=2)
    assert "features.11.weight" in moved
    for name, value in model.named_buffers():
        assert torch.equal(before[name], value), name


def test_nothing_is_dropped_or_shaken_in_frozen_blocks_and_something_is_in_the_others():
    """Blocks of a ViT with dropout: the same image twice gives the same up to the frozen ones."""
    model = vit(proj_drop_rate=0.4, drop_path_rate=0.4)
    task = task_of("last-blocks:1", model)
    task.before_step(0.0)
    task.train()
    seen = {}
    for name in ("blocks.1", "blocks.2"):
        model.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: seen.setdefault(name, []).append(out.detach())
        )
    model(batch_of().images), model(batch_of().images)
    assert torch.equal(*seen["blocks.1"])
    assert not torch.equal(*seen["blocks.2"])


def test_noise_of_a_frozen_stack_is_off():
    model = convnet(noise=0.5)
    task = task_of("head", model)
    task.before_step(0.0)
    task.train()
    assert torch.equal(model(batch_of().images), model(batch_of().images))


FIRST_TRAINED = [
    ("convnet", "head", "features", "head"),
    ("convnet", "last-blocks:2", "features.6", "features.7"),
    ("vit", "head", "norm", "head"),
    ("vit", "last-blocks:2", "blocks.0", "blocks.1"),
]


@pytest.mark.parametrize(("network", "text", "below", "first"), FIRST_TRAINED)
def test_no_graph_is_recorded_below_the_first_trained_layer(network, text, below, first):
    task = task_of(text, BUILDS[network]())
    task.before_step(0.0)
    task.train()
    needs = {}
    for name in (below, first):
        task.model.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: needs.__setitem__(name, out.requires_grad)
        )
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        task.training_step(batch_of(), 0)
    assert needs == {below: False, first: True}
    if text == "head":  # a linear layer keeps what it was given; then comes the loss
        width = 6 if network == "convnet" else 48
        assert 0 < sum(tensor.numel() for tensor in kept) < 7 * (width + 20) + 4 * width


def test_gradual_takes_up_what_it_frees_with_one_optimiser():
    task = task_of("gradual", convnet())
    optimiser = task.configure_optimizers()
    owned = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert owned == {id(p) for p in task.model.parameters()}
    task.train()
    counts = []
    for progress in (0.0, 0.2, 0.3, 0.45, 0.7):
        task.before_step(progress)
        optimiser.zero_grad()
        task.training_step(batch_of(), 0)["loss"].backward()
        optimiser.step()
        counts.append(len(optimiser.state))
    # The head's two; then a kernel, a scale and a shift with every block.
    assert counts == [2, 5, 8, 11, 14]


def groups(optimiser, model):
    """{name: (scale, rate, decay)} of what the optimiser moves."""
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        names[id(p)]: (group["scale"], group["lr"], group["weight_decay"])
        for group in optimiser.param_groups
        for p in group["params"]
    }


@pytest.mark.parametrize("rule", ["sgd", "adam", "adamw"])
def test_each_group_of_layer_decay_carries_its_factor_and_its_rate(rule):
    task = task_of("layer-decay:0.5", convnet(), optim=Optim(rule, lr=0.08, weight_decay=0.3))
    found = groups(task.configure_optimizers(), task.model)
    assert len(found) == 14
    places = {"head": 0, "features.10": 1, "features.11": 1, "features.7": 2, "features.8": 2,
              "features.3": 3, "features.4": 3, "features.0": 4, "features.1": 4}  # fmt: skip
    for name, (scale, rate, decay) in found.items():
        layer, _, what = name.rpartition(".")
        assert scale == 0.5 ** places[layer]
        assert rate == pytest.approx(0.08 * 0.5 ** places[layer])
        matrix = what == "weight" and layer in (
            "head", "features.0", "features.3", "features.7", "features.10",
        )  # fmt: skip
        assert decay == (0.3 if matrix else 0.0), name


@pytest.mark.parametrize(
    ("text", "count"), [("head", 2), ("last-blocks:1", 5), ("all", 14), ("gradual", 14)]
)
def test_what_is_never_moved_is_left_out_of_the_optimiser(text, count):
    task = task_of(text, convnet())
    for moment in (partial(task.before_step, 0.0), partial(task.train)):
        moment()
        found = groups(task.configure_optimizers(), task.model)
        assert len(found) == count
        assert {values[:2] for values in found.values()} == {(1.0, 1e-2)}


def test_without_a_strategy_groups_have_the_factor_one():
    model = convnet()
    model.features[0].weight.requires_grad_(False)
    found = groups(Classify(model, Optim(lr=0.02)).configure_optimizers(), model)
    assert set(found) == {n for n, _ in model.named_parameters()} - {"features.0.weight"}
    assert {values[:2] for values in found.values()} == {(1.0, 0.02)}


def test_a_strategy_alone_does_not_know_what_to_freeze():
    with pytest.raises(AssertionError, match="groups"):
        Classify(convnet(), strategy=Strategy("head"))
