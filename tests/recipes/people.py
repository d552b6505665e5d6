"""A folder of coloured squares that stand for images of people of two kinds."""

from pathlib import Path

import numpy as np
from PIL import Image


def people(folder: Path, *, count: int = 30, side: int = 20) -> Path:
    """Write two images of each person, brighter ones of the first kind, and labels.csv."""
    rng = np.random.default_rng(0)
    lines = ["path,label,group"]
    folder.mkdir(parents=True)
    for person in range(count):
        label = ("female", "male")[person % 3 > 0]
        shade = 90 * (label == "female") + rng.integers(0, 120, size=3)
        for number in range(2):
            pixels = np.clip(shade + rng.integers(-20, 20, size=(side, side, 3)), 0, 255)
            name = f"p{person:02d}_{number:04d}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
            lines.append(f"{name},{label},p{person:02d}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder
