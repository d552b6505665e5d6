"""Freed memory is kept on Linux, and elsewhere nothing happens."""

import subprocess
import sys

import pytest

from vislab.ops.memory import keep_freed_memory


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory.__wrapped__() is False


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_a_large_block_is_not_given_back_to_the_system():
    # Page faults are counted by the system: blocks that are kept cause none the second time.
    code = """
import resource, sys
from vislab.ops.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def touch():
    bytearray(64 << 20)
touch()
before = faults()
for _ in range(5):
    touch()
print(faults() - before)
"""
    kept, given_back = (
        int(subprocess.check_output([sys.executable, "-c", code, word])) for word in ("keep", "-")
    )
    assert kept < given_back / 5
