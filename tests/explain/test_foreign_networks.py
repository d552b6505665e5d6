"""Networks of others: the right map, or one true sentence that is the same for every method."""

import copy
import threading

import pytest
import torch
from torch import nn

from tests.explain import foreign
from tests.explain.foreign import ALIKE, BY_HAND, SWAYED, Plain, like_plain, variant
from tests.explain.nets_to_explain import state
from vislab.errors import ShapeError
from vislab.explain.asking import BLOCKED, answer, ask, checked, probabilities_of
from vislab.explain.company import OneByOne, answered
from vislab.explain.deconvnet import project
from vislab.explain.folding import folded
from vislab.explain.gradients import input_gradient
from vislab.explain.methods import METHODS
from vislab.explain.randomised import randomised
from vislab.explain.strongest_patches import strongest_patches

BY_GRADIENT = (
    "saliency", "smooth-grad", "integrated-gradients", "guided-backprop", "deconvnet",
)  # fmt: skip
ALL = (*BY_GRADIENT, "occlusion")


@pytest.fixture
def images(rng):
    return torch.randn(2, 3, 9, 7, generator=rng)  # a window of occlusion is one pixel


@pytest.fixture
def plain():
    torch.manual_seed(0)
    return Plain()


def maps(model, images, target=1, methods=ALL):
    return {name: METHODS[name](model, images, target) for name in methods}


def same(found, expected, atol=1e-4):
    """Say that maps agree, beside the largest value."""
    for name, one in found.items():
        scale = float(expected[name].abs().max())
        assert scale > 1e-6, name
        torch.testing.assert_close(one / scale, expected[name] / scale, rtol=0, atol=atol, msg=name)


def by_hand(model, images, target=1, methods=BY_HAND):
    return {
        name: torch.stack([BY_HAND[name](model, image, target) for image in images]).detach()
        for name in methods
    }


def test_the_maps_of_a_plain_network_are_those_written_by_hand(plain, images):
    found = maps(plain, images, methods=BY_HAND)
    same(found, by_hand(plain, images), atol=1e-4)


@pytest.mark.parametrize("name", ALIKE)
def test_a_network_that_only_says_it_otherwise_has_the_same_maps_and_stays_as_it_was(
    name, plain, images
):
    network = like_plain(name, plain)
    network.second.weight.requires_grad_(False)
    network.train()
    before, shown = state(network), images.clone()
    found = maps(network, images)
    assert state(network) == before
    assert torch.equal(images, shown)
    assert getattr(network, "heard", []) == []
    same(found, maps(plain, images))
    assert not any(one.requires_grad for one in found.values())


def test_a_weight_that_is_worked_out_each_time_is_no_obstacle(images):
    torch.manual_seed(0)
    network = foreign.WeightNorm()
    network(images)  # what it keeps is part of a graph
    found = maps(network, images, methods=BY_HAND)
    same(found, by_hand(network, images), atol=1e-4)


@pytest.mark.parametrize("norm", [nn.utils.spectral_norm, nn.utils.parametrizations.spectral_norm])
def test_the_power_iteration_of_a_spectral_norm_stands_still(norm, plain, images):
    plain.second = norm(plain.second)
    before = copy.deepcopy(plain.state_dict())
    maps(plain.train(), images)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("name", SWAYED)
def test_a_network_that_company_sways_is_asked_about_each_image_alone(name, images):
    torch.manual_seed(0)
    network = SWAYED[name]()
    images = images * torch.tensor([0.3, 3.0])[:, None, None, None]
    with torch.no_grad():
        together = network.eval()(images)
        alone = torch.cat([network(image[None]) for image in images])
    assert not torch.allclose(together, alone, rtol=1e-2)
    before = state(network.train())
    found = maps(network, images, methods=BY_HAND)
    assert state(network) == before
    same(found, by_hand(network, images), atol=2e-4)
    single = maps(network, images[1:], methods=BY_HAND)
    same(single, {name: one[1:] for name, one in found.items()}, atol=1e-4)


