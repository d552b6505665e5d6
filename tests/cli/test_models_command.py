"""`vislab models` as a user types it: lists, cards, layers, and how it says no."""

import json
import re
import subprocess
import sys

import pytest

from vislab import models
from vislab.cli.main import main
from vislab.cli.models_command import aligned, sight
from vislab.profiling import zoo
from vislab.profiling.costs import parameters
from vislab.runs.formatting import THIN

KNOWN = {
    "convnet": (32, 72_954, 9_880_192, ""),
    "all-cnn": (32, 39_066, 8_196_096, ""),
    "torchvision:resnet18": (224, 11_689_512, 1_814_073_344, ""),
    "torchvision:odd": (224, 5_000, None, "ValueError: no"),
}


@pytest.fixture
def few(monkeypatch):
    """Let four networks be known, without counting them."""
    asked = []

    def listing(pattern="", *, size=None, quiet=False):
        asked.append((pattern, size))
        return [zoo.Count(name, *values) for name, values in KNOWN.items()]

    monkeypatch.setattr(zoo, "listing", listing)
    return asked


def run(capsys, *words):
    assert main(["models", *words]) == 0
    return capsys.readouterr().out


def rows(page):
    """Return the rows of an aligned table, up to the first empty line, as cells."""
    return [re.split(r"  +", line.strip()) for line in page.partition("\n\n")[0].splitlines()]


def test_the_list_is_aligned_and_written_for_people(few, capsys):
    page = run(capsys)
    assert few == [("", None)]
    head, *body = rows(page)
    assert head == ["network", "parameters", "MACs", "image"]
    assert body == [
        ["convnet", f"72{THIN}954", f"9.88{THIN}M", "32×32"],
        ["all-cnn", f"39{THIN}066", f"8.2{THIN}M", "32×32"],
        ["torchvision:resnet18", f"11.7{THIN}M", f"1.81{THIN}G", "224×224"],
        ["torchvision:odd", f"5{THIN}000", "unknown", "224×224"],
    ]
    lines = page.partition("\n\n")[0].splitlines()
    assert len({len(line) for line in lines}) == 1, "the last column ends in one place"


def test_the_list_as_json_is_exact(few, capsys):
    found = json.loads(run(capsys, "--json"))
    assert {one["name"]: tuple(one.values())[1:] for one in found} == KNOWN
    assert set(found[0]) == {"name", "size", "parameters", "macs", "problem"}


@pytest.mark.parametrize(
    ("by", "order"),
    [
        ("name", list(KNOWN)),
        ("parameters", ["torchvision:odd", "all-cnn", "convnet", "torchvision:resnet18"]),
        ("macs", ["all-cnn", "convnet", "torchvision:resnet18", "torchvision:odd"]),
    ],
)
def test_the_largest_come_last_and_then_the_unknown(few, capsys, by, order):
    assert [one["name"] for one in json.loads(run(capsys, "--json", "--sort", by))] == order


def test_a_pattern_and_a_size_are_handed_on(few, capsys):
    run(capsys, "timm:*vit*", "--size", "64")
    assert few == [("timm:*vit*", 64)]


