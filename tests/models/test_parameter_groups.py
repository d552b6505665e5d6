import pytest
import timm
import torch
import torchvision
from torch import nn

from vislab import models
from vislab.errors import ShapeError
from vislab.models.parameter_groups import parameter_groups


def torchvisions(name, **options):
    return lambda: torchvision.models.get_model(name, weights=None, num_classes=5, **options)


def timms(name, **options):
    return lambda: timm.create_model(name, num_classes=5, **options)


def small_vision_transformer():
    return torchvision.models.VisionTransformer(
        image_size=32, patch_size=16, num_layers=12, num_heads=2, hidden_dim=16, mlp_dim=24,
        num_classes=5,
    )  # fmt: skip


class Residual(nn.Module):
    """Declared backwards: what runs first is written last."""

    def __init__(self, width, relu):
        super().__init__()
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.relu = relu
        self.first = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return self.relu(x + self.second(self.relu(self.first(x))))


class Backwards(nn.Module):
    """Every part written in the opposite of the order in which it runs, one ReLU for all."""

    def __init__(self, classes=5, width=4):
        super().__init__()
        relu = nn.ReLU()
        self.answer = nn.Linear(2 * width, classes)
        self.bottom = nn.ModuleDict({"deep": nn.Sequential(Residual(8, relu), Residual(8, relu))})
        self.norm = nn.BatchNorm2d(2 * width)
        self.widen = nn.Conv2d(width, 2 * width, 1)
        self.top = nn.ModuleList([Residual(width, relu), Residual(width, relu)])
        self.relu = relu
        self.scale = nn.Parameter(torch.ones(1))
        self.stem = nn.Conv2d(3, width, 3)
        self.before = nn.BatchNorm2d(3)

    def forward(self, images):
        x = self.relu(self.stem(self.before(images)) * self.scale)
        for residual in self.top:
            x = residual(x)
        x = self.bottom["deep"](self.relu(self.widen(x)))
        return self.answer(self.norm(x).mean(dim=(2, 3)))


