"""The checker of foreign files refuses what does not fit, and names it."""

from typing import Any

import pytest

from vislab.runs.shape import NUMBER, Misfit, at_least_zero, fits, pair, require, require_plain


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (1, int), (1, float), (1.5, float), (None, NUMBER), ("a", {"a", "b"}), ([1, 2], [int]),
        ((1, None), pair), ({"a": 1, "c": "more"}, {"a": int, "b?": str}), ({"x": 1}, {"*": int}),
        (True, bool), ([], [str]), ({}, {"*": str}), (0.0, at_least_zero), (object(), Any),
    ],
)  # fmt: skip
def test_what_fits_is_passed(value, shape):
    assert fits(value, shape)


@pytest.mark.parametrize(
    ("value", "shape", "sentence"),
    [
        (True, int, "it is True"),
        (True, float, "it is True"),
        (1.5, int, r"it is 1\.5"),
        ("1", float, "it is '1'"),
        ("c", {"a", "b"}, "it is 'c'"),
        (["a"], {"a", "b"}, r"it is \['a'\]"),
        ("ab", [str], "it is 'ab', not a list"),
        ([1, "a"], [int], r"it\[1\] is 'a'"),
        ((1,), pair, r"it is \(1,\)"),
        ({}, {"a": int}, "it has no a"),
        ({"a": {"b": [None]}}, {"a": {"b": [str]}}, r"it\.a\.b\[0\] is None"),
        ({"a": {"b": 1}}, {"a": (None, {"b": str})}, r"it\.a\.b is 1"),
        ({"x": "a"}, {"*": int}, r"it\.x is 'a'"),
        (-1, at_least_zero, "it is -1"),
        ("x" * 99, int, "it is 'xxx.*[.]{3}"),
    ],
)
def test_what_does_not_is_named_with_its_place(value, shape, sentence):
    with pytest.raises(Misfit, match=f"^{sentence}$"):
        require(value, shape, "it")


@pytest.mark.parametrize(
    "content",
    [float("nan"), {"a": [float("inf")]}, 2**63, {1: 2}, "\ud800", {"\udfff": 1}, {1, 2}, b"a"],
)
def test_what_json_cannot_hold_is_refused(content):
    with pytest.raises(Misfit):
        require_plain(content)


def test_what_has_no_end_or_no_bottom_is_refused():
    ring: list[Any] = []
    ring.append(ring)
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    for content in (ring, deep, [[0] * 2000] * 1000):
        with pytest.raises(Misfit, match="it holds too much"):
            require_plain(content)
    require_plain({"a": [1, 2.5, None, True, "größer"]})
    require_plain(float("inf"), finite=False)
