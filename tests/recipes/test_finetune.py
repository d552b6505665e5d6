import json

import numpy as np
import pytest
from PIL import Image

from tests.recipes.smoke import smoked
from vislab import recipes
from vislab.cli.main import main
from vislab.profiling import auto_config
from vislab.runs.folder import RunFolder

COUNT = 8  # images of each class


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three classes in three scripts, with the kinds of files that people have."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for shade, name in enumerate(("кошки", "犬", "voitures à vendre")):
        place = root / name
        place.mkdir()
        for number in range(COUNT):
            pixels = rng.integers(80 * shade, 80 * shade + 60, (40, 30, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")
    Image.fromarray(pixels).convert("CMYK").save(root / "犬" / "cmyk.jpg")
    deep = rng.integers(0, 65535, (40, 30)).astype(np.uint16)
    Image.fromarray(deep).save(root / "кошки" / "sixteen bits.png")
    frames = [Image.fromarray(rng.integers(0, 255, (20, 20, 3)).astype(np.uint8)) for _ in "ab"]
    frames[0].save(root / "кошки" / "moving.gif", save_all=True, append_images=frames[1:])
    Image.new("RGB", (10_000, 10_000), "white").save(root / "voitures à vendre" / "vast.jpg")
    (root / "just one").mkdir()
    Image.fromarray(pixels).save(root / "just one" / "alone.png")
    return root


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    return smoked(
        "finetune", tmp_path_factory.mktemp("run") / "run", data=str(folder), per_class=None,
        size=32, network="convnet",
    )  # fmt: skip


def test_a_folder_of_any_files_is_learned_from(run):
    result = run.result
    assert result.status == "finished"
    assert result.data[0]["classes"] == sorted(["кошки", "犬", "voitures à vendre", "just one"])
    assert sum(result.data[0]["counts"].values()) == 3 * COUNT + 5


def test_it_says_what_it_chose_and_why(run):
    chosen = next(note for note in run.result.notes if note.startswith("Chosen: "))
    assert "convnet" in chosen
    kept = json.loads((run.path / "checkpoints" / "choice.json").read_text())
    assert kept["reason"] in chosen


def test_a_new_image_gets_a_label_a_probability_and_an_image_of_why(run, folder, capsys):
    photo = folder / "犬" / "cmyk.jpg"
    assert main(["predict", str(run.path), str(photo), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["label"] in run.result.data[0]["classes"]
    assert 0.25 <= told["probability"] <= 1
    assert Image.open(told["files"][1]).size > (100, 100)


@pytest.mark.parametrize("changed", [{}, {"strategy": "head"}, {"find_lr": True}])
def test_head_and_more_are_compared_where_more_is_trained(tmp_path, changed):
    result = smoked("finetune", tmp_path / "run", **{"size": 32, **changed}).result
    assert "head/test/accuracy" in result.metrics
    both = "fine-tuned/test/accuracy" in result.metrics
    assert both == (changed.get("strategy") != "head")
    assert ("fine-tuned: gain in accuracy" in result.metrics) == both
    kept = max(
        ("head", "fine-tuned"), key=lambda name: result.metrics.get(f"{name}/val/accuracy", -1)
    )
    assert result.metrics["test/accuracy"] == result.metrics[f"{kept}/test/accuracy"]


def test_a_resumed_run_keeps_its_choice_though_the_machine_is_slower(tmp_path, monkeypatch):
    run = smoked("finetune", tmp_path / "run", size=32)
    content = json.loads((run.path / "result.json").read_text())
    content["status"] = "interrupted"
    (run.path / "result.json").write_text(json.dumps(content))
    monkeypatch.setattr(auto_config, "choose", lambda *a, **k: pytest.fail("chosen again"))
    from vislab.lab.running import execute

    kind = recipes.find("finetune")
    again = execute(
        kind(**{**kind.smoke, "size": 32}), "finetune", run.path, resume=True, quiet=True
    )
    assert again.result.metrics["test/accuracy"] == run.result.metrics["test/accuracy"]
    assert RunFolder.open(run.path).result.status == "finished"
