import io
import re
import struct
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

import vislab
from vislab.data import decode as decoding
from vislab.data.decode import decode, fit_square, hushed, to_eight_bits
from vislab.errors import DataError

FORWARDS = {  # what EXIF says was done to the upright image (numpy rows, columns)
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[:, ::-1],
}


def encoded(image, kind, **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height, width):
    """An image whose resized copies can be compared: slow waves of three colours."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / width * 7 + k) * np.cos(y / height * 5 - k) for k in range(3)]
    return np.round(np.stack(waves, axis=-1) * 110 + 128).astype(np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_an_image_is_turned_as_its_exif_note_says(orientation, kind):
    upright = noise(7, 5)
    note = Image.Exif()
    note[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(FORWARDS[orientation](upright)))
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(stored, kind, exif=note, **options)
    assert np.array_equal(np.asarray(decode(content, "a")), upright)


@pytest.mark.parametrize(
    ("entry", "packing"),
    [(0x0115, 11), (0x010E, 11)],
    ids=["a number that is no integer", "a text that is a number"],
)
def test_a_turned_photo_whose_note_cannot_be_written_anew_is_read(entry, packing):
    """Pillow's exif_transpose raises struct.error and AttributeError on these."""
    turned = struct.pack("<HHII", 0x0112, 3, 1, 6)
    odd = struct.pack("<HHIf", entry, packing, 1, 2.5)
    entries = b"".join(sorted([turned, odd], key=lambda note: struct.unpack("<H", note[:2])))
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 0)
    content = encoded(Image.fromarray(smooth(40, 60)), "JPEG", exif=exif)
    assert decode(content, "a").size == (40, 60)


def test_cmyk_is_shown_in_its_colours():
    ink = Image.new("CMYK", (6, 5), (0, 255, 255, 0))  # magenta and yellow make red
    red, green, blue = np.asarray(decode(encoded(ink, "JPEG"), "a")).reshape(-1, 3).mean(axis=0)
    assert red > 200
    assert max(green, blue) < 60


def test_sixteen_bit_grey_is_scaled_by_its_full_range():
    grey = np.array([[0, 257, 25700], [30000, 65278, 65535]], dtype=np.uint16)
    pixels = np.asarray(decode(encoded(Image.fromarray(grey), "PNG"), "a"))
    assert pixels[..., 0].tolist() == [[0, 1, 100], [117, 254, 255]]
    assert (pixels == pixels[..., :1]).all()


def test_real_valued_grey_is_scaled_by_its_own_extremes_and_ignores_what_is_no_number():
    grey = np.array([[0.0, 50.0, 100.0], [200.0, np.nan, 25.0]], dtype=np.float32)
    pixels = np.asarray(decode(encoded(Image.fromarray(grey), "TIFF"), "a"))[..., 0]
    assert pixels.tolist() == [[0, 64, 128], [255, 0, 32]]


def test_a_grey_of_one_value_does_not_divide_by_zero():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grey = to_eight_bits(np.full((2, 3), 0.25))
    assert grey.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_transparency_is_laid_over_white():
    layers = np.zeros((2, 3, 4), dtype=np.uint8)
    layers[0, :, 0] = 200
    layers[:, 0, 3] = 255
    layers[:, 1, 3] = 51  # a fifth
    pixels = np.asarray(decode(encoded(Image.fromarray(layers, "RGBA"), "PNG"), "a"))
    assert pixels[:, 0].tolist() == [[200, 0, 0], [0, 0, 0]]
    assert pixels[:, 1].tolist() == [[244, 204, 204], [204, 204, 204]]
    assert pixels[:, 2].tolist() == [[255] * 3] * 2


