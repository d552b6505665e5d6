"""Scenes: which image an index means, and what may not tell the class."""

import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vislab.data.shapes import CLASSES, DIFFICULTIES, Scenes, draw_scenes
from vislab.data.shapes.palette import BACKGROUNDS, COLOURS
from vislab.data.shapes.scene import Strokes
from vislab.data.shapes.visibility import uncover
from vislab.errors import OptionError, ShapeError, UnknownName

LEVELS = ("easy", "medium", "hard")
levels = st.sampled_from(LEVELS)
indices = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=6)


def columns(scenes: Scenes | Strokes) -> dict[str, np.ndarray]:
    """Return every column under its name, those of strokes too."""
    out = {}
    for field in fields(scenes):
        value = getattr(scenes, field.name)
        inner = columns(value) if isinstance(value, Strokes) else {"": value}
        out |= {f"{field.name} {name}": column for name, column in inner.items()}
    return out


def differing(a: Scenes, b: Scenes) -> set[str]:
    left, right = columns(a), columns(b)
    assert len(left) == 32
    return {name for name in left if not np.array_equal(left[name], right[name])}


def chi_square(a, b, kinds_a, kinds_b) -> tuple[float, float]:
    """Return Pearson's statistic of two columns, and the value it exceeds once in about 10⁵."""
    table = np.zeros((kinds_a, kinds_b))
    np.add.at(table, (a, b), 1)
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    bound = freedom + 4.3 * (2 * freedom) ** 0.5 + 12
    return ((table - expected) ** 2 / expected).sum(), bound


@settings(deadline=None, max_examples=40)
@given(indices, st.integers(0, 2**64 - 1), levels, st.randoms(use_true_random=False))
def test_a_scene_is_the_same_alone_and_in_any_company_and_order(index, seed, level, random):
    together = draw_scenes(index, seed=seed, difficulty=level)
    order = random.sample(range(len(index)), len(index))
    shuffled = draw_scenes([index[place] for place in order], seed=seed, difficulty=level)
    assert not differing(together[np.array(order)], shuffled)
    for place, alone in enumerate(index):
        one = draw_scenes([alone], seed=seed, difficulty=level)
        assert not differing(together[place : place + 1], one)


def test_the_levels_are_the_three_that_are_named():
    assert tuple(DIFFICULTIES) == LEVELS


@pytest.mark.parametrize("level", LEVELS)
def test_every_block_of_ten_indices_shows_each_class_once(level):
    kind = draw_scenes(range(30, 830), seed=3, difficulty=level).kind[:, 0].reshape(80, 10)
    assert (np.sort(kind, axis=1) == np.arange(10)).all()
    assert len({tuple(block) for block in kind.tolist()}) == 80  # each block in its own order


def test_ten_classes_have_the_ten_names():
    assert CLASSES == (
        "disc",
        "square",
        "triangle",
        "star",
        "ring",
        "cross",
        "heart",
        "crescent",
        "arrow",
        "flower",
    )


def test_neighbouring_indices_and_seeds_share_no_column_of_random_numbers():
    here, next_seed, far_seed = (
        draw_scenes(range(200), seed=seed, difficulty="hard") for seed in (0, 1, 2**63)
    )
    shifted = draw_scenes(range(1, 201), seed=0, difficulty="hard")
    for other in (next_seed, far_seed, shifted):
        assert not (here.key == other.key).any()
        assert not (here.centre == other.centre).all(axis=2).any()
        assert abs(np.corrcoef(here.centre[:, 0, 0], other.centre[:, 0, 0])[0, 1]) < 0.3
        assert 0.02 < (here.kind[:, 1] == other.kind[:, 1]).mean() < 0.25  # chance: 0.1
    for other in (next_seed, far_seed):
        assert 0.02 < (here.kind[:, 0] == other.kind[:, 0]).mean() < 0.25


def test_a_scene_keeps_its_class_and_colour_at_every_level():
    easy, medium, hard = (draw_scenes(range(100), seed=7, difficulty=level) for level in LEVELS)
    for other in (medium, hard):
        assert (easy.kind[:, 0] == other.kind[:, 0]).all()
        assert (easy.colour[:, 0] == other.colour[:, 0]).all()
        assert (easy.background_kind == other.background_kind).all()


@pytest.mark.parametrize("level", LEVELS)
def test_no_other_column_tells_the_class(level):
    scenes = draw_scenes(range(6000), seed=11, difficulty=level)
    kind = scenes.kind[:, 0]
    others = {
        "colour": scenes.colour[:, 0],
        "texture": scenes.texture[:, 0],
        "texture colour": scenes.texture_colour[:, 0],
        "background": scenes.background,
        "background kind": scenes.background_kind,
        "depth": scenes.depth[:, 0],
        "distractors": scenes.present.sum(axis=1),
        "occluders": scenes.occluders.present.sum(axis=1),
        "column": (scenes.centre[:, 0, 0] * 8).astype(int),
        "size": (scenes.radius[:, 0] * 40).astype(int),
        "tilt": ((scenes.rotation[:, 0, 1] + 1) * 4).astype(int),
    }
    if level != "easy":
        others["first distractor"] = scenes.kind[:, 1]
        others["its colour"] = scenes.colour[:, 1]
    for name, column in others.items():
        statistic, bound = chi_square(kind, column, 10, int(column.max()) + 1)
        assert statistic < bound, name


