"""Draw the images of the pages: `python docs/images/make.py` writes shapes.png here."""

from pathlib import Path

import numpy as np
from PIL import Image

from vislab.data import shapes

rows = [
    np.concatenate(list(shapes.render(shapes.draw_scenes(np.arange(10), difficulty=level), 96)), 1)
    for level in shapes.DIFFICULTIES
]
Image.fromarray(np.concatenate(rows)).save(Path(__file__).with_name("shapes.png"), optimize=True)
