"""What transformers attend to: measured against what is known, compared with what is the same."""

import csv

import numpy as np
import pytest
import torch
from torch import nn

from vislab import data, explain, models
from vislab.errors import ShapeError
from vislab.inspection import attention
from vislab.inspection.attention import Attended, Seen, alike, attended
from vislab.inspection.benchmark import early_less_late, scored
from vislab.lab.bench import Lab
from vislab.runs.folder import RunFolder

SIZE = 32
VIT = {"patch_size": 8, "embed_dim": 24, "depth": 4, "num_heads": 3}


@pytest.fixture(scope="module")
def dataset():
    return data.images("shapes:easy", size=SIZE, per_class=10)


@pytest.fixture(scope="module")
def images(dataset):
    pixels = torch.from_numpy(dataset.split("test").take(np.arange(5)).copy())
    return pixels.permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def vit():
    return transformer(0)


@pytest.fixture
def lab(tmp_path):
    return Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)


def transformer(seed):
    torch.manual_seed(seed)
    name = "timm:vit_tiny_patch16_224"
    return models.create(name, classes=10, pretrained=False, size=SIZE, **VIT).eval()


class Windows(nn.Module):
    """Attention in windows of 4×4, as in a Swin, after an embedding of patches of 2×2."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 2, stride=2)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        seen = self.embed(x).permute(0, 2, 3, 1)  # (N, H, W, C)
        count, high, wide, width = seen.shape
        cut = seen.reshape(count, high // 4, 4, wide // 4, 4, width).transpose(2, 3)
        cut = cut.reshape(-1, 16, width)
        cut = cut + self.attend(cut, cut, cut)[0]
        return self.head(cut.reshape(count, -1, width).mean(dim=1))


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.see, self.head = nn.Conv2d(3, 12, 5, stride=3), nn.Linear(12, 10)

    def forward(self, x):
        return self.head(self.see(x).relu().mean(dim=(2, 3)))


class SeesRed(nn.Module):
    """Class 1 is red, wherever it is."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(60.0))

    def forward(self, x):
        score = self.weight * (x[:, 0].mean(dim=(1, 2)) - 0.05)
        return torch.stack([-score, score], dim=1)


def read(lab, title):
    with (lab.run.path / "tables" / f"{title}.csv").open() as file:
        return list(csv.reader(file))


def test_the_maps_are_those_of_each_layer_and_of_all_of_them(vit, images, monkeypatch):
    monkeypatch.setattr(attention, "BATCH", 2)  # five images: two and two and one
    found = attended(vit, images)
    layers = explain.attention(vit, images)
    assert len(found.layers) == len(layers) == VIT["depth"]
    for ours, layer in zip(found.layers, layers, strict=True):
        torch.testing.assert_close(ours, explain.class_attention(layer))
    torch.testing.assert_close(found.rollout, explain.rollout(vit, images))
    assert list(found.named()) == ["layer 1", "layer 2", "layer 3", "layer 4", "rollout"]


def test_windows_have_maps_of_layers_but_no_rollout_and_say_why(images):
    found = attended(Windows(), images)
    assert found.layers[0].shape == (5, 16, 16)
    assert found.rollout is None
    assert "within 16 windows" in found.without
    assert list(found.named()) == ["layer 1"]


def test_a_network_without_attention_says_so(images):
    with pytest.raises(ShapeError, match="no attention"):
        attended(Cnn(), images)


def test_maps_agree_with_themselves_and_not_with_their_opposites():
    maps = torch.rand(4, 5, 5, generator=torch.Generator().manual_seed(0))
    same, opposite = alike(maps, 3 * maps), alike(maps, -maps)
    assert (same.rank_correlation, same.overlap, same.images) == (pytest.approx(1.0), 1.0, 4)
    assert same.of_overlap == (1.0, 1.0)
    assert (opposite.rank_correlation, opposite.overlap) == (pytest.approx(-1.0), 0.0)
    assert alike(maps[:2], maps[:2]).of_rank is None  # of two images an interval says nothing


def test_images_with_a_flat_map_do_not_count_in_agreement():
    maps = torch.rand(4, 5, 5, generator=torch.Generator().manual_seed(0))
    partly = maps.clone()
    partly[2] = 0.5
    found = alike(maps, partly)
    assert found.images == 3
    assert found.rank_correlation == pytest.approx(1.0)
    nothing = alike(maps, torch.ones(4, 5, 5))
    assert nothing.images == 0
    assert np.isnan(nothing.rank_correlation)


