"""One image file to one square uint8 array.

Registered views stay registered: every image is stretched to the square as it is, never cropped. 8 and
16 bit, grey, colour, palette and transparent (laid on black) files are read; of a file with several pages
the first. 16-bit sensors rarely use 16 bits, so values are scaled by the bits in use.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from backend.errors import DataError

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # ``_opened`` refuses earlier

MOST_PIXELS = 64_000_000
"""A header that promises more is refused before anything is decoded."""

BIT_DEPTHS = (8, 10, 12, 14, 16)

SOFT_EDGES = 0.5
"""Where more of a picture than this is neither hidden nor shown, its last channel is no transparency."""
_READ_BYTES = 1 << 15  # most working images in one read, where Pillow would make ten small ones
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "PPM", "JPEG2000", "GIF")  # none that runs a program
_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
_DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_DEEP_RAW = re.compile(r"\b(?:RGB[AXa]?|LA|CMYK|[RGBA]);16[BLN]\b")

Levels = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int32]


@dataclass(frozen=True)
class ImageInfo:
    """What a file holds.

    Attributes:
        width: pixels.
        height: pixels.
        grey: whether it has one channel (transparency apart).
        maximum: highest value of a 16-bit file; 0 where the file has 8 bits.
    """

    width: int
    height: int
    grey: bool
    maximum: int


def bit_depth(maximum: int) -> int:
    """The smallest of 8, 10, 12, 14 and 16 bits that holds ``maximum``."""
    return next(bits for bits in BIT_DEPTHS if maximum < 1 << bits or bits == BIT_DEPTHS[-1])


def inspect_image(path: str) -> ImageInfo:
    """Size, colour and range of the file ``path``; only 16-bit files are decoded for it.

    Raises:
        DataError: no image, damaged, or too large; without ``where``, which the caller knows.
    """
    with _opened(path) as image:
        deep = _is_deep(image)
        maximum = int(_deep_levels(image, path).max()) if deep else 0
        return ImageInfo(*image.size, grey=image.mode in _GREY_MODES, maximum=maximum)


def decode_image(path: str, resolution: int, bits: int | None = None) -> NDArray[np.uint8]:
    """Decode the file ``path`` to the working resolution.

    Args:
        path: the file.
        resolution: side of the square result in pixels.
        bits: bits in use of 16-bit files, values above are clipped; None = by this file's maximum.
            Files with 8 bits do not depend on it.

    Returns:
        (resolution, resolution, C) with C = 1 for a grey file, else 3.

    Raises:
        DataError: no image, damaged, or too large; without ``where``, which the caller knows.
    """
    with _opened(path) as image:
        mode = "L" if image.mode in _GREY_MODES else "RGB"
        if _is_deep(image):
            pixels = _scaled_to_8_bits(_deep_levels(image, path), bits, resolution)
        else:
            # Only JPEG heeds the draft: it decodes 4000 x 3000 at an eighth, leaving twice what is needed.
            image.draft(image.mode, (2 * resolution, 2 * resolution))
            _load_upright(image)
            opaque = _on_black(image)
            shallow = opaque if opaque.mode == mode else opaque.convert(mode)  # converting to itself copies
            pixels = np.asarray(_resized(shallow, resolution))
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


@contextlib.contextmanager
def _opened(path: str) -> Iterator[ImageFile.ImageFile]:
    """The file with its header read, everything that can go wrong in a decoder turned into ``DataError``."""
    try:
        with open(path, "rb", _READ_BYTES) as file:  # noqa: PTH123 - a Path per image costs as much as opening it
            if os.fstat(file.fileno()).st_size == 0:
                raise DataError("0 bytes", expected="an image", action="replace the file")
            with Image.open(file, formats=_FORMATS) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise _too_large(f"{width} x {height} px")
                yield image
    except (DataError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+ pixels", str(error))
        raise _too_large(pixels.group() if pixels else "too many pixels") from error
    except FileNotFoundError as error:
        raise DataError("missing image", action="add the file or leave the cell empty") from error
    except UnidentifiedImageError as error:
        if _is_tiff(path):
            raise DataError(
                "unreadable image, a TIFF",
                expected="a whole file with 1 or 3 channels of 8 or 16 bits",
                action="replace it, or make other channels sensors of their own, image:<sensor>:<view>",
            ) from error
        formats = ", ".join(_FORMATS[:-1])
        raise DataError("not an image", expected=f"{formats} or GIF", action="replace the file") from error
    except (
        Exception
    ) as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error, ...
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"unreadable image ({reason})", expected="a whole, undamaged file", action="replace it"
        ) from error


def _is_tiff(path: str) -> bool:
    with open(path, "rb") as file:  # noqa: PTH123 - as above
        return file.read(4) in (b"II*\0", b"MM\0*")


def _too_large(size: str) -> DataError:
    limit = f"at most {MOST_PIXELS // 1_000_000} megapixels"
    return DataError(f"image of {size}", expected=limit, action="shrink it or leave the cell empty")


def _is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether the file has more than 8 bits a channel; Pillow hides it for colour behind the raw mode."""
    if image.mode == "F":
        raise DataError("32-bit floating point", expected="8 or 16 bit", action="convert the image")
    return image.mode in _DEEP_MODES or _DEEP_RAW.search(str(image.tile[:1])) is not None


