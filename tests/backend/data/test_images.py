"""One image to one square: every bit depth and colour model, and every kind of broken file."""

import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from backend.data.images import MOST_PIXELS, bit_depth, decode_image, inspect_image
from backend.errors import DataError


@pytest.fixture
def colour():
    """(16, 16, 3) a smooth picture."""
    rng = np.random.default_rng(3)
    small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return np.asarray(small.resize((16, 16), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "webp", "ppm"])
def test_8_bit_colour_is_read_as_it_is(tmp_path, colour, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(colour).save(path, lossless=True)
    np.testing.assert_array_equal(decode_image(str(path), 16), colour)
    info = inspect_image(str(path))
    assert (info.width, info.height, info.grey, info.maximum) == (16, 16, False, 0)


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_grey_has_one_channel(tmp_path, colour, mode):
    path = tmp_path / "a.png"
    image = Image.fromarray(colour).convert("L").convert(mode)
    image.save(path)
    pixels = decode_image(str(path), 16)
    assert pixels.shape == (16, 16, 1)
    np.testing.assert_array_equal(pixels[:, :, 0], np.asarray(image.convert("L")))
    assert inspect_image(str(path)).grey


def test_a_tiff_of_five_channels_is_refused_with_a_way_out(tmp_path):
    path = tmp_path / "five.tif"
    entries = [(256, 4), (257, 4), (258, 8), (259, 1), (262, 1), (273, 8), (277, 5), (278, 4), (279, 80)]
    directory = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)
    path.write_bytes(head + bytes(80))
    with pytest.raises(DataError, match=r"unreadable image, a TIFF.*1 or 3 channels.*sensors of their own"):
        decode_image(str(path), 8)


def test_palette_and_cmyk_become_colour(tmp_path, colour):
    palette = Image.fromarray(colour).convert("P")
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(
        decode_image(str(tmp_path / "p.png"), 16), np.asarray(palette.convert("RGB"))
    )
    Image.fromarray(colour).convert("CMYK").save(tmp_path / "c.tif")
    assert abs(decode_image(str(tmp_path / "c.tif"), 16).astype(int) - colour).max() <= 1


