"""Run every benchmark and write docs/benchmarks.md from what they measured.

`python benchmarks/all.py` measures; `python benchmarks/all.py --page` only writes the page anew.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"
CONTENDERS = ("vislab", "timm", "torchvision")
PAGE = HERE.parent / "docs" / "benchmarks.md"
NAMES = (
    "data_pipeline",
    "shapes_generator",
    "start_up",
    "fit",
    "by_hand",
    "training_loops",
    "fine_tuning",
    "explanations",
    "attention_maps",
    "tsne",
    "explained_networks",
    "detection",
)


def measured(name):
    return json.loads((RESULTS / f"{name}.json").read_text())


def about(result):
    a = result["about"]
    return (
        f"{a['processor']}, {a['cores']} cores, {a['threads']} threads; Python {a['python']}, "
        f"torch {a['torch']}, torchvision {a['torchvision']}, NumPy {a['numpy']}"
    )


def pipeline_table():
    yield "| case | vislab, images/s | torchvision, images/s | ratio |"
    yield "|---|---:|---:|---:|"
    for row in measured("data_pipeline")["rows"]:
        ours, theirs = (row[f"{who}_images_per_second"] for who in ("vislab", "torchvision"))
        yield f"| {row['case']} | {ours:,} | {theirs:,} | {row['ratio']:.1f}× |"


def shapes_table():
    rows = measured("shapes_generator")["rows"]
    sizes = sorted({row["size"] for row in rows})
    yield "| level | " + " | ".join(f"{size}×{size}" for size in sizes) + " |"
    yield "|---|" + "---:|" * len(sizes)
    for level in dict.fromkeys(row["difficulty"] for row in rows):
        speeds = {r["size"]: r["images_per_second"] for r in rows if r["difficulty"] == level}
        yield f"| {level} | " + " | ".join(f"{speeds[size]:,.0f}" for size in sizes) + " |"


def start_up_table():
    yield "| command | median | spread (IQR) |"
    yield "|---|---:|---:|"
    for row in measured("start_up")["rows"]:
        yield f"| `{row['case']}` | {row['median_ms']:.0f} ms | {row['iqr_ms']:.0f} ms |"


def fit_table():
    yield "| case | `lab.fit` | bare loop | ratio |"
    yield "|---|---:|---:|---:|"
    for row in measured("fit")["rows"]:
        ours, theirs = (row["times"][k]["median_ms"] / 1e3 for k in ("lab.fit", "bare loop"))
        yield f"| {row['case']} | {ours:.2f} s | {theirs:.2f} s | {row['ratio']:.2f}× |"


def by_hand_table():
    yield "| case | by hand | peer | ratio |"
    yield "|---|---:|---:|---:|"
    for row in measured("by_hand")["rows"]:
        ours, theirs = (row["times"][k]["median_ms"] for k in ("by hand", "peer"))
        yield f"| {row['case']} | {ours:,.0f} ms | {theirs:,.0f} ms | {row['ratio']:.2f}× |"


def loops_table():
    yield "| case | vislab | timm | torchvision | faster than timm | than torchvision | accuracy |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row in measured("training_loops")["rows"]:
        speeds = (f"{row['images_per_second'][way]:,.0f}" for way in CONTENDERS)
        right = " / ".join(
            f"{row['accuracy'][way]:.1%} ± {statistics.stdev(row['all_accuracies'][way]):.1%}"
            for way in CONTENDERS
        )
        yield (
            f"| {row['case']} | {' | '.join(speeds)} | {row['faster_than_timm']:.1f}× "
            f"| {row['faster_than_torchvision']:.1f}× | {right} |"
        )


def fine_tuning_table():
    yield "| case | features in every epoch | computed once | ratio | once, for all epochs |"
    yield "|---|---:|---:|---:|---:|"
    for row in measured("fine_tuning")["rows"]:
        taken = row["seconds_an_epoch"]
        yield (
            f"| {row['case']} | {taken['every epoch']:.2f} s | {1e3 * taken['once']:.1f} ms "
            f"| {row['ratio']:.0f}× | {row['seconds_for_features']:.1f} s |"
        )


def explanations_table():
    yield "| case | vislab | peer | ratio | memory, vislab | memory, peer |"
    yield "|---|---:|---:|---:|---:|---:|"
    for row in measured("explanations")["rows"]:
        ours, theirs = row["seconds"]["vislab"], row["seconds"][row["peer"]]
        sizes = row.get("bytes")
        memory = (
            [f"{sizes[who] / 2**20:.0f} MB" for who in ("vislab", row["peer"])]
            if sizes
            else ["", ""]
        )
        yield (
            f"| {row['case']} | {1e3 * ours:,.0f} ms | {row['peer']}, {1e3 * theirs:,.0f} ms "
            f"| {row['ratio']:.2f}× | {' | '.join(memory)} |"
        )


def attention_table():
    yield "| case | plain forward pass | attention | rollout | both |"
    yield "|---|---:|---:|---:|---:|"
    for row in measured("attention_maps")["rows"]:
        ways = ("attention", "rollout", "attention and rollout")
        ratios = " | ".join(f"{row['ratios'][way]:.2f}×" for way in ways)
        yield f"| {row['case']} | {row['times']['forward']['median_ms']:,.0f} ms | {ratios} |"


def tsne_table():
    rows = measured("tsne")["rows"]
    ways = list(rows[0]["seconds"])
    yield f"| case | {' | '.join(ways)} | ratio | trustworthiness: {' | '.join(ways)} |"
    yield "|---" + "|---:" * (2 * len(ways) + 1) + "|"
    for row in rows:
        taken = " | ".join(f"{row['seconds'][way]:.1f} s" for way in ways)
        kept = " | ".join(f"{sorted(row['trustworthiness'][way])[1]:.4f}" for way in ways)
        yield f"| {row['case']} | {taken} | {row['ratio']:.2f}× | {kept} |"


def networks_table():
    names = ("grad-cam", "guided-backprop", "attention", "rollout", "gradient-rollout")
    yield (
        f"| network | pixels | last layer with places | {' | '.join(names)} | Grad-CAM beside one "
        "written out |"
    )
    yield "|---|---:|---|" + "---|" * len(names) + "---:|"
    for row in measured("explained_networks")["rows"]:
        found = (row["given"][name] for name in names)
        cells = " | ".join("–" if one.startswith("no:") else one for one in found)
        yield (
            f"| {row['network']} | {row['size']} | `{row['target_layer']}` | {cells} "
            f"| {row['correlation']:.4f} |"
        )


def detection_table():
    yield "| case | vislab | torchvision | ratio | beside torchvision's own numbers |"
    yield "|---|---:|---:|---:|---:|"
    for row in measured("detection")["rows"]:
        times = {name: one["median_ms"] for name, one in row["times"].items()}
        if "images" in row:
            ours, theirs = (
                f"{row[f'{who}_images_per_second']:,} images/s" for who in ("vislab", "torchvision")
            )
            alone = min(ms for name, ms in times.items() if name.startswith("0 workers"))
            yield (
                f"| {row['case']} | {ours} | {theirs}, 2 workers | {row['ratio']:.1f}× as many "
                f"| {alone / times['vislab']:.1f}× as many as one process |"
            )
            continue
        mine = next(ms for name, ms in times.items() if name.startswith("vislab"))
        theirs = next(ms for name, ms in times.items() if name.startswith("torchvision"))
        own = row.get("ratio_to_its_own_numbers", row["ratio"])
        yield (
            f"| {row['case']} | {mine:,.0f} ms | {theirs:,.0f} ms | {row['ratio']:.2f}× "
            f"| {own:.2f}× |"
        )


def page():
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench`; each table is one run, both contenders taking turns on the same",
        "machine. Medians; the JSON files in `benchmarks/results/` hold the spread as well.",
        "",
        f"Machine: {about(measured('fit'))}.",
    ]
    for title, sentence, table in (
        (
            "Data pipeline",
            "Batches by index from the memory-mapped cache, against torchvision's per-image "
            "transforms under a DataLoader with 2 workers. The first epoch over a folder of JPEGs "
            "includes decoding all of them into the cache.",
            pipeline_table,
        ),
        (
            "The offline world",
            "Images of `shapes` drawn and rendered per second, without any cache.",
            shapes_table,
        ),
        ("Start-up", "From the shell to the last line, in a new process.", start_up_table),
        (
            "Training",
            "The whole of `lab.fit` (seeding, schedule, counting, logging, checkpoints) against "
            "forward, backward and step alone, on the same batches. Below 1 the lab was faster, "
            "which is noise.",
            fit_table,
        ),
        (
            "By hand",
            "Layers, a training step and a recurrent layer of `vislab.scratch` against the same in "
            "torch.nn with autograd, batches of 128, float32; nearest neighbours against the "
            "library named. Below 1 ours is faster.",
            by_hand_table,
        ),
        (
            "Whole trainings",
            "Training images a second from JPEG files on disk to the end of training, validation "
            "after each epoch included, each contender reading as its own script does; vislab's "
            "time holds the decoding into its cache. Accuracies on the same 1,000 images, mean "
            "and std of three trainings, in the order of the columns: of vislab's best "
            "epoch on the validation images, which it keeps, and of the others' last.",
            loops_table,
        ),
        (
            "Training the head alone",
            "An epoch with the features of a frozen network computed anew, and computed once.",
            fine_tuning_table,
        ),
        (
            "Explanations",
            "The same maps for the same image: occlusion beside captum at captum's best batch, "
            "Grad-CAM beside pytorch-grad-cam with the layer given. Memory: tensors alive at once.",
            explanations_table,
        ),
        (
            "Attention",
            "Every layer's attention, and its rollout, in multiples of a plain forward pass.",
            attention_table,
        ),
        (
            "t-SNE",
            "Ours in torch, scikit-learn's Barnes-Hut and openTSNE, all from the same PCA, on both "
            "cores; the ratio is to scikit-learn. Trustworthiness among 12 neighbours.",
            tsne_table,
        ),
        (
            "Which network gives which map",
            "With no argument but the network and two images; sizes of the maps, – where the "
            "method has no meaning, which it then says in a sentence. Saliency, SmoothGrad, "
            "integrated gradients and occlusion need nothing of a network but gradients or scores. "
            "Every size is that of the network's true grid, told by hand; the last column is the "
            "correlation with Grad-CAM written out from its equations at the layer told by hand.",
            networks_table,
        ),
        (
            "Detection",
            "Training steps and detecting over the same backbone: torchvision's Faster R-CNN with "
            "its layers, proposals and drawn boxes made like ours, and in the last column with its "
            "own numbers. Below 1 ours is faster. Batches augmented with boxes and masks beside "
            "torchvision's transforms v2 an image at a time, the faster of one process and two "
            "workers.",
            detection_table,
        ),
    ):
        try:
            rows = list(table())
        except FileNotFoundError:  # not measured yet
            continue
        lines += ["", f"## {title}", "", sentence, "", *rows]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    RESULTS.mkdir(exist_ok=True)
    if "--page" not in sys.argv:
        for name in NAMES:
            print(f"== {name}", flush=True)
            target = str(RESULTS / f"{name}.json")
            subprocess.run([sys.executable, str(HERE / f"{name}.py"), target], check=True)
    page()
