"""What the room shows."""

import importlib
import inspect
from pathlib import Path

from vislab import explain


def test_a_function_stays_visible_when_its_file_is_imported():
    room = Path(explain.__file__).parent
    names = [name for name in explain.__all__ if (room / f"{name}.py").exists()]
    assert len(names) > 10
    for name in names:
        module = importlib.import_module(f"vislab.explain.{name}")
        assert inspect.ismodule(module)
        assert inspect.isfunction(getattr(explain, name)), name


def test_every_name_is_there():
    assert all(getattr(explain, name) is not None for name in explain.__all__)