def test_a_pattern_counts_what_it_names(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("VISLAB_HOME", str(tmp_path))
    monkeypatch.setattr(zoo, "image_networks", lambda: ["all-cnn", "convnet", "resnet18"])
    (found,) = json.loads(run(capsys, "*vnet", "--json"))
    assert found["name"] == "convnet"
    assert found["parameters"] == parameters(models.create("convnet", classes=10))
    assert json.loads(run(capsys, "*vnet", "--json")) == [found]


def test_layers_add_up_to_the_network_and_say_what_they_see(capsys):
    head, *body, total = rows(run(capsys, "all-cnn", "--layers"))
    assert head == ["layer", "kind", "gives", "parameters", "MACs", "sees"]
    assert body[0] == ["features.0", "Conv2d", "16×32×32", "432", f"442{THIN}368", "3×3"]
    assert body[2] == ["features.2", "ReLU", "16×32×32", "3×3"]
    assert body[-1][:2] == ["head", "Conv2d"]
    assert body[-1][-1] == "27×27"
    assert total == ["total", f"39{THIN}066", f"8.2{THIN}M"]


def test_layers_as_json_are_exact(capsys):
    told = json.loads(run(capsys, "resnet18", "--layers", "--json", "--size", "64"))
    assert (told["name"], told["size"]) == ("resnet18", 64)
    model = models.create("resnet18", classes=10)
    assert sum(row["parameters"] for row in told["layers"]) == parameters(model)
    by_name = {row["name"]: row for row in told["layers"]}
    assert by_name["layer4.1.relu"]["sees"] == [435, 435]
    assert by_name["layer4.1.relu"]["again"] is True
    assert by_name["fc"]["sees"] == "all"
    assert by_name["conv1"]["output"] == [64, 32, 32]


def test_an_exact_name_gives_a_card_with_times_and_the_way_on(capsys, monkeypatch):
    def latency(model, size, batch, device):
        return {"median": 20.0 + batch, "p95": 50.0 + batch}

    monkeypatch.setattr("vislab.profiling.costs.latency", latency)
    page = run(capsys, "convnet")
    assert re.search(rf"parameters +72{THIN}954", page)
    assert re.search(rf"MACs +9\.88{THIN}M \(9{THIN}880{THIN}192\)", page)
    assert re.search(r"layers +22 calls, 7 of which multiply", page)
    assert "21 ms, 95 % below 51 ms: 47.62 images a second" in page
    assert "not timed, a pass would take long" not in page
    assert "`vislab models convnet --layers`" in page
    told = json.loads(run(capsys, "convnet", "--json"))
    assert told["latency_ms"] == {
        "1": {"median": 21.0, "p95": 51.0},
        "64": {"median": 84.0, "p95": 114.0},
    }


def test_what_would_take_long_is_said_not_to_be_timed(capsys, monkeypatch):
    slow = {"median": 9e3, "p95": 9.5e3}
    monkeypatch.setattr("vislab.profiling.costs.latency", lambda *_: slow)
    page = run(capsys, "convnet")
    assert re.search(r"64 images +not timed, a pass would take long", page)
    assert json.loads(run(capsys, "convnet", "--json"))["latency_ms"]["64"] is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("resnet81", "no network is named 'resnet81'. Did you mean 'resnet18'?"),
        ("captioner", "does not take these options"),
        ("*net* --layers", "--layers opens one network; name it"),
        ("--layers", "--layers opens one network; name it"),
        ("convnet --size 0", "--size 0 is no image"),
        ("convnet --layers --size 2", "convnet cannot be run on an image of 2×2: RuntimeError"),
    ],
)
def test_wrong_use_gives_one_sentence(words, sentence, capsys):
    assert main(["models", *words.split()]) == 2
    message = capsys.readouterr().err
    assert sentence in message
    assert message.count("\n") == 1


def test_help_is_light_and_names_the_options():
    code = (
        "import sys\n"
        "from vislab.cli.main import main\n"
        "try:\n"
        "    main(['models', '--help'])\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "heavy = {'torch', 'torchvision', 'timm', 'matplotlib', 'numpy'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for option in ("--layers", "--json", "--sort", "--size"):
        assert option in done.stdout


@pytest.mark.parametrize(
    ("sees", "written"), [((3, 3), "3×3"), ((1, 7), "1×7"), ("all", "all"), (None, "–")]
)
def test_what_a_place_sees_is_written_as_rows_and_columns(sees, written):
    assert sight(sees) == written


def test_columns_are_as_wide_as_their_widest_cell():
    assert aligned([("a", "bbb", "1"), ("aaa", "b", "22")], left=2) == [
        "a    bbb   1",
        "aaa  b    22",
    ]
