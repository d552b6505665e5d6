"""The recipes of dense prediction and detection: own folders, wrong options, interruptions."""

import pytest

from tests.recipes.annotated_folders import BAD, STEMS, own
from tests.recipes.dense_sizes import SMALL, trained
from tests.recipes.smoke import smoked
from vislab.cli.main import main
from vislab.errors import DataError, OptionError, UnknownName
from vislab.lab.bench import Lab

FORMS = [
    ("segment-unet", "masks"),
    ("segment-unet", "coco"),
    ("segment-segnet", "masks"),
    ("detect-yolo", "coco"),
    ("detect-yolo", "voc"),
    ("detect-yolo", "yolo"),
    ("detect-faster-rcnn", "voc"),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return a sound folder in each form."""
    root = tmp_path_factory.mktemp("own")
    return {form: own(root / form, form) for form in ("coco", "voc", "yolo", "masks")}


@pytest.mark.parametrize(("name", "form"), [("segment-unet", "masks"), ("detect-yolo", "voc")])
def test_from_the_command_an_own_folder_ends_in_a_report(name, form, folders, tmp_path, capsys):
    words = {
        "segment-unet": ["--networks", "unet", "--width", "2"],
        "detect-yolo": ["--backbone", "convnet", "--no-pretrained", "--stride", "8"],
    }[name]
    words += ["--data", folders[form], "--folder", tmp_path / "run", "--size", 32, "--epochs", 1]
    assert main(["run", name, *map(str, words)]) == 0
    out = capsys.readouterr().out
    assert str(tmp_path / "run" / "report.html") in out
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Traceback" not in page
    assert len(page) > 50_000


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_flawed_annotation_is_named_before_training_and_left_out_on_request(name, form, tmp_path):
    data = str(own(tmp_path / "data", form, flawed=True))
    options = {**SMALL[name], "data": data, "limit": None}
    with pytest.raises(DataError) as refusal:
        smoked(name, tmp_path / "run", **options)
    message = str(refusal.value)
    assert "1 annotations" in message
    where = "annotations.json, annotation 102" if form == "coco" else f"/{BAD}."
    assert where in message
    assert "--skip-bad" in message
    assert trained(tmp_path / "run") == []
    run = smoked(name, tmp_path / "other", **options, skip_bad=True)
    assert run.result.status == "finished"
    assert any("left out: 1 of " in note for note in run.result.data[0]["notes"])
    assert run.result.data[0]["origin"] == "own files"
    assert sum(run.result.data[0]["counts"].values()) == len(STEMS) - 1
    score = "dice" if "segment" in name else "map50"
    assert 0 <= run.result.metrics[f"test/{score}"] <= 1


def test_a_folder_of_masks_has_no_boxes_to_learn(folders, tmp_path):
    with pytest.raises(DataError, match="has masks and no boxes"):
        smoked(
            "detect-yolo",
            tmp_path / "run",
            **{**SMALL["detect-yolo"], "data": str(folders["masks"])},
        )


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("segment-unet", {"networks": ()}, "--networks names none"),
        ("segment-unet", {"networks": ("unet", "unett")}, "Did you mean 'unet'"),
        (
            "segment-unet",
            {"networks": ("unet", "encoder-unet"), "encoder": "nope"},
            "no network 'nope'",
        ),
        ("segment-unet", {"networks": ("encoder-unet", "unet"), "cut": (9,)}, "no skip 9 to cut"),
        ("segment-unet", {"loss": "dicey"}, "no loss of segmentation is named 'dicey'"),
        ("segment-unet", {"tile": 500}, "--tile 500"),
        ("segment-unet", {"size": 7}, "--size 7 is out of range"),
        ("segment-unet", {"limit": 0}, "--limit 0 leaves nothing"),
        ("segment-segnet", {"ways": ()}, "--ways names none"),
        ("segment-segnet", {"ways": ("nearest", "x")}, "no way is named 'x'"),
        ("segment-segnet", {"convolutions": (1, 0)}, "--convolutions 1 0"),
        ("segment-segnet", {"convolutions": ()}, "0 stages"),
        ("detect-yolo", {"stride": 7}, "no maps of stride 7"),
        ("detect-yolo", {"backbone": "nope"}, "no network is named 'nope'"),
        ("detect-yolo", {"batch": 0}, "--batch 0"),
        ("detect-faster-rcnn", {"networks": ()}, "--networks names none"),
        ("detect-faster-rcnn", {"networks": ("refined", "x")}, "no network is named 'x'"),
        ("detect-faster-rcnn", {"anchor_scales": (-1.0,)}, "positive scales"),
        (
            "detect-faster-rcnn",
            {"networks": ("torchvision", "refined"), "scales": (0.0,)},
            "--scales 0.0 must be above 0",
        ),
        ("autoencoder", {"networks": ()}, "--networks names none"),
        ("autoencoder", {"networks": ("dense", "denoising"), "noise": 2.0}, "--noise 2.0"),
        ("colorize", {"ways": ()}, "--ways names none"),
        ("colorize", {"ways": ("regression", "bins")}, "no way is named 'bins'"),
        ("colorize", {"embedder": "nope"}, "no network is named 'nope'"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_trained(name, options, sentence, tmp_path):
    with pytest.raises((OptionError, UnknownName)) as refusal:
        smoked(name, tmp_path / "run", **{**SMALL[name], **options})
    assert sentence in str(refusal.value)
    assert trained(tmp_path / "run") == []


def test_looking_ahead_at_the_networks_draws_no_other_weights(tmp_path, monkeypatch):
    plain = smoked("segment-unet", tmp_path / "a", **SMALL["segment-unet"])
    monkeypatch.setattr(Lab, "dry_run", lambda *_: None)
    other = smoked("segment-unet", tmp_path / "b", **SMALL["segment-unet"])
    assert plain.result.weights_sha256 == other.result.weights_sha256
