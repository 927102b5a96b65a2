"""Every page on every kind of store: it opens, and what is wrong gets a sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PAGES = ("overview", "defects", "runs")


@pytest.mark.parametrize("page", PAGES)
def test_pages_open_on_a_full_store(full_store: Path, page: str, open_page, written) -> None:
    app = open_page(full_store, page)
    assert len(app.title) == 1 and "synthetic" in written(app)
    assert app.selectbox(key="dataset").value == "synthetic-hass"
    assert app.selectbox(key="study").value.startswith("overnight"), "the latest study with a result"


@pytest.mark.parametrize("page", PAGES)
def test_pages_open_on_a_multiclass_data_set(full_store: Path, page: str, open_page, written) -> None:
    app = open_page(full_store, page, dataset="strawberry-crops")
    assert "strawberry-crops" in written(app)
    assert "All classes" in app.selectbox(key="defect").options


@pytest.mark.parametrize("page", PAGES)
def test_pages_open_on_a_half_written_store(half_written_store: Path, page: str, open_page) -> None:
    app = open_page(half_written_store, page)
    assert app.title or app.header


@pytest.mark.parametrize("page", PAGES)
def test_a_missing_store_gets_a_command_to_copy(tmp_path: Path, page: str, open_page) -> None:
    app = open_page(tmp_path / "my store.db", page)
    assert app.title[0].value == "No results yet"
    assert app.code[0].value == f"python -m backend.tune --plan quick --store '{tmp_path}/my store.db'"


def test_the_default_store_gets_the_short_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_page
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_page(Path("runs/store.db"), "overview").code[0].value == "make demo"


def test_an_empty_store_gets_a_command_to_copy(empty_store: Path, open_page) -> None:
    app = open_page(empty_store, "overview")
    assert app.title[0].value == "No study yet"
    assert app.code[0].value.startswith("python -m backend.tune --plan quick")


@pytest.mark.parametrize("kind", ["foreign", "newer", "text"])
@pytest.mark.parametrize("page", PAGES)
def test_a_file_that_is_no_store_is_said_to_be_none(
    broken_stores: dict[str, Path], kind: str, page: str, open_page, written
) -> None:
    app = open_page(broken_stores[kind], page)
    assert app.title[0].value == "This store cannot be shown"
    assert str(broken_stores[kind]) in written(app)
    assert "dashboard/app.py -- --store" in app.code[-1].value


def test_the_dashboard_never_loads_what_trains() -> None:
    program = (
        "import importlib, pkgutil, sys, dashboard\n"
        "for m in pkgutil.walk_packages(dashboard.__path__, 'dashboard.'): importlib.import_module(m.name)\n"
        "print([m for m in ('torch', 'lightly', 'optuna', 'sklearn', 'vl_convert') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
