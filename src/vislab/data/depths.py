"""How many bits the greys of a set hold: cameras and scanners keep 10, 12 or 14 in files of 16."""

import io
from collections.abc import Callable

import numpy as np

from vislab.data.decode import depth_of, open_image, room_for
from vislab.errors import DataError

LOOKED_AT = 48  # images, evenly spaced


def depth_in(read: Callable[[int], bytes], count: int) -> int | None:
    """Return the bits that the 16-bit greys of a set need; None where there are none such.

    `read` gives the bytes of an image by its row. One depth for all keeps a dark image dark. Rows
    that cannot be read are passed over: decoding names them.
    """
    highest = None
    for row in np.linspace(0, count - 1, min(count, LOOKED_AT)).round().astype(int).tolist():
        try:
            with open_image(io.BytesIO(read(row))) as image:
                if not image.mode.startswith("I"):
                    continue
                with room_for(image):
                    top = int(np.asarray(image).max())
        except DataError:
            continue
        if top <= 65535:
            highest = max(top, highest or 0)
    return None if highest is None else depth_of(highest)
