import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.sets import image, whats
from vislab.data.annotations import VOID, require_sound
from vislab.data.formats.mask_folders import read
from vislab.data.mask_rendering import mask_of
from vislab.errors import DataError

SIDE = (30, 40)  # height, width
BLACK, GREEN, BLUE, WHITE = (0, 0, 0), (0, 200, 0), (0, 0, 200), (255, 255, 255)


def regions(*kinds):
    """Return a mask of classes: 0, and a rectangle for each class, side by side."""
    truth = np.zeros(SIDE, dtype=np.uint8)
    for place, kind in enumerate(kinds):
        truth[4:20, 3 + 9 * place : 10 + 9 * place] = kind
    return truth


TRUTH = [regions(1, 2), regions(2), regions(), regions(1), regions(1, 2)]
BINARY_TRUTH = [regions(1), regions(1, 1), regions(), regions(0, 1)]


def put(root, number, picture, ending="png", **options):
    image(root / f"images/{number}.jpg")
    path = root / f"masks/{number}.{ending}"
    path.parent.mkdir(exist_ok=True)
    picture.save(path, **options)
    return path


def grey(content, dtype=np.uint8):
    return Image.fromarray(np.asarray(content).astype(dtype))


def levels(truth, *values, dtype=np.uint8):
    return grey(np.array(values)[truth], dtype)


def indexed(truth, colours, order):
    """Return an image with a palette, the colour of class k at the place `order[k]`."""
    picture = Image.frombytes("P", SIDE[::-1], np.array(order, np.uint8)[truth].tobytes())
    palette = np.zeros((max(order) + 1, 3), np.uint8)
    palette[list(order)] = colours
    picture.putpalette(palette.reshape(-1).tolist())
    return picture


def coloured(truth, *colours):
    return Image.fromarray(np.array(colours, np.uint8)[truth])


def layered(truth, shown, hidden):
    pixels = np.zeros((*SIDE, 4), np.uint8)
    pixels[truth == 0, :3] = hidden
    pixels[truth > 0, :3] = shown
    pixels[truth > 0, 3] = 255
    return Image.fromarray(pixels)


def png(depth, samples, colour_type=0):
    """Return a PNG of samples of so many bits, as Pillow does not write them."""
    samples = np.asarray(samples)
    height, width = samples.shape[:2]
    rows = b""
    for row in samples.reshape(height, -1):
        bits = "".join(f"{value:0{depth}b}" for value in row.tolist())
        bits += "0" * (-len(bits) % 8)
        rows += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(
            ">I", zlib.crc32(kind + content)
        )  # fmt: skip

    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + (
        chunk(b"IEND", b"")
    )  # fmt: skip


def assert_read(root, truths, classes=None, *, note=""):
    annotated = read(root)
    assert whats(annotated) == []
    for row, truth in enumerate(truths):
        np.testing.assert_array_equal(mask_of(annotated, row), truth, err_msg=str(row))
    if classes is not None:
        assert annotated.classes == classes
    assert note in " ".join(annotated.notes)
    return annotated


# Palettes


def test_palettes_that_differ_are_read_by_colour(tmp_path):
    orders = [(0, 1, 2), (2, 0, 1), (1, 2, 0), (5, 4, 9), (0, 2, 1)]
    for number, (truth, order) in enumerate(zip(TRUTH, orders, strict=True)):
        put(tmp_path, number, indexed(truth, [BLACK, BLUE, GREEN], order))
    classes = ("background", "colour 0,0,200", "colour 0,200,0")
    assert_read(tmp_path, TRUTH, classes, note="the palettes of the masks differ")


def test_palettes_that_differ_take_their_names_from_a_list_of_colours(tmp_path):
    (tmp_path / "classes.csv").write_text("name,r,g,b\nweed,0,0,200\nsoil,0,0,0\ncrop,0,200,0\n")
    for number, truth in enumerate(TRUTH):
        order = (2, 0, 1) if number % 2 else (0, 1, 2)
        put(tmp_path, number, indexed(truth, [BLACK, BLUE, GREEN], order))
    assert_read(tmp_path, TRUTH, ("soil", "weed", "crop"))


def test_an_equal_palette_in_all_files_leaves_the_places_as_classes(tmp_path):
    voc = [BLACK, (128, 0, 0), (0, 128, 0)]
    for number, truth in enumerate(TRUTH):
        picture = indexed(truth, voc, (0, 1, 2))
        put(tmp_path, number, picture, "png" if number % 2 else "gif")
    assert_read(tmp_path, TRUTH, ("background", "class 1", "class 2"))


