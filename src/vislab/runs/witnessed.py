"""JSON that a run builds upon when it is resumed, with a digest that tells whether it was changed.

A shape cannot tell a rate that was measured from one that was written over.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vislab.errors import RunError
from vislab.runs.folder import read_json
from vislab.runs.writing import finite, write_json

DIGEST = "sha256"


def write_witnessed(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object and its digest, whole or not at all; NaN and infinities become null."""
    write_json(path, {**content, DIGEST: _digest(finite(dict(content)))})


def read_witnessed(path: Path) -> dict[str, Any]:
    """Return what `write_witnessed` wrote. Raises RunError where it is missing or was changed."""
    content = read_json(path)
    if content.pop(DIGEST, None) != _digest(content):
        raise RunError(
            f"{path} was changed since the run wrote it, or is of an older vislab; delete the file "
            "and what it holds is measured anew"
        )
    return content


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
