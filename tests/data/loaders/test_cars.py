"""Cars: a devkit of MATLAB struct arrays, and the layouts people have them in."""

import shutil

import numpy as np
import pytest
from scipy.io import savemat

from tests.data.loaders.small_sets import put
from vislab.data.loaders import cars
from vislab.errors import DataError


def stanford_cars(folder, *, labelled="cars_test_annos_withlabels.mat"):
    put(folder, "cars_train/00001.jpg", "cars_train/00002.jpg", "cars_test/00001.jpg")
    kind = [(name, object) for name in ("bbox_x1", "class", "fname")]

    def table(*entries):
        return {"annotations": np.array([[(9, number, name) for number, name in entries]], kind)}

    (folder / "devkit").mkdir()
    names = np.empty((1, 3), object)
    names[0] = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012", "smart fortwo 2012"]
    savemat(folder / "devkit/cars_meta.mat", {"class_names": names})
    savemat(folder / "devkit/cars_train_annos.mat", table((3, "00001.jpg"), (1, "00002.jpg")))
    savemat(folder / labelled, table((2, "00001.jpg")))


@pytest.mark.parametrize("labelled", ["", "devkit/"])
def test_cars_take_class_and_split_from_the_devkit(tmp_path, labelled):
    stanford_cars(tmp_path, labelled=f"{labelled}cars_test_annos_withlabels.mat")
    read = cars.listing(tmp_path)
    assert read.members == ("cars_train/00001.jpg", "cars_train/00002.jpg", "cars_test/00001.jpg")
    assert [read.classes[label] for label in read.labels] == [
        "smart fortwo 2012", "AM General Hummer SUV 2000", "Acura RL Sedan 2012",
    ]  # fmt: skip
    assert read.splits.tolist() == [0, 0, 2]
    assert read.official


def test_cars_with_kaggles_doubled_folder_are_understood(tmp_path):
    stanford_cars(tmp_path)
    (tmp_path / "cars_train").rename(tmp_path / "moved")
    (tmp_path / "cars_train").mkdir()
    (tmp_path / "moved").rename(tmp_path / "cars_train/cars_train")
    read = cars.listing(tmp_path)
    assert read.members[0] == "cars_train/cars_train/00001.jpg"
    assert read.path(0).exists()


def test_cars_say_what_they_lack(tmp_path):
    stanford_cars(tmp_path)
    (tmp_path / "cars_train/00002.jpg").unlink()
    with pytest.raises(DataError, match=r"cars_train lacks 1 images, the first is 00002\.jpg"):
        cars.listing(tmp_path)
    (tmp_path / "cars_test_annos_withlabels.mat").unlink()
    with pytest.raises(DataError, match=r"lacks cars_test_annos_withlabels\.mat"):
        cars.listing(tmp_path)
    shutil.rmtree(tmp_path / "devkit")
    with pytest.raises(DataError, match="should hold devkit, cars_train, cars_test"):
        cars.listing(tmp_path)
