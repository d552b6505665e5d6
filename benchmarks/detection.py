"""Our detectors beside torchvision's, and images augmented with their boxes and masks.

`python benchmarks/detection.py OUT.json`. Two threads, contenders in turns.

A training step (forward, losses, backward, clipping, AdamW) of our Faster R-CNN beside that of
torchvision over the same backbone with the same weights, images, boxes and anchors' sides and
shapes, twice: `matched`, where torchvision's proposals, drawn boxes, pooling and layers are made
like ours; and with torchvision's own numbers. In `matched` ours still does one 1×1 convolution
more, before pooling, and torchvision keeps proposals that are thinner than a pixel.

YOLO's `detect` beside those of these three, all trained for as many steps, so that none has to
suppress the boxes of a network that knows nothing; `ratio` is to torchvision's own numbers.

Augmented batches as they are made for training (window, mirror, brightness, contrast, saturation,
normalisation; boxes and masks with the images) beside torchvision.transforms.v2 an image at a
time from the same array in memory: in this process, and in a DataLoader with a worker a thread. The
faster of theirs counts.
"""

import os
import tempfile
from types import SimpleNamespace

import numpy as np
import torch
from timing import drain, quartiles_ms, write
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import MultiScaleRoIAlign
from torchvision.transforms import v2

from vislab import data, models, tasks
from vislab.data.augment import Augment
from vislab.data.batches import Batches
from vislab.data.views import draw_views, see_pixels
from vislab.ops.seeding import generator
from vislab.tasks.detect_faster_rcnn import ANCHORS_DRAWN, BOXES_DRAWN

THREADS = 2
BACKBONE, STRIDE, SCALES = "efficientnet-lite0", 16, (1.25, 2.5, 5.0)
HIDDEN, POOLED, BEFORE, AFTER = 256, 5, 600, 150  # of our Faster R-CNN, as it comes
CASES = ((112, 16), (224, 8))  # pixels, images in a batch
IMAGES = 256  # drawn for the detectors
LEARNED = 40  # steps before detecting is timed
REPEATS = 9
AUGMENTED, BATCH = 512, 32  # images of an epoch
SMALLEST, COLOUR = 0.5, 0.2  # of the window's share of the image; of colours
OPTIM = tasks.Optim("adamw", lr=1e-3, weight_decay=1e-2, clip=10.0)


