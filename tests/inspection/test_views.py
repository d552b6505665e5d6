"""Views of a classifier: what is drawn and recorded is what the network does."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.explain.small_nets import colour_net
from tests.inspection.kept import BLUE, GREEN, RED, Kept, coloured, table_of
from vislab import data
from vislab.data import shapes
from vislab.data.world import causes, scenes_of
from vislab.inspection import views


@pytest.fixture
def book(tmp_path):
    return Kept(tmp_path)


@pytest.fixture(scope="module")
def world():
    return data.images("shapes:easy", size=24, per_class=4).normalised_by((0.0,) * 3, (1.0,) * 3)


class Colours(nn.Module):
    """Channel k is colour k; class k's score is four times its mean."""

    def __init__(self):
        super().__init__()
        self.see, self.relu, self.head = nn.Conv2d(3, 3, 1, bias=False), nn.ReLU(), nn.Linear(3, 3)
        with torch.no_grad():
            self.see.weight.copy_(torch.eye(3)[..., None, None])
            self.head.weight.copy_(4 * torch.eye(3))
            self.head.bias.zero_()

    def forward(self, x):
        return self.head(self.relu(self.see(x)).mean(dim=(2, 3)))


class NoPlaces(nn.Module):
    """A linear layer over all pixels."""

    def __init__(self, side):
        super().__init__()
        self.head = nn.Linear(3 * side * side, 3)

    def forward(self, x):
        return self.head(x.flatten(1))


def test_kernels_are_drawn_about_mid_grey_and_the_first_of_many(book):
    network = nn.Sequential(nn.Conv2d(3, 70, 2))
    with torch.no_grad():
        network[0].weight.zero_()
        network[0].weight[1, 0, 0, 1] = 0.3
        network[0].weight[1, 2, 1, 0] = -0.3
    views.show_kernels(book, network, folded=True)
    drawn = book.images("kernels")
    assert len(drawn) == 64
    assert (drawn[0] == 128).all()
    assert drawn[1].tolist() == [
        [[128, 128, 128], [255, 128, 128]], [[128, 128, 0], [128, 128, 128]],
    ]  # fmt: skip
    assert book.captions["kernels"].startswith("64 of the first layer's 70 kernels")
    assert book.folded["kernels"]


def test_without_kernels_over_colours_there_is_a_note(book):
    views.show_kernels(book, NoPlaces(4))
    assert book.figures == {}
    (note,) = book.run.result.notes
    assert note.startswith("No kernels to show: ")


def test_magnitudes_are_l2_norms_from_the_first_layer_down(book):
    network = Colours()
    with torch.no_grad():
        network.see.weight.zero_()
        network.see.weight[0, :2, 0, 0] = torch.tensor([3.0, -4.0])
    views.show_kernel_magnitudes(book, network)
    bars = book.bars("kernel magnitudes by depth")
    assert list(bars) == ["see", "head"]
    assert bars["see"] == pytest.approx(5.0)
    assert bars["head"] == pytest.approx(4 * 3**0.5)


def test_gradients_are_those_of_the_training_images_and_their_labels(book, monkeypatch):
    table, network, drawn = coloured(train=5), Colours(), []
    kept = views.figures.histograms
    monkeypatch.setattr(views.figures, "histograms", lambda all_: drawn.append(all_) or kept(all_))
    views.show_weight_histograms(book, network, table)
    (both,) = drawn
    assert list(both) == ["weights", "gradients"]
    images = torch.from_numpy(table.pixels[:5]).permute(0, 3, 1, 2).float() / 255
    F.cross_entropy(network(images), torch.tensor([0, 1, 2, 0, 1])).backward()
    for name in ("see", "head"):
        weight = network.get_submodule(name).weight
        for what, values in (("weights", weight.detach()), ("gradients", weight.grad)):
            edges, counts = both[what][name]
            assert counts.sum() == 9
            ends = [float(values.min()), float(values.max())]
            assert edges[[0, -1]] == pytest.approx(ends, abs=1e-6)


