"""Files hold what the screen shows, and say where it comes from."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pandas as pd
import pytest
from PIL import Image

from dashboard import export
from dashboard.charts.balance import balance
from dashboard.export import Provenance
from dashboard.figure import Figure, Panels
from dashboard.theme import Tint

FRAME = pd.DataFrame(
    {"defect": ["rot", "scar"], "positives": [3, 12], "labelled": [60, 60], "text": ["3", "12"]}
)
FIGURE = Figure(
    "balance",
    "How common each defect is",
    "Scars are four times as common as rot.",
    balance,
    FRAME,
    {"order": ("rot", "scar"), "tints": (Tint("internal"), Tint("external")), "axis": "Labelled fruit"},
)
PANELS = Panels("both", "Two panels", "Side by side.", (FIGURE, FIGURE), 2, FRAME)
STAMP = Provenance(
    runs=("run-1", "run-2"),
    dataset="hass",
    fingerprint="f00d",
    synthetic=True,
    commit="0123456789abcdef",
    filters=(("study", "overnight"), ("method", "")),
    made=datetime(2026, 11, 3, 21, 4, tzinfo=UTC),
)


def test_the_line_names_runs_data_code_filters_and_date() -> None:
    assert STAMP.line() == (
        "runs run-1, run-2 · data hass f00d · synthetic fruit · code 0123456789ab · study overnight · "
        "made 3 Nov 2026, 21:04 UTC"
    )


@pytest.mark.parametrize("figure", [FIGURE, PANELS], ids=["figure", "panels"])
def test_svg_words_stay_words(figure) -> None:
    text = export.svg(figure, STAMP).decode()
    assert text.startswith("<svg") and figure.title in text and figure.sentence in text
    assert "run-1" in text and "f00d" in text and "synthetic fruit" in text


@pytest.mark.parametrize("figure", [FIGURE, PANELS], ids=["figure", "panels"])
def test_png_is_twice_the_size_of_the_drawing(figure) -> None:
    picture = Image.open(io.BytesIO(export.png(figure, STAMP)))
    width = float(export.svg(figure, STAMP).decode().split('width="')[1].split('"')[0])
    assert picture.format == "PNG" and picture.width == pytest.approx(2 * width, abs=2)
    ground = picture.convert("RGB").getpixel((2, 2))
    assert ground == (255, 255, 255), "files are always in the light look"


def test_pdf_is_a_page() -> None:
    made = export.pdf(FIGURE, STAMP)
    assert made.startswith(b"%PDF") and len(made) > 2000


def test_csv_keeps_every_number_and_its_origin() -> None:
    table = pd.read_csv(io.BytesIO(export.csv(FIGURE, STAMP)))
    assert table["defect"].tolist() == FRAME["defect"].tolist()  # how text is kept is a setting of pandas
    numbers = ["positives", "labelled"]
    pd.testing.assert_frame_equal(table[numbers], FRAME[numbers], check_column_type=False)
    assert set(table["run_ids"]) == {"run-1 run-2"} and set(table["data_fingerprint"]) == {"f00d"}
    assert set(table["filters"]) == {"study=overnight"} and set(table["exported"]) == {
        "2026-11-03T21:04:00+00:00"
    }


def test_every_format_has_its_type() -> None:
    assert set(export.WRITERS) == set(export.MIME) == {"png", "svg", "pdf", "csv"}


def test_markup_in_a_name_stays_text_in_the_drawing() -> None:
    hostile = Figure("x", "<script>alert(1)</script>", "s", balance, FRAME, FIGURE.options)
    text = export.svg(hostile, STAMP).decode()
    assert "<script>" not in text and "&lt;script&gt;" in text
