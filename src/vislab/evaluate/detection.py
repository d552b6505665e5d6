"""Detection tested: average precision, what went wrong, and the pictures it went wrong on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from vislab.data.annotated_batches import annotated_in_order
from vislab.data.annotated_pictures import AnnotatedPictures
from vislab.explain.taps import tap
from vislab.metrics.coco_map import coco_map
from vislab.metrics.detection import AveragePrecision, average_precision
from vislab.metrics.detection_errors import LABELS, MISSED, errors_of
from vislab.metrics.detection_interval import mean_interval
from vislab.metrics.detection_matching import Detections, Truth
from vislab.ops import processes
from vislab.progress import track
from vislab.runs import figures
from vislab.runs.figures.style import BLUE, FAINT, GREEN, ORANGE, PURPLE, VERMILLION
from vislab.runs.notebook import Notebook

if TYPE_CHECKING:
    from vislab.tasks.detect_faster_rcnn import DetectFasterRCNN
    from vislab.tasks.detect_yolo import DetectYolo

COURSE_CUT = 0.8  # the course keeps boxes with this score or more, and only then averages
COURSE_OVERLAP = 0.3  # of its suppression
SURE = 0.5  # boxes that are drawn, and whose errors are counted
SHOWN = 6  # pictures of boxes
COLOURS = {
    "right": GREEN, "localisation": ORANGE, "class": PURPLE, "duplicate": FAINT, "both": VERMILLION,
    "background": VERMILLION, "missed": BLUE,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Detected:
    """What a detector finds in a split, in pixels of the files, and what is there."""

    found: Detections
    truth: Truth
    pictures: int
    classes: tuple[str, ...]

    def average_precision(self, **options: Any) -> AveragePrecision:
        """Return it over the whole split; see `metrics.average_precision`."""
        return average_precision(self.found, self.truth, len(self.classes), **options)

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the mean average precision over drawing pictures again."""
        return mean_interval(self.found, self.truth, len(self.classes), self.pictures)


def detected(
    network: nn.Module,
    pictures: AnnotatedPictures,
    split: str,
    *,
    device: torch.device,
    quiet: bool = False,
    **options: float,
) -> Detected:
    """Run a detector over a split, in eval mode, and leave it as it was."""
    side = pictures.split(split)
    parts: list[tuple[np.ndarray, ...]] = []
    what = f"detecting on {split} pictures"
    with (
        tap(network, []),
        torch.inference_mode(),
        track(what, total=len(side), unit="pictures", quiet=quiet) as advance,
    ):
        for batch in annotated_in_order(pictures, split, device=device):
            found = network.detect(batch.images, **options)  # type: ignore[operator]
            place = batch.rows.numpy()[found.picture.cpu().numpy()]
            corners = found.boxes.double().cpu().numpy()
            parts.append(
                (
                    place,
                    in_file(pictures, side.rows[place], corners),
                    found.kinds.cpu().numpy(),
                    found.scores.double().cpu().numpy(),
                )
            )
            advance(len(batch.images))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Detected(Detections(*columns), truth_of(pictures, split), len(side), pictures.classes)