def test_of_copies_of_one_image_each_is_asked_about_alone(images):
    torch.manual_seed(0)
    network = foreign.BatchNorm()
    twice = images[:1].expand(2, -1, -1, -1)
    found = METHODS["smooth-grad"](network, twice, 1)
    same({"smooth-grad": found}, by_hand(network, twice, methods=["smooth-grad"]), atol=1e-4)


def test_units_of_a_network_that_company_sways_are_those_of_each_image_alone(images):
    torch.manual_seed(0)
    network = foreign.BatchNorm()
    images = images * torch.tensor([0.3, 3.0])[:, None, None, None]
    found = strongest_patches(network, images, "norm", 2)
    for patch in found:
        (alone,) = strongest_patches(network, images[patch.image][None], "norm", 2)
        assert (patch.activation, patch.place) == (alone.activation, alone.place)
    places = [patch.place for patch in sorted(found, key=lambda patch: patch.image)]
    both = project(network, images, "norm", 2, places)
    for image, place, one in zip(images, places, both, strict=True):
        torch.testing.assert_close(one, project(network, image[None], "norm", 2, [place])[0])
    assert both[0].abs().max() > 0


class Counted(Plain):
    def __init__(self):
        super().__init__()
        self.passes = []

    def forward(self, x):
        self.passes.append(len(x))
        return super().forward(x)


@pytest.mark.parametrize(
    ("method", "count", "passes"),
    [
        ("saliency", 1, [1]),
        ("saliency", 2, [2, 3]),
        ("saliency", 4, [4, 2]),
        ("smooth-grad", 1, [1, 2, 1, 32]),
        ("smooth-grad", 2, [2, 3, 1, 32, 32]),
    ],
)
def test_to_find_out_whether_company_matters_costs_one_small_pass_a_call(
    method, count, passes, images
):
    network = Counted()
    METHODS[method](network, torch.cat([images, images + 1])[:count], 1)
    assert network.passes == passes


def test_what_is_random_is_not_taken_for_swayed(images):
    torch.manual_seed(0)
    network = variant("Drops", lambda s, x: Plain.forward(s, nn.functional.dropout(x, 0.5)))()
    assert answered(network, images).network is network
    assert isinstance(answered(foreign.BatchNorm(), images).network, OneByOne)


@pytest.mark.parametrize("name", foreign.BLOCKED)
def test_where_no_gradient_passes_all_say_the_same_and_occlusion_works(name, plain, images):
    network = foreign.BLOCKED[name]()
    network.load_state_dict(plain.state_dict())
    before = state(network)
    for method in BY_GRADIENT:
        with pytest.raises(ShapeError) as told:
            METHODS[method](network, images, 1)
        assert str(told.value) == BLOCKED
    assert state(network) == before
    if name == "argmax":
        target = int(scores_of(network, images)[0].argmax())
        assert METHODS["occlusion"](network, images, target).shape == (2, 9, 7)
        return
    same(maps(network, images, methods=["occlusion"]), maps(plain, images, methods=["occlusion"]))


def scores_of(network, images):
    with torch.no_grad():
        return network.eval()(images)


class TwoInputs(Plain):
    def forward(self, x, meta):
        return super().forward(x) + meta


class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.see, self.head = nn.LazyConv2d(4, 3), nn.LazyLinear(5)

    def forward(self, x):
        return self.head(self.see(x).relu().mean((2, 3)))