@pytest.mark.parametrize("order", [(1, 0), (0, 1), (3, 7)])
def test_white_is_the_foreground_wherever_an_equal_palette_has_it(tmp_path, order):
    for number, truth in enumerate(BINARY_TRUTH):
        put(tmp_path, number, indexed(truth, [BLACK, WHITE], order))
    assert_read(tmp_path, BINARY_TRUTH, ("background", "foreground"))


def test_greys_of_gifs_whose_palettes_differ_are_told_with_the_lines_to_write(tmp_path):
    for number, truth in enumerate(TRUTH):
        picture = levels(truth, 0, 90, 180).convert("RGB")
        put(tmp_path, number, picture.convert("P", palette=Image.Palette.ADAPTIVE), "gif")
    lines = "name,value / background,0 / NAME,90 / NAME,180"
    with pytest.raises(DataError, match=f"0, 90, 180; say .* {lines}"):
        read(tmp_path)
    (tmp_path / "classes.csv").write_text("name,value\nbackground,0\ncrop,90\nweed,180\n")
    assert_read(tmp_path, TRUTH, ("background", "crop", "weed"))


def test_a_palette_beside_greys_that_may_mean_something_else_is_refused(tmp_path):
    put(tmp_path, 0, indexed(regions(1, 2), [BLACK, GREEN, BLUE], (0, 1, 2)))
    put(tmp_path, 1, levels(regions(1, 2), 0, 100, 200))
    with pytest.raises(DataError, match=r"a palette of colours and others greys \(masks/1.png\)"):
        read(tmp_path)


# Levels


@pytest.mark.parametrize("values", [(1, 255), (255, 1), (255, 65535), (1, 65535)])
def test_zero_and_something_is_binary_in_each_file_of_its_own(tmp_path, values):
    for number, truth in enumerate(BINARY_TRUTH):
        value = values[number % 2]
        put(tmp_path, number, levels(truth, 0, value, dtype=np.uint16 if value > 255 else np.uint8))
    note = f"0 and {min(values)} in"
    assert_read(tmp_path, BINARY_TRUTH, ("background", "foreground"), note=note)


def test_one_and_255_in_one_file_are_a_class_and_void(tmp_path):
    truths = [regions(1, VOID), regions(1), regions(1, VOID)]
    for number, truth in enumerate(truths):
        put(tmp_path, number, grey(truth))
    assert_read(tmp_path, truths, ("background", "class 1"), note="255, in 2 masks, is void")


def test_255_alone_in_most_files_beside_classes_in_others_is_refused(tmp_path):
    for number in range(3):
        put(tmp_path, number, grey(regions(255)))
    put(tmp_path, 3, grey(regions(1, 2)))
    with pytest.raises(DataError, match=r"3 masks hold 0 and 255 alone \(first: masks/0.png\)"):
        read(tmp_path)


@pytest.mark.parametrize("value", [10, 128, 254, 40000])
def test_two_values_are_background_and_foreground_whatever_they_are(tmp_path, value):
    for number, truth in enumerate(BINARY_TRUTH):
        put(tmp_path, number, levels(truth, 0, value, dtype=np.uint16 if value > 255 else np.uint8))
    note = f"{value} is read as foreground"
    assert_read(tmp_path, BINARY_TRUTH, ("background", "foreground"), note=note)


@pytest.mark.parametrize(
    "values",
    [(0, 128, 255), (0, 100, 200), (0, 64, 128), (0, 20, 40), (0, 2, 200), (0, 300, 600),
     (50, 150, 250)],
)  # fmt: skip
def test_levels_that_are_no_numbers_are_refused_and_read_with_the_lines_told(tmp_path, values):
    deep = np.uint16 if max(values) > 255 else np.uint8
    for number in range(3):
        put(tmp_path, number, levels(regions(1, 2), *values, dtype=deep))
    with pytest.raises(DataError, match=r"classes\.csv") as caught:
        read(tmp_path)
    assert all(str(value) in str(caught.value) for value in values)
    (tmp_path / "classes.csv").write_text(
        "name,value\n" + "".join(f"{name},{v}\n" for name, v in zip("xyz", values, strict=True))
    )
    added = min(values) > 0  # no class is called background, and none has 0
    assert_read(tmp_path, [regions(1, 2) + added] * 3)


