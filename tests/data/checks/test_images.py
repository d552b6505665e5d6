import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vislab.data.arrays import Arrays
from vislab.data.checks.images import check, near_pairs, perceptual_hashes
from vislab.data.folders import list_folder


def scene(seed, height=60, width=80):
    """An image with shapes of its own: smooth random clouds, no two seeds alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def sound(root, per_split=(4, 2, 3), names=("cat", "dog")):
    """A set without fault, with its own split."""
    seed = 0
    for split, count in zip(("train", "val", "test"), per_split, strict=True):
        for name in names:
            for i in range(count):
                save(scene(seed), root / split / name / f"{i}.png")
                seed += 1
    return root


def looked_at(root):
    return check(list_folder(root), progress=False)


def only(issues):
    (issue,) = issues
    return issue


def test_a_sound_set_has_nothing_that_spoils_and_nothing_to_warn_of(tmp_path, capsys):
    issues = check(list_folder(sound(tmp_path)))
    assert capsys.readouterr().out == ""  # the page is for the caller to print
    assert issues.spoils == ()
    assert issues.warnings == ()
    assert issues.lines()[-1] == "nothing found that would spoil a result"


def test_the_facts_count_what_is_there(tmp_path):
    sound(tmp_path)
    save(scene(99, 30, 40), tmp_path / "train" / "dog" / "more.png")
    facts = looked_at(tmp_path).facts
    assert facts["images"] == facts["readable"] == 19
    assert facts["splits"] == {"train": 9, "val": 4, "test": 6}
    assert facts["classes"]["dog"] == {"train": 5, "val": 2, "test": 3}
    assert (facts["largest_class"], facts["smallest_class"]) == ("dog", "cat")
    assert facts["largest_to_smallest"] == pytest.approx(10 / 9)
    assert facts["majority_share"] == pytest.approx(10 / 19)
    assert facts["width"] == {"min": 40, "median": 80.0, "max": 80}
    assert facts["height"] == {"min": 30, "median": 60.0, "max": 60}
    assert facts["formats"] == {"PNG": 19}


def test_unusual_kinds_are_counted(tmp_path):
    sound(tmp_path)
    train = tmp_path / "train" / "cat"
    note = Image.Exif()
    note[0x0112] = 6
    upright = Image.Exif()
    upright[0x0112] = 1
    save(scene(50).convert("L"), train / "grey.png")
    save(scene(51).convert("CMYK"), train / "ink.jpg")
    deep = np.asarray(scene(52).convert("L")).astype(np.uint16) * 257
    save(Image.fromarray(deep), train / "deep.png")
    save(scene(53), train / "moves.gif", save_all=True, append_images=[scene(54)])
    save(scene(55), train / "still.gif")
    save(scene(56), train / "turned.jpg", exif=note)
    save(scene(57), train / "turned.png", exif=note)
    save(scene(58), train / "not turned.jpg", exif=upright)
    issues = looked_at(tmp_path)
    assert issues.facts["kinds"] == {
        "grey": 2, "CMYK": 1, "16-bit": 1, "several pages": 1, "turned by EXIF": 2,
    }  # fmt: skip
    assert issues.facts["height"]["max"] == 80  # as seen, not as stored
    assert only(issues.warnings).startswith("1 file holds several pages or frames, of which")
    assert only(issues.doubtful).places == ("train/cat/moves.gif",)
    assert issues.spoils == ()


def test_images_that_cannot_be_read_spoil_and_each_says_why(tmp_path):
    sound(tmp_path)
    whole = (tmp_path / "train" / "cat" / "0.png").read_bytes()
    (tmp_path / "train" / "cat" / "1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "test" / "dog" / "2.png").write_bytes(b"<html>not found</html>")
    issues = looked_at(tmp_path)
    issue = only(issues.spoiling)
    assert issue.sentence.startswith("2 images cannot be read; mend or delete")
    damaged, no_image = sorted(issue.places, reverse=True)
    assert damaged.startswith("train/cat/1.png is damaged")
    assert no_image == "test/dog/2.png is no image that can be read"
    assert issues.facts["readable"] == 16


def test_a_test_image_that_is_trained_on_spoils_whatever_its_name_or_file(tmp_path):
    sound(tmp_path)
    save(scene(0), tmp_path / "test" / "cat" / "same bytes.png")
    save(scene(1), tmp_path / "test" / "cat" / "same pixels.bmp")
    issue = only(looked_at(tmp_path).spoiling)
    assert "2 test images are also in train or val" in issue.sentence
    assert "(1 byte for byte)" in issue.sentence
    assert "delete them from one split" in issue.sentence
    assert sorted(issue.places) == [
        "test/cat/same bytes.png (cat, test) = train/cat/0.png (cat, train)",
        "test/cat/same pixels.bmp (cat, test) = train/cat/1.png (cat, train)",
    ]


def test_a_test_image_that_is_tuned_on_spoils_too(tmp_path):
    sound(tmp_path)
    save(scene(8), tmp_path / "test" / "cat" / "x.png")
    issue = only(looked_at(tmp_path).spoiling)
    assert issue.places == ("test/cat/x.png (cat, test) = val/cat/0.png (cat, val)",)


def test_a_copy_in_validation_is_a_warning(tmp_path):
    sound(tmp_path)
    save(scene(0), tmp_path / "val" / "cat" / "x.png")
    issues = looked_at(tmp_path)
    assert issues.spoils == ()
    assert "1 val image is also in train" in only(issues.warnings)


def test_a_copy_in_the_same_split_is_a_warning(tmp_path):
    sound(tmp_path)
    for i in range(2):
        save(scene(0), tmp_path / "train" / "cat" / f"copy {i}.png")
    issues = looked_at(tmp_path)
    assert issues.spoils == ()
    assert only(issues.warnings).startswith("2 images are a copy of another in the same split")


def test_one_image_under_two_labels_spoils(tmp_path):
    sound(tmp_path)
    save(scene(0), tmp_path / "train" / "dog" / "x.png")
    issue = only(looked_at(tmp_path).spoiling)
    assert issue.sentence.startswith("1 image stands under two labels")
    assert issue.places == ("train/cat/0.png (cat, train) = train/dog/x.png (dog, train)",)


def test_a_lying_and_a_standing_image_of_one_colour_are_no_copies(tmp_path):
    sound(tmp_path)
    save(Image.new("RGB", (60, 40), "teal"), tmp_path / "train" / "cat" / "lying.png")
    save(Image.new("RGB", (40, 60), "teal"), tmp_path / "test" / "cat" / "standing.png")
    assert looked_at(tmp_path).spoils == ()


def test_where_vislab_drew_the_split_the_way_out_is_a_group(tmp_path):
    for name in ("cat", "dog"):
        for i in range(10):
            save(scene(0 if name == "cat" else 1), tmp_path / name / f"{i}.png")
    sentences = " ".join(looked_at(tmp_path).spoils)
    assert "2 test images are also" in sentences
    assert "give them one name in the column `group`" in sentences


ALTERED = {
    "saved again": lambda p, to: save(p, to.with_suffix(".jpg"), quality=60),
    "smaller": lambda p, to: save(p.resize((50, 38)), to),
    "lighter": lambda p, to: save(p.point(lambda v: 40 + v * 4 // 5), to),
    "with a speck": lambda p, to: (p.paste(0, (3, 3, 6, 6)), save(p, to)),
}


@pytest.mark.parametrize("how", ALTERED)
def test_a_near_duplicate_across_the_split_is_a_warning(tmp_path, how):
    sound(tmp_path)
    ALTERED[how](scene(0), tmp_path / "test" / "cat" / "near.png")
    issues = looked_at(tmp_path)
    assert issues.spoils == ()
    issue = only(issues.doubtful)
    assert "1 pair of near duplicates stands in two splits" in issue.sentence
    assert "test/cat/near" in issue.places[0]
    assert "≈ train/cat/0.png (cat, train)" in issue.places[0]


def test_near_duplicates_in_one_split_and_under_two_labels_are_told_apart(tmp_path):
    sound(tmp_path)
    save(scene(0).resize((50, 38)), tmp_path / "train" / "cat" / "same.png")
    save(scene(1).resize((50, 38)), tmp_path / "train" / "dog" / "other.png")
    across, same = looked_at(tmp_path).doubtful
    assert "under two labels" in across.sentence
    assert across.places == ("train/cat/1.png (cat, train) ≈ train/dog/other.png (dog, train)",)
    assert "in the same split" in same.sentence
    assert same.places == ("train/cat/0.png (cat, train) ≈ train/cat/same.png (cat, train)",)


def test_images_of_nearly_one_colour_are_not_near_duplicates_of_one_another(tmp_path):
    sound(tmp_path)
    shore = np.linspace(0, 4, 40).reshape(1, 40, 1)  # darker on one side, as every lake here is
    for i in range(12):
        lake = np.broadcast_to(90 + i + shore, (40, 40, 3)).round().astype(np.uint8)
        save(Image.fromarray(lake), tmp_path / ("train", "test")[i % 2] / "cat" / f"lake {i}.png")
    issues = looked_at(tmp_path)
    assert issues.warnings == issues.spoils == ()
    assert issues.facts["flat"] == 12
    assert any("12 of nearly one colour" in line for line in issues.lines())


def test_what_the_listing_left_out_is_among_the_findings(tmp_path):
    sound(tmp_path)
    (tmp_path / "test" / "owl").mkdir()
    save(scene(60), tmp_path / "loose.png")
    (tmp_path / "prices.csv").write_text("item,price\nfish,3\n")
    issues = looked_at(tmp_path)
    assert only(issues.spoils).startswith("1 class folder holds no image")
    loose, note = issues.doubtful
    assert loose.sentence.startswith("1 image has no label")
    assert loose.places == ("loose.png",)
    assert note.sentence.startswith("prices.csv was not used")


def labelled(root, rows, columns="path,label,group,split"):
    for seed, row in enumerate(rows):
        save(scene(seed), root / row.split(",")[0])
    (root / "labels.csv").write_text("\n".join([columns, *rows]) + "\n")
    return root


def test_a_group_in_two_splits_spoils_and_an_empty_cell_is_no_group(tmp_path):
    rows = [f"{i}.png,{'ab'[i % 2]},p{i // 2},{'train' if i < 8 else 'test'}" for i in range(16)]
    rows += ["x.png,a,p3,test", "y.png,a,,train", "z.png,b,,test"]
    issue = only(looked_at(labelled(tmp_path, rows)).spoiling)
    assert issue.sentence.startswith("1 group stands in two splits")
    assert issue.places == ("p3: train, test",)


def test_classes_that_are_missing_from_a_split(tmp_path):
    rows = [f"{i}.png,{'ab'[i % 2]},,{'train' if i < 8 else 'test'}" for i in range(16)]
    rows += ["x.png,only tested,,test", *(f"y{i}.png,only trained,,train" for i in range(3))]
    issues = looked_at(labelled(tmp_path, rows))
    untrained = only(issues.spoiling)
    assert untrained.sentence.startswith("1 class has no image to train on")
    assert untrained.places == ("only tested",)
    untested, few = issues.doubtful
    assert untested.sentence.startswith("1 class has no image to test on")
    assert untested.places == ("only trained",)
    assert few.sentence.startswith("1 class has fewer than 3 images")
    assert few.places == ("only tested: 1",)


def test_an_image_that_is_not_there_spoils(tmp_path):
    labelled(tmp_path, [f"{i}.png,{'ab'[i % 2]}" for i in range(20)], "path,label")
    (tmp_path / "7.png").unlink()
    issue = only(looked_at(tmp_path).spoiling)
    assert issue.sentence.startswith("1 image that the label file names is not to be found")
    assert issue.places == ("7.png",)


def test_uneven_classes_are_a_warning_and_a_missing_test_split_spoils(tmp_path):
    rows = [f"cat/{i}.png,cat,,train" for i in range(30)]
    rows += [f"dog/{i}.png,dog,,train" for i in range(30, 33)]
    issues = looked_at(labelled(tmp_path, rows))
    assert only(issues.spoils).startswith("no image is there to test on")
    assert "30 images of 'cat', 3 of 'dog'" in only(issues.warnings)


def test_what_must_be_settled_spoils(tmp_path):
    for number, name in enumerate(("Cat", "cat") * 10):
        save(scene(number), tmp_path / name / f"{number}.png")
    assert any("'Cat' and 'cat' differ in the case" in s for s in looked_at(tmp_path).spoils)


def test_long_images_lose_more_than_half_and_are_named(tmp_path):
    sound(tmp_path)
    save(scene(60, 40, 81), tmp_path / "train" / "cat" / "wide.png")
    save(scene(61, 80, 40), tmp_path / "train" / "cat" / "exactly two.png")
    issue = only(looked_at(tmp_path).doubtful)
    assert issue.sentence.startswith("1 image is over 2 times as long as wide")
    assert issue.places == ("train/cat/wide.png (81×40)",)


def test_the_page_shows_five_places_and_how_many_more_and_json_has_all(tmp_path):
    sound(tmp_path)
    for i in range(9):
        (tmp_path / "train" / "cat" / f"bad {i}.png").write_bytes(b"")
    issues = looked_at(tmp_path)
    lines = issues.lines()
    at = next(i for i, line in enumerate(lines) if line.startswith("spoils: 9 images"))
    assert [line.strip()[:19] for line in lines[at + 1 : at + 6]] == [
        f"train/cat/bad {i}.png" for i in range(5)
    ]
    assert lines[at + 6].strip() == "… and 4 more"
    plain = json.loads(json.dumps(issues.as_json()))
    assert len(plain["spoils"][0]["places"]) == 9
    assert plain["warnings"] == []
    assert plain["facts"]["splits"]["train"] == 17


def test_the_table_is_aligned_also_in_wide_letters_and_short_for_many_classes(tmp_path):
    names = ["犬の写真", "cat", "собака"]
    lines = looked_at(sound(tmp_path / "a", (1, 1, 1), names)).lines()
    table = lines[2 : lines.index("", 3)]
    assert table[0].split() == ["class", "train", "val", "test"]
    assert table[-1].split() == ["all", "3", "3", "3"]
    # A Japanese letter takes two columns of a terminal.
    widths = {len(line) + sum(ord(letter) > 0x2FFF for letter in line) for line in table}
    assert len(widths) == 1

    pixels = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 3), dtype=np.uint8)
    labels = np.concatenate([np.arange(40), np.full(60, 17)])
    many = Arrays(
        "many", tuple(f"c{i}" for i in range(40)), pixels, labels, np.zeros(100, dtype=np.uint8)
    )
    page = check(many, progress=False).lines()
    assert sum(line.startswith("c") for line in page) == 21
    assert "… 20 classes between these …" in page
    assert page[3].split()[0] == "c17"


def test_a_name_with_an_escape_or_a_broken_letter_does_not_reach_the_terminal(tmp_path):
    sound(tmp_path)
    broken = os.fsencode(tmp_path / "train" / "cat") + b"/\xff\x1b[31m.png"
    Path(os.fsdecode(broken)).write_bytes(b"")
    issues = looked_at(tmp_path)
    text = "\n".join([*issues.lines(), json.dumps(issues.as_json(), ensure_ascii=False)])
    assert "\x1b" not in text
    text.encode()
    assert "[31m.png is no image" in text


def arrays(n=40, official=True):
    pixels = np.stack([np.asarray(scene(i, 24, 20)) for i in range(n)])
    splits = np.array([0] * (n - 10) + [2] * 10, dtype=np.uint8)
    return Arrays("toy", ("a", "b"), pixels, np.arange(n) % 2, splits, official)


def test_a_set_in_memory_is_checked_too():
    sound_set = arrays()
    assert check(sound_set, progress=False).spoils == ()
    pixels = sound_set.pixels.copy()
    pixels[35] = pixels[5]
    pixels[36] = np.clip(pixels[6].astype(int) + 9, 0, 255)
    issues = check(replace(sound_set, pixels=pixels), progress=False)
    assert only(issues.spoiling).places == ("image 35 (b, test) = image 5 (b, train)",)
    assert only(issues.doubtful).places == ("image 6 (a, train) ≈ image 36 (a, test)",)
    assert "say so beside the score" in only(issues.spoils)


def test_a_set_in_memory_without_a_split_is_judged_by_the_split_it_will_get():
    whole = arrays(official=False)
    issues = check(replace(whole, splits=np.zeros(40, dtype=np.uint8)), progress=False)
    assert issues.facts["splits"] == {"train": 32, "val": 4, "test": 4}
    assert issues.warnings == ()


hash_words = st.integers(0, 2**64 - 1)


@settings(max_examples=60)
@given(
    base=st.lists(hash_words, min_size=1, max_size=6),
    flips=st.lists(
        st.tuples(st.integers(0, 5), st.sets(st.integers(0, 63), max_size=9)), max_size=20
    ),
)
def test_no_pair_within_six_bits_is_missed_and_none_beyond_is_found(base, flips):
    """Against every pair compared one by one."""
    words = list(base)
    for which, bits in flips:
        words.append(base[which % len(base)] ^ sum(1 << bit for bit in bits))
    hashes = np.array(words, dtype=np.uint64)
    same = np.tile(np.arange(256, dtype=np.uint8), (len(words), 1))  # so that the hash decides
    pairs, complete = near_pairs(hashes, same)
    expected = {
        (i, j)
        for i in range(len(words))
        for j in range(i + 1, len(words))
        if (words[i] ^ words[j]).bit_count() <= 6
    }
    assert complete
    assert len(pairs) == len(expected)
    assert {tuple(pair) for pair in pairs.tolist()} == expected


def test_six_bits_anywhere_are_found():
    rng = np.random.default_rng(0)
    near = {sum(1 << int(bit) for bit in rng.choice(64, 6, replace=False)) for _ in range(2000)}
    hashes = np.array([0, *near], dtype=np.uint64)
    greys = np.tile(np.arange(256, dtype=np.uint8), (len(hashes), 1))
    pairs, _ = near_pairs(hashes, greys)
    assert (pairs[:, 0] == 0).sum() == len(near)


def test_equal_hashes_of_unlike_images_are_no_pair_and_the_likest_comes_first():
    rng = np.random.default_rng(0)
    greys = rng.integers(0, 200, (6, 256), dtype=np.uint8)
    greys[4:] = rng.integers(200, 250, (2, 256))  # alike only in being bright
    greys[3] = greys[1] + 20
    greys[2] = np.clip(greys[1] + rng.normal(0, 12, 256), 0, 255)
    pairs, _ = near_pairs(np.zeros(6, dtype=np.uint64), greys)
    assert pairs.tolist() == [[1, 3], [1, 2], [2, 3]]


def test_the_search_ends_when_there_are_too_many_pairs():
    n = 300
    greys = np.tile(np.arange(256, dtype=np.uint8), (n, 1))
    pairs, complete = near_pairs(np.zeros(n, dtype=np.uint64), greys, most=500)
    assert not complete
    assert len(pairs) == 500
    assert len(np.unique(pairs, axis=0)) == 500
    pairs, complete = near_pairs(np.zeros(30, dtype=np.uint64), greys[:30], most=500)
    assert complete
    assert len(pairs) == 30 * 29 // 2


def test_a_hundred_copies_among_sixty_thousand_images_are_found():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 60_000, dtype=np.uint64)
    hashes[50_000:50_100] = hashes[:100] ^ np.uint64(0b111)
    greys = rng.integers(0, 256, (60_000, 256), dtype=np.uint8)
    greys[50_000:50_100] = greys[:100]
    pairs, complete = near_pairs(hashes, greys)
    assert complete
    assert sorted(pairs.tolist()) == [[i, 50_000 + i] for i in range(100)]


def test_the_hash_is_the_sign_of_the_lowest_cosines():
    """A single cosine wave along x sets one bit; every other coefficient is zero up to rounding."""
    x = np.cos(np.pi * (np.arange(32) + 0.5) * 1 / 32)
    wave = np.round(128 + 100 * np.tile(x, (32, 1))).astype(np.uint8)
    small = np.stack([wave, 255 - wave])[..., None].repeat(3, axis=-1)
    hashes, greys, contrast = perceptual_hashes(small)
    apart = int(hashes[0] ^ hashes[1])
    assert apart.bit_count() >= 1
    assert contrast == pytest.approx([100 / np.sqrt(2)] * 2, rel=0.01)
    assert greys[0].reshape(16, 16)[0, 0] == pytest.approx(wave[0, :2].mean(), abs=0.6)
    brighter, _, _ = perceptual_hashes(np.clip(small.astype(int) + 20, 0, 255).astype(np.uint8))
    assert (np.bitwise_count(brighter ^ hashes) <= 6).all()


def test_unlike_scenes_are_far_apart_in_the_hash():
    small = np.stack([np.asarray(scene(seed, 32, 32)) for seed in range(60)])
    hashes, _, _ = perceptual_hashes(small)
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None])[np.triu_indices(60, 1)]
    assert apart.min() > 6
    assert 28 < apart.mean() < 36  # of 64: as two coins
    every = np.unpackbits(hashes.view(np.uint8)).reshape(60, 64).mean(axis=0)
    assert ((every > 0.1) & (every < 0.9)).all()  # no bit is idle


@pytest.mark.realdata
def test_the_cars_have_nothing_that_spoils():
    listing = list_folder(Path(os.environ["VISLAB_DATA"]) / "stanford_cars20")
    assert len(listing.rows("train")) == 320
    assert len(listing.rows("test")) == 120
    issues = check(listing, progress=False)
    assert issues.spoils == ()
    assert issues.facts["readable"] == 440
    assert {(c["train"], c["test"]) for c in issues.facts["classes"].values()} == {(16, 6)}


@pytest.mark.realdata
def test_two_faces_of_lfw_stand_under_two_names():
    """The set's own list of errors names both pairs."""
    listing = list_folder(Path(os.environ["VISLAB_DATA"]) / "lfw_90x90.zip")
    wanted = {"Carlos_Beltran", "Raul_Ibanez", "Bart_Hendricks", "Ricky_Ray", "Tony_Blair"}
    rows = [r for r in range(len(listing)) if listing.classes[listing.labels[r]] in wanted]
    few = replace(
        listing,
        source_of=listing.source_of[rows],
        members=tuple(listing.members[row] for row in rows),
        labels=listing.labels[rows],
        splits=listing.splits[rows],
    )
    twice = next(p for p in check(few, progress=False).spoiling if "two labels" in p.sentence)
    first, second = sorted(twice.places)
    assert "Bart_Hendricks" in first
    assert "Ricky_Ray" in first
    assert "Carlos_Beltran" in second
    assert "Raul_Ibanez" in second
