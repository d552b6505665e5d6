"""The two-stage detector's task: what each stage learns, and four images by heart."""

import math

import pytest
import torch

from tests.tasks.annotated import fit, ignoring, ready, same_state, scenes, state_of
from vislab.errors import OptionError
from vislab.models.faster_rcnn import FasterRCNN, Proposals
from vislab.ops.boxes import pairwise_iou
from vislab.ops.seeding import generator
from vislab.tasks import DetectFasterRCNN, Optim
from vislab.tasks.detect_faster_rcnn import learn_anchors, learn_boxes

ANCHORS = torch.tensor(
    [
        [0.0, 0, 10, 10],  # the first object
        [0, 0, 10, 8],  # overlaps it by 0.8
        [0, 0, 10, 5],  # by 0.5: between the limits
        [20, 20, 30, 30],  # overlaps the second by 0.4, as no other does
        [40, 0, 50, 10],  # overlaps the ignored one by 0.9
        [60, 60, 70, 70],
        [40, 0, 50, 3],  # overlaps the ignored one by a third
        [40, 0, 50, 2],  # by 2/9
    ]
)
BOXES = torch.tensor([[[0.0, 0, 10, 10], [20, 20, 30, 24], [40, 0, 50, 9], [0, 0, 0, 0]]])
KINDS = torch.tensor([[1, 0, -2, -1]])


def proposals():
    return Proposals(torch.zeros(1, 8), torch.zeros(1, 8, 4), ANCHORS)


def test_what_the_first_stage_learns_by_hand():
    has, drawn, target = learn_anchors(proposals(), BOXES, KINDS, generator("draw"))
    assert has.nonzero()[:, 1].tolist() == [0, 1, 3]
    assert drawn.nonzero()[:, 1].tolist() == [0, 1, 3, 5, 7]
    wanted = torch.tensor(
        [[0.0, 0, 0, 0], [0, 1 / 8, 0, math.log(10 / 8)], [0, -0.3, 0, math.log(0.4)]]
    )
    torch.testing.assert_close(target, wanted)


def test_an_ignored_instance_is_neither_found_nor_background_and_nothing_is_background():
    nothing = KINDS.masked_fill(KINDS == -2, -1)
    instance = KINDS.masked_fill(KINDS == -2, 0)
    _, drawn, _ = learn_anchors(proposals(), BOXES, nothing, generator("draw"))
    assert drawn.nonzero()[:, 1].tolist() == [0, 1, 3, 4, 5, 6, 7]
    has, _, _ = learn_anchors(proposals(), BOXES, instance, generator("draw"))
    assert has.nonzero()[:, 1].tolist() == [0, 1, 3, 4]


def test_of_many_anchors_256_are_drawn_and_half_have_a_instance_at_most():
    many = Proposals(torch.zeros(1, 900), torch.zeros(1, 900, 4), ANCHORS[[0, 5, 3]].repeat(300, 1))
    has, drawn, target = learn_anchors(many, BOXES, KINDS, generator("draw"))
    assert int(drawn.sum()) == 256
    assert int((drawn & has).sum()) == len(target) == 128


CHOSEN = torch.tensor(
    [
        [
            [0.0, 0, 10, 6],  # overlaps the first object by 0.6
            [0, 0, 10, 4],  # by 0.4: nothing
            [40, 0, 50, 8],  # on the ignored one
            [40, 0, 50, 3],  # on a third of it: nothing
            [5, 5, 9, 9],  # padding
        ]
    ]
)
SCORES = torch.tensor([[3.0, 2.0, 1.0, 0.0, -torch.inf]])


def learned(labels=KINDS, chosen=CHOSEN, scores=SCORES):
    return learn_boxes(chosen, scores, BOXES, labels, 2, generator("draw"))


def test_what_the_second_stage_learns_by_hand():
    """The true boxes, but the ignored one, stand among the proposals; class 2 is "nothing"."""
    image, boxes, labels, target = learned()
    assert image.tolist() == [0] * 5
    assert boxes.tolist() == [
        [0, 0, 10, 6], [0, 0, 10, 4], [40, 0, 50, 3], [0, 0, 10, 10], [20, 20, 30, 24],
    ]  # fmt: skip
    assert labels.tolist() == [1, 2, 2, 1, 0]
    wanted = torch.zeros(3, 4)
    wanted[0] = torch.tensor([0, 10 * 2 / 6, 0, 5 * math.log(10 / 6)])
    torch.testing.assert_close(target[labels < 2], wanted)
    assert bool(target.isfinite().all())


def test_a_proposal_on_an_ignored_instance_is_learned_as_nothing_only_where_there_is_nothing():
    on_it = torch.tensor([40.0, 0, 50, 8])
    found = {}
    for label in (-2, -1, 0):
        _, boxes, labels, _ = learned(KINDS.masked_fill(KINDS == -2, label))
        found[label] = labels[(boxes == on_it).all(dim=1)].tolist()
    assert found == {-2: [], -1: [2], 0: [0]}


