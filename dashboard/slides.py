"""The review pack as slides: one figure and one sentence each, the origin in small grey type below.

Titles are real titles, so outlines and screen readers have them, and every picture carries its words.
"""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from dashboard import texts
from dashboard.basket import Exhibit
from dashboard.export import chart_png
from dashboard.pack import Pack
from dashboard.theme import LIGHT

FONT = "Arial"
INCH = 914_400
"""Units of a presentation in one inch."""
WIDTH, HEIGHT = 13.333, 7.5
MARGIN, TITLE, FOOT = 0.6, 1.35, 0.45
"""Inches: at the sides, for the sentence, and for the origin."""
LONG = 150
"""Characters from which a sentence is set smaller."""


def pptx(pack: Pack) -> bytes:
    """The slides as a PowerPoint file."""
    from pptx import Presentation

    slides: Any = Presentation()
    slides.slide_width, slides.slide_height = _units(WIDTH), _units(HEIGHT)
    _first(slides, pack)
    for exhibit in pack.exhibits:
        _slide(slides, exhibit)
    slides.core_properties.title = pack.title
    data = io.BytesIO()
    slides.save(data)
    return data.getvalue()


def _units(inches: float) -> int:
    return round(inches * INCH)


def _first(slides: Any, pack: Pack) -> None:
    """Title, data set, study and date."""
    slide = slides.slides.add_slide(slides.slide_layouts[5])
    _title(slide, pack.title, top=2.4, size=40)
    warning = texts.CAVEATS["synthetic"] if any(e.stamp.synthetic for e in pack.exhibits) else ""
    for place, line in enumerate(line for line in (pack.summary, warning) if line):
        _text(slide, line, top=4.0 + 0.6 * place, height=0.6, size=18)


def _slide(slides: Any, exhibit: Exhibit) -> None:
    """The sentence above, the figure under it, the origin below."""
    slide = slides.slides.add_slide(slides.slide_layouts[5])
    figure = exhibit.shown
    _title(slide, figure.sentence or figure.title, top=0.35, size=20 if len(figure.sentence) > LONG else 26)
    _text(slide, figure.title, top=0.35 + TITLE, height=0.4, size=14)
    top = 0.35 + TITLE + 0.45
    room = (WIDTH - 2 * MARGIN, HEIGHT - top - FOOT - 0.3)
    data = chart_png(figure)
    with Image.open(io.BytesIO(data)) as picture:
        scale = min(room[0] / picture.width, room[1] / picture.height)
        size = (picture.width * scale, picture.height * scale)
    left = (WIDTH - size[0]) / 2
    shape = slide.shapes.add_picture(
        io.BytesIO(data), _units(left), _units(top), _units(size[0]), _units(size[1])
    )
    shape._element.nvPicPr.cNvPr.set("descr", f"{figure.title}. {figure.sentence}")
    _text(slide, exhibit.stamp.line(), top=HEIGHT - FOOT - 0.2, height=FOOT, size=9)


def _title(slide: Any, text: str, *, top: float, size: int) -> None:
    from pptx.enum.text import MSO_ANCHOR, PP_ALIGN

    shape = slide.shapes.title
    shape.left, shape.top = _units(MARGIN), _units(top)
    shape.width, shape.height = _units(WIDTH - 2 * MARGIN), _units(TITLE)
    shape.text_frame.word_wrap = True
    shape.text_frame.vertical_anchor = MSO_ANCHOR.MIDDLE
    shape.text_frame.text = text
    shape.text_frame.paragraphs[0].alignment = PP_ALIGN.LEFT
    _ink(shape.text_frame.paragraphs[0], size, LIGHT.text, bold=True)


def _text(slide: Any, text: str, *, top: float, height: float, size: int) -> None:
    box = slide.shapes.add_textbox(_units(MARGIN), _units(top), _units(WIDTH - 2 * MARGIN), _units(height))
    box.text_frame.word_wrap = True
    box.text_frame.text = text
    _ink(box.text_frame.paragraphs[0], size, LIGHT.muted, bold=False)


def _ink(paragraph: Any, size: int, colour: str, *, bold: bool) -> None:
    from pptx.dml.color import RGBColor
    from pptx.util import Pt

    for run in paragraph.runs:
        run.font.size, run.font.bold, run.font.name = Pt(size), bold, FONT
        run.font.color.rgb = RGBColor(*bytes.fromhex(colour.lstrip("#")))  # type: ignore[no-untyped-call]
