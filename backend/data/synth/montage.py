"""A labelled figure of the synthetic avocados: ripening, and each defect in RGB and NIR.

python -m backend.data.synth.montage docs/images/synthetic-avocados.png
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backend.cli import CommandParser, run_program
from backend.data.dataset import EXTERNAL, INTERNAL
from backend.data.synth.catalogue import DEFECTS
from backend.data.synth.fruit import Floats, Pallet, draw_pallet, shape_fruit
from backend.data.synth.painters import PAINTERS
from backend.data.synth.render import Bytes, Pictures, render
from backend.data.writing import note

if TYPE_CHECKING:
    from PIL.Image import Image

SEVERITIES = (0.15, 0.4, 0.7, 1.0)
_RIPENESS = np.array((0.12, 0.25, 0.45, 0.75), np.float32)
_TEXT_WIDTH = 112
_HEADER = 44
_INK, _PAPER, _QUIET = "#1b1b1b", "#ffffff", "#5a5a5a"
_GREYS = 64

Row = tuple[str, str, list[tuple[Bytes, Bytes]]]
"""Name, second line, pairs of RGB and NIR."""


def montage(seed: int = 7, size: int = 64) -> Image:
    """Draw the figure.

    The first row shows one healthy fruit from its four sides, and four healthy fruit of growing ripeness.
    Below, each defect, internal ones on the left, in four fruit of growing severity and ripeness, seen from
    the side that shows most of it. Camera noise is left out, so that the file stays small.

    Args:
        seed: of the fruit.
        size: pixels a side of each picture.
    """
    from PIL import Image, ImageDraw, ImageFont

    rows = _rows(np.random.default_rng(seed), size)
    lines = -(-len(rows) // 2)
    block = _TEXT_WIDTH + 2 * len(SEVERITIES) * size
    canvas = Image.new("RGB", (2 * block, _HEADER + lines * size), _PAPER)
    pen = ImageDraw.Draw(canvas)
    title, small = ImageFont.load_default(16), ImageFont.load_default(11)
    pen.text((6, 3), "SYNTHETIC avocados: drawn by a program, not photographed", _INK, title)
    pen.text((6, 26), "in pairs RGB and NIR; severity and ripeness grow to the right", _QUIET, small)
    for number, (name, words, pairs) in enumerate(rows):
        left, top = number // lines * block, _HEADER + number % lines * size
        pen.text((left + 6, top + size // 2 - 14), name, _INK, small)
        pen.text((left + 6, top + size // 2), words, _QUIET, small)
        pictures = [Image.fromarray(picture) for pair in pairs for picture in pair]
        for place, picture in enumerate(pictures):
            canvas.paste(picture, (left + _TEXT_WIDTH + place * size, top))
    return canvas


def with_palette(picture: Image) -> Image:
    """The picture in 256 colours, a third of the bytes.

    A palette by frequency would lose the brown of a scar among the green, so each colour that occurs counts
    once, whatever its area, and NIR gets its own greys.
    """
    from PIL import Image

    pixels = np.asarray(picture).reshape(-1, 3)
    tinted = pixels[np.ptp(pixels, axis=1) > 8]
    each = np.unique(tinted // 6 * 6, axis=0)[None]
    colours = Image.fromarray(each).quantize(256 - _GREYS, Image.Quantize.MEDIANCUT, kmeans=5)
    greys = np.linspace(0, 255, _GREYS).round().astype(int).repeat(3)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(colours.getpalette() or [])[: 3 * (256 - _GREYS)], *greys.tolist()])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def _rows(rng: np.random.Generator, size: int) -> list[Row]:
    """A healthy row and the internal defects, then a healthy row and the external ones."""
    pallet = replace(draw_pallet(rng, 0), noise=0)
    sound = np.zeros((len(SEVERITIES), len(DEFECTS)), np.float32)
    pictures = _draw(rng, pallet, sound, size)
    turned = list(zip(pictures.rgb[0], pictures.nir[0], strict=True))
    ripening = list(zip(pictures.rgb[:, 0], pictures.nir[:, 0], strict=True))
    rows: dict[str, list[Row]] = {
        INTERNAL: [("a-quality", "four sides", turned)],
        EXTERNAL: [("a-quality", "ripening", ripening)],
    }
    for column, spec in enumerate(DEFECTS):
        severity = sound.copy()
        severity[:, column] = SEVERITIES
        pictures = _draw(rng, pallet, severity, size)
        views = pictures.masks[spec.name][1].sum(axis=(2, 3)).argmax(axis=1)
        pairs = [(pictures.rgb[i, view], pictures.nir[i, view]) for i, view in enumerate(views)]
        rows[spec.defect.kind].append((spec.name, spec.defect.kind, pairs))
    return rows[INTERNAL] + rows[EXTERNAL]


def _draw(rng: np.random.Generator, pallet: Pallet, severity: Floats, size: int) -> Pictures:
    return render(rng, shape_fruit(rng, _RIPENESS, severity, DEFECTS), pallet, PAINTERS, size)


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = CommandParser(
        prog="python -m backend.data.synth.montage", description="Draw a figure of the synthetic avocados."
    )
    parser.add_argument("out", type=Path, help="the PNG to write")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args(argv)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with_palette(montage(arguments.seed)).save(arguments.out, optimize=True)
    note(f"{arguments.out} written ({arguments.out.stat().st_size / 1000:.0f} kB)")
    return 0


if __name__ == "__main__":
    run_program(main)