def in_file(pictures: AnnotatedPictures, rows: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return boxes in pixels of the pictures' files."""
    shifts = np.array([pictures.corner(int(row)) for row in rows]).reshape(len(rows), 2)
    found: np.ndarray = (corners - np.tile(shifts, (1, 2))) / pictures.scales[rows, None]
    return found


def truth_of(pictures: AnnotatedPictures, split: str) -> Truth:
    """Return the things of a split, pictures counted in the split, in pixels of the files."""
    rows = pictures.split(split).rows
    counts = pictures.starts[rows + 1] - pictures.starts[rows]
    things = np.concatenate(
        [np.zeros(0, dtype=np.int64)]
        + [np.arange(pictures.starts[row], pictures.starts[row + 1]) for row in rows]
    )
    picture = np.repeat(np.arange(len(rows)), counts)
    return Truth(
        picture=picture,
        corners=in_file(pictures, rows[picture], pictures.corners[things].astype(np.float64)),
        kind=pictures.kinds[things],
        crowd=pictures.crowd[things],
        difficult=pictures.difficult[things],
    )


def judge_detection(
    notebook: Notebook,
    task: "DetectYolo | DetectFasterRCNN | Any",
    pictures: AnnotatedPictures,
    *,
    split: str = "test",
    name: str = "",
    examine: bool = True,
) -> Detected:
    """Test on a split and record the average precisions; with `examine`, file figures and tables.

    Beside ours, the course's own count: suppression at 0.3, scores of 0.8 and more, all points.
    """
    options: dict[str, Any] = {"device": processes.device(), "quiet": notebook.muted}
    one = detected(task.network, pictures, split, **options)
    prefix = f"{name}/{split}" if name else split
    whole = one.average_precision()
    interval = one.interval() if split == "test" else None
    notebook.record(f"{prefix}/map50", whole.mean, interval=interval)
    notebook.say(f"{name or 'detector'} on {one.pictures} {split} pictures: mAP50 {whole.mean:.3f}")
    if split == "test":
        notebook.record(f"{prefix}/map50 (VOC 2007)", one.average_precision(how="voc07").mean)
        cut = detected(task.network, pictures, split, overlap=COURSE_OVERLAP, **options)
        notebook.record(
            f"{prefix}/map50 above {COURSE_CUT}",
            cut.average_precision(score_cut=COURSE_CUT).mean,
        )
        notebook.record(
            f"{prefix}/map50, suppression {COURSE_OVERLAP}", cut.average_precision().mean
        )
        numbers = coco_map(one.found, one.truth, len(one.classes))
        for label, value in numbers.items():
            if not np.isnan(value):
                notebook.record(f"{prefix}/COCO {label}", value)
        if examine:
            _examine(notebook, pictures, one, whole, name)
    notebook.run.save()
    return one


def _examine(
    notebook: Notebook,
    pictures: AnnotatedPictures,
    one: Detected,
    whole: AveragePrecision,
    name: str,
) -> None:
    before = f"{name} " if name else ""
    errors = errors_of(one.found, one.truth, len(one.classes), score=SURE)
    notebook.show(
        f"{before}found on test pictures",
        boxes_figure(pictures, "test", one, errors.label, errors.missed, _mixed(one, errors)),
        caption=f"Boxes with a score of {SURE} and more. Green: right; orange: right class, wrong "
        "place; purple: wrong class; red: nothing there; grey: found twice; blue, dashed: missed.",
    )
    counts = {label: int(values.sum()) for label, values in errors.counts.items()}
    notebook.show(
        f"{before}errors by type",
        figures.bars(
            [label for label in counts if label != "right"],
            [float(value) for label, value in counts.items() if label != "right"],
            unit="",
        ),
        caption=f"Of boxes with a score of {SURE} and more, beside {counts['right']} right ones.",
    )
    lines = {
        f"{one.classes[k]}": (curve.recall, np.maximum.accumulate(curve.precision[::-1])[::-1])
        for k, curve in enumerate(whole.curves)
        if len(curve.recall) and not np.isnan(whole.per_class[k])
    }
    if lines:
        notebook.show(
            f"{before}precision and recall",
            figures.curves(dict(list(lines.items())[:8]), x="recall", y="precision"),
            caption="Each the best precision at that recall or a larger one; overlap 0.5."
            + (" The first eight classes." if len(lines) > 8 else ""),
            folded=True,
        )
    notebook.table(
        f"{before}classes",
        ("name", "things", "AP50", *LABELS, MISSED),  # "class" is one of the labels
        [
            (
                label,
                int((one.truth.kind == k).sum()),
                "" if np.isnan(whole.per_class[k]) else f"{whole.per_class[k]:.3f}",
                *(int(errors.counts[kind][k]) for kind in (*LABELS, MISSED)),
            )
            for k, label in enumerate(one.classes)
        ],
        folded=True,
    )


def _mixed(one: Detected, errors: Any) -> list[int]:
    """Return pictures to show: some with many errors, some with none."""
    wrong = np.zeros(one.pictures, dtype=np.int64)
    np.add.at(wrong, one.found.picture[errors.label > 0], 1)
    np.add.at(wrong, one.truth.picture[errors.missed], 1)
    order = np.argsort(-wrong, kind="stable")
    half = SHOWN // 2
    best = order[::-1][: max(0, min(SHOWN, one.pictures) - half)]
    chosen: list[int] = [*order[:half].tolist(), *best[::-1].tolist()]
    return chosen


def boxes_figure(
    pictures: AnnotatedPictures,
    split: str,
    one: Detected,
    labels: np.ndarray,
    missed: np.ndarray,
    chosen: Sequence[int],
) -> Any:
    """Draw what was found and what was missed in some pictures of a split."""
    side = pictures.split(split)
    drawn = []
    for place in chosen:
        row = int(side.rows[place])
        mine = [
            figures.Drawn(
                _here(pictures, row, one.found.corners[d]),
                f"{one.classes[one.found.kind[d]]} {100 * one.found.score[d]:.0f}",
                COLOURS[LABELS[labels[d]]],
            )
            for d in np.flatnonzero((one.found.picture == place) & (labels >= 0))
        ]
        mine += [
            figures.Drawn(
                _here(pictures, row, one.truth.corners[r]),
                one.classes[one.truth.kind[r]],
                COLOURS[MISSED],
                dashed=True,
            )
            for r in np.flatnonzero((one.truth.picture == place) & missed)
        ]
        drawn.append(mine)
    pixels = np.asarray(pictures.pixels[side.rows[list(chosen)]])
    return figures.boxes_over_pictures(pixels, drawn, columns=3 if len(chosen) > 4 else 2)


def _here(
    pictures: AnnotatedPictures, row: int, corners: np.ndarray
) -> tuple[float, float, float, float]:
    left, top = pictures.corner(row)
    x1, y1, x2, y2 = (corners * pictures.scales[row] + np.array([left, top, left, top])).tolist()
    return x1, y1, x2, y2
