"""Boxes to offsets and back, by hand, by round trips, and as torchvision does it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection._utils import BoxCoder

from vislab.ops.box_codings import decode_rcnn, decode_yolo, encode_rcnn, encode_yolo
from vislab.ops.boxes import area

ANCHOR = torch.tensor([16.0, 16.0, 48.0, 80.0])  # centre 32, 48; sides 32, 64
BOX = torch.tensor([24.0, 8.0, 88.0, 24.0])  # centre 56, 16; sides 64, 16


def boxes(generator, *size):
    corner = torch.rand(*size, 2, generator=generator) * 200
    return torch.cat((corner, corner + 4 + torch.rand(*size, 2, generator=generator) * 200), -1)


def test_cases_by_hand():
    log = [math.log(2), math.log(1 / 4)]
    assert encode_yolo(BOX, ANCHOR, stride=32).tolist() == pytest.approx([24 / 32, -1, *log])
    assert encode_rcnn(BOX, ANCHOR).tolist() == pytest.approx([24 / 32, -0.5, *log])
    weighted = encode_rcnn(BOX, ANCHOR, weights=(10, 10, 5, 5)).tolist()
    assert weighted == pytest.approx([7.5, -5, 5 * log[0], 5 * log[1]])


def test_offsets_of_zero_are_the_anchor():
    none = torch.zeros(4)
    torch.testing.assert_close(decode_yolo(none, ANCHOR, stride=32), ANCHOR)
    torch.testing.assert_close(decode_rcnn(none, ANCHOR, weights=(10, 10, 5, 5)), ANCHOR)


@given(st.integers(0, 9999), st.sampled_from([8, 32, 12.5]))
@settings(max_examples=25, deadline=None)
def test_what_is_encoded_is_decoded(seed, stride):
    generator = torch.Generator().manual_seed(seed)
    truth, anchors = boxes(generator, 3, 5).double(), boxes(generator, 5).double()
    for weights in ((1, 1, 1, 1), (10, 10, 5, 5)):
        offsets = encode_rcnn(truth, anchors, weights=weights)
        again = decode_rcnn(offsets, anchors, weights=weights)
        torch.testing.assert_close(again, truth, rtol=0, atol=1e-5)
    again = decode_yolo(encode_yolo(truth, anchors, stride=stride), anchors, stride=stride)
    torch.testing.assert_close(again, truth, rtol=0, atol=1e-5)
    single = decode_rcnn(encode_rcnn(truth.float(), anchors.float()), anchors.float())
    torch.testing.assert_close(single, truth.float(), rtol=1e-5, atol=1e-3)


def test_the_rcnn_coding_is_torchvisions(rng):
    truth, anchors, offsets = boxes(rng, 9), boxes(rng, 9), torch.randn(9, 4, generator=rng) * 9
    theirs = BoxCoder((10.0, 10.0, 5.0, 5.0))
    weights = (10, 10, 5, 5)
    torch.testing.assert_close(
        encode_rcnn(truth, anchors, weights=weights), theirs.encode_single(truth, anchors)
    )
    torch.testing.assert_close(
        decode_rcnn(offsets, anchors, weights=weights),
        theirs.decode_single(offsets, anchors),
        rtol=1e-5,
        atol=1e-3,
    )


def test_a_box_per_class_goes_with_one_anchor(rng):
    offsets, anchors = torch.randn(4, 3, 4, generator=rng), boxes(rng, 4)
    found = decode_rcnn(offsets, anchors[:, None])
    assert found.shape == (4, 3, 4)
    torch.testing.assert_close(found[2, 1], decode_rcnn(offsets[2, 1], anchors[2]))


def test_a_wild_offset_and_a_row_of_padding_stay_finite():
    wild = torch.tensor([0.0, 0.0, 1e4, 50.0])
    for found in (decode_rcnn(wild, ANCHOR), decode_yolo(wild, ANCHOR, stride=32)):
        assert area(found).item() == pytest.approx(32 * 62.5 * 64 * 62.5, rel=1e-5)
    padding = torch.zeros(4)
    assert bool(encode_rcnn(padding, ANCHOR).isfinite().all())
    assert bool(encode_yolo(padding, ANCHOR, stride=32).isfinite().all())