def test_levels_with_smoothed_edges_are_refused(tmp_path):
    for number in range(3):
        big = levels(np.kron(regions(1, 2), np.ones((4, 4), np.uint8)), 0, 100, 200)
        put(tmp_path, number, big.resize(SIDE[::-1], Image.Resampling.BICUBIC))
    with pytest.raises(DataError, match="smooth"):
        read(tmp_path)


def test_numbers_with_gaps_stay_numbers(tmp_path):
    for number in range(3):
        put(tmp_path, number, levels(regions(1, 2), 7, 26, 33))
    annotated = read(tmp_path)
    assert len(annotated.classes) == 34
    np.testing.assert_array_equal(mask_of(annotated, 0), np.array([7, 26, 33])[regions(1, 2)])


def test_a_flawed_file_among_many_black_and_white_ones_is_told_by_name(tmp_path):
    for number in range(9):
        put(tmp_path, number, grey(regions(255)))
    put(tmp_path, 9, grey(regions(255, 130)))
    annotated = read(tmp_path)
    assert whats(annotated)[0].startswith(
        "the mask holds a class beyond the 2 that are known: 130 ("
    )
    assert annotated.issues[0].where == "masks/9.png"


def test_names_of_three_classes_do_not_fit_black_and_white(tmp_path):
    (tmp_path / "classes.txt").write_text("background\ncrop\nweed\n")
    for number in range(3):
        put(tmp_path, number, grey(regions(255)))
    with pytest.raises(DataError, match="3 classes are named and the masks hold two values alone"):
        read(tmp_path)


@pytest.mark.parametrize(("bits", "values"), [(1, (0, 1)), (2, (0, 1, 3)), (4, (0, 5, 11))])
def test_samples_of_few_bits_are_not_spread(tmp_path, bits, values):
    truth = regions(*range(1, len(values)))
    samples = np.array(values)[truth]
    for number in range(2):
        put(tmp_path, number, grey(samples))
        (tmp_path / f"masks/{number}.png").write_bytes(png(bits, samples))
    assert_read(tmp_path, [samples] * 2)


def test_one_bit_beside_numbers_of_classes_is_a_flaw(tmp_path):
    put(tmp_path, 0, grey(regions(1, 2)))
    put(tmp_path, 1, grey(regions(1, 2)))
    put(tmp_path, 2, grey(regions(255)).convert("1"))
    (issue,) = read(tmp_path).issues
    assert issue.where == "masks/2.png"
    assert issue.what.startswith("the mask is black and white and the others hold numbers")


def test_one_bit_beside_black_and_white_is_the_same(tmp_path):
    for number, truth in enumerate(BINARY_TRUTH):
        picture = levels(truth, 0, 255)
        put(tmp_path, number, picture.convert("1") if number % 2 else picture)
    assert_read(tmp_path, BINARY_TRUTH, ("background", "foreground"))


def test_sixteen_bits_a_colour_are_refused(tmp_path):
    put(tmp_path, 0, grey(regions(1)))
    put(tmp_path, 1, grey(regions(1)))
    deep = np.repeat(regions(1, 2)[..., None], 3, axis=-1)
    (tmp_path / "masks/1.png").write_bytes(png(16, deep, colour_type=2))
    assert whats(read(tmp_path)) == ["the mask holds 16 bits a colour: save it with 8"]


# Transparency


@pytest.mark.parametrize(
    ("shown", "hidden"),
    [(WHITE, WHITE), (WHITE, BLACK), (BLACK, BLACK), (BLACK, WHITE), ((255, 0, 0), WHITE)],
)
def test_what_is_transparent_is_background_whatever_lies_under_it(tmp_path, shown, hidden):
    for number, truth in enumerate(BINARY_TRUTH):
        put(tmp_path, number, layered(truth, shown, hidden))
    assert_read(tmp_path, BINARY_TRUTH, ("background", "foreground"))


def test_cut_out_photographs_are_masks_by_their_transparency(tmp_path):
    for number, truth in enumerate(BINARY_TRUTH):
        pixels = np.random.default_rng(number).integers(0, 256, (*SIDE, 4)).astype(np.uint8)
        pixels[..., 3] = 255 * truth
        put(tmp_path, number, Image.fromarray(pixels))
    assert_read(tmp_path, BINARY_TRUTH, ("background", "foreground"), note="opaque parts")


