"""The review pack: whole, stamped, without any outside request, and made without a browser."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from pptx import Presentation

from backend.cli import run_command
from backend.store.annotations import Annotations
from dashboard import pack, report, story
from dashboard.basket import Exhibit, freeze
from dashboard.charts.balance import balance
from dashboard.export import Provenance
from dashboard.figure import Figure
from dashboard.loaders import open_store
from dashboard.pack import Pack
from dashboard.slides import pptx
from dashboard.theme import Tint

ROOT = Path(__file__).parents[2]
FRAME = pd.DataFrame({"defect": ["rot"], "positives": [3], "labelled": [60], "text": ["3"]})
FIGURE = Figure(
    "../balance of x",
    "How common is <script>alert(1)</script>?",
    "Rot is rare.",
    balance,
    FRAME,
    {"order": ("rot",), "tints": (Tint("internal"),), "axis": "Labelled fruit"},
)
STAMP = Provenance(
    ("run-1",), "hass", "f00d", True, "0123", (("study", "overnight"),), datetime(2026, 11, 3, tzinfo=UTC)
)
PACK = Pack(
    "Review & more",
    "hass · overnight",
    (Exhibit(FIGURE, STAMP), Exhibit(FIGURE, STAMP, "My words.")),
    STAMP.made,
)


class Page(HTMLParser):
    """What a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs) -> None:
        self.tags.append(tag)
        self.asked += [
            value for name, value in attrs if name in ("src", "href", "srcset", "action") and value
        ]


def test_the_page_asks_for_nothing_and_runs_nothing() -> None:
    text = pack.html(PACK).decode()
    page = Page()
    page.feed(text)
    assert page.asked and all(value.startswith(("#", "data:image/svg+xml;base64,")) for value in page.asked)
    assert "script" not in page.tags and "&lt;script&gt;" in text
    assert "default-src 'none'" in text and "url(" not in text and "@import" not in text
    assert text.count("<section") == 2 and "break-before: page" in text


def test_the_page_says_what_where_from_and_how_much() -> None:
    text = pack.html(PACK).decode()
    for words in (
        "Review &amp; more",
        "Rot is rare.",
        "My words.",
        "runs run-1",
        "data hass f00d",
        "code 0123",
    ):
        assert words in text
    assert "synthetic" in text and "<td>rot</td><td>3</td>" in text


def test_the_zip_holds_every_figure_in_every_format() -> None:
    with zipfile.ZipFile(io.BytesIO(pack.zipped(PACK))) as archive:
        names = archive.namelist()
        assert len(names) == 9 and len(set(names)) == 9
        assert all(
            re.fullmatch(r"report\.html|figures/\d\d-[A-Za-z0-9._-]+\.(png|svg|pdf|csv)", n) for n in names
        )
        kinds = {name: archive.read(name)[:8] for name in names}
        assert kinds["figures/01-balance-of-x.png"].startswith(b"\x89PNG")
        assert kinds["figures/02-balance-of-x.pdf"].startswith(b"%PDF")
        table = pd.read_csv(io.BytesIO(archive.read("figures/01-balance-of-x.csv")))
        assert table.loc[0, "positives"] == 3 and table.loc[0, "run_ids"] == "run-1"
        assert "My words." in archive.read("figures/02-balance-of-x.svg").decode()


def test_a_slide_holds_one_figure_and_one_sentence() -> None:
    slides = Presentation(io.BytesIO(pptx(PACK))).slides
    assert [slide.shapes.title.text for slide in slides] == ["Review & more", "Rot is rare.", "My words."]
    for slide in list(slides)[1:]:
        pictures = [shape for shape in slide.shapes if shape.shape_type == 13]
        assert len(pictures) == 1 and pictures[0].image.ext == "png"
        assert "Rot" in pictures[0]._element.nvPicPr.cNvPr.get("descr") or "My" in slide.shapes.title.text
        words = " ".join(shape.text_frame.text for shape in slide.shapes if shape.has_text_frame)
        assert "runs run-1" in words and "f00d" in words
        bottom = max(shape.top + shape.height for shape in slide.shapes)
        assert bottom <= 7.5 * 914_400 + 1