def test_a_planted_dependence_is_seen():
    scenes = draw_scenes(range(6000), difficulty="hard")
    kind = scenes.kind[:, 0]
    leaking = np.where(scenes.index % 7 == 0, kind, scenes.colour[:, 0])
    statistic, bound = chi_square(kind, leaking, 10, 10)
    assert statistic > 2 * bound


def test_what_is_taken_out_of_sight_does_not_depend_on_the_kind_it_hides():
    scenes = draw_scenes(range(400), seed=2, difficulty="hard")
    crowded = replace(scenes.occluders, present=np.ones_like(scenes.occluders.present))
    kept, depths = [], []
    for number in range(len(CLASSES)):
        kind = scenes.kind.copy()
        kind[:, 0] = number
        occluders = replace(crowded, present=crowded.present.copy())
        scene = replace(scenes, kind=kind, depth=scenes.depth.copy(), occluders=occluders)
        uncover(scene)
        kept.append(scene.occluders.present)
        depths.append(scene.depth)
    assert 0.2 < kept[0].mean() < 0.9  # the question was a real one
    assert all((a == kept[0]).all() for a in kept)
    assert all((a == depths[0]).all() for a in depths)


@pytest.mark.parametrize(
    ("level", "steepest_degrees"), [("easy", 15), ("medium", 31), ("hard", 181)]
)
def test_objects_tilt_as_far_as_their_level_allows(level, steepest_degrees):
    rotation = draw_scenes(range(2000), difficulty=level).rotation
    np.testing.assert_allclose((rotation**2).sum(axis=2), 1, atol=3e-7)
    degrees = np.degrees(np.arctan2(rotation[:, 0, 1], rotation[:, 0, 0]))
    assert 0.95 * steepest_degrees < np.abs(degrees).max() < steepest_degrees
    if level == "hard":  # every direction about as often as every other
        counts = np.histogram(degrees, bins=12, range=(-180, 180))[0]
        assert counts.min() > 0.6 * 2000 / 12


@pytest.mark.parametrize("level", LEVELS)
def test_the_main_object_is_the_largest_and_lies_inside_the_image(level):
    scenes = draw_scenes(range(3000), seed=1, difficulty=level)
    main = scenes.radius[:, :1]
    assert (scenes.radius[:, 1:] < 0.51 * main).all()
    assert (scenes.centre[:, 0] > main).all()
    assert (scenes.centre[:, 0] < 1 - main).all()
    assert scenes.present[:, 0].all()
    slots = scenes.depth.shape[1]
    assert (np.sort(scenes.depth, axis=1) == np.arange(slots)).all()


@pytest.mark.parametrize("level", LEVELS)
def test_a_texture_never_has_its_objects_colour_nor_ink_on_a_dark_ground(level):
    scenes = draw_scenes(range(2000), difficulty=level)
    names, grounds = np.array(list(COLOURS)), np.array(list(BACKGROUNDS))
    assert (scenes.texture_colour != scenes.colour).all()
    assert set(names[scenes.colour].ravel()) == set(names) - {"cream", "ink"}
    inked = (names[scenes.texture_colour] == "ink").any(axis=1)
    dark = {"dusk", "forest", "plum", "night"}
    assert set(grounds[scenes.background[inked]]).isdisjoint(dark)
    assert set(grounds[scenes.background]) >= dark
    assert inked.mean() > 0.1


def test_harder_levels_hold_more():
    easy, medium, hard = (draw_scenes(range(500), difficulty=level) for level in LEVELS)
    things = [
        (s.present.sum() - 500, s.clutter.present.sum(), s.occluders.present.sum(), s.noise.mean())
        for s in (easy, medium, hard)
    ]
    assert things[0][:3] == (0, 0, 0)
    assert all(a < b for a, b in zip(things[0], things[1], strict=True))
    assert all(a < b for a, b in zip(things[1], things[2], strict=True))


def test_no_scenes_are_scenes():
    assert len(draw_scenes([])) == 0


@pytest.mark.parametrize("kind", ["int16", "uint64", "list"])
def test_indices_of_any_whole_type_mean_the_same(kind):
    asked = [5, 1000, 3] if kind == "list" else np.array([5, 1000, 3], dtype=kind)
    assert not differing(draw_scenes(asked), draw_scenes(np.array([5, 1000, 3])))


def test_an_unknown_difficulty_names_the_nearest():
    with pytest.raises(UnknownName, match=r"no difficulty is named 'hrad'. Did you mean 'hard'\?"):
        draw_scenes([0], difficulty="hrad")


def test_indices_and_seeds_that_count_nothing_are_refused():
    with pytest.raises(OptionError, match=r"index -3 is not in \[0, 2⁶³\); images are counted"):
        draw_scenes([4, -3])
    with pytest.raises(OptionError, match=r"index 18446744073709551615 is not in"):
        draw_scenes(np.array([2**64 - 1], dtype=np.uint64))
    with pytest.raises(OptionError, match=r"seed=-1 is not in \[0, 2⁶⁴\)"):
        draw_scenes([0], seed=-1)
    with pytest.raises(OptionError, match="seed=18446744073709551616 is not in"):
        draw_scenes([0], seed=2**64)
    with pytest.raises(ShapeError, match=r"indices have shape \(\) and type int64, .*\[index\]"):
        draw_scenes(np.array(3))
    with pytest.raises(ShapeError, match=r"shape \(1, 2\)"):
        draw_scenes([[0, 1]])
    with pytest.raises(ShapeError, match="type float64"):
        draw_scenes([0.0, 1.0])


def test_scenes_are_drawn_without_torch():
    code = "import sys, vislab.data.shapes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