@pytest.mark.parametrize("mode", ["P", "RGB", "L"])
def test_a_colour_declared_transparent_becomes_white(mode):
    image = Image.new(mode, (4, 3), 7 if mode != "RGB" else (7, 7, 7))
    if mode == "P":
        image.putpalette([value for colour in range(256) for value in (colour, 0, 0)])
    clear = (7, 7, 7) if mode == "RGB" else 7
    pixels = np.asarray(decode(encoded(image, "PNG", transparency=clear), "a"))
    assert (pixels == 255).all()
    assert not (np.asarray(decode(encoded(image, "PNG"), "a")) == 255).any()


def test_of_an_animation_the_first_frame_is_taken():
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "lime", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.asarray(decode(content, "a")).reshape(-1, 3).tolist() == [[255, 0, 0]] * 20


def test_a_truncated_jpeg_is_refused_by_name():
    content = encoded(Image.fromarray(noise(50, 60)), "JPEG")
    with pytest.raises(DataError, match=r"cat/07\.jpg is damaged.*truncated"):
        decode(content[: len(content) // 2], "cat/07.jpg")


@pytest.mark.parametrize("content", [b"", b"a letter to a friend", b"\xff\xd8\xff\xe0"])
def test_what_is_no_image_is_refused_by_name(content):
    with pytest.raises(DataError, match=r"notes\.jpg is no image"):
        decode(content, "notes.jpg")


def claiming(side, bits, colours):
    """Return a PNG of a few bytes that claims to be so large."""

    def chunk(kind, body):
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", side, side, bits, colours, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 99))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels


def test_a_tiny_file_that_unpacks_to_gigabytes_is_refused():
    with pytest.raises(DataError, match=r"bomb\.png has over \d+ megapixels.*make it smaller"):
        decode(claiming(60_000, 8, 2), "bomb.png")


@pytest.mark.parametrize(
    ("height", "width", "side"), [(1200, 1600, 64), (901, 640, 50), (300, 400, 64)]
)
def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same(height, width, side):
    content = encoded(Image.fromarray(smooth(height, width)), "JPEG", quality=95)
    reduced, full = decode(content, "a", at_least=side), decode(content, "a")
    assert full.size == (width, height)
    assert side <= min(reduced.size) < min(full.size)
    apart = fit_square(reduced, side).astype(int) - fit_square(full, side)
    assert np.abs(apart).max() <= 6


def test_a_jpeg_smaller_than_asked_for_stays_whole():
    content = encoded(Image.fromarray(noise(30, 47)), "JPEG")
    assert decode(content, "a", at_least=200).size == (47, 30)


def test_fit_square_keeps_the_square_in_the_middle():
    wide = np.zeros((6, 20, 3), dtype=np.uint8)
    wide[:, 7:13] = noise(6, 6)
    assert np.array_equal(fit_square(Image.fromarray(wide), 6), wide[:, 7:13])
    tall = np.ascontiguousarray(wide.swapaxes(0, 1))
    assert np.array_equal(fit_square(Image.fromarray(tall), 6), tall[7:13])


def test_warnings_are_hushed_inside_and_heard_outside():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with hushed():
            warnings.warn("a large image", Image.DecompressionBombWarning, stacklevel=1)
            with hushed():
                pass
            warnings.warn("still inside", Image.DecompressionBombWarning, stacklevel=1)
        with pytest.raises(UserWarning):
            warnings.warn("outside", UserWarning, stacklevel=1)
        with pytest.raises(ZeroDivisionError), hushed():
            _ = 1 // 0
        with pytest.raises(UserWarning):
            warnings.warn("outside again", UserWarning, stacklevel=1)


def test_decoding_in_threads_leaves_the_filters_of_warnings_as_they_were():
    content = encoded(Image.fromarray(noise(200, 300)), "JPEG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        for _ in range(10):
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda _: decode(content, "a"), range(40)))
            assert warnings.filters == before


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_whole_greys_are_scaled_by_the_bits_they_need(bits):
    top = 2**bits - 1
    grey = np.array([[0, top // 2, top]], dtype=np.uint16)
    assert to_eight_bits(grey).tolist() == [[0, 127, 255]]


def test_a_depth_that_is_known_keeps_a_dark_image_dark():
    grey = np.array([[0, 100, 1000]], dtype=np.uint16)
    assert to_eight_bits(grey, 12).tolist() == [[0, 6, 62]]
    assert to_eight_bits(np.array([[9999]], dtype=np.uint16), 12).tolist() == [[255]]


def test_a_program_in_postscript_is_not_run(tmp_path):
    written = tmp_path / "written"
    program = (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 20\n%%EndComments\n"
        + f"({written}) (w) file dup (x) writestring closefile\nshowpage\n".encode()
    )
    with pytest.raises(DataError, match=r"a\.jpg is a PostScript program, which is not run"):
        decode(program, "a.jpg")
    assert not written.exists()


def test_formats_that_are_not_in_the_list_are_no_images():
    """Pillow would open these; none of them is one that people keep photographs in."""
    for form in ("PCX", "SGI", "IM", "ICO", "SPIDER"):
        mode = "F" if form == "SPIDER" else "L"
        content = encoded(Image.new(mode, (16, 16)), form)
        with pytest.raises(DataError, match="is no image that can be read"):
            decode(content, "a.jpg")


@pytest.mark.parametrize("form", ["AVIF", "JPEG2000", "WEBP", "TIFF", "PPM", "BMP"])
def test_formats_in_the_list_are_read_whatever_the_file_is_called(form):
    pixels = np.full((16, 16, 3), (250, 10, 10), dtype=np.uint8)
    found = np.asarray(decode(encoded(Image.fromarray(pixels), form), "a.jpg")).astype(int)
    assert np.abs(found - pixels).max() < 20


def test_heic_is_read_with_its_plug_in_and_named_without(monkeypatch):
    pillow_heif = pytest.importorskip("pillow_heif")
    pixels = np.full((64, 64, 3), (250, 10, 10), dtype=np.uint8)
    held = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(held, format="HEIF")
    found = np.asarray(decode(held.getvalue(), "a.heic")).astype(int)
    assert np.abs(found - pixels).max() < 20
    monkeypatch.setattr("vislab.data.decode.has_heif", lambda: False)
    with pytest.raises(DataError, match=r"a\.heic is HEIC, which needs a plug-in: `pip install"):
        decode(held.getvalue(), "a.heic")


def test_an_image_that_would_take_too_much_memory_is_refused_before_it_is_decoded():
    with pytest.raises(DataError, match=r"has 169 megapixels of the mode I;16, which take 1\.4 GB"):
        decode(claiming(13_000, 16, 0), "deep.png")


def test_images_are_opened_in_one_place_alone():
    source = Path(vislab.__file__).parent
    opening = [
        path.name
        for path in source.rglob("*.py")
        if re.search(r"(?<!_)Image\.open\(", path.read_text(encoding="utf-8"))
    ]
    assert sorted(opening) == ["classes.py", "decode.py", "own_files.py"]  # two open our own PNGs


def test_images_that_are_large_together_are_decoded_one_after_another(monkeypatch):
    content = encoded(Image.new("L", (200, 100)), "PNG")  # takes 100 000 bytes
    monkeypatch.setattr(decoding, "LARGEST", 250_000)
    most, load = [], ImageFile.ImageFile.load

    def watched(self):
        most.append(decoding._taken)
        time.sleep(0.01)
        return load(self)

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", watched)
    with ThreadPoolExecutor(8) as pool:
        sizes = {image.size for image in pool.map(lambda _: decode(content, "a"), range(16))}
    assert sizes == {(200, 100)}
    assert (max(most), decoding._taken) == (200_000, 0), "two at once, and all is given back"
    monkeypatch.setattr(decoding, "LARGEST", 99_999)
    with pytest.raises(DataError, match="megapixels of the mode L"):
        decode(content, "a")
    with pytest.raises(DataError):
        decode(content[:60], "a")
    assert decoding._taken == 0