SCORES = r"must give class scores \(N, K\) for images \(N, C, H, W\), got "


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (TwoInputs, r"\(TwoInputs\) asks for more than images: .*'meta'.*takes images alone"),
        (Lazy, r"\(Lazy\) has no weights yet: see\.weight .* show it some"),
        (variant("Nan", lambda s, x: Plain.forward(s, x) * torch.nan), r"\(Nan\) gives NaN"),
        (
            variant("Bug", lambda s, x: s.head(x)),
            r"\(Bug\) does not take images of 3×9×7 float32 values: RuntimeError: .*mat1 and",
        ),
        (variant("Labels", lambda s, x: Plain.forward(s, x).argmax(1)), SCORES + r"\(N,\) of int"),
        (variant("Maps", lambda s, x: s.first(x)), SCORES + r"\(N, 4, 5, 4\); wrap it"),
        (variant("Nothing", lambda s, x: None), SCORES + "NoneType"),
        (
            variant("Two", lambda s, x: {"a": Plain.forward(s, x), "b": Plain.forward(s, x)}),
            SCORES + r"a dict of a \(N, 5\), b \(N, 5\), of which more than one could be meant",
        ),
        (
            variant("Features", lambda s, x: (x.mean((2, 3)), Plain.forward(s, x))),
            SCORES + r"a tuple of \(N, 3\), \(N, 5\), of which more than one could be meant",
        ),
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_what_cannot_be_explained_says_one_sentence_for_every_method(make, why, count, images):
    network = make()
    told = set()
    for method in ALL:
        with pytest.raises(ShapeError, match=why) as error:
            METHODS[method](network, images[:count], 0)
        told.add(str(error.value))
    assert len(told) == 1


def test_a_gradient_that_is_not_a_number_is_told_and_occlusion_works(images):
    network = variant("Root", lambda s, x: Plain.forward(s, x) + (0 * x).sum().sqrt())()
    for method in BY_GRADIENT:
        with pytest.raises(ShapeError, match="gradient of the network's answer is NaN"):
            METHODS[method](network, images, 0)
    assert METHODS["occlusion"](network, images, 0).isfinite().all()


def test_what_is_written_over_is_kept_for_the_way_back(plain, images):
    writes, keeps = foreign.WritesOver(), foreign.Exponential()
    for network in (writes, keeps):
        network.load_state_dict(plain.state_dict())
    with pytest.raises(RuntimeError, match="inplace operation"):
        foreign.slope(writes, images[0], 1)
    same(maps(writes, images, methods=BY_HAND), by_hand(keeps, images))
    for method in ("guided-backprop", "deconvnet"):  # their rules have no such way
        with pytest.raises(ShapeError, match=r"cannot be computed: .* inplace operation"):
            METHODS[method](writes, images, 1)


def test_a_way_back_that_fails_is_told_and_occlusion_works(plain, images):
    network = foreign.NoWayBack()
    network.load_state_dict(plain.state_dict())
    for method in BY_GRADIENT:
        with pytest.raises(ShapeError, match=r"cannot be computed: no way back; occlusion needs"):
            METHODS[method](network, images, 1)
    same(maps(network, images, methods=["occlusion"]), maps(plain, images, methods=["occlusion"]))


def test_an_image_that_leads_its_company_does_not_hide_that_it_does(images):
    torch.manual_seed(0)
    network = SWAYED["scaled by the largest"]()
    images = images * torch.tensor([3.0, 0.3])[:, None, None, None]
    same(
        maps(network, images, methods=["saliency"]),
        by_hand(network, images, methods=["saliency"]),
    )


def test_a_lazy_network_stays_lazy(images):
    network = Lazy()
    for do in (lambda: METHODS["occlusion"](network, images), lambda: randomised(network)):
        with pytest.raises(ShapeError, match="no weights yet"):
            do()
    assert isinstance(network.see, nn.LazyConv2d)


@pytest.mark.parametrize(
    "forward",
    [
        Plain.forward,
        lambda s, x: Plain.forward(s, x).squeeze(1),
        lambda s, x: Plain.forward(s, x).squeeze(),
        lambda s, x: {"logits": Plain.forward(s, x).squeeze()},
    ],
)
def test_a_single_logit_has_two_sides_and_its_sign_says_which_is_meant(forward, images):
    torch.manual_seed(0)
    network = variant("Single", forward, classes=1)().eval()
    with torch.no_grad():
        logits = Plain.forward(network, images)[:, 0]
        network.head.bias -= logits.mean()  # one on each side
        logits = Plain.forward(network, images)[:, 0]
    sides = logits > 0
    assert sides.sum() == 1
    scores = ask(network, images)
    torch.testing.assert_close(scores, torch.stack([-logits, logits], dim=1))
    expected = torch.stack([(-logits).sigmoid(), logits.sigmoid()], dim=1)
    torch.testing.assert_close(probabilities_of(network, images), expected)
    for one in range(2):
        torch.testing.assert_close(ask(network, images[one][None])[0], scores[one].detach())
    up, own = input_gradient(network, images, 1), input_gradient(network, images)
    torch.testing.assert_close(input_gradient(network, images, 0), -up)
    torch.testing.assert_close(own, torch.where(sides[:, None, None, None], up, -up))
    assert up.abs().max() > 0


