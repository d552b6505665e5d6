"""Folders that several processes make at once, and what a killed one leaves behind."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from vislab.data.formats import write_annotated
from vislab.data.making import alone_with, put_in_place, sweep, work_folder
from vislab.errors import DataError

READ = """
import sys, time
from vislab.data import decode
from vislab.data.formats import read_annotated
from pathlib import Path
while time.time() < float(sys.argv[2]):
    pass
print(len(read_annotated(Path(sys.argv[1])).members))
"""


def start(code, *words):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def voc(tmp_path):
    """Return a zip of a hundred images and their annotations, and how many there are."""
    from PIL import Image

    Image.new("RGB", (20, 20)).save(tmp_path / "grey.jpg")
    pixels = (tmp_path / "grey.jpg").read_bytes()
    box = "<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    with zipfile.ZipFile(tmp_path / "voc.zip", "w") as made:
        for number in range(100):
            made.writestr(f"JPEGImages/{number}.jpg", pixels)
            text = f"<filename>{number}.jpg</filename><object><name>a</name>{box}</object>"
            size = "<size><width>20</width><height>20</height><depth>3</depth></size>"
            made.writestr(f"Annotations/{number}.xml", f"<annotation>{text}{size}</annotation>")
    return tmp_path / "voc.zip"


def test_three_processes_that_read_one_zip_at_once_all_read_the_whole_of_it(
    tmp_path, monkeypatch, voc
):
    monkeypatch.setenv("VISLAB_HOME", str(tmp_path / "home"))
    at = time.time() + 4
    ended = [one.communicate() + (one.returncode,) for one in [start(READ, voc, at)] * 1]
    assert [(out, code) for out, _, code in ended] == [("100\n", 0)], ended
