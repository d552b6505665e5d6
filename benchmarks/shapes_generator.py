"""Time the offline world, drawn and rendered. `python benchmarks/shapes_generator.py OUT.json`"""

from functools import partial

import numpy as np
from timing import quartiles_ms, write

from vislab.data.shapes import DIFFICULTIES, GENERATOR_VERSION, draw_scenes, render

SIZES = {32: 4096, 64: 1024, 128: 256}  # pixels a side, and how many images


def images(count: int, size: int, difficulty: str) -> np.ndarray:
    return render(draw_scenes(range(count), difficulty=difficulty), size)


def main() -> None:
    ways, about = {}, {}
    for size, count in SIZES.items():
        for difficulty in DIFFICULTIES:
            alone = render(draw_scenes([count - 1], difficulty=difficulty), size)
            assert np.array_equal(images(count, size, difficulty)[-1:], alone)
            name = f"{difficulty} {size}"
            ways[name] = partial(images, count, size, difficulty)
            about[name] = {"difficulty": difficulty, "size": size, "images": count}
    rows = [
        {
            **about[name],
            **times,
            "images_per_second": 1e3 * about[name]["images"] / times["median_ms"],
            "generator_version": GENERATOR_VERSION,
        }
        for name, times in quartiles_ms(ways).items()
    ]
    write("shapes_generator", rows)


if __name__ == "__main__":
    main()
