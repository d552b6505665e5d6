import pytest

from vislab.runs.claims import claim


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.9, 0.95), "confirmed"),  # the bound itself satisfies "at least"
        ((0.8999, 0.95), "undecided"),
        ((0.8, 0.9), "undecided"),  # the upper end alone satisfies it
        ((0.8, 0.8999), "refuted"),
    ],
)
def test_a_lower_bound_needs_the_whole_interval(interval, verdict):
    asked = claim("it learns", "test/accuracy", at_least=0.9)
    judged = asked.judge({"test/accuracy": sum(interval) / 2}, {"test/accuracy": interval})
    assert judged["verdict"] == verdict


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.2, "confirmed"), (0.3, "confirmed"), (0.31, "refuted")]
)
def test_without_an_interval_the_value_itself_decides(value, verdict):
    judged = claim("it forgets", "loss", at_most=0.3).judge({"loss": value}, {})
    assert judged["verdict"] == verdict
    assert judged["interval"] == [value, value]


def test_between_two_bounds():
    asked = claim("about a half", "share", at_least=0.4, at_most=0.6)
    verdicts = [
        asked.judge({"share": 0.5}, {"share": interval})["verdict"]
        for interval in ((0.4, 0.6), (0.3, 0.5), (0.61, 0.7), (0.1, 0.39), (0.3, 0.7))
    ]
    assert verdicts == ["confirmed", "undecided", "refuted", "refuted", "undecided"]


def test_what_was_not_measured_or_is_no_number_is_undecided():
    asked = claim("it learns", "test/accuracy", at_least=0.9)
    judged = asked.judge({"train/accuracy": 1.0}, {})
    assert (judged["verdict"], judged["value"], judged["interval"]) == ("undecided", None, None)
    assert asked.judge({"test/accuracy": float("nan")}, {})["verdict"] == "undecided"


def test_a_claim_that_asks_for_nothing_is_our_mistake():
    with pytest.raises(AssertionError, match="asks for nothing"):
        claim("it is nice", "test/accuracy")