@pytest.fixture
def own_store(full_store: Path, tmp_path: Path) -> Path:
    """The full store under another path, so that its basket is this test's own."""
    store = tmp_path / "store.db"
    store.symlink_to(full_store)
    return store


def test_the_default_pack_answers_the_questions(full_store: Path) -> None:
    scope = story.chosen_scope(open_store(full_store))
    titles = [exhibit.figure.name for exhibit in story.told(scope)]
    assert titles[:2] == ["defect-by-defect-recall", "decisions"] and "where-it-looks" in titles
    assert story.pack_of(scope, []).title == f"{scope.dataset.name}: review", "not every fruit is an avocado"
    assert any(name.startswith("sensors") for name in titles) and len(titles) >= 6
    for exhibit in story.told(scope):
        assert exhibit.stamp.runs and exhibit.stamp.commit and exhibit.figure.sentence


def test_a_study_without_a_result_has_no_story(half_written_store: Path) -> None:
    assert story.told(story.chosen_scope(open_store(half_written_store))) == []


@pytest.mark.parametrize(
    ("options", "defects", "study"),
    [
        ({}, 10, "overnight"),
        ({"defect": "body rot"}, 1, "overnight"),
        ({"defect": "body-rot"}, 1, "overnight"),
        ({"defect": "External defects"}, 5, "overnight"),
        ({"study": "tonight"}, 10, "tonight"),
        ({"study": "all"}, 10, "All studies"),
        ({"dataset": "strawberry-crops"}, 4, "strawberries"),
    ],
)
def test_names_choose_what_the_sidebar_would(full_store, options, defects, study) -> None:
    scope = story.chosen_scope(open_store(full_store), **options)
    assert len(scope.defects) == defects and scope.study.startswith(study)


def test_a_command_makes_each_kind_of_file(own_store: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "deep" / "pack.html"
    assert run_command(report.main, [str(out), "--store", str(own_store), "--defect", "body rot"]) == 0
    assert "body rot" in out.read_text() and "(default)" in capsys.readouterr().out
    Annotations(own_store).put_into_basket("x", freeze(Exhibit(FIGURE, STAMP)))
    for ending in ("html", "pptx", "zip"):
        out = tmp_path / f"pack.{ending}"
        assert run_command(report.main, [str(out), "--store", str(own_store), "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["source"] == "basket" and facts["figures"] == 1
        assert facts["bytes"] == out.stat().st_size > 1000
    assert not list(tmp_path.glob(".*partial"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pack.doc"], "expected a file ending in .html, .pptx, .zip"),
        (["pack.html", "--study", "nope"], "unknown study 'nope'"),
        (["pack.html", "--defect", "nope"], "expected one of"),
        (["pack.html", "--dataset", "nope"], "unknown dataset"),
        (["pack.html", "--store", "none.db"], "there is no such file"),
        (["folder/there.html"], "cannot be written"),
        ([], "OUT"),
    ],
)
def test_every_bad_input_is_one_line(own_store, tmp_path, monkeypatch, capsys, arguments, said) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").write_text("a file")
    monkeypatch.setenv("AVOCADO_STORE", str(own_store))
    monkeypatch.setattr("dashboard.story.CHAPTERS", story.CHAPTERS[:1])
    assert run_command(report.main, arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error and error.count("\n") == 1


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom dashboard.report import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('pandas', 'streamlit', 'altair', 'pptx', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip().endswith("[]") and "--defect" in done.stdout


def test_the_report_needs_no_streamlit() -> None:
    program = "import sys, dashboard.story, dashboard.writers\nprint('streamlit' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "False"