def test_early_less_late_is_of_the_first_and_last_third_image_by_image():
    each = (9.0, 1.0, 0.0, 0.0, 0.0, 2.0, 4.0, 6.0)
    layers = [np.tile([k, 2.0 * k, 0.0, 1.0], 3) for k in each]
    # Two of eight at either end: images differ by 5 − 5, 10 − 10, 0 and 0.
    assert early_less_late(layers) == (0.0, (0.0, 0.0))
    layers[0] = layers[0] + np.tile([2.0, 2.0, 2.0, 6.0], 3)
    value, (low, high) = early_less_late(layers)
    assert value == pytest.approx((1 + 1 + 1 + 3) / 4)
    assert 0.9 <= low < value < high <= 3.0


def test_too_few_images_and_those_without_a_score_decide_nothing():
    layers = [np.array([1.0, 0.5, np.nan]), np.array([0.5, 0.0, 0.0])]
    assert early_less_late(layers) == (0.5, (-2.0, 2.0))
    few = np.array([1.0, 2.0, 3.0, np.nan])
    assert early_less_late([few, np.zeros(4)]) == (2.0, (-2.0, 2.0))
    value, interval = early_less_late([np.tile(few, 2), np.zeros(8)])
    assert value == pytest.approx(2.0)
    assert interval[0] > 0


def test_maps_of_the_cause_score_above_chance_and_their_opposites_below():
    images = torch.zeros(4, 3, 16, 16)
    masks = torch.zeros(4, 16, 16, dtype=torch.bool)
    for k, (top, left) in enumerate(((0, 0), (2, 9), (9, 3), (11, 11))):
        masks[k, top : top + 5, left : left + 5] = True
        images[k, 0][masks[k]] = 1.0
    maps = {"cause": masks.float(), "rest": 1 - masks.float()}
    found = scored(SeesRed(), images, masks, [1] * 4, maps, quiet=True)
    assert list(found) == ["cause", "rest", "a blob in the middle", "a random map"]
    assert found["cause"].iou == [1.0] * 4
    assert found["rest"].iou == [0.0] * 4
    gone = {name: np.array(attention.deletions(one)) for name, one in found.items()}
    worth = {name: attention.margins(one) for name, one in found.items()}
    for rival in ("a blob in the middle", "a random map"):
        assert (gone["cause"] < gone[rival]).all()
        assert (gone["rest"] > gone[rival]).all()
        assert (worth["cause"] > worth[rival]).all()
    unknown = scored(SeesRed(), images, None, [1] * 4, maps, quiet=True)
    assert unknown["cause"].iou == []
    assert unknown["cause"].worths == found["cause"].worths


def test_the_images_are_right_ones_evenly_spread_and_any_where_none_is_right():
    correct = np.array([False, True, True, False, True, True, True, False])
    assert attention.right_ones(correct, 3) == [1, 4, 6]
    assert attention.right_ones(correct, 99) == [1, 2, 4, 5, 6]
    assert attention.right_ones(np.zeros(5, dtype=bool), 3) == [0, 2, 4]


def test_causes_are_known_of_shapes_only(dataset):
    masks = attention.causes(dataset, [3, 8])
    assert masks.shape == (2, SIZE, SIZE)
    assert 0 < float(masks.float().mean()) < 0.5
    assert attention.causes(data.images("digits", size=8), [0]) is None


def test_networks_are_compared_pair_by_pair(lab, dataset, vit):
    places = [0, 9, 30, 41]
    images = attention.shown_to(lab, dataset, places)
    found = {"one": attended(vit, images), "same": attended(vit, images),
             "other": attended(transformer(1), images)}  # fmt: skip
    attention.tell_agreement(lab, found)
    head, *rows = read(lab, "agreement-of-attention")
    assert [row[:2] for row in rows] == [["one", "same"], ["one", "other"], ["same", "other"]]
    measures = ["last layer: rank correlation", "last layer: IoU",
                "rollout: rank correlation", "rollout: IoU"]  # fmt: skip
    assert head[2:] == [f"{what}{end}" for what in measures for end in ("", " low", " high")]
    assert [float(cell) for cell in rows[0][2:]] == pytest.approx([1.0] * 12)
    assert rows[1][2:] == rows[2][2:]
    for value, low, high in zip(*(map(float, rows[1][2 + k :: 3]) for k in range(3)), strict=True):
        assert low <= value <= high
        assert value < 0.95
    attention.show_layers(lab, found, dataset, places, [0, 3])
    titles = [figure["title"] for figure in lab.run.result.figures]
    assert titles == [*(f"{name}: attention by layer" for name in found), "attention side by side"]