@pytest.mark.parametrize(
    ("reading", "end", "classes"),
    [
        (None, lambda z: z.softmax(1), 5),
        ("probabilities", lambda z: z.sigmoid(), 5),
        ("probabilities", lambda z: torch.cat([1 - z.sigmoid(), z.sigmoid()], 1)[:, 1:], 1),
    ],
)
def test_what_is_a_probability_already_stays_one(reading, end, classes, images):
    network = variant("Ends", lambda s, x: end(4 * Plain.forward(s, x)), classes=classes)().eval()
    network.reading = reading
    with torch.no_grad():
        given = network(images)
    found = probabilities_of(network, images)
    if classes == 1:
        given = torch.cat([1 - given, given], dim=1)
    torch.testing.assert_close(found, given)
    assert input_gradient(network, images).abs().max() > 0
    torch.testing.assert_close(ask(network, images).argmax(1), given.argmax(1))


def test_a_head_of_many_labels_has_a_probability_for_each(plain, images):
    plain.reading = "sigmoid"
    with torch.no_grad():
        expected = plain.eval()(images).sigmoid()
    torch.testing.assert_close(probabilities_of(plain, images), expected)
    torch.testing.assert_close(answered(nn.DataParallel(plain), images).probabilities, expected)


class ViewFlat(nn.Module):
    """The commonest tutorial network: `view` refuses what is laid out channels last."""

    def __init__(self):
        super().__init__()
        self.see, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4 * 9 * 7, 5)

    def forward(self, x):
        return self.head(self.see(x).relu().view(len(x), -1))


def test_a_network_that_takes_no_channels_last_images_is_shown_none(images, capfd):
    torch.manual_seed(0)
    network = ViewFlat()
    laid = images.contiguous(memory_format=torch.channels_last)
    with pytest.raises(RuntimeError, match="view"):
        network(laid)
    found = maps(network, laid, methods=BY_HAND)
    same(found, by_hand(network, images), atol=1e-4)
    assert capfd.readouterr().err == ""


def test_a_network_is_handed_what_lies_in_a_row(images):
    network = variant("Rows", lambda s, x: Plain.forward(s, x) * float(x.is_contiguous()))()
    laid = images.contiguous(memory_format=torch.channels_last)
    found = METHODS["occlusion"](network, laid, 1)
    same({"occlusion": found}, by_hand(network, images, methods=["occlusion"]), atol=1e-4)


@pytest.mark.parametrize("run_before", [False, True])
def test_compiled_and_parallel_networks_have_the_maps_of_the_plain_one(plain, images, run_before):
    in_place = copy.deepcopy(plain)
    in_place.compile(backend="eager")
    wrapped = {
        "compiled": torch.compile(copy.deepcopy(plain), backend="eager"),
        "compiled in place": in_place,
        "parallel": nn.DataParallel(copy.deepcopy(plain)),
        "traced by fx": torch.fx.symbolic_trace(plain),
        "parallel and compiled": nn.DataParallel(torch.compile(plain, backend="eager")),
    }
    expected = maps(plain, images)
    for network in wrapped.values():
        if run_before:
            network(images)
        same(maps(network, images), expected)
    other = randomised(wrapped["compiled"])
    torch.testing.assert_close(other.head.weight, randomised(plain).head.weight)


@pytest.mark.parametrize("make", [torch.jit.script, lambda model: torch.jit.trace(model, SHOWN)])
def test_torchscript_is_explained_where_nothing_inside_of_it_is_needed(make, plain, images):
    network = make(plain.eval())
    seen = [name for name in ALL if name not in ("guided-backprop", "deconvnet")]
    same(maps(network, images, methods=seen), maps(plain, images, methods=seen))
    for method in ("guided-backprop", "deconvnet", "grad-cam", "grad-cam-plus-plus"):
        with pytest.raises(ShapeError, match="the network is TorchScript"):
            METHODS[method](network, images, 1)


