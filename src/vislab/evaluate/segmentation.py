"""Segmentation tested: scores with their intervals, the worst pictures first."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import nn

from vislab.data.annotated_batches import annotated_in_order
from vislab.data.annotated_pictures import AnnotatedPictures
from vislab.explain.taps import tap
from vislab.metrics import segmentation as metrics
from vislab.ops import processes
from vislab.progress import track
from vislab.runs import figures
from vislab.runs.intervals import bootstrap, paired_bootstrap
from vislab.runs.notebook import Notebook
from vislab.runs.phrasing import between
from vislab.tasks.segment import Segment, mean_dice

SHOWN = 4  # pictures among the worst, and among the best


@dataclass(frozen=True, eq=False)
class Segmented:
    """What a network says of every pixel of a split, and how good that is."""

    said: UInt8[np.ndarray, "n s s"]
    truth: UInt8[np.ndarray, "n s s"]
    classes: tuple[str, ...]

    @cached_property
    def table(self) -> Int[np.ndarray, "n k k"]:
        """Of each picture, how many pixels of each class were said to be which."""
        return metrics.confusion(self.said, self.truth, len(self.classes))

    @cached_property
    def dice(self) -> Float[np.ndarray, " n"]:
        """Each picture's Dice, the mean over the things it has or is said to have."""
        found: Float[np.ndarray, " n"] = mean_dice(self.table)
        return found

    def mean_of(self, score: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
        """Return a score of each picture, the mean over the same classes as `dice`."""
        counted = self.counted
        some = counted.any(axis=1)
        total = np.where(counted, score[:, 1:], 0.0).sum(axis=1)
        return np.where(some, total / np.maximum(counted.sum(axis=1), 1), 1.0)

    @property
    def counted(self) -> Bool[np.ndarray, "n l"]:
        """Which things a picture has or is said to have."""
        there: Bool[np.ndarray, "n l"] = (self.table.sum(axis=1) + self.table.sum(axis=2))[
            :, 1:
        ] > 0
        return there

    @cached_property
    def hausdorff(self) -> Float[np.ndarray, " n"]:
        """Each picture's 95 % Hausdorff distance in pixels, all things taken as one."""
        void = self.truth == figures.VOID
        pairs = zip((self.said > 0) & ~void, (self.truth > 0) & ~void, strict=True)
        return np.array([metrics.hausdorff95(one, other) for one, other in pairs])


def segmented(
    network: nn.Module,
    pictures: AnnotatedPictures,
    split: str,
    *,
    device: torch.device,
    quiet: bool = False,
) -> Segmented:
    """Run a network over a split, in eval mode, and leave it as it was."""
    side = pictures.split(split)
    said, truth = [], []
    what = f"segmenting {split} pictures"
    with (
        tap(network, []),
        torch.inference_mode(),
        track(what, total=len(side), unit="pictures", quiet=quiet) as advance,
    ):
        for batch in annotated_in_order(pictures, split, device=device):
            assert batch.masks is not None, "annotated pictures are opened with masks"
            said.append(network(batch.images).argmax(dim=1).to(torch.uint8).cpu().numpy())
            truth.append(batch.masks.cpu().numpy())
            advance(len(batch.images))
    return Segmented(np.concatenate(said), np.concatenate(truth), pictures.classes)


def judge_segmentation(
    notebook: Notebook,
    task: Segment,
    pictures: AnnotatedPictures,
    *,
    split: str = "test",
    name: str = "",
    examine: bool = True,
) -> Segmented:
    """Test on a split and record the scores; with `examine`, file the pictures and tables too."""
    found = segmented(
        task.network, pictures, split, device=processes.device(), quiet=notebook.muted
    )
    prefix = f"{name}/{split}" if name else split
    scores = {
        "dice": found.dice,
        "jaccard": found.mean_of(metrics.jaccard(found.table)),
        "sensitivity": found.mean_of(metrics.sensitivity(found.table)),
        "specificity": found.mean_of(metrics.specificity(found.table)),
        "hausdorff95": found.hausdorff,
    }
    for score, values in scores.items():
        mean, interval = bootstrap(values)
        notebook.record(f"{prefix}/{score}", mean, interval=interval)
    notebook.say(
        f"{name or type(task.model).__name__} on {len(found.dice)} {split} pictures: Dice "
        f"{scores['dice'].mean():.3f}, Jaccard {scores['jaccard'].mean():.3f}, 95 % Hausdorff "
        f"{scores['hausdorff95'].mean():.1f} pixels"
    )
    if split == "test" and examine:
        _examine(notebook, pictures, found, scores, name)
    notebook.run.save()
    return found


def _examine(
    notebook: Notebook,
    pictures: AnnotatedPictures,
    found: Segmented,
    scores: dict[str, Float[np.ndarray, " n"]],
    name: str,
) -> None:
    before = f"{name} " if name else ""
    side = pictures.split("test")
    order = np.argsort(found.dice, kind="stable")
    for title, chosen in (("worst cases", order[:SHOWN]), ("best cases", order[::-1][:SHOWN])):
        notebook.show(
            f"{before}{title}",
            figures.mask_cases(
                np.asarray(pictures.pixels[side.rows[chosen]]),
                found.truth[chosen],
                found.said[chosen],
                classes=len(pictures.classes),
                titles=[f"Dice {found.dice[row]:.2f}" for row in chosen],
            ),
            caption="Orange: said too much; blue: missed; purple: one thing taken for another.",
            folded=title == "best cases",
        )
    notebook.table(
        f"{before}test pictures",
        ("picture", *scores),
        [(side.names[row], *(f"{values[row]:.4f}" for values in scores.values())) for row in order],
        caption="From the worst down.",
        folded=True,
    )
    if len(pictures.classes) > 2:
        whole = found.table.sum(axis=0)
        notebook.table(
            f"{before}classes",
            ("class", "pixels", "Dice", "Jaccard", "sensitivity"),
            [
                (
                    label,
                    f"{whole[k].sum():,}",
                    *(
                        f"{score(whole[None])[0, k]:.3f}"
                        for score in (metrics.dice, metrics.jaccard, metrics.sensitivity)
                    ),
                )
                for k, label in enumerate(pictures.classes)
            ],
            caption="All test pixels together.",
            folded=True,
        )
    notebook.show(
        f"{before}Dice of the test pictures",
        figures.curves(
            {"pictures": (np.sort(found.dice), np.linspace(0, 1, len(found.dice)))},
            x="Dice",
            y="share of pictures at or below",
            share=True,
        ),
        caption="How many pictures come out how well.",
        folded=True,
    )


def compare_segmented(notebook: Notebook, found: dict[str, Segmented]) -> None:
    """File a table of networks tested on the same pictures, and how sure the winner is."""
    ranked = sorted(found, key=lambda name: -found[name].dice.mean())
    best, rows, rivals = ranked[0], [], []
    for name in ranked:
        one = found[name]
        mean, around = bootstrap(one.dice)
        cells = (name, f"{mean:.3f}", between(around, ".3f"),
                 f"{one.mean_of(metrics.jaccard(one.table)).mean():.3f}",
                 f"{one.hausdorff.mean():.1f}")  # fmt: skip
        behind, gap = paired_bootstrap(one.dice, found[best].dice)
        if name == best:
            rows.append((*cells, "", ""))
        else:
            rows.append((*cells, f"{behind:.3f}", between(gap, "+.3f")))
            if gap[0] <= 0:
                rivals.append(name)
    notebook.table(
        "networks compared",
        ("network", "Dice", "95 % interval", "Jaccard", "Hausdorff 95 %, pixels", "behind",
         "95 % interval of that"),
        rows,
        caption=f"Means over the same {len(found[best].dice)} test pictures.",
    )  # fmt: skip
    if len(ranked) > 1 and rivals:
        notebook.note(
            f"{best} came out best, but {' and '.join(rivals)} may be as good: the interval "
            "of the difference holds 0."
        )
    elif len(ranked) > 1:
        notebook.note(
            f"{best} came out best, by more than {len(found[best].dice)} test pictures explain by "
            "chance. This is one training of each; --seeds 3 shows how far a seed moves them."
        )
