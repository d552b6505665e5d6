"""What a check of annotated images counted, as a page for the terminal."""

from typing import Any

from rich.cells import cell_len

from vislab.data.listing import SPLITS

MOST = 30  # classes told one by one; beyond, the commonest and the rarest


def annotated_page(name: str, facts: dict[str, Any]) -> list[str]:
    """Return the form and the counts, a table of the classes, then the measures."""
    return [*_heading(name, facts), "", *_table(facts), "", *_measures(facts)]


def _heading(name: str, facts: dict[str, Any]) -> list[str]:
    split = "came with the images" if facts["official_split"] else "was drawn by vislab"
    k = len(facts["classes"])
    classes = f"{k} class" if k == 1 else f"{k} classes"
    instances = f", {facts['instances']} objects" if "instances" in facts else ""
    form = facts["form"].upper() if facts["form"] != "masks" else "masks"
    return [f"{name} ({form}): {facts['images']} images, {classes}{instances}; the split {split}"]


def _table(facts: dict[str, Any]) -> list[str]:
    """Count by class and split: objects and the images that show some, or images and pixels."""
    boxes = "instances" in facts
    over = "objects/images" if boxes else "images/share"
    rows: list[tuple[str, list[str], int]] = []
    for name, splits in facts["classes"].items():
        cells: list[str] = []
        total = 0
        for split in SPLITS:
            images = splits[split]["images"]
            if boxes:
                cells.append(f"{splits[split]['instances']}/{images}")
                total += splits[split]["instances"]
            else:
                cells.append(f"{images}/{100 * splits[split]['share']:.1f} %")
                total += images
        rows.append((name, cells, total))
    ranked = sorted(rows, key=lambda row: -row[2])
    left_out = len(rows) - 20 if len(rows) > MOST else 0
    shown = [*ranked[:10], *ranked[-10:]] if left_out else rows
    everything = [str(facts["splits"][split]) for split in SPLITS]
    wide = max(cell_len(name) for name in ("all images", *(row[0] for row in shown)))
    gap = max(12, *(len(cell) + 2 for row in shown for cell in row[1]), 12)
    out = [f"{'class':<{wide}}" + "".join(f"{split:>{gap}}" for split in SPLITS) + f"    {over}"]
    for place, (name, cells, _) in enumerate(shown):
        if left_out and place == 10:
            out.append(f"… {left_out} classes between these …")
        padding = " " * (wide - cell_len(name))
        out.append(f"{name}{padding}" + "".join(f"{cell:>{gap}}" for cell in cells))
    out.append(f"{'all images':<{wide}}" + "".join(f"{cell:>{gap}}" for cell in everything))
    return out


def _measures(facts: dict[str, Any]) -> list[str]:
    rows = []
    if "box_sizes" in facts:
        sizes = facts["box_sizes"]
        rows.append(
            (
                "boxes",
                f"{sizes['small']} small (under 32×32 pixels), {sizes['medium']} medium, "
                f"{sizes['large']} large (96×96 or more)",
            )
        )
        low, middle, high = (f"{value:.4g}" for value in facts["instances_per_image"].values())
        rows.append(("objects an image", f"{low} to {high}, median {middle}"))
        marks = [
            f"{facts[key]} {text}"
            for key, text in (
                ("without_instances", "images without an object"),
                ("crowds", "crowds"),
                ("difficult", "difficult"),
                ("outlined", "with an outline"),
            )
            if facts[key]
        ]
        if marks:
            rows.append(("of these", ", ".join(marks)))
    if facts.get("void_share"):
        rows.append(("void", f"{100 * facts['void_share']:.1f} % of the pixels"))
    for key in ("width", "height"):
        if key in facts:
            low, middle, high = (f"{value:.4g}" for value in facts[key].values())
            rows.append((key, f"{low} to {high}, median {middle}"))
    return [f"{name:<18}{text}" for name, text in rows]