def test_feature_maps_are_those_of_the_image_that_is_asked_for(book):
    table = coloured()
    views.show_feature_maps(book, Colours(), table, 4)
    assert book.texts("feature maps of one image") == ["the image", "relu, 12×12"]
    image, *maps = book.images("feature maps of one image")
    asked = table.pixels[3 + 4]
    assert np.array_equal(image, asked)
    assert len(maps) == 3
    for colour, found in zip((RED, GREEN, BLUE), maps, strict=True):
        values = asked @ colour
        grey = 255.0 * (values - values.min()) / (values.max() - values.min())
        assert found[..., 0] == pytest.approx(grey, abs=1)


def test_no_more_than_twelve_channels_are_drawn_and_none_where_nothing_has_maps(book):
    network = nn.Sequential(nn.Conv2d(3, 20, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    views.show_feature_maps(book, network, coloured(), 0)
    assert len(book.images("feature maps of one image")) == 1 + 12
    views.show_feature_maps(book, NoPlaces(12), coloured(), 0)
    (note,) = book.run.result.notes
    assert note.startswith("No feature maps: ")


def test_a_unit_is_shown_where_it_answers_most_and_what_did_it(book):
    """A unit that sees one pixel of red is shown the reddest one of each image, and only red."""
    table = coloured(count=15)
    views.show_units(book, Colours(), table)
    title = "late units and their strongest patches"
    names = book.texts(title)
    assert sorted(names[::2]) == ["relu, unit 0", "relu, unit 1", "relu, unit 2"]
    assert set(names[1::2]) == {"what in them did it"}
    drawn, tests = book.images(title), table.pixels[3:]
    for turn, name in enumerate(names[::2]):
        unit = int(name[-1])
        patches, back = np.split(np.stack(drawn[18 * turn : 18 * turn + 18]), 2)
        assert patches.shape == (9, 48, 48, 3)
        assert (patches == patches[:, :1, :1]).all()  # one pixel, enlarged
        strongest = sorted((int(one[..., unit].max()) for one in tests), reverse=True)
        assert patches[:, 0, 0, unit].tolist() == strongest[:9]
        expected = np.full(3, 128)
        expected[unit] = 255
        assert (back[:, 0, 0] == expected).all()
    assert book.folded["early units and their strongest patches"]
    assert not book.folded[title]


def test_units_that_no_image_tells_apart_come_last():
    images = torch.rand(6, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    images[:, 1] = 0.5
    images[:, 2] = 0.5 + 0.01 * images[:, 0]
    assert views.telling_units(Colours(), images, "relu") == [0, 2, 1]


def test_without_relus_no_units_are_shown_and_without_relu_rules_no_projections(book):
    views.show_units(book, colour_net(), coloured())
    (note,) = book.run.result.notes
    assert note == "No units are shown: no layer gives maps after a ReLU."
    network = Colours()
    network.see = nn.Sequential(network.see, nn.GELU())
    views.show_units(book, network, coloured())
    for when in ("early", "late"):
        assert "what in them did it" not in book.texts(f"{when} units and their strongest patches")


class Sides(nn.Module):
    """Class 0 is brightness on the left, class 1 on the right."""

    def __init__(self):
        super().__init__()
        self.see = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.constant_(self.see.weight, 1.0)

    def forward(self, x):
        seen = self.see(x)[:, 0]
        half = seen.shape[2] // 2
        return torch.stack([seen[..., :half].mean((1, 2)), seen[..., half:].mean((1, 2))], dim=1)


def sided():
    """Six images that are brighter on the right, the left, the right, …; all in a dim grey."""
    pixels = np.full((6, 16, 16, 3), 60, np.uint8)
    pixels[0::2, :, 8:] = 80
    pixels[1::2, :, :8] = 80
    return table_of(pixels, [0, 1, 0, 1, 0, 1], classes=("left", "right"), train=2)


def test_methods_are_shown_for_the_class_that_the_network_names(book):
    table = sided()  # of which every label is wrong
    views.show_methods(book, Sides(), table, [0, 1], ["saliency", "rollout", "occlusion"])
    title = "one image through all methods"
    assert book.texts(title) == ["the images", "Saliency", "Occlusion"]
    drawn = book.images(title)
    assert np.array_equal(drawn[:2], table.pixels[[2, 3]])
    # Saliency is brightest where the named class looks; occlusion has that half red.
    for shown, left in ((drawn[2], False), (drawn[3], True)):
        halves = shown[:, :6].mean(), shown[:, 10:].mean()
        assert (halves[0] > halves[1] + 20) == left
        assert (halves[1] > halves[0] + 20) != left
    for shown, left in ((drawn[4], False), (drawn[5], True)):
        red = shown[..., 0].astype(int) - shown[..., 2]
        assert (red[:, :4].mean() > 20) == left
        assert (red[:, -4:].mean() > 20) != left
    (note,) = book.run.result.notes
    assert note.startswith("Attention rollout: no map. ")


def untrained():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 10),
    ).requires_grad_(False)  # fmt: skip


def test_methods_are_ranked_by_the_cause_where_it_is_known(book, world):
    places, network = [0, 7, 30, 41], untrained()
    views.rank_methods(book, network, world, places, ["occlusion", "rollout", "grad-cam"])
    rows = book.table_of("methods ranked")
    names = [row["method"] for row in rows]
    assert names[0] == "the object itself"
    assert sorted(names[1:]) == sorted(
        ["Occlusion", "Grad-CAM", "a random map", "a blob in the middle"]
    )
    overlaps = [float(row["IoU"]) for row in rows]
    assert overlaps[0] == 1.0
    assert overlaps == sorted(overlaps, reverse=True)
    for row in rows:
        assert float(row["IoU low"]) <= float(row["IoU"]) <= float(row["IoU high"])
        assert float(row["points at it"]) in (0, 0.25, 0.5, 0.75, 1)
    what = "insertion less deletion, beyond chance"
    methods = [row for row in rows if row["method"] in ("Occlusion", "Grad-CAM")]
    best = max(methods, key=lambda row: float(row[what]))
    assert book.run.result.metrics[f"best method: {what}"] == float(best[what])
    assert book.run.result.intervals[f"best method: {what}"] == (
        float(best[f"{what} low"]), float(best[f"{what} high"]),
    )  # fmt: skip
    assert book.bars("methods by IoU with the cause") == pytest.approx(
        dict(zip(names, overlaps, strict=True))
    )
    with torch.no_grad():
        images = torch.from_numpy(world.split("test").take(np.array(places)))
        answers = network(images.permute(0, 3, 1, 2).float() / 255).argmax(dim=1).numpy()
    right = int((answers == world.split("test").labels[places]).sum())
    assert f"of which the network has {right} right" in book.run.result.tables[-1]["caption"]
    (note,) = book.run.result.notes
    assert note.startswith("Attention rollout: no map. ")


def test_methods_are_ranked_by_what_the_network_needs_where_no_cause_is_known(book):
    views.rank_methods(book, Sides(), sided(), [0, 1, 2, 3], ["occlusion"])
    rows = book.table_of("methods ranked")
    what = "insertion less deletion, beyond chance"
    assert list(rows[0]) == ["method", what, f"{what} low", f"{what} high"]
    assert rows[0]["method"] == "Occlusion"
    assert float(rows[0][what]) > 0
    assert book.figures == {}


def test_where_no_method_has_a_meaning_chance_stands_alone(book):
    views.rank_methods(book, Sides(), sided(), [0, 1], ["rollout"])
    rows = book.table_of("methods ranked")
    assert {row["method"] for row in rows} == {"a random map", "a blob in the middle"}
    assert book.run.result.metrics == {}


def test_the_probability_is_told_with_the_cause_and_without(book, world):
    network, places = untrained(), [0, 7, 30, 41]
    labels = world.split("test").labels[places]
    with_it = world.split("test").take(np.array(places))
    without = shapes.render(shapes.without_cause(scenes_of(world, places)), 24)
    assert not np.array_equal(with_it, without)
    views.record_cause_removed(book, network, world, places)
    for name, pixels in (("", with_it), (", its cause removed", without)):
        found = [
            float(network(torch.from_numpy(one[None]).permute(0, 3, 1, 2) / 255).softmax(1)[0, k])
            for one, k in zip(pixels, labels, strict=True)
        ]
        assert book.run.result.metrics[f"probability of the class{name}"] == pytest.approx(
            np.mean(found), abs=1e-6
        )


def test_of_other_images_no_cause_can_be_removed(book):
    table = coloured()
    assert causes(table, [0]) is None
    views.record_cause_removed(book, Colours(), table, [0])
    assert book.run.result.metrics == {}


class TwoDepths(nn.Module):
    """The first block forgets everything; the second sees colours past it."""

    def __init__(self):
        super().__init__()
        self.blind, self.seeing, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 3, 1), nn.Linear(3, 3)
        nn.init.zeros_(self.blind.weight)

    def forward(self, x):
        self.blind(x)
        return self.head(self.seeing(x).relu().mean(dim=(2, 3)))


