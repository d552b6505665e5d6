"""Read one variable of a MATLAB file."""

from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from vislab.errors import DataError


def variable(path: Path, name: str) -> Shaped[np.ndarray, " ..."]:
    """Return the array; a struct array comes as records. Raises DataError."""
    from scipy.io import loadmat

    if not path.is_file():
        raise DataError(f"there is no {path}")
    try:
        held = loadmat(path, variable_names=[name], squeeze_me=True)
    except Exception as error:  # scipy raises seven unrelated kinds on a damaged file
        raise DataError(f"{path} is damaged or no MATLAB file: {error}") from error
    if name not in held:
        raise DataError(f"{path} should hold a variable {name!r} and does not")
    array: Shaped[np.ndarray, " ..."] = np.atleast_1d(held[name])
    return array