def test_of_many_proposals_64_are_drawn_and_a_quarter_have_a_instance_at_most():
    many = CHOSEN[:, [0, 1]].repeat(1, 100, 1)
    _, _, labels, _ = learned(chosen=many, scores=torch.zeros(1, 200))
    assert len(labels) == 64
    assert int((labels < 2).sum()) == 16


def test_an_image_without_instances_teaches_that_nothing_is_there():
    none = torch.full_like(KINDS, -1)
    has, drawn, target = learn_anchors(proposals(), BOXES, none, generator("draw"))
    assert not has.any()
    assert drawn.all()
    assert len(target) == 0
    _, boxes, labels, _ = learned(none)
    assert labels.tolist() == [2] * 4
    assert boxes.tolist() == CHOSEN[0, :4].tolist()


def task_of(optim=None, model_options=None, **options):
    torch.manual_seed(0)
    built = {"backbone": "convnet", "stride": 8, "scales": (1, 1.5), "hidden": 32, "dropout": 0.0}
    model = FasterRCNN(classes=2, **{**built, **(model_options or {})})
    return ready(DetectFasterRCNN(model, optim, **options))


def test_the_loss_is_the_sum_of_its_four_parts_and_every_weight_has_a_part():
    task = task_of()
    out = task.training_step(scenes(), 0)
    names = ("objectness", "proposal place", "classification", "box place")
    parts = [f"{name} loss" for name in names]
    assert set(out["sums"]) == {"loss", *parts}
    torch.testing.assert_close(sum(out["sums"][part] for part in parts), out["sums"]["loss"])
    out["loss"].backward()
    assert [name for name, p in task.model.named_parameters() if p.grad is None] == []


def test_what_is_drawn_follows_torchs_own_seed():
    task, losses = task_of(model_options={"stride": 4, "hidden": 8}), []  # 384 anchors an image
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(float(task.eval().training_step(scenes(), 0)["loss"].detach()))
    assert losses[0] == losses[1] != losses[2]


def test_what_is_said_of_an_ignored_instance_costs_nothing():
    """The anchors on it say that they are sure; those learned from are the same ones."""
    task, batch = task_of().eval(), ignoring(scenes([1]), 0, 0)
    model, own = task.model, task.model.propose
    sums = []
    for sure in (0.0, 50.0):

        def propose(maps, sure=sure):
            said = own(maps)
            on_it = pairwise_iou(said.anchors, batch.boxes[0, :1])[:, 0] > 0.3
            assert on_it.any()
            return said._replace(objectness=said.objectness + sure * on_it)

        model.propose = propose
        torch.manual_seed(0)
        sums.append(task.training_step(batch, 0)["sums"])
    torch.testing.assert_close(sums[0]["objectness loss"], sums[1]["objectness loss"])


@pytest.mark.parametrize(("scale", "side"), [(1.0, 32), (2.0, 64), (1.6, 64), (0.1, 32)])
def test_images_and_boxes_are_resized_together(scale, side):
    task, batch = task_of(scales=(scale,)), scenes()
    images, boxes = task.rescaled(batch)
    assert images.shape == (4, 3, side, side)
    torch.testing.assert_close(boxes, batch.boxes * side / 32)
    bright = images[1, 0] > 1  # the one rectangle of the second scene
    rows, columns = bright.nonzero().T
    tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert (torch.stack(tight) - boxes[1, 0]).abs().max() <= 1


def test_a_scale_is_drawn_for_each_batch():
    task = task_of(scales=(1.0, 2.0, 3.0))
    torch.manual_seed(0)
    sides = {task.rescaled(scenes())[0].shape[2] for _ in range(30)}
    assert sides == {32, 64, 96}


@pytest.mark.parametrize("scales", [(), (1.0, 0.0), (-1.0,)])
def test_scales_must_be_above_nothing(scales):
    with pytest.raises(OptionError, match=r"--scales .*above 0"):
        task_of(scales=scales)


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_norms_keep_their_averages_and_still_learn(frozen):
    task = task_of(Optim(lr=1e-3), frozen_norm=frozen)
    before = {name: tensor.clone() for name, tensor in task.model.backbone.state_dict().items()}
    fit(task, scenes(), 2)
    after = task.model.backbone.state_dict()
    averages = [name for name in before if "running" in name or "tracked" in name]
    assert averages
    assert all(torch.equal(before[name], after[name]) is frozen for name in averages)
    assert all(not torch.equal(before[n], after[n]) for n in before if n not in averages)


@pytest.mark.parametrize("refine", [True, False])
def test_it_learns_four_images_by_heart_and_scores_leave_it_as_it_was(refine):
    task = task_of(Optim(lr=3e-3), {"refine": refine})
    before, after = fit(task, scenes(), 80)
    assert after < before / 4
    state = state_of(task)
    assert task.scores([scenes([0, 1]), scenes([2, 3])])["map50"] > 0.9
    assert same_state(state, state_of(task))