def test_the_probe_gains_what_the_first_block_does_not_know(book):
    torch.manual_seed(0)
    network = TwoDepths()
    with torch.no_grad():
        network.seeing.weight.copy_(torch.eye(3)[..., None, None])
    views.probe_depths(book, network, coloured(count=60, side=6, train=30))
    bars = book.bars("linear probe by depth")
    assert list(bars) == ["blind", "seeing"]
    assert bars["seeing"] == 1.0
    assert bars["blind"] == pytest.approx(1 / 3)
    name = "probe: gain in accuracy from the first layer to the last"
    assert book.run.result.metrics[name] == pytest.approx(2 / 3)
    low, high = book.run.result.intervals[name]
    assert 0.2 < low < 2 / 3 < high < 1


def test_neighbours_on_the_map_are_of_one_class_and_spread_over_the_split(book, monkeypatch):
    table, given = coloured(count=63, side=6), []
    kept = views.figures.thumbnails
    monkeypatch.setattr(
        views.figures, "thumbnails", lambda *all_: given.append(all_) or kept(*all_)
    )
    views.show_neighbours(book, Colours(), table, count=31, seed=1)
    ((points, pixels, labels, classes),) = given
    assert points.shape == (31, 2)
    assert classes == table.classes
    expected = np.linspace(0, 59, 31).round().astype(int)
    assert np.array_equal(pixels, table.split("test").take(expected))
    assert np.array_equal(labels, table.split("test").labels[expected])
    apart = np.linalg.norm(points[:, None] - points, axis=2) + 1e9 * np.eye(31)
    assert (labels[apart.argmin(axis=1)] == labels).all()
    share = book.run.result.metrics["t-SNE: trustworthiness"]
    assert 0.8 < share <= 1
    caption = book.captions["test images by what the head sees"]
    assert f"31 images, trustworthiness {share:.2f}" in caption


