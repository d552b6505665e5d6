"""The recipes of dense prediction in sizes still smaller than their smoke."""

SMALL = {
    "segment-unet": {"networks": ("unet",), "size": 16, "width": 2, "depth": 2},
    "segment-segnet": {"ways": ("nearest",), "size": 16, "width": 2},
    "detect-yolo": {"size": 32},
    "detect-faster-rcnn": {"networks": ("refined",), "size": 32},
    "autoencoder": {"networks": ("convolutional",), "size": 16},
    "colorize": {"data": "digits", "ways": ("regression",), "size": 16},
}


def trained(folder):
    """Return the trainings that a run folder has begun."""
    return sorted(path.name for path in (folder / "checkpoints").glob("*"))