def test_grey_with_an_opaque_layer_is_grey(tmp_path):
    for number, truth in enumerate(TRUTH):
        put(tmp_path, number, grey(truth).convert("LA"))
    assert_read(tmp_path, TRUTH)


def test_colours_under_transparent_pixels_are_refused(tmp_path):
    for number in range(2):
        pixels = np.array(coloured(regions(1, 2), BLACK, GREEN, BLUE).convert("RGBA"))
        pixels[:, :15, 3] = 0
        put(tmp_path, number, Image.fromarray(pixels))
    with pytest.raises(DataError, match=r"masks/0.png holds several colours under transparent"):
        read(tmp_path)


# Colours


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_single_channel_that_changes_holds_the_classes(tmp_path, channel):
    truths = [regions(4, 9), regions(4), regions()]
    for number, truth in enumerate(truths):
        pixels = np.zeros((*SIDE, 3), np.uint8)
        pixels[..., channel] = truth
        put(tmp_path, number, Image.fromarray(pixels))
    name = ("red", "green", "blue")[channel]
    assert_read(tmp_path, truths, note=f"from the {name} channel")


def test_colours_without_a_list_are_told_with_the_lines_to_write(tmp_path):
    for number, truth in enumerate(TRUTH):
        put(tmp_path, number, coloured(truth, (226, 169, 41), (60, 16, 152), (132, 41, 246)))
    lines = "name,r,g,b / NAME,60,16,152 / NAME,132,41,246 / NAME,226,169,41"
    with pytest.raises(DataError, match=f"write classes.csv .* {lines}"):
        read(tmp_path)
    (tmp_path / "classes.csv").write_text(
        "name,r,g,b\nland,226,169,41\nhouse,60,16,152\nroad,132,41,246\n"
    )
    assert_read(tmp_path, [truth + 1 for truth in TRUTH], ("background", "land", "house", "road"))


def test_black_and_one_colour_are_binary(tmp_path):
    for number, truth in enumerate(BINARY_TRUTH):
        put(tmp_path, number, coloured(truth, BLACK, (200, 30, 60)))
    assert_read(tmp_path, BINARY_TRUTH, ("background", "foreground"), note="200,30,60")


def test_a_colour_that_is_not_listed_is_a_flaw_from_a_thousandth_on(tmp_path):
    (tmp_path / "classes.csv").write_text("name,r,g,b\nsoil,0,0,0\ncrop,0,200,0\n")
    for number, strays in enumerate((1, 2)):
        pixels = np.array(coloured(regions(1), BLACK, GREEN))
        pixels[0, :strays] = (9, 8, 7)  # of 1200 pixels
        put(tmp_path, number, Image.fromarray(pixels))
    annotated = read(tmp_path)
    assert [issue.where for issue in annotated.issues] == ["masks/1.png"]
    assert whats(annotated) == [
        "the mask holds colours of no class in over 0.1 % of its pixels: 9,8,7"
    ]
    assert mask_of(annotated, 0)[0, :2].tolist() == [VOID, 0]


def test_smoothed_colours_are_refused(tmp_path):
    for number in range(3):
        truth = np.kron(regions(1, 2), np.ones((5, 5), np.uint8))
        big = coloured(truth, (226, 169, 41), GREEN, BLUE).rotate(30)
        put(tmp_path, number, big.resize(SIDE[::-1], Image.Resampling.BICUBIC))
    with pytest.raises(DataError, match=r"different colours .* smoothed"):
        read(tmp_path)


def test_a_list_of_colours_beside_masks_of_numbers_gives_the_names_in_order(tmp_path):
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nsky,128,128,128\ncar,64,0,128\nx,1,0,0\n")
    for number, truth in enumerate(TRUTH):
        put(tmp_path, number, grey(truth))
    assert_read(tmp_path, TRUTH, ("sky", "car", "x"), note="the numbers of, in the order")


# JPEG


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("every", [1, 2])
def test_black_and_white_is_read_from_jpeg(tmp_path, quality, every):
    for number, truth in enumerate(BINARY_TRUTH):
        picture = levels(truth, 0, 255)
        if number % every:
            put(tmp_path, number, picture)
        else:
            put(tmp_path, number, picture.convert("RGB"), "jpg", quality=quality)
    note = f"{4 // every} masks are saved as JPEG or alike"
    assert_read(tmp_path, BINARY_TRUTH, ("background", "foreground"), note=note)


