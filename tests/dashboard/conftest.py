"""Stores of every kind, built through the writer that training uses; nothing in them was trained."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import altair as alt
import pandas as pd
import pytest
import sample_store  # of benchmarks/

from backend.store.writer import RunStore
from dashboard.figure import ROWS, records
from dashboard.theme import LIGHT, Look

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

Drawn = tuple[Callable[..., alt.TopLevelMixin], pd.DataFrame, dict[str, object]]
"""A chart, its rows and its options."""


@pytest.fixture(scope="session")
def full_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several studies, ten defects, four classes, failures, a running study, a hostile name, pictures."""
    return sample_store.build(tmp_path_factory.mktemp("full") / "store.db")


@pytest.fixture
def empty_store(tmp_path: Path) -> Path:
    """A store without a study."""
    RunStore(tmp_path / "empty.db").close()
    return tmp_path / "empty.db"


@pytest.fixture
def half_written_store(tmp_path: Path) -> Path:
    """One study whose first run has one fold of three."""
    path = tmp_path / "half.db"
    fruit = sample_store.avocados(tmp_path / "fruit", 30, 0)
    with RunStore(path) as store:
        build = sample_store.Builder(store, sample_store.Plan())
        store.add_dataset(fruit, [])
        study = build.study("s", "tonight", fruit)
        build.run(study, fruit, sample_store.config("", 0, "baseline"), folds=1, finish=False)
    return path


@pytest.fixture
def broken_stores(tmp_path: Path) -> dict[str, Path]:
    """Files that are no store this program can read, and what they are."""
    foreign, newer, text = (tmp_path / f"{name}.db" for name in ("foreign", "newer", "text"))
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE cats (name)")
    RunStore(newer).close()
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    text.write_text("These are words and not a database. " * 100)
    return {"foreign": foreign, "newer": newer, "text": text}


@pytest.fixture
def headline() -> Callable[[AppTest], str]:
    """The sentence of a page as people read it."""
    return lambda app: app.title[0].value.replace("\\", "").replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture
def written() -> Callable[[AppTest], str]:
    """Everything written on a page, unescaped."""

    def every_word(app: AppTest) -> str:
        titles, texts = (app.title, app.header, app.subheader), (app.markdown, app.caption, app.code)
        kinds = (*titles, *texts, app.error, app.warning)
        return "\n".join(element.value.replace("\\", "") for kind in kinds for element in kind)

    return every_word


@pytest.fixture
def ask() -> Callable[..., list[tuple]]:
    """Asks a store in SQL."""

    def answer(store: Path, sql: str, *values: object) -> list[tuple]:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
            return connection.execute(sql, values).fetchall()

    return answer


@pytest.fixture
def cards() -> Callable[[AppTest], str]:
    """The HTML of the cards of fruit."""
    return lambda app: next(element.value for element in app.html if "class='cards" in element.value)


@pytest.fixture
def changed(full_store: Path, tmp_path: Path) -> Callable[..., Path]:
    """``changed(sql, *values)``: a copy of the full store, without its files, changed by one statement."""

    def change(sql: str, *values: object) -> Path:
        copy = tmp_path / "copy.db"
        with sqlite3.connect(full_store) as source, sqlite3.connect(copy) as target:
            source.backup(target)
            target.execute(sql, values)
        return copy

    return change


@pytest.fixture
def finals() -> str:
    """Which runs of the full store are final results, in SQL."""
    return "study_id = 'study-overnight' AND purpose = 'final' AND kind <> 'pretrain'"


@pytest.fixture
def run_rows() -> Callable[..., pd.DataFrame]:
    """``run_rows({…}, …)``: runs r0, r1, … as queries of ablations give them, each with what differs."""
    base = {
        "study_id": "s",
        "kind": "baseline",
        "method": "supervised",
        "backbone": "tiny",
        "purpose": "input-ablation",
        "modalities": '["rgb"]',
        "label_fraction": 1.0,
        "seed": 0,
        "git_commit": "c",
        "transductive": 0,
        "augment": "{}",
    }
    return lambda *rows: pd.DataFrame([base | {"run_id": f"r{i}"} | row for i, row in enumerate(rows)])


@pytest.fixture
def metric_rows() -> Callable[..., pd.DataFrame]:
    """``metric_rows((run, metric, defect, value, low, high), …)``."""
    columns = ["run_id", "metric", "defect", "value", "ci_low", "ci_high"]
    return lambda *rows: pd.DataFrame(list(rows), columns=columns)


@pytest.fixture
def holds_its_rows() -> Callable[[Drawn, Look], None]:
    """``holds_its_rows(drawn, look)``: the chart is valid and carries its data."""

    def check(drawn: Drawn, look: Look) -> None:
        chart, frame, options = drawn
        spec = chart(frame, look, **options).to_dict()  # validates against the schema
        assert spec["data"] == {"name": ROWS, "values": records(frame)}
        assert "NaN" not in json.dumps(spec)

    return check


@pytest.fixture
def shape() -> Callable[[dict], str]:
    """A specification as text, without the numbers of the views that Altair makes, which mean nothing."""
    return lambda spec: re.sub(r"(view|param)_\d+", r"\1", json.dumps(spec, sort_keys=True))


@pytest.fixture
def shape_stays(shape: Callable[[dict], str]) -> Callable[[Drawn], None]:
    """``shape_stays(drawn)``: without rows the chart is the same but for its data."""

    def check(drawn: Drawn) -> None:
        chart, frame, options = drawn
        full, none = (chart(rows, LIGHT, **options).to_dict() for rows in (frame, frame.head(0)))
        del full["data"], none["data"]
        assert shape(full) == shape(none)

    return check
