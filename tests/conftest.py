"""What every test relies on: a home of its own, real images only where they are."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command does, before torch is loaded

import torch

from vislab.ops.seeding import generator


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory):
    """Keep downloads and decoded images of the tests away from the user's."""
    folder = tmp_path_factory.mktemp("home")
    before = os.environ.get("VISLAB_HOME")
    os.environ["VISLAB_HOME"] = str(folder)
    yield folder
    if before is None:
        del os.environ["VISLAB_HOME"]
    else:
        os.environ["VISLAB_HOME"] = before


@pytest.fixture
def rng():
    """Return a generator that is the same for every test."""
    return generator("tests")


@pytest.fixture
def real_data():
    """Return the folder of real images."""
    return Path(os.environ["VISLAB_DATA"])


def pytest_collection_modifyitems(items):
    where = os.environ.get("VISLAB_DATA", "")
    if where and Path(where).is_dir():
        return
    skip = pytest.mark.skip(reason="VISLAB_DATA points nowhere")
    for item in items:
        if item.get_closest_marker("realdata"):
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def same_grad_mode():
    """See to it that no test leaves gradients switched off."""
    assert torch.is_grad_enabled()
    yield
    assert torch.is_grad_enabled()