def test_transparent_pixels_are_black(tmp_path, colour):
    alpha = np.zeros((16, 16, 1), dtype=np.uint8)
    alpha[:, 8:] = 255
    Image.fromarray(np.concatenate([colour, alpha], axis=2)).save(tmp_path / "a.png")
    pixels = decode_image(str(tmp_path / "a.png"), 16)
    assert not pixels[:, :8].any()
    np.testing.assert_array_equal(pixels[:, 8:], colour[:, 8:])


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_cut_out_with_soft_edges_is_laid_on_black_and_another_band_refused(tmp_path, colour, suffix, depth):
    """A fourth band would be multiplied into the other three, where a plain cut-out is meant to be."""
    path, highest = str(tmp_path / f"a.{suffix}"), np.iinfo(depth).max
    bands = np.concatenate([colour, colour[:, :, :1]], axis=2).astype(depth) * (highest // 255)
    bands[:, :, 3] = np.where(bands[:, :, 3] > highest // 2, highest, 0)
    cv2.imwrite(path, bands)
    cut = np.where(bands[:, :, 3:], colour[:, :, ::-1], 0)
    np.testing.assert_array_equal(decode_image(path, 16, 16), cut)
    bands[:4, :, 3] = highest // 3
    cv2.imwrite(path, bands)
    soft = decode_image(path, 16, 16)
    np.testing.assert_array_equal(soft[4:], cut[4:])
    np.testing.assert_allclose(soft[:4], colour[:4, :, ::-1] / 3, atol=1)
    bands[:, :, 3] = np.maximum(bands[:, :, 0] // 2, 1)
    cv2.imwrite(path, bands)
    with pytest.raises(
        DataError, match=r"4 channels, .*no cut-out; expected 3, .*sensor of its own"
    ) as caught:
        decode_image(path, 16)
    assert "\n" not in str(caught.value)


def test_soft_grey_transparency_is_refused_and_soft_palettes_are_laid_on_black(tmp_path, colour):
    Image.fromarray(colour).convert("LA").save(tmp_path / "opaque.png")
    decode_image(str(tmp_path / "opaque.png"), 16)
    grey = Image.fromarray(colour).convert("L")
    Image.merge("LA", (grey, grey)).save(tmp_path / "soft.png")
    with pytest.raises(DataError, match="2 channels, and the last is no cut-out; expected 1"):
        decode_image(str(tmp_path / "soft.png"), 16)
    Image.fromarray(colour).convert("P").save(tmp_path / "p.png", transparency=bytes([128] * 256))
    assert 0 < decode_image(str(tmp_path / "p.png"), 16).max() <= 128


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_is_scaled_by_the_bits_in_use(tmp_path, colour, suffix, bits, channels):
    highest = (1 << bits) - 1
    deep = np.rint(colour[:, :, :channels] / 255 * highest).astype(np.uint16)
    path = str(tmp_path / f"a.{suffix}")
    cv2.imwrite(path, deep[:, :, ::-1])
    pixels = decode_image(path, 16, bits)
    assert pixels.shape == (16, 16, channels)
    np.testing.assert_array_equal(pixels, colour[:, :, :channels])
    assert inspect_image(path).maximum == deep.max()


def test_16_bit_values_above_the_depth_are_clipped(tmp_path):
    deep = np.array([[0, 1023], [2046, 65535]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    assert decode_image(str(tmp_path / "a.png"), 2, 10)[:, :, 0].tolist() == [[0, 255], [255, 255]]


def test_a_depth_that_is_not_given_is_the_files_own(tmp_path):
    deep = np.array([[0, 4095]], dtype=np.uint16)
    Image.fromarray(deep).resize((2, 2)).save(tmp_path / "a.png")
    assert decode_image(str(tmp_path / "a.png"), 2)[:, :, 0].tolist() == [[0, 255], [0, 255]]


@pytest.mark.parametrize(
    ("maximum", "bits"), [(0, 8), (255, 8), (256, 10), (1023, 10), (4095, 12), (4096, 14), (65535, 16)]
)
def test_bit_depth_is_the_smallest_that_holds_the_maximum(maximum, bits):
    assert bit_depth(maximum) == bits


@pytest.mark.parametrize("deep", [False, True])
def test_shrinking_averages_instead_of_skipping(tmp_path, deep):
    """A checkerboard of single pixels must become grey; sampling single ones leaves it black or white."""
    board = np.indices((64, 64)).sum(axis=0) % 2
    if deep:
        Image.fromarray((board * 4095).astype(np.uint16)).save(tmp_path / "a.png")
    else:
        Image.fromarray((board * 255).astype(np.uint8)).save(tmp_path / "a.png")
    inner = decode_image(str(tmp_path / "a.png"), 8)[1:-1, 1:-1]
    assert abs(inner.astype(int) - 127).max() <= 3


def test_every_shape_is_stretched_to_the_square(tmp_path):
    """Sensors with other pixel counts keep seeing the same place: left stays left, bottom stays bottom."""
    for name, shape in (("rgb", (40, 80)), ("nir", (10, 20))):
        picture = np.zeros(shape, dtype=np.uint8)
        picture[shape[0] // 2 :, : shape[1] // 2] = 255
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    rgb, nir = (decode_image(str(tmp_path / f"{name}.png"), 8).astype(int) for name in ("rgb", "nir"))
    assert rgb[6:, :2].min() == nir[6:, :2].min() == 255
    assert abs(rgb - nir).max() <= 64  # only the blur of the edge differs


def test_a_large_jpeg_is_decoded_small_and_right(tmp_path, colour):
    picture = Image.fromarray(colour).resize((640, 480), Image.Resampling.BICUBIC)
    picture.save(tmp_path / "a.jpg", quality=95)
    expected = np.asarray(picture.resize((16, 16), Image.Resampling.BOX)).astype(int)
    assert abs(decode_image(str(tmp_path / "a.jpg"), 16) - expected).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_cameras_orientation_is_followed(tmp_path, orientation):
    upright = np.zeros((16, 16), dtype=np.uint8)
    upright[:8, :8] = 255
    upright[:8, 8:] = 128
    image = Image.fromarray(upright)
    turn = Image.Transpose
    undo = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_90,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_270,
    }.get(orientation)
    stored = image if undo is None else image.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.jpg", exif=exif, quality=100)
    assert abs(decode_image(str(tmp_path / "a.jpg"), 16)[:, :, 0].astype(int) - upright).max() < 8


def refusal(path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        decode_image(str(path), 8)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("kept", [0.15, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path, suffix, kept):
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    line = refusal(path, whole[: int(len(whole) * kept)])
    assert "unreadable image" in line or "not an image" in line


def test_damaged_missing_empty_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(path)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    assert "unreadable image" in refusal(path, bytes(damaged))
    assert refusal(path, b"") == "0 bytes; expected an image; replace the file"
    assert "not an image; expected PNG, JPEG" in refusal(path, b"hello")
    assert "not an image" in refusal(path, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(DataError, match="missing image"):
        decode_image(str(tmp_path / "none.png"), 8)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # pytest resets our own filter
@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (10_000, 10_000), (MOST_PIXELS + 1, 1)])
def test_bombs_are_refused_by_their_header(tmp_path, png_header, width, height):
    line = refusal(tmp_path / "bomb.png", png_header(width, height))
    assert "expected at most 64 megapixels" in line


def test_floating_point_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "a.tif"), np.ones((4, 4), dtype=np.float32))
    for use in (inspect_image, lambda path: decode_image(path, 4)):
        with pytest.raises(DataError, match="32-bit floating point; expected 8 or 16 bit"):
            use(str(tmp_path / "a.tif"))