def test_a_single_network_has_nobody_to_agree_with(lab):
    one = Attended((torch.rand(3, 4, 4),), None, "there is a reason")
    attention.tell_agreement(lab, {"alone": one})
    assert not (lab.run.path / "tables" / "agreement-of-attention.csv").exists()


def test_layers_are_scored_on_what_the_network_needs_and_on_the_cause(lab, dataset, vit):
    places = [0, 9, 30, 41]
    found = attended(vit, attention.shown_to(lab, dataset, places))
    attention.score_layers(lab, vit, found, dataset, places, [0, 1, 2, 3])
    head, *rows = read(lab, "attention-by-layer-scored")
    assert [row[0] for row in rows] == [*found.named(), *attention.CHANCE]
    table = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    metrics, intervals = lab.run.result.metrics, lab.run.result.intervals
    for what in ("insertion less deletion", "IoU with the cause"):
        name = f"early layers: gain in {what} over late ones"
        low, high = intervals[name]
        assert low <= metrics[name] <= high
        assert f"rollout: gain in {what} over the last layer" in metrics
    maps, masks = found.named(), attention.causes(dataset, places)
    from vislab.metrics import iou_with_mask

    early, late = (iou_with_mask(maps[name], masks).mean() for name in ("layer 1", "layer 4"))
    assert metrics["early layers: gain in IoU with the cause over late ones"] == pytest.approx(
        float(early - late), abs=1e-6
    )
    assert float(table["layer 1"]["IoU"]) == pytest.approx(float(early), abs=1e-6)
    assert float(table["layer 4"]["IoU low"]) < float(late) < float(table["layer 4"]["IoU high"])
    share = float(table["rollout"]["points at it"])
    assert share in (0, 0.25, 0.5, 0.75, 1)
    assert float(table["rollout"]["points at it low"]) <= share


def test_a_rollout_that_one_network_has_not_leaves_its_cells_empty(lab):
    maps = torch.rand(4, 5, 5, generator=torch.Generator().manual_seed(0))
    found = {"one": Attended((maps,), maps), "other": Attended((-maps,), None, "windows"),
             "third": Attended((maps,), -maps)}  # fmt: skip
    attention.tell_agreement(lab, found)
    _, *rows = read(lab, "agreement-of-attention")
    assert [float(rows[0][place]) for place in (2, 5)] == pytest.approx([-1.0, 0.0])
    assert rows[0][8:] == [""] * 6
    assert [float(cell) for cell in rows[1][8:11]] == pytest.approx([-1.0] * 3)


def kinds(lab, dataset, network):
    torch.manual_seed(2)
    attention.compare_kinds(
        lab, Seen("cnn", Cnn().eval(), dataset), Seen("timm:looks", network.eval(), dataset),
        [0, 9, 30, 41], [0, 1, 2, 3], shown=2,
    )  # fmt: skip
    return lab.run.result


def test_attention_stands_beside_the_grad_cam_of_a_convolutional_network(lab, dataset, vit):
    result = kinds(lab, dataset, vit)
    _, *rows = read(lab, "agreement-with-grad-cam-of-the-convolutional-network")
    assert [row[0] for row in rows] == ["rollout", "Grad-CAM"]
    name = "transformer and convolution: rank correlation of their maps"
    assert [float(cell) for cell in rows[0][1:4]] == [result.metrics[name], *result.intervals[name]]
    assert result.trivial[name] == 0.0
    assert -1 <= result.metrics[name] <= 1
    for table, maps in (
        ("maps-of-cnn-scored", ["Grad-CAM"]),
        ("maps-of-timm-looks-scored", ["rollout", "Grad-CAM"]),
    ):
        assert [row[0] for row in read(lab, table)[1:]] == [*maps, *attention.CHANCE]
    assert not any("stands for" in note for note in result.notes)


def test_windows_are_compared_by_grad_cam_and_that_is_said(lab, dataset):
    result = kinds(lab, dataset, Windows())
    _, *rows = read(lab, "agreement-with-grad-cam-of-the-convolutional-network")
    assert [row[0] for row in rows] == ["Grad-CAM"]
    (note,) = (note for note in result.notes if "stands for" in note)
    assert note.startswith("timm:looks: Grad-CAM stands for its attention. ")
    assert "within 16 windows" in note