def test_too_few_images_for_a_map_are_told_in_a_note(book):
    views.show_neighbours(book, Colours(), coloured(count=9))
    (note,) = book.run.result.notes
    assert note.startswith("No map of the test images: ")
    assert book.run.result.metrics == {}


def test_right_images_are_taken_from_one_class_after_the_other():
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    correct = np.array([False, True, True, True, False, True, True, True])
    assert views.of_each_class(correct, labels, 3) == [1, 3, 5]
    assert views.of_each_class(correct, labels, 5) == [1, 3, 5, 2, 6]
    assert sorted(views.of_each_class(correct, labels, 99)) == [1, 2, 3, 5, 6, 7]


def test_of_a_class_with_none_right_wrong_ones_are_taken():
    labels, correct = np.array([0, 1, 0, 1]), np.array([True, False, True, False])
    found = views.of_each_class(correct, labels, 4)
    assert found[:2] == [0, 1]
    assert sorted(found) == [0, 1, 2, 3]


def test_views_leave_no_mark_on_a_network_in_training_mode(book, world):
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 10),
    ).train()  # fmt: skip
    before = {name: one.clone() for name, one in network.state_dict().items()}
    views.show_weight_histograms(book, network, world)
    views.show_feature_maps(book, network, world, 1)
    views.show_units(book, network, world)
    views.show_methods(book, network, world, [0, 1], ["saliency", "grad-cam"])
    views.rank_methods(book, network, world, [0, 1], ["saliency"])
    views.record_cause_removed(book, network, world, [0, 1])
    views.probe_depths(book, network, world)
    views.show_neighbours(book, network, world, count=15)
    assert len(book.figures) == 8
    for module in network.modules():
        assert module.training
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())