def _deep_levels(image: ImageFile.ImageFile, path: str) -> Levels:
    """(H, W) or (H, W, 3) values of a 16-bit file, as stored."""
    _load_upright(image)
    if image.mode in _DEEP_MODES:
        levels: Levels = np.asarray(image)
        if levels.min() < 0 or levels.max() > np.iinfo(np.uint16).max:
            raise DataError("32-bit values", expected="8 or 16 bit", action="convert the image")
        return levels
    # Pillow keeps the upper 8 bits of 16-bit colour, which of a 12-bit sensor leaves 4.
    import cv2

    pixels: Any = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise DataError("16-bit colour that cannot be decoded", expected="PNG or TIFF", action="convert it")
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        opacity = pixels[:, :, 3:].astype(np.float32) / np.iinfo(np.uint16).max
        if ((opacity > 0) & (opacity < 1)).mean() > SOFT_EDGES:
            raise _no_cut_out(image)
        pixels = (pixels[:, :, :3] * opacity).astype(np.uint16)
    if pixels.ndim == 3 and image.mode in _GREY_MODES:
        return np.asarray(pixels[:, :, 0])
    return np.asarray(pixels[:, :, ::-1] if pixels.ndim == 3 else pixels)


def _scaled_to_8_bits(levels: Levels, bits: int | None, resolution: int) -> NDArray[np.uint8]:
    """Shrink (H, W) or (H, W, 3) at full precision, then round to 8 bits: (R, R, 1) or (R, R, 3)."""
    highest = (1 << (bits or bit_depth(int(levels.max())))) - 1
    scaled = np.minimum(levels.astype(np.float32) * (255.0 / highest), 255.0)
    planes = np.moveaxis(scaled if scaled.ndim == 3 else scaled[:, :, np.newaxis], -1, 0)
    small = [np.asarray(_resized(Image.fromarray(plane), resolution)) for plane in planes]
    rounded: NDArray[np.uint8] = np.rint(np.stack(small, axis=-1)).astype(np.uint8)
    return rounded


def _load_upright(image: ImageFile.ImageFile) -> None:
    """Decode and turn as the camera noted in EXIF, so that sensors with and without it stay registered."""
    image.load()
    if image.info:
        ImageOps.exif_transpose(image, in_place=True)


def _on_black(image: Image.Image) -> Image.Image:
    """Lay a transparent image on black, so that pixels nobody was meant to see do not show."""
    if image.mode not in ("LA", "La", "PA", "RGBA", "RGBa") and "transparency" not in image.info:
        return image
    whole = image.convert("RGBA")
    between = sum(whole.getchannel("A").histogram()[1:-1])
    if image.mode not in ("PA", "P") and between > SOFT_EDGES * whole.width * whole.height:
        raise _no_cut_out(image)
    return Image.alpha_composite(Image.new("RGBA", whole.size, (0, 0, 0, 255)), whole)


def _no_cut_out(image: Image.Image) -> DataError:
    """A last channel between all and nothing is no transparency: cameras save their NIR band in it."""
    channels = len(image.getbands())
    return DataError(
        f"{channels} channels, and the last is no cut-out",
        expected=f"{channels - 1}, or transparency that is all or nothing but for its edges",
        action="make the last a sensor of its own, image:<sensor>:<view>, or save without transparency",
    )


def _resized(image: Image.Image, resolution: int) -> Image.Image:
    """Stretch to the square; Pillow's bilinear filter widens when shrinking, so nothing aliases."""
    if image.size == (resolution, resolution):
        return image
    return image.resize((resolution, resolution), Image.Resampling.BILINEAR)
