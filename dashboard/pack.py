"""The review pack: figures with their sentences as one HTML page without any outside request, or as a ZIP.

Every figure is drawn by ``dashboard.export``, from the same ``Figure`` as on the screen.
"""

from __future__ import annotations

import base64
import io
import re
import zipfile
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path

import pandas as pd

from dashboard import texts
from dashboard.basket import Exhibit
from dashboard.export import WRITERS, chart_svg
from dashboard.format import count, missing, number, plural, when

WORDS = texts.REPORT
STYLE = Path(__file__).parent / "pack.css"
MOST_ROWS = 200
"""Rows of numbers that a page shows; the ZIP holds all of them."""


@dataclass(frozen=True)
class Pack:
    """What a review pack holds.

    Attributes:
        title: of the whole.
        place: data set and study in words.
        exhibits: in reading order.
        made: when.
    """

    title: str
    place: str
    exhibits: tuple[Exhibit, ...]
    made: datetime

    @property
    def summary(self) -> str:
        """One line under the title."""
        n = plural(len(self.exhibits), WORDS["figure"], WORDS["figure_many"])
        return " · ".join(part for part in (self.place, n, when(self.made.isoformat())) if part)


def stem(place: int, name: str) -> str:
    """The file name of a figure without its ending: its number and name, safe on any system."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "figure"
    return f"{place:02d}-{safe[:60]}"


def html(pack: Pack) -> bytes:
    """One page that needs nothing else: pictures inside, no script, a figure a sheet in print."""
    sections = [_section(i, exhibit) for i, exhibit in enumerate(pack.exhibits, start=1)]
    contents = "".join(
        f"<li><a href='#figure-{i}'>{escape(exhibit.shown.title)}</a></li>"
        for i, exhibit in enumerate(pack.exhibits, start=1)
    )
    synthetic = any(exhibit.stamp.synthetic for exhibit in pack.exhibits)
    warning = f"<p class='warning'>{escape(texts.CAVEATS['synthetic'])}</p>" if synthetic else ""
    page = (
        f"<!doctype html><html lang='{texts.LANGUAGE}'><head><meta charset='utf-8'>"
        "<meta http-equiv='Content-Security-Policy' "
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(pack.title)}</title><style>{STYLE.read_text(encoding='utf-8')}</style></head><body>"
        f"<header><h1>{escape(pack.title)}</h1><p class='quiet'>{escape(pack.summary)}</p>{warning}"
        f"<nav aria-label='{escape(WORDS['contents'])}'><ol>{contents}</ol></nav></header>"
        f"<main>{''.join(sections)}</main></body></html>"
    )
    return page.encode()


def _section(place: int, exhibit: Exhibit) -> str:
    figure = exhibit.shown
    drawing = base64.b64encode(chart_svg(figure).encode()).decode()
    alt = escape(f"{figure.title}. {figure.sentence}")
    return (
        f"<section id='figure-{place}'><h2>{escape(figure.title)}</h2><p>{escape(figure.sentence)}</p>"
        f"<img src='data:image/svg+xml;base64,{drawing}' alt='{alt}'>"
        f"<p class='stamp'>{escape(exhibit.stamp.line())}</p>{_numbers(figure.rows)}</section>"
    )


def _numbers(table: pd.DataFrame) -> str:
    """The rows behind a figure, folded away and left out in print."""
    head = "".join(f"<th scope='col'>{escape(str(name))}</th>" for name in table.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_cell(value))}</td>" for value in row) + "</tr>"
        for row in table.head(MOST_ROWS).itertuples(index=False, name=None)
    )
    left = len(table) - MOST_ROWS
    more = f"<p>{escape(WORDS['more_rows'].format(n=count(left)))}</p>" if left > 0 else ""
    table_of = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    summary = f"<summary>{escape(WORDS['numbers'])}</summary>"
    return f"<details>{summary}<div class='table'>{table_of}</div>{more}</details>"


def _cell(value: object) -> str:
    if missing(value):
        return ""
    return number(value, 4, finest=6) if isinstance(value, float) else str(value)


def zipped(pack: Pack) -> bytes:
    """Every figure as PNG, SVG, PDF and CSV, and the page that shows them all."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("report.html", html(pack))
        for place, exhibit in enumerate(pack.exhibits, start=1):
            for kind, write in WRITERS.items():
                name = f"figures/{stem(place, exhibit.figure.name)}.{kind}"
                archive.writestr(name, write(exhibit.shown, exhibit.stamp))
    return data.getvalue()
