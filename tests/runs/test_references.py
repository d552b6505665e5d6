import pytest

from vislab.runs.references import Protocol, as_cells, course, literature

OURS = Protocol(data="CIFAR-10", train=1000, test=10_000, size=32, metric="accuracy")


def beside(theirs, value=0.5, measured=0.5, interval=None):
    intervals = {} if interval is None else {"test/accuracy": interval}
    reference = course("test/accuracy", value, "GNR-650", protocol=theirs)
    return reference.beside({"test/accuracy": measured}, intervals, OURS)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(0.48, "the same"), (0.4799, "higher"), (0.52, "the same"), (0.5201, "lower")],
)
def test_their_number_inside_our_interval_is_the_same_ends_included(value, verdict):
    assert beside(OURS, value, interval=(0.48, 0.52))["verdict"] == verdict


def test_without_an_interval_only_the_same_number_is_the_same():
    assert beside(OURS, 0.5)["verdict"] == "the same"
    assert beside(OURS, 0.501)["verdict"] == "lower"


@pytest.mark.parametrize(
    "theirs",
    [
        Protocol(data="CIFAR-100"),
        Protocol(train=50_000),
        Protocol(test=1000),
        Protocol(metric="mAP"),
    ],
)
def test_other_data_amount_or_metric_is_not_comparable_even_where_the_numbers_agree(theirs):
    assert beside(theirs)["verdict"] == "not comparable"


def test_other_cells_differ_without_forbidding_the_comparison():
    found = beside(Protocol(data="cifar-10", size=224, augmentation="none"))
    assert found["verdict"] == "the same"
    assert found["cells"] == [
        {"cell": "data", "theirs": "cifar-10", "ours": "CIFAR-10", "differs": False},
        {"cell": "size", "theirs": 224, "ours": 32, "differs": True},
        {"cell": "augmentation", "theirs": "none", "ours": None, "differs": True},  # not known
    ]


def test_what_was_not_measured_is_neither_higher_nor_lower():
    reference = literature("val/accuracy", 0.9, "He et al. 2016", protocol=OURS)
    found = reference.beside({"test/accuracy": 0.5}, {}, OURS)
    assert (found["verdict"], found["ours"], found["kind"]) == ("not measured", None, "literature")
    assert beside(OURS, measured=float("nan"))["verdict"] == "not measured"


def test_cells_that_are_not_known_are_left_out():
    assert as_cells(Protocol(train=0, network="ResNet-18")) == {"train": 0, "network": "ResNet-18"}
