"""Figures as files: PNG at twice the size, SVG, PDF and CSV, each stamped with where it comes from.

Files are drawn with the same chart and theme as the screen, always in the light look, without a browser.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal

from dashboard.figure import Figure, Panels, Spec
from dashboard.format import when
from dashboard.theme import LIGHT, PAPER_FONT, Look

Format = Literal["png", "svg", "pdf", "csv"]
MIME: dict[Format, str] = {
    "png": "image/png",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "csv": "text/csv",
}
SCALE = 2.0
LINE = 105
"""Characters of a caption that fit into one line."""
MARGIN = {"left": 28, "right": 28, "top": 8, "bottom": 8}
"""Around a drawing in a document, in pixels: where neither Arial nor its twin is installed, words take
a sixth more than was measured, and would lose their first letter at the edge."""


@cache
def vega_lite() -> str:
    """Version of Vega-Lite that the charts are written in, e.g. ``"6.4"``."""
    import altair as alt  # see dashboard.figure

    return ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])


@dataclass(frozen=True)
class Provenance:
    """Where a figure comes from.

    Attributes:
        runs: ids of the runs it shows.
        dataset: name of the data set.
        fingerprint: its ``dataset_id``.
        synthetic: whether its fruit are drawn by a program.
        commit: of the code that trained the runs; empty where unknown.
        filters: (name, value) of what was chosen on the page.
        made: when the figure was made.
    """

    runs: tuple[str, ...]
    dataset: str
    fingerprint: str
    synthetic: bool
    commit: str
    filters: tuple[tuple[str, str], ...]
    made: datetime

    def line(self) -> str:
        """Everything in one line of small type."""
        parts = [
            f"runs {', '.join(self.runs)}" if self.runs else "",
            f"data {self.dataset} {self.fingerprint}",
            "synthetic fruit" if self.synthetic else "",
            f"code {self.commit[:12]}" if self.commit else "",
            *(f"{name} {value}" for name, value in self.filters if value),
            f"made {when(self.made.isoformat())}",
        ]
        return " · ".join(part for part in parts if part)

    def columns(self) -> dict[str, str]:
        """The same as columns, which a table can carry without breaking its format."""
        return {
            "run_ids": " ".join(self.runs),
            "data_fingerprint": self.fingerprint,
            "synthetic": str(self.synthetic).lower(),
            "commit": self.commit,
            "filters": "; ".join(f"{name}={value}" for name, value in self.filters if value),
            "exported": self.made.isoformat(timespec="seconds"),
        }


def document(figure: Figure | Panels, provenance: Provenance, look: Look = LIGHT) -> Spec:
    """The specification of a whole picture: title, sentence, chart and the line with its provenance."""
    drawing = figure.drawing(look)
    shared = {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{vega_lite()}.json",
        "config": {**drawing["config"], "font": PAPER_FONT},
    }
    chart = {key: value for key, value in drawing.items() if key not in ("config", "$schema")}
    words = textwrap.wrap(provenance.line().replace(" · ", "\N{NO-BREAK SPACE}· "), 140)
    small: dict[str, Any] = {"type": "text", "align": "left", "baseline": "top", "fontSize": 10, "x": 0}
    stamp = {
        "data": {"values": [{"line": words}]},
        "mark": {**small, "color": look.muted, "lineHeight": 13},
        "encoding": {"text": {"field": "line"}},
        "width": 700,
        "height": 12,
    }
    title = {"text": figure.title, "subtitle": textwrap.wrap(figure.sentence, LINE)}
    return {**shared, "title": title, "vconcat": [chart, stamp], "padding": 18, "spacing": 14}


def chart_only(figure: Figure | Panels, look: Look = LIGHT) -> Spec:
    """The specification of the chart alone, for documents that write its words themselves."""
    drawing = figure.drawing(look)
    schema = f"https://vega.github.io/schema/vega-lite/v{vega_lite()}.json"
    config = {**drawing["config"], "font": PAPER_FONT}
    return {**drawing, "$schema": schema, "config": config, "padding": MARGIN}


def chart_png(figure: Figure | Panels) -> bytes:
    """The chart alone at twice its size in pixels."""
    import vl_convert

    made: bytes = vl_convert.vegalite_to_png(chart_only(figure), vl_version=vega_lite(), scale=SCALE)
    return made


def chart_svg(figure: Figure | Panels) -> str:
    """The chart alone as a drawing."""
    import vl_convert

    made: str = vl_convert.vegalite_to_svg(chart_only(figure), vl_version=vega_lite())
    return made


def png(figure: Figure | Panels, provenance: Provenance) -> bytes:
    """The picture at twice its size in pixels."""
    import vl_convert  # a third of a second that only an export should pay

    made: bytes = vl_convert.vegalite_to_png(
        document(figure, provenance), vl_version=vega_lite(), scale=SCALE
    )
    return made


def svg(figure: Figure | Panels, provenance: Provenance) -> bytes:
    """The picture as a drawing whose words stay words."""
    import vl_convert

    made: str = vl_convert.vegalite_to_svg(document(figure, provenance), vl_version=vega_lite())
    return made.encode()


def pdf(figure: Figure | Panels, provenance: Provenance) -> bytes:
    """The picture as a page."""
    import vl_convert

    made: bytes = vl_convert.vegalite_to_pdf(document(figure, provenance), vl_version=vega_lite())
    return made


def csv(figure: Figure | Panels, provenance: Provenance) -> bytes:
    """The numbers behind the picture, full precision, with where they come from in further columns."""
    table = figure.rows.assign(**provenance.columns())
    return table.to_csv(index=False).encode()


WRITERS: dict[Format, Callable[[Figure | Panels, Provenance], bytes]] = {
    "png": png,
    "svg": svg,
    "pdf": pdf,
    "csv": csv,
}
