from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as witness

from tests.data.formats.sets import made
from vislab.data.annotations import VOID
from vislab.data.formats import read_annotated
from vislab.data.mask_rendering import classes_of_masks, mask_of, region_of, rendering_notes
from vislab.errors import DataError


def ring(left, top, right, bottom):
    return (left, top, right, top, right, bottom, left, bottom)


def test_small_instances_lie_over_large_ones_in_any_order(tmp_path):
    large = (0, (0, 0, 20, 20), 0, {"outline": (ring(0.0, 0.0, 20.0, 20.0),)})
    small = (0, (5, 5, 9, 9), 1, {"outline": (ring(5.0, 5.0, 9.0, 9.0),)})
    expected = np.zeros((30, 40), dtype=np.uint8)
    expected[:20, :20] = 1
    expected[5:9, 5:9] = 2
    for instances in ([large, small], [small, large]):
        np.testing.assert_array_equal(mask_of(made(tmp_path, instances), 0), expected)


def test_a_crowd_is_void(tmp_path):
    crowd = (0, (5, 5, 9, 9), 1, {"outline": (ring(5.0, 5.0, 9.0, 9.0),), "crowd": True})
    mask = mask_of(made(tmp_path, [crowd]), 0)
    assert (mask[5:9, 5:9] == VOID).all()
    assert (mask == VOID).sum() == 16


def test_boxes_are_painted_where_no_instance_of_the_set_has_an_outline(tmp_path):
    boxes = made(tmp_path, [(0, (5, 5, 9, 9), 1, {}), (1, (30.2, 1, 30.4, 5), 0, {})])
    mask = mask_of(boxes, 0)
    assert (mask[5:9, 5:9] == 2).all()
    assert (mask != 0).sum() == 16
    assert np.argwhere(mask_of(boxes, 1)).tolist() == [[y, 30] for y in range(1, 5)]
    edge = made(tmp_path / "edge", [(0, (39.75, 29.6, 40, 30), 0, {})])
    assert np.argwhere(mask_of(edge, 0)).tolist() == [[29, 39]]
    assert rendering_notes(boxes) == (
        "no object has an outline: its whole box is painted as its class",
    )
    assert classes_of_masks(boxes) == ("background", "cat", "dog")


def test_a_box_among_outlines_is_void_where_nothing_else_is(tmp_path):
    outlined = (1, (5, 5, 9, 9), 1, {"outline": (ring(5.0, 5.0, 9.0, 9.0),)})
    mixed = made(tmp_path, [(1, (4, 4, 12, 12), 0, {}), outlined])
    mask = mask_of(mixed, 1)
    assert (mask[5:9, 5:9] == 2).all()
    assert (mask == VOID).sum() == 64 - 16
    assert rendering_notes(mixed) == (
        "1 objects have no outline: what is in their boxes alone is void",
    )


coordinates = st.floats(-1, 31).map(lambda value: round(value, 2))


@settings(max_examples=60, deadline=None)
@given(
    polygons=st.lists(
        st.lists(coordinates, min_size=6, max_size=12).filter(lambda p: len(p) % 2 == 0),
        min_size=1,
        max_size=3,
    )
)
def test_polygons_cover_what_cocos_own_code_covers(polygons):
    # cut to the image first, as here: what COCO's code does with points outside it is undefined
    cut = [np.clip(np.reshape(p, (-1, 2)), 0, [29, 23]).reshape(-1).tolist() for p in polygons]
    region = region_of(tuple(tuple(p) for p in polygons), 29, 23, "here")
    expected = witness.decode(witness.merge(witness.frPyObjects(cut, 23, 29)))
    np.testing.assert_array_equal(region, expected.astype(bool))


def test_an_outline_that_would_harm_is_refused():
    with pytest.raises(DataError, match="here: its outline is of another size"):
        region_of({"size": [3, 4], "counts": [12]}, 5, 5, "here")
    with pytest.raises(DataError, match="here: its outline has a polygon of under three points"):
        region_of(((1.0, 1.0, 2.0, 2.0),), 5, 5, "here")
    assert region_of(((-1e9, 0.0, 1e9, 0.0, 0.0, 1e9),), 5, 4, "here").shape == (4, 5)


def test_more_classes_than_a_mask_can_hold_are_refused(tmp_path):
    annotated = made(tmp_path, [(0, (1, 1, 5, 5), 0, {})])
    many = replace(annotated, classes=tuple(f"c{n}" for n in range(255)))
    with pytest.raises(DataError, match="255 classes; a mask holds up to 254"):
        mask_of(many, 0)


@pytest.mark.realdata
def test_coco_annotations_are_painted_as_by_cocos_own_code(real_data):
    annotated = read_annotated(real_data / "coco_mini")
    instances = annotated.instances
    compared = 0
    for instance in range(0, len(instances), 11):
        width, height = annotated.sizes[instances.image[instance]].tolist()
        outline = instances.outlines[instance]
        told = outline if isinstance(outline, dict) else [list(p) for p in outline]
        code = witness.frPyObjects(told, height, width)
        code = witness.merge(code) if isinstance(code, list) else code
        np.testing.assert_array_equal(
            region_of(outline, width, height, ""), witness.decode(code).astype(bool)
        )
        compared += 1
    assert compared > 70
