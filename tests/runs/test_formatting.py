import pytest

from vislab.runs import formatting


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (1234567, "1 234 567"),
        (-1500, "−1 500"),
        (1.23456, "1.235"),
        (0.00012345, "0.0001234"),
        (-2.5, "−2.5"),
        (123456.7, "123 457"),
        (3.0, "3"),
        (2e20, "2e+20"),
        (float("nan"), "not finite"),
        (float("-inf"), "not finite"),
    ],
)
def test_numbers(value, text):
    assert formatting.number(value).replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("value", "interval", "share", "text"),
    [
        (0.454, (0.4442, 0.4638), True, "45.4 % (44.4–46.4)"),
        (1.0, (0.9962, 1.0), True, "100.0 % (99.6–100.0)"),
        (0.001, (-0.009, 0.012), True, "0.1 % (−0.9 to 1.2)"),
        (2.5, (1.25, 3.75), False, "2.5 (1.25–3.75)"),
        (0.454, None, True, "45.4 %"),
        (None, (0.1, 0.2), True, "–"),
        (-0.0001, None, True, "0.0 %"),
        (float("nan"), None, True, "not finite"),
    ],
)
def test_values_with_their_interval(value, interval, share, text):
    written = formatting.with_span(value, interval, share=share)
    assert written.replace("\u202f", " ") == text


def test_accuracies_and_what_has_a_chance_level_are_shares():
    assert formatting.is_share("fixed/test/accuracy")
    assert formatting.is_share("test/balanced_accuracy")
    assert formatting.is_share("test/eer")
    assert formatting.is_share("compact, by person: error, female")
    assert formatting.is_share("shared: gain in accuracy over plain-head")
    assert not formatting.is_share("compact: parameters")
    assert not formatting.is_share("test/loss")


def test_names_of_metrics():
    assert formatting.label("lr") == "lr"
    assert formatting.label("test/accuracy") == "test accuracy"
    assert formatting.label("fixed/test/balanced_accuracy") == "fixed · test balanced accuracy"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (59.6, "1 min"),
        (75, "1 min 15 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (7260, "2 h 1 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations(seconds, text):
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "–"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (150 * 2**20, "150 MiB"),
        (3 * 2**40, "3072 GiB"),
    ],
)
def test_memory(size, text):
    assert formatting.memory(size) == text


def test_points_and_large_counts():
    assert formatting.points(-0.021) == "2.1 points"
    assert formatting.points(0.01) == "1.0 point"
    written = [formatting.amount(value) for value in (None, 999_999, 11_173_962, 1.82e9, 2e12)]
    assert [text.replace("\u202f", " ") for text in written] == [
        "–",
        "999 999",
        "11.2 M",
        "1.82 G",
        "2 T",
    ]


def test_values_of_options():
    values = [None, True, False, 1000, 1e-3, ["crop", 2], "a.b", [], {"a": 1}]
    written = [formatting.plain(value).replace("\u202f", " ") for value in values]
    assert written == ["–", "yes", "no", "1 000", "0.001", "crop, 2", "a.b", "", "{'a': 1}"]


@pytest.mark.parametrize(
    ("several", "one"),
    [("strategies", "strategy"), ("losses", "loss"), ("networks", "network"), ("data", "data")],
)
def test_one_of_several(several, one):
    assert formatting.singular(several) == one


@pytest.mark.parametrize(
    ("metric", "measured", "word"),
    [
        ("test/accuracy", (), "chance"),
        ("test/accuracy", ("test/balanced accuracy",), "largest class alone"),
        ("val/accuracy", ("test/balanced accuracy",), "largest class alone"),
        ("a/val/accuracy", ("test/balanced accuracy",), "chance"),
        ("a/val/accuracy", ("a/test/balanced accuracy",), "largest class alone"),
        ("test/balanced accuracy", ("test/balanced accuracy",), "chance"),
        ("test/dice", ("test/balanced accuracy",), "trivial answer"),
    ],
)
def test_the_level_beside_a_metric_is_called_what_it_is(metric, measured, word):
    assert formatting.trivial_word(metric, measured) == word