@pytest.mark.parametrize("values", [(0, 128, 255), (0, 1, 2), (0, 100, 200)])
def test_more_levels_in_jpeg_are_refused(tmp_path, values):
    for number in range(4):
        put(tmp_path, number, levels(regions(1, 2), *values), "jpg", quality=95)
    with pytest.raises(DataError, match=r"masks/0\.jpg: .* JPEG .* save it as PNG"):
        read(tmp_path)


def test_colours_in_jpeg_are_refused(tmp_path):
    for number in range(4):
        put(tmp_path, number, coloured(regions(1, 2), BLACK, GREEN, BLUE), "jpg", quality=95)
    with pytest.raises(DataError, match="colours that JPEG has smeared: save it as PNG"):
        read(tmp_path)


def test_jpeg_beside_numbers_of_classes_is_a_flaw(tmp_path):
    for number in range(3):
        put(tmp_path, number, grey(regions(1, 2)))
    put(tmp_path, 3, levels(regions(1, 2), 0, 1, 2), "jpg")
    put(tmp_path, 4, levels(regions(1, 1), 0, 255), "jpg")
    issues = read(tmp_path).issues
    assert [issue.where for issue in issues] == ["masks/3.jpg", "masks/4.jpg"]
    assert all("JPEG" in issue.what and "save it as PNG" in issue.what for issue in issues)


def test_a_lossless_webp_is_no_jpeg(tmp_path):
    for number, truth in enumerate(TRUTH):
        put(tmp_path, number, grey(truth).convert("RGB"), "webp", lossless=True)
    assert_read(tmp_path, TRUTH)


def test_png_helper_writes_what_pillow_reads():
    samples = np.arange(24).reshape(4, 6) % 4
    opened = Image.open(io.BytesIO(png(2, samples)))
    np.testing.assert_array_equal(np.asarray(opened), samples * 85)


@pytest.mark.parametrize("quality", [40, 75])
def test_black_and_white_that_was_a_jpeg_once_is_never_taken_for_classes(tmp_path, quality):
    for number in range(5):
        kept = io.BytesIO()
        content = np.kron(regions(255, 255), np.ones((3, 3), np.uint8))
        grey(content).rotate(7).save(kept, "JPEG", quality=quality)
        image(tmp_path / f"images/{number}.jpg", (120, 90))
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.open(kept).save(tmp_path / f"masks/{number}.png")
    with pytest.raises(DataError, match=r"cut them\s+at 128|smooth") as caught:
        require_sound(read(tmp_path), skip_bad=False)
    assert "NAME" not in str(caught.value)  # no advice to call smeared greys classes


@pytest.mark.parametrize("values", [(1, 255), (0, 1, 255)])
def test_255_that_marks_more_than_the_classes_may_be_the_foreground(tmp_path, values):
    for number in range(3):
        content = regions(255, 255)
        content[content == 0] = values[0]
        content[0, 0] = 1
        put(tmp_path, number, grey(content))
    with pytest.raises(DataError, match=r"it may be void or the foreground.*void,255"):
        read(tmp_path)
    (tmp_path / "classes.csv").write_text("name,value\nbackground,0\ncell,1\nvoid,255\n")
    annotated = read(tmp_path)
    assert annotated.classes == ("background", "cell")
    assert mask_of(annotated, 0)[5, 5] == VOID


def test_numbers_of_objects_are_not_offered_as_classes(tmp_path):
    for number in range(5):
        content = np.array([0, 1000 + number, 2000 + number])[regions(1, 2)]
        put(tmp_path, number, grey(content, np.uint16))
    with pytest.raises(DataError, match=r"10 numbers up to 2004 .*: those of objects, or depths"):
        read(tmp_path)


def test_what_a_list_says_of_a_number_that_no_class_has_is_a_flaw(tmp_path):
    (tmp_path / "classes.csv").write_text("name,value\nbackground,0\ncrop,100\n")
    put(tmp_path, 0, levels(regions(1), 0, 100))
    put(tmp_path, 1, levels(regions(1, 2), 0, 100, 200))
    (issue,) = read(tmp_path).issues
    assert issue.what == "the mask holds a class beyond the 2 that are known: 200"


def test_a_mask_of_several_pages_is_a_flaw(tmp_path):
    put(tmp_path, 0, grey(regions(255)))
    pages = [grey(regions(255)), grey(regions(0, 255))]
    put(tmp_path, 1, pages[0], "tif", save_all=True, append_images=pages[1:])
    (issue,) = read(tmp_path).issues
    assert issue.what == "the mask holds 2 pages: save the one that matters alone"