# Network, side, blocks, the first and the last block, the head, whether it is separable. The
# number of blocks is counted from the papers: 8 residual blocks and a stem in ResNet-18, and so on.
NETWORKS = {
    "resnet18": (
        torchvisions("resnet18"), 33, 1 + 8, ("conv1", "bn1"), ("layer4.1",), ("fc",), True,
    ),
    "vgg11": (
        torchvisions("vgg11"), 32, 8 + 2, ("features.0",), ("classifier.3",), ("classifier.6",),
        True,
    ),
    "densenet121": (  # 58 layers and 3 transitions
        torchvisions("densenet121"), 32, 1 + 6 + 12 + 24 + 16 + 3,
        ("features.conv0", "features.norm0"),
        ("features.denseblock4.denselayer16", "features.norm5"), ("classifier",), True,
    ),
    "mobilenet_v3_small": (
        torchvisions("mobilenet_v3_small"), 32, 1 + 11 + 2, ("features.0",), ("classifier.0",),
        ("classifier.3",), True,
    ),
    "swin_t": (  # 2 + 2 + 6 + 2 layers and 3 mergings of patches
        torchvisions("swin_t"), 64, 1 + 12 + 3, ("features.0.0", "features.0.2"),
        ("features.7.1", "norm"), ("head",), True,
    ),
    "squeezenet1_1": (  # its head is a convolution
        torchvisions("squeezenet1_1"), 33, 1 + 8, ("features.0",), ("features.12",),
        ("classifier.1",), False,
    ),
    "googlenet": (
        torchvisions("googlenet", aux_logits=False, init_weights=False), 32, 3 + 9, ("conv1",),
        ("inception5b",), ("fc",), True,
    ),
    "vit_b_16": (
        torchvisions("vit_b_16"), 224, 1 + 12, ("conv_proj",),
        ("encoder.layers.encoder_layer_11", "encoder.ln"), ("heads.head",), True,
    ),
    "timm:vit_tiny_patch16_224": (
        timms("vit_tiny_patch16_224", img_size=32), 32, 1 + 12, ("patch_embed",),
        ("blocks.11", "norm"), ("head",), True,
    ),
    "timm:deit_tiny_distilled_patch16_224": (  # the mean of two heads
        timms("deit_tiny_distilled_patch16_224", img_size=32), 32, 1 + 12, ("patch_embed",),
        ("blocks.11", "norm"), ("head", "head_dist"), False,
    ),
    "timm:convnext_atto": (  # 2 + 2 + 6 + 2 blocks and 3 halvings, after the normalisation before
        timms("convnext_atto"), 32, 1 + 12 + 3, ("stem.0", "stem.1"),
        ("stages.3.blocks.1", "head.norm"), ("head.fc",), True,
    ),
    "timm:tf_efficientnet_lite0": (
        timms("tf_efficientnet_lite0"), 32, 1 + 16 + 1, ("conv_stem", "bn1"),
        ("conv_head", "bn2"), ("classifier",), True,
    ),
    "convnet": (
        lambda: models.ConvNet(classes=5), 17, 6, ("features.0", "features.1"),
        ("features.17", "features.18"), ("head",), True,
    ),
    "all-cnn": (
        lambda: models.AllCNN(classes=5), 17, 8, ("features.0", "features.1"),
        ("features.21", "features.22"), ("head",), False,
    ),
    "preact-resnet": (
        lambda: models.PreActResNet(classes=5, depth=14), 17, 1 + 6, ("features.stem.0",),
        ("features.stage3.1",), ("head",), True,
    ),
    "one's own": (
        Backwards, 11, 1 + 2 + 1 + 2, ("before", "stem"), ("bottom.deep.1", "norm"), ("answer",),
        True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_every_kind_come_apart_as_their_authors_built_them(name):
    """On the meta device, where networks of full size cost nothing."""
    build, side, count, first, last, head, separable = NETWORKS[name]
    with torch.device("meta"):
        model = build()
        found = parameter_groups(model, torch.zeros(1, 3, side, side))
    assert len(found.blocks) == count
    assert found.blocks[0].modules == first
    assert found.blocks[0].name == first[0]
    assert found.blocks[-1].modules == last
    assert found.head.modules == head
    assert found.separable is separable
    parts = [*found.blocks, found.head]
    assert all(part.parameters for part in parts)
    named = [parameter for part in parts for parameter in part.parameters]
    assert len(set(named)) == len(named)  # in one part only
    assert set(named) == {name for name, _ in model.named_parameters()}


def test_every_block_is_named_in_the_order_in_which_it_runs():
    found = parameter_groups(Backwards(), torch.zeros(1, 3, 9, 8))
    assert [block.modules for block in found.blocks] == [
        ("before", "stem"),
        ("top.0",),
        ("top.1",),
        ("widen",),
        ("bottom.deep.0",),
        ("bottom.deep.1", "norm"),
    ]
    assert found.blocks[2].parameters == tuple(
        f"top.1.{name}" for name in ("second.weight", "second.bias", "first.weight", "first.bias")
    )


@pytest.mark.parametrize(
    ("build", "side"),
    [
        (torchvisions("mobilenet_v3_small"), 32),
        (small_vision_transformer, 32),
        (lambda: models.WideResNet(classes=5, depth=16, widen=1), 9),
        (Backwards, 9),
    ],
)
def test_weights_of_a_block_change_what_it_gives_and_nothing_before_it(build, side):
    torch.manual_seed(0)
    model = build().eval()
    image = torch.randn(1, 3, side, side)
    blocks = parameter_groups(model, image).blocks
    seen = {}
    hooks = [
        model.get_submodule(block.name).register_forward_hook(
            lambda _module, _arguments, out, place=place: seen.__setitem__(place, out.clone())
        )
        for place, block in enumerate(blocks)
    ]
    with torch.no_grad():
        model(image)
        before = dict(seen)
        assert len(before) == len(blocks) > 5
        for place, block in enumerate(blocks):
            kept = {name: model.get_parameter(name).clone() for name in block.parameters}
            for name in block.parameters:
                model.get_parameter(name).add_(torch.randn(()))
            model(image)
            same = [torch.equal(before[other], seen[other]) for other in range(place + 1)]
            assert same == [True] * place + [False]
            for name, value in kept.items():
                model.get_parameter(name).copy_(value)
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize(
    ("build", "in_the_first", "in_the_last"),
    [
        (
            small_vision_transformer,
            {"class_token", "encoder.pos_embedding"},
            {"encoder.ln.weight", "encoder.ln.bias"},
        ),
        (
            timms("deit_tiny_distilled_patch16_224", img_size=32),
            {"cls_token", "dist_token", "pos_embed"},
            {"norm.weight", "norm.bias"},
        ),
    ],
)
def test_tokens_count_to_the_first_block_and_the_last_normalisation_to_the_last(
    build, in_the_first, in_the_last
):
    blocks = parameter_groups(build(), torch.zeros(1, 3, 32, 32)).blocks
    assert in_the_first < set(blocks[0].parameters)
    assert in_the_last < set(blocks[-1].parameters)


class Scores(nn.Module):
    """A convolution and a head; `answer` says what becomes of the head's scores."""

    def __init__(self, answer, *, tokens=False):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.head = nn.Linear(6, 5)
        self.answer, self.tokens = answer, tokens

    def forward(self, images):
        maps = self.conv(images)
        seen = maps.flatten(2).mT if self.tokens else maps.mean(dim=(2, 3))  # (N, T, D) or (N, D)
        return self.answer(self.head(seen))


@pytest.mark.parametrize(
    ("model", "separable"),
    [
        (Scores(nn.Identity()), True),
        (Scores(nn.LogSoftmax(dim=1)), False),
        (Scores(lambda scores: scores / 8), False),
        (Scores(lambda scores: scores.mean(dim=1), tokens=True), False),
        (Scores(lambda scores: scores[:, 0], tokens=True), False),
    ],
)
def test_a_network_is_separable_when_its_answer_is_one_linear_layer_of_features(model, separable):
    found = parameter_groups(model, torch.zeros(1, 3, 6, 5))
    assert found.separable is separable
    assert found.head.modules == ("head",)
    assert [block.modules for block in found.blocks] == [("conv",)]


def test_the_answer_of_a_separable_network_is_its_head_on_what_the_head_was_given():
    model, image = Backwards().eval(), torch.randn(1, 3, 9, 8)
    (name,) = parameter_groups(model, image).head.modules
    head, given = model.get_submodule(name), []
    hook = head.register_forward_pre_hook(lambda _module, arguments: given.append(arguments[0]))
    answer = model(image)
    hook.remove()
    assert torch.equal(given[0] @ head.weight.T + head.bias, answer)


def test_hidden_layers_as_wide_as_there_are_classes_are_no_heads():
    layers = [nn.Flatten(), nn.Linear(36, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU()]
    found = parameter_groups(nn.Sequential(*layers, nn.Linear(5, 5)), torch.zeros(1, 3, 3, 4))
    assert found.head.modules == ("5",)
    assert [block.modules for block in found.blocks] == [("1",), ("3",)]
    assert found.separable


def test_a_network_that_is_a_head_alone_has_no_blocks():
    found = parameter_groups(nn.Sequential(nn.Flatten(), nn.Linear(36, 5)), torch.zeros(1, 3, 3, 4))
    assert found.blocks == ()
    assert found.head.parameters == ("1.weight", "1.bias")


def test_layers_of_torch_s_own_transformer_are_seen_though_it_has_a_way_around_them():
    """In eval mode its layers compute in one step, unless they are watched."""

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(16, 2, 24, batch_first=True)
            self.position = nn.Parameter(torch.zeros(1, 4, 16))
            self.patches = nn.Conv2d(3, 16, 4, stride=4)
            self.encoder = nn.TransformerEncoder(layer, 3)
            self.head = nn.Linear(16, 5)

        def forward(self, images):
            tokens = self.patches(images).flatten(2).mT + self.position
            return self.head(self.encoder(tokens).mean(dim=1))

    blocks = parameter_groups(Tokens(), torch.zeros(1, 3, 8, 8)).blocks
    assert [block.name for block in blocks] == [
        "patches",
        *(f"encoder.layers.{i}" for i in (0, 1, 2)),
    ]
    assert [len(block.parameters) for block in blocks] == [3, 12, 12, 12]


def test_layers_that_share_weights_count_once():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Conv2d(3, 3, 3, padding=1)
            self.two = nn.Conv2d(3, 3, 3, padding=1)
            self.two.weight = self.one.weight
            self.head = nn.Linear(3, 5)

        def forward(self, images):
            return self.head(self.two(self.one(images)).mean(dim=(2, 3)))

    model = Shared()
    found = parameter_groups(model, torch.zeros(1, 3, 6, 5))
    named = [name for part in (*found.blocks, found.head) for name in part.parameters]
    assert sorted(named) == sorted(name for name, _ in model.named_parameters())


def test_a_layer_that_two_blocks_share_leaves_them_in_their_order():
    class Sharing(nn.Module):
        def __init__(self, shared):
            super().__init__()
            self.shared, self.own = shared, nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x):
            return x + self.own(self.shared(x))

    shared = nn.Conv2d(4, 4, 1)
    stem, end = nn.Conv2d(3, 4, 3), [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)]
    model = nn.Sequential(stem, nn.Sequential(Sharing(shared), Sharing(shared)), *end)
    blocks = parameter_groups(model, torch.zeros(1, 3, 6, 5)).blocks
    assert [block.name for block in blocks] == ["0", "1.0", "1.1"]


def state(model):
    """Return all that looking inside could change."""
    return {
        "modes": [module.training for module in model.modules()],
        "hooks": [
            [len(hooks) for name, hooks in vars(module).items() if name.endswith("_hooks")]
            for module in model.modules()
        ],
        "grads": [None if p.grad is None else p.grad.tolist() for p in model.parameters()],
        "trained": [p.requires_grad for p in model.parameters()],
        "values": {name: value.tolist() for name, value in model.state_dict().items()},
        "chance": torch.get_rng_state().tolist(),
    }


def used(model):
    """Put a network in a state of which every part could be lost."""
    model.train()
    model.top[1].eval()
    model.norm.eval()
    model.stem.weight.requires_grad_(False)
    model.answer.weight.grad = torch.randn_like(model.answer.weight)
    model.widen.register_forward_hook(lambda *_: None)
    model.widen.register_forward_pre_hook(lambda *_: None)
    return model


def test_a_network_is_left_as_it_was():
    model = used(Backwards())
    model.bottom["deep"].append(nn.Dropout(0.5))
    image = torch.randn(1, 3, 9, 8)
    before = state(model)
    parameter_groups(model, image)
    assert state(model) == before


def test_no_graph_is_recorded_while_a_network_is_watched():
    recorded = []
    parameter_groups(
        Scores(lambda x: recorded.append(x.requires_grad) or x), torch.zeros(1, 3, 6, 5)
    )
    assert recorded == [False]


def test_a_network_that_breaks_while_it_is_watched_is_left_as_it_was():
    model = used(Backwards())
    before = state(model)
    with pytest.raises(RuntimeError, match="size"):  # its stem does not fit
        parameter_groups(model, torch.zeros(1, 3, 2, 2))
    assert state(model) == before


def test_a_network_whose_head_is_not_found_is_left_as_it_was():
    model = used(Backwards())
    model.answer = nn.Identity()
    before = state(model)
    with pytest.raises(ShapeError):
        parameter_groups(model, torch.zeros(1, 3, 9, 8))
    assert state(model) == before


@pytest.mark.parametrize(
    "model",
    [
        nn.Conv2d(3, 5, 3),  # maps
        Scores(lambda scores: scores.sum()),
        Scores(lambda scores: (scores, scores)),
    ],
)
def test_a_network_that_gives_no_class_scores_is_refused(model):
    sentence = r"^a network to take apart must give class scores \(N, K\) for \(N, 3, H, W\)$"
    with pytest.raises(ShapeError, match=sentence):
        parameter_groups(model, torch.zeros(1, 3, 6, 5))


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(90, 5), nn.BatchNorm1d(5)),
        Scores(lambda scores: scores[:, :4]),
        nn.Flatten(),
        models.create("linear-scores", classes=5, features=90),
    ],
)
def test_a_network_whose_scores_no_layer_gives_is_refused(model):
    sentence = (
        r"^the network's last layer with weights does not give its class scores; "
        r"its head cannot be told from the rest$"
    )
    with pytest.raises(ShapeError, match=sentence):
        parameter_groups(model, torch.zeros(1, 3, 6, 5))