class Stepper:
    """Takes the training steps of a task on one batch, as training does."""

    def __init__(self, task, batch):
        task.trainer = SimpleNamespace(world_size=1)
        self.task, self.batch = task.to(memory_format=torch.channels_last).train(), batch
        self.weights = [weight for weight in task.parameters() if weight.requires_grad]
        self.optimiser = task.configure_optimizers()

    def __call__(self):
        """Take one step and return its loss."""
        loss = self.task.training_step(self.batch, 0)["loss"]
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, self.task.optim.clip)
        self.optimiser.step()
        return float(loss.detach())

    def learn(self, steps):
        """Take so many steps. Raises AssertionError when the loss does not fall."""
        losses = [self() for _ in range(steps)]
        third = max(1, steps // 3)
        assert np.mean(losses[-third:]) < np.mean(losses[:third]), f"it does not learn: {losses}"


def batch_of(size, count, shown):
    images = data.annotated("shapes", wanted="boxes", size=size, limit=IMAGES)
    images = images.normalised_by(shown.mean, shown.std)
    return Batches(images, count, seed=0, augment=Augment()).make(np.arange(count), 0)


def common(classes):
    return {
        "classes": classes, "backbone": BACKBONE, "pretrained": True, "stride": STRIDE,
    }  # fmt: skip


def ours(batch, classes):
    network = models.create(
        "faster-rcnn", scales=SCALES, hidden=HIDDEN, pooled=POOLED, before=BEFORE, after=AFTER,
        **common(classes),
    )  # fmt: skip
    return Stepper(tasks.DetectFasterRCNN(network, OPTIM, frozen_norm=True), batch)


def torchvisions(batch, classes, *, matched):
    size = batch.images.shape[2]
    network = models.create("torchvision-faster-rcnn", scales=SCALES, size=size, **common(classes))
    if matched:
        match(network.detector, classes)
    return Stepper(tasks.DetectTorchvision(network, OPTIM, frozen_norm=True), batch)


def match(detector, classes):
    """Give torchvision's detector the layers and the numbers of ours."""
    rpn, heads, channels = detector.rpn, detector.roi_heads, detector.backbone.out_channels
    shapes = 3 * len(SCALES)
    head = RPNHead(channels, shapes)
    head.conv[0][0] = nn.Conv2d(channels, HIDDEN, 3, padding=1)
    head.cls_logits, head.bbox_pred = (nn.Conv2d(HIDDEN, n * shapes, 1) for n in (1, 4))
    for layer in (head.conv[0][0], head.cls_logits, head.bbox_pred):
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.zeros_(layer.bias)
    rpn.head = head
    rpn._pre_nms_top_n = {"training": BEFORE, "testing": BEFORE}
    rpn._post_nms_top_n = {"training": AFTER, "testing": AFTER}
    rpn.fg_bg_sampler.batch_size_per_image = ANCHORS_DRAWN
    heads.fg_bg_sampler.batch_size_per_image = BOXES_DRAWN
    heads.box_roi_pool = MultiScaleRoIAlign(["0"], output_size=POOLED, sampling_ratio=2)
    heads.box_head = nn.Sequential(
        nn.Flatten(), nn.Linear(channels * POOLED**2, HIDDEN), nn.Dropout(0.3), nn.ReLU()
    )
    heads.box_predictor = type(heads.box_predictor)(HIDDEN, classes + 1)


def same_maps(one, other, images):
    """Raise AssertionError unless both backbones give the same maps of the same images."""
    for network in (one, other):
        network.backbone.eval()
    with torch.no_grad():
        torch.testing.assert_close(one.backbone(images), other.backbone(images))


def drawn_boxes(stepper):
    """Return how many boxes of an image the second stage of a Faster R-CNN learns from."""
    seen, model = [], stepper.task.model
    layer = model.kinds if hasattr(model, "kinds") else model.detector.roi_heads.box_predictor
    hook = layer.register_forward_hook(lambda _m, inputs, _o: seen.append(len(inputs[0])))
    stepper()
    hook.remove()
    return seen[0] / len(stepper.batch.images)


def step_rows():
    shown = models.create(BACKBONE, classes=2, pretrained=True).preprocessing
    for size, count in CASES:
        batch = batch_of(size, count, shown)
        classes = 10
        torch.manual_seed(0)
        contenders = {
            "vislab": ours(batch, classes),
            "torchvision, matched": torchvisions(batch, classes, matched=True),
            "torchvision": torchvisions(batch, classes, matched=False),
        }
        mine, *others = contenders.values()
        for other in others:
            same_maps(mine.task.model, other.task.model, batch.images)
            other.task.train()
        mine.task.train()
        drawn = {name: drawn_boxes(stepper) for name, stepper in contenders.items()}
        assert max(drawn["vislab"], drawn["torchvision, matched"]) <= BOXES_DRAWN, drawn
        times = quartiles_ms(contenders, warmup=2, repeats=REPEATS)
        for stepper in contenders.values():
            stepper.learn(LEARNED)
        middle = {name: one["median_ms"] for name, one in times.items()}
        yield {
            "case": f"Faster R-CNN, a training step, {count} images of {size} pixels",
            "times": times,
            "boxes_learned_from": drawn,
            "weights": {
                name: sum(weight.numel() for weight in stepper.weights)
                for name, stepper in contenders.items()
            },
            "ratio": middle["vislab"] / middle["torchvision, matched"],
            "ratio_to_its_own_numbers": middle["vislab"] / middle["torchvision"],
        }
        yield detect_row(size, count, classes, batch, contenders)


def detect_row(size, count, classes, batch, two_stages):
    network = models.create("yolo", **common(classes), hidden=HIDDEN)
    yolo = Stepper(tasks.DetectYolo(network, OPTIM, frozen_norm=True), batch)
    yolo.learn(LEARNED)
    detectors = {"YOLO": yolo.task.model.eval()} | {
        name: stepper.task.model.eval() for name, stepper in two_stages.items()
    }

    def finding(detector):
        def find():
            with torch.inference_mode():
                return detector.detect(batch.images)

        return find

    ways = {name: finding(detector) for name, detector in detectors.items()}
    found = {name: find() for name, find in ways.items()}
    for name, one in found.items():
        assert len(one.scores), f"{name} finds nothing"
        assert 0 <= float(one.boxes.min()) <= float(one.boxes.max()) <= size, name
    times = quartiles_ms(ways, warmup=2, repeats=REPEATS)
    middle = {name: one["median_ms"] for name, one in times.items()}
    return {
        "case": f"YOLO and Faster R-CNN, detecting, {count} images of {size} pixels",
        "times": times,
        "boxes_per_image": {name: len(one.scores) / count for name, one in found.items()},
        "ratio": middle["YOLO"] / middle["torchvision"],
        "ratio_to_matched": middle["YOLO"] / middle["torchvision, matched"],
        "ratio_of_two_stages": middle["vislab"] / middle["torchvision, matched"],
    }


class OneByOne(Dataset):
    """Images with boxes, classes and masks, as torchvision's transforms take them."""

    def __init__(self, images, transform):
        self.images, self.transform = images, transform
        self.rows = images.split("train").rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, place):
        row, images = self.rows[place], self.images
        instances, size = images.boxes.instances(row), images.size
        pixels = torch.from_numpy(np.array(images.pixels[row])).permute(2, 0, 1)
        mask = torch.from_numpy(np.array(images.masks.pixels[row])).permute(2, 0, 1)
        boxes = torch.from_numpy(images.boxes.xyxy[instances])
        return self.transform(
            tv_tensors.Image(pixels),
            {
                "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(size, size)),
                "labels": torch.from_numpy(images.boxes.labels[instances]),
                "masks": tv_tensors.Mask(mask),
            },
        )


