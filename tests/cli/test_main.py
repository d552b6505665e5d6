"""The command as a user types it: what it prints, what it returns, how it says no."""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.lab.small_recipe import few_images
from vislab.cli import run_command
from vislab.cli.main import COMMANDS, main
from vislab.errors import OptionError


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return few_images(tmp_path_factory.mktemp("few") / "images")


QUICK = ("--size", "32", "--per-class", "4", "--epochs", "1", "--batch", "12")


@pytest.fixture(scope="module")
def finished(few, tmp_path_factory):
    """Return the folder of a run that the command made."""
    folder = tmp_path_factory.mktemp("runs") / "a"
    words = ["run", "resnet-overfit", "--data", str(few), "--folder", str(folder), *QUICK]
    assert main(words) == 0
    return folder


def said(capsys):
    return capsys.readouterr().err


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    for name, what in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(what)}$", page, re.MULTILINE)


def test_an_unknown_command_is_wrong_use_and_names_the_nearest(capsys):
    assert main(["rnu"]) == 2
    assert "no command is named 'rnu'. Did you mean 'run'?" in said(capsys)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("run resnet-overfti", 2, "no recipe is named 'resnet-overfti'. Did you mean"),
        ("run ./no-such-file.py", 2, "there is no recipe file at"),
        ("run resnet-overfit --data /nowhere/at/all", 1, "no folder or zip at /nowhere/at/all"),
        ("run resnet-overfit --data cifra10", 2, "Did you mean 'cifar10'?"),
        ("run resnet-overfit --optim.lr -1", 2, "--optim.lr -1.0 must be above 0"),
        ("run resnet-overfit --augment.crop 3", 2, "--augment.crop 3.0 is a share"),
        ("run resnet-overfit --quick --size 4", 2, "--size 4 is out of range"),
        ("run resnet-overfit --quick --seeds 0", 2, "--seeds 0 runs nothing"),
        ("run resnet-overfit --quick --minutes 0", 2, "--minutes 0 leaves no time"),
        ("run tour --quick", 2, "tour has no --quick"),
        ("run --seed 3", 2, "which recipe?"),
        ("run --resume /nowhere", 1, "/nowhere is no run folder"),
        ("run --resume", 2, "--resume needs a value"),
        ("predict /nowhere x.png", 1, "/nowhere is no run folder"),
        ("compare /nowhere /nowhere", 1, "/nowhere is no run folder"),
        ("data chekc", 2, "Did you mean 'check'?"),
        ("data list cifra10", 2, "Did you mean 'cifar10'?"),
        ("data check /nowhere/at/all", 1, "no folder or zip at /nowhere/at/all"),
        ("data get imagenet", 1, "imagenet"),
    ],
)
def test_wrong_use_gives_one_sentence_and_no_traceback(
    words, code, sentence, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == code
    message = said(capsys)
    assert sentence in message
    assert "Traceback" not in message


def test_a_wrong_option_names_the_nearest_one(capsys):
    with pytest.raises(SystemExit) as end:
        main(["run", "resnet-overfit", "--epoch", "3"])
    assert end.value.code == 2
    assert "--epochs" in "".join(capsys.readouterr())


def test_what_nobody_foresaw_is_a_sentence_too_and_a_traceback_with_debug(capsys, monkeypatch):
    def fail(_words):
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr("vislab.cli.doctor_command.main", fail)
    assert main(["doctor"]) == 1
    assert "ZeroDivisionError: a mistake of ours" in said(capsys)
    with pytest.raises(ZeroDivisionError):
        main(["doctor", "--debug"])


def test_a_reader_that_goes_away_is_no_failure():
    code = "import sys; from vislab.cli.main import main; sys.exit(main(['data', 'list']))"
    done = subprocess.run(
        f'{sys.executable} -c "{code}" | head -1; exit ${{PIPESTATUS[0]}}',
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_list_names_recipes_their_images_and_whether_they_are_here(capsys):
    assert main(["list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"resnet-overfit", "augmentation", "tour"} <= set(rows)
    assert rows["resnet-overfit"]["data"] == "cifar10"
    assert rows["resnet-overfit"]["data_is_here"] is False
    assert rows["resnet-overfit"]["quick_data"].startswith("shapes")


def test_run_writes_everything_that_belongs_to_a_run(finished):
    for name in (
        "recipe.yaml", "environment.json", "metrics.jsonl", "result.json", "model.safetensors",
        "model.json", "report.html", "figures/kernels.png", "tables/test-predictions.csv",
        "figures/kernel-magnitudes-by-depth.svg", "checkpoints/training/last.ckpt",
    ):  # fmt: skip
        assert (finished / name).stat().st_size > 0, name
    assert list(finished.glob("events.*"))
    result = json.loads((finished / "result.json").read_text())
    assert result["recipe"] == "resnet-overfit"
    assert result["status"] == "finished"
    assert result["references"][1]["verdict"] == "not comparable"
    assert {claim["verdict"] for claim in result["claims"]} <= {
        "confirmed", "refuted", "undecided"
    }  # fmt: skip
    assert result["seconds"] > 0
    assert result["peak_memory_bytes"] > 1e8
    assert result["costs"][0]["parameters"] == 11_178_051


@pytest.mark.slow
def test_the_command_in_the_report_repeats_the_run(finished, few, tmp_path, capsys):
    command = json.loads((finished / "result.json").read_text())["command"].split()
    assert command[:2] == ["vislab", "run"]
    again = tmp_path / "again"
    assert main([*command[1:], "--folder", str(again)]) == 0
    capsys.readouterr()
    assert main(["compare", str(finished), str(again), "--out", str(tmp_path / "c.html")]) == 0
    assert "the two runs are identical" in capsys.readouterr().out
    assert (tmp_path / "c.html").stat().st_size > 1000


def test_compare_as_json_has_an_interval(finished, tmp_path, capsys):
    assert main(["compare", str(finished), str(finished), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_a_run_is_not_overwritten(finished, few, capsys):
    words = ["run", "resnet-overfit", "--data", str(few), "--folder", str(finished), *QUICK]
    assert main(words) == 1
    assert "already holds a run; continue it with" in said(capsys)


def test_a_finished_run_is_not_continued(finished, capsys):
    assert main(["run", "--resume", str(finished)]) == 0
    assert "finished already" in capsys.readouterr().out


def test_resume_takes_no_other_options(finished, capsys):
    assert main(["run", "--resume", str(finished), "--epochs", "9"]) == 2
    assert "--resume continues a run as it was begun" in said(capsys)


def test_predict_tells_label_and_probability(finished, few, capsys, tmp_path):
    photo = tmp_path / "ein Foto.jpg"
    Image.fromarray(np.full((300, 400, 3), (20, 20, 200), dtype=np.uint8)).save(photo)
    assert main(["predict", str(finished), str(few / "test/red"), str(photo), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 6
    assert set(rows[0]) == {"input", "label", "probability", "top", "line", "files"}
    assert rows[-1]["input"] == str(photo)
    assert all(row["label"] in ("red", "green", "blue") for row in rows)
    assert all(1 / 3 <= row["probability"] <= 1 for row in rows)
    assert main(["predict", str(finished), str(photo)]) == 0
    assert rows[-1]["label"] in capsys.readouterr().out


def test_predict_agrees_with_the_predictions_of_the_run(finished, few, capsys):
    import csv

    with (finished / "tables/test-predictions.csv").open() as file:
        table = {row["image"]: row for row in csv.DictReader(file)}
    assert main(["predict", str(finished), str(few / "test"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(table) == 15
    for row in rows:
        told = table[os.path.relpath(row["input"], few)]
        assert row["label"] == told["predicted"]
        assert row["probability"] == pytest.approx(float(told["probability"]), abs=1e-4)


def predicted(words, capsys):
    assert main(["predict", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_predict_draws_where_the_network_looked_and_names_the_drawings(
    finished, few, tmp_path, capsys
):
    rows = predicted([finished, few / "test/red", "--out", tmp_path / "new/why"], capsys)
    assert [row["files"] for row in rows] == [
        [str(tmp_path / f"new/why/{number}{ending}") for ending in (".json", ".png")]
        for number in range(5)
    ]
    for row in rows:
        drawing = np.asarray(Image.open(row["files"][1]).convert("RGB")).astype(int)
        assert drawing.shape[1] > drawing.shape[0]  # two images side by side
        assert len(np.unique(drawing.reshape(-1, 3), axis=0)) > 50


def test_drawings_lie_in_the_run_folder_unless_told(finished, few, capsys):
    (row,) = predicted([finished, few / "test/blue/3.png"], capsys)
    assert row["files"][1] == str(finished / "predictions/3.png")
    assert Image.open(row["files"][1]).width > 100
    assert main(["predict", str(finished), str(few / "test/blue/3.png")]) == 0
    assert f"answers: {finished / 'predictions'}\n" in capsys.readouterr().out


def test_images_of_one_name_get_drawings_of_their_own(finished, few, tmp_path, capsys):
    other = tmp_path / "0-2.png"
    shutil.copy(few / "test/red/1.png", other)
    asked = [few / "test/red/0.png", few / "test/green/0.png", other, few / "test/blue/0.png"]
    rows = predicted([finished, *asked, "--out", tmp_path / "why"], capsys)
    assert [row["input"] for row in rows] == [str(path) for path in asked]
    names = [row["files"][1] for row in rows]
    assert names[0] == str(tmp_path / "why/0.png")
    assert len(set(names)) == 4
    contents = {(tmp_path / "why" / name).read_bytes() for name in names}
    assert len(contents) == len(list((tmp_path / "why").glob("*.png"))) == 4
    assert len(list((tmp_path / "why").glob("*.json"))) == 4


def test_a_drawing_is_of_its_own_image_and_answer(finished, few, tmp_path, capsys, monkeypatch):
    from vislab.runs import figures

    drawn, draw = [], figures.heatmaps_over_images

    def note(images, maps, **named):
        drawn.append((images[0], maps[0], named["titles"]))
        return draw(images, maps, **named)

    monkeypatch.setattr(figures, "heatmaps_over_images", note)
    rows = predicted([finished, few / "test", "--out", tmp_path / "why"], capsys)
    assert len(drawn) == len(rows) == 15
    for row, (image, found, (title,)) in zip(rows, drawn, strict=True):
        as_it_is = np.asarray(Image.open(row["input"]).convert("RGB").resize((32, 32)))
        assert np.abs(image.mean(axis=(0, 1)) - as_it_is.mean(axis=(0, 1))).max() < 2
        assert (found >= 0).all()
        assert title.split() == [row["label"], f"{row['probability']:.0%}"]
    assert len({found.tobytes() for _, found, _ in drawn}) == 15


def test_only_the_first_images_of_many_are_drawn(finished, few, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vislab.inference.predicting.DRAWN", 2)
    words = [finished, few / "test", "--out", tmp_path / "why"]
    rows = predicted(words, capsys)
    assert len(rows) == 15
    assert [len(row["files"]) for row in rows] == [2, 2] + [1] * 13
    assert len(list((tmp_path / "why").glob("*.png"))) == 2
    assert main(["predict", *map(str, words)]) == 0
    assert f"answers: {tmp_path / 'why'}, drawings of 2 of 15" in capsys.readouterr().out


def test_a_network_without_places_predicts_without_drawings(few, tmp_path, capsys):
    from vislab import data, models, tasks
    from vislab.lab.bench import Lab
    from vislab.runs.folder import RunFolder

    run = RunFolder.create(tmp_path / "run", "linear", {})
    model = models.create("linear-scores", classes=3, features=3 * 16 * 16)
    Lab(run, quiet=True).keep(tasks.Classify(model), data.images(str(few), size=16))
    run.result.status = "finished"
    run.save()
    rows = predicted([run.path, few / "test/red", "--out", tmp_path / "why"], capsys)
    assert len(rows) == 5
    assert {len(row["files"]) for row in rows} == {1}
    assert not list((tmp_path / "why").glob("*.png"))
    assert main(["predict", str(run.path), str(few / "test/red")]) == 0
    page = capsys.readouterr().out
    assert "drawings of none of 5" in page
    assert str(few / "test/red/4.png") in page


def test_asking_from_python_draws_nothing_unless_a_folder_is_named(finished, few, tmp_path):
    from vislab.inference import predict
    from vislab.runs.folder import RunFolder

    before = sorted(finished.rglob("*"))
    (row,) = predict(RunFolder.open(finished), [few / "test/red/0.png"])
    assert set(row) == {"input", "label", "probability", "top", "line"}
    assert sorted(finished.rglob("*")) == before
    (same,) = predict(RunFolder.open(finished), [few / "test/red/0.png"], out=tmp_path)
    assert same.pop("files") == [str(tmp_path / "0.json"), str(tmp_path / "0.png")]
    assert same == row


def test_a_folder_for_drawings_that_cannot_be_is_told_in_a_sentence(
    finished, few, tmp_path, capsys
):
    (tmp_path / "file").write_text("in the way")
    words = [finished, few / "test/red", "--out", tmp_path / "file"]
    assert main(["predict", *map(str, words)]) == 1
    message = said(capsys)
    assert f"{tmp_path / 'file'} could not be written" in message
    assert "Traceback" not in message


def test_an_image_that_is_asked_about_is_never_written_over(finished, few, tmp_path, capsys):
    photo = tmp_path / "0.png"
    shutil.copy(few / "test/red/0.png", photo)
    before = photo.read_bytes()
    (row,) = predicted([finished, photo, "--out", tmp_path], capsys)
    assert photo.read_bytes() == before
    assert str(photo) not in row["files"]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda run: (run / "model.safetensors").write_bytes(b"short"), "are damaged"),
        (lambda run: (run / "model.safetensors").unlink(), "ended before its weights were kept"),
        (lambda run: (run / "model.json").unlink(), "model.json is missing"),
        (
            lambda run: (run / "recipe.yaml").write_text("recipe: x\nformat: 99\noptions: {}\n"),
            "was written by a newer vislab",
        ),
    ],
)
def test_a_damaged_run_is_told_in_a_sentence(finished, few, tmp_path, capsys, damage, sentence):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    damage(run)
    assert main(["predict", str(run), str(few / "test/red/0.png")]) == 1
    assert sentence in said(capsys)


def test_predict_goes_on_past_what_it_cannot_read_and_names_it(finished, few, tmp_path, capsys):
    asked = tmp_path / "asked"
    asked.mkdir()
    for name in ("1.png", "3.png", "5" + "a" * 240 + ".png"):
        (asked / name).write_bytes((few / "test/red/0.png").read_bytes())
    (asked / "2.png").write_bytes(b"a letter")
    (asked / "4.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\nnosuchoperator\n")
    (asked / "._1.png").write_bytes(b"left by a machine")
    words = ["predict", str(finished), str(asked), "--out", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["input"].rsplit("/", 1)[1][:1] for row in rows] == list("12345")
    assert ["error" in row for row in rows] == [False, True, False, True, False]
    assert "is no image that can be read" in rows[1]["error"]
    assert "is a PostScript program, which is not run" in rows[3]["error"]
    assert all(Path(file).exists() for row in rows for file in row.get("files", []))
    assert main(words) == 1
    assert "2 of 5 inputs were left out" in capsys.readouterr().out


def test_predict_names_what_is_no_image(finished, tmp_path, capsys):
    (tmp_path / "x.png").write_text("no image")
    assert main(["predict", str(finished), str(tmp_path / "x.png")]) == 1
    assert "x.png" in said(capsys)
    (tmp_path / "empty").mkdir()
    assert main(["predict", str(finished), str(tmp_path / "empty")]) == 1
    assert "holds no images" in said(capsys)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda f: (f / "test/red/0.png").write_bytes(b"\x89PNG broken"), "1 of 33 images"),
        (lambda f: (f / "train/mauve").mkdir(), "holds no images"),
        (lambda f: shutil.rmtree(f / "train/red"), "classes to test on that are not under train"),
        (
            lambda f: (f / "labels.csv").write_text(
                "path,label,split\ntrain/red/0.png,red,train\ntrain/blue/0.png,blue,train\n"
            ),
            "has no images to test on",
        ),
        (
            lambda f: (f / "labels.csv").write_text("path,label\ntrain/red/77.png,red\n"),
            "none of the images that the label file",
        ),
        (
            lambda f: (f / "labels.csv").write_text(
                "path,label,split\ntrain/red/1.png,red,trian\n"
            ),
            "in the split 'trian'; write one of train, val, test",
        ),
    ],
)
def test_spoiled_images_are_told_in_a_sentence(few, tmp_path, capsys, spoil, sentence):
    folder = tmp_path / "images"
    shutil.copytree(few, folder)
    spoil(folder)
    words = ["run", "resnet-overfit", "--data", str(folder), "--folder", str(tmp_path / "run")]
    assert main([*words, "--size", "32", "--per-class", "3", "--epochs", "1"]) == 1
    message = said(capsys)
    assert sentence in message
    assert "Traceback" not in message


def test_data_check_returns_1_when_something_would_spoil_a_result(few, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    assert main(["data", "check", str(few), "--sheet", str(sheet)]) == 0
    assert Image.open(sheet).width > 200
    folder = tmp_path / "images"
    shutil.copytree(few, folder)
    shutil.copy(folder / "train/red/0.png", folder / "test/red/copy.png")
    assert main(["data", "check", str(folder), "--sheet", str(sheet), "--json"]) == 1
    found = json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))
    assert any("also in train" in problem["sentence"] for problem in found["spoils"])


def test_doctor_tells_versions_disk_and_advice(capsys):
    assert main(["doctor"]) == 0
    page = capsys.readouterr().out
    for word in ("torch", "processor", "disk", "data here", "\n- "):
        assert word in page


def test_quick_and_the_courses_protocol_change_the_defaults():
    from vislab import recipes

    kind = recipes.find("resnet-overfit")
    _, quick = run_command.parse(kind, "resnet-overfit", ["--quick", "--epochs", "2"])
    assert (quick.data, quick.epochs) == (kind.quick["data"], 2)
    _, course = run_command.parse(kind, "resnet-overfit", ["--course-protocol"])
    assert (course.size, course.epochs, course.batch, course.optim.lr) == (224, 38, 32, 1e-3)


def test_folders_made_at_the_same_moment_are_different_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(run_command.new_folder, ["./mine.py"] * 24))
    assert len(set(made)) == 24
    assert all(folder.name.startswith("mine-20") and folder.is_dir() for folder in made)


@pytest.mark.parametrize(
    ("words", "flag", "value", "rest"),
    [
        (["--a", "1", "--b=2"], "--a", "1", ["--b=2"]),
        (["--a", "1", "--b=2"], "--b", "2", ["--a", "1"]),
        (["x"], "--a", None, ["x"]),
    ],
)
def test_flags_are_found_and_left_out(words, flag, value, rest):
    assert run_command.value_of(words, flag) == value
    assert run_command.without(words, flag) == rest


def test_devices_do_not_go_with_torchrun(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="--devices does not go with torchrun"):
        run_command.spread(2, ["run", "tour"])
