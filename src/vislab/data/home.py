"""Where vislab keeps what it downloads and decodes: `$VISLAB_HOME`, else `~/.cache/vislab`."""

import os
from pathlib import Path


def home() -> Path:
    """Return the folder for downloads (`data/`), decoded images (`cache/`) and `weights/`."""
    chosen = os.environ.get("VISLAB_HOME")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "vislab"