def stacked(samples):
    images, targets = zip(*samples, strict=True)
    return torch.stack(images), list(targets)


def usual(images, antialias):
    return v2.Compose(
        [
            v2.RandomResizedCrop(images.size, scale=(SMALLEST, 1.0), antialias=antialias),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(COLOUR, COLOUR, COLOUR),
            v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
            v2.Normalize(*images.normalisation),
        ]
    )


def agree(images):
    """Raise AssertionError unless the same windows give what torchvision's functions give."""
    places = images.split("train").rows[:16]
    size = images.size
    views = draw_views(Augment(resized_crop=SMALLEST, flip=True), 16, size, generator("benchmark"))
    pixels = see_pixels(images.pixels, places, views)
    masks = images.masks.batch(places, views)["masks"]
    found = images.boxes.batch(places, views)
    boxes, labels = found["boxes"], found["box_labels"]
    rows = OneByOne(images, lambda *given: given)
    for n in range(16):
        window = [*views.windows[n].tolist(), [size, size]]
        moved = [
            v2.functional.resized_crop(rows[n][0], *window),
            # Of masks v2 takes the pixel left of the middle, as `nearest` of torch does.
            v2.functional.resized_crop(
                tv_tensors.Image(rows[n][1]["masks"]), *window,
                interpolation=v2.InterpolationMode.NEAREST_EXACT,
            ),
            v2.functional.resized_crop(rows[n][1]["boxes"], *window),
        ]  # fmt: skip
        if views.mirrored[n]:
            moved = [v2.functional.horizontal_flip(one) for one in moved]
        image, mask, corners = moved
        apart = (image.permute(1, 2, 0).int() - pixels[n].int()).abs()
        assert int(apart.max()) <= 2, f"pixels differ by up to {int(apart.max())}"
        same = float((mask.permute(1, 2, 0) == masks[n][..., None]).float().mean())
        assert same > 0.999, f"of the mask {same:.1%} are the same"
        torch.testing.assert_close(
            boxes[n][: len(corners)], corners.as_subclass(torch.Tensor), rtol=0, atol=1e-3
        )
    assert bool((labels >= 0).any())


def augmentation_rows():
    for size, _ in CASES:
        images = data.annotated("shapes", wanted="masks", size=size, limit=AUGMENTED)
        agree(images)
        augment = Augment(resized_crop=SMALLEST, flip=True, colour=COLOUR)
        batches = Batches(images, BATCH, seed=0, augment=augment)

        ways = {"vislab": lambda batches=batches: drain(batches)}
        for antialias in (True, False):
            rows = OneByOne(images, usual(images, antialias))
            for workers in (0, THREADS):
                loader = DataLoader(
                    rows, BATCH, shuffle=True, num_workers=workers, collate_fn=stacked,
                    persistent_workers=workers > 0,
                )  # fmt: skip
                name = f"{workers} workers, {'antialias' if antialias else 'plain'}"
                ways[name] = lambda loader=loader: drain(loader)
        count = len(images.split("train"))
        assert {way() for way in ways.values()} == {count}
        times = quartiles_ms(ways, warmup=1, repeats=REPEATS)
        middle = {name: one["median_ms"] for name, one in times.items()}
        best = min(list(middle)[1:], key=lambda name: middle[name])
        yield {
            "case": f"boxes and masks augmented, {size} pixels",
            "images": count,
            "times": times,
            "torchvisions_best": best,
            "vislab_images_per_second": round(1e3 * count / middle["vislab"]),
            "torchvision_images_per_second": round(1e3 * count / middle[best]),
            "ratio": middle[best] / middle["vislab"],
        }


if __name__ == "__main__":
    os.environ["VISLAB_HOME"] = tempfile.mkdtemp()
    torch.set_num_threads(THREADS)
    write("detection", [*step_rows(), *augmentation_rows()])