SHOWN = torch.zeros(1, 3, 9, 7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_images_are_shown_in_the_type_of_the_weights(dtype, plain, images):
    network = plain.to(dtype)
    found = maps(network, images)
    expected = by_hand(network, images.to(dtype), methods=["saliency"])
    same({"saliency": found["saliency"]}, {"saliency": expected["saliency"].float()}, atol=0.02)
    assert {one.dtype for one in found.values()} == {torch.float32}


def test_whole_numbers_are_shown_as_floats(plain, rng):
    images = torch.randint(0, 255, (2, 3, 9, 7), generator=rng, dtype=torch.uint8)
    same(maps(plain, images), maps(plain, images.float()))


def test_one_image_without_an_axis_of_its_own_is_told_how_to_get_one(images):
    with pytest.raises(ShapeError, match=r"got \(3, 9, 7\); give one image .* images\[None\]"):
        checked(images[0])
    with pytest.raises(ShapeError, match=r"\(N, C, H, W\), got \(1, 2, 3, 9, 7\)"):
        checked(images[None])


def test_no_images_have_no_maps_whatever_the_network(images):
    for network in (ViewFlat(), foreign.BatchNorm()):
        for name, found in maps(network, images[:0]).items():
            assert found.shape == (0, 9, 7), name


def test_a_single_pixel_has_a_map(plain, images):
    dot = images[:, :, :1, :1]
    found = maps(plain, dot, methods=BY_HAND)
    same(found, by_hand(plain, dot), atol=1e-4)


@pytest.mark.parametrize("channels", [1, 4])
def test_images_need_not_have_three_channels(channels, plain, rng):
    plain.first = nn.Conv2d(channels, 4, 3, stride=2, padding=1)
    images = torch.randn(2, channels, 9, 7, generator=rng)
    same(maps(plain, images, methods=BY_HAND), by_hand(plain, images), atol=1e-4)


def test_maps_are_made_in_inference_mode_too(plain, images):
    expected = maps(plain, images)
    with torch.inference_mode():
        found = maps(plain, images.clone())
    same(found, expected)


def test_images_that_want_gradients_get_none(plain, images):
    wanting = images.clone().requires_grad_()
    same(maps(plain, wanting), maps(plain, images))
    assert wanting.grad is None


def test_what_a_network_keeps_is_fit_for_training_afterwards(plain, images):
    network = like_plain("caches", plain)
    maps(network, images)
    network(images).sum().backward()
    assert network.first.weight.grad.abs().max() > 0


def test_a_network_that_cannot_be_copied_is_asked_itself(plain, images):
    expected = maps(plain, images)
    plain.lock = threading.Lock()
    same(maps(plain, images), expected)
    with pytest.raises(ShapeError, match=r"\(Plain\) cannot be copied"):
        randomised(plain)


def test_a_copy_leaves_out_what_led_to_what_a_network_keeps(plain, images):
    network = like_plain("keeps its features", plain)
    network(images)
    other = randomised(network)
    assert torch.equal(other.kept, network.kept)
    assert other.kept.is_leaf
    assert not network.kept.is_leaf


def test_a_quicker_copy_is_asked_like_the_network(images):
    torch.manual_seed(0)
    for make in (foreign.BatchNorm, ViewFlat, ALIKE["no batch axis"]):
        network = make().eval()
        ready = folded(network, images[:1])
        with torch.no_grad():
            alone = torch.stack([foreign.scores(network, image) for image in images])
            torch.testing.assert_close(ask(ready, images), alone, rtol=1e-4, atol=1e-4)


def test_an_answer_is_that_to_a_copy(images):
    network = variant("Fills", lambda s, x: x.fill_(3.0))()
    before = images.clone()
    assert float(answer(network, images).mean()) == 3.0
    assert torch.equal(images, before)
