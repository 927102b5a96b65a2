"""Every page on stores in which everything that may be NULL is: it opens, whatever nobody could measure."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from dashboard.pages import PAGES

NO_INTERVAL = """
    UPDATE metric SET ci_low = NULL, ci_high = NULL;
    UPDATE comparison SET ci_low = NULL, ci_high = NULL, p_value = NULL, p_adjusted = NULL,
        effect_size = NULL, n_needed = NULL, n = NULL, verdict = '';
"""
MISSING = {
    "interval": NO_INTERVAL,
    "value": NO_INTERVAL
    + """
    UPDATE metric SET value = NULL, reason = 'no fruit has it';
    UPDATE comparison SET delta = NULL;
    UPDATE curve SET value = NULL;
    UPDATE finding SET value = NULL;
    """,
    "label": """
    UPDATE prediction SET y_true = NULL;
    UPDATE fruit SET images = '{}',
        labels = (SELECT json_group_object(key, NULL) FROM json_each(labels)),
        pressures = (SELECT json_group_object(key, NULL) FROM json_each(pressures));
    DELETE FROM defect_confusion;
    DELETE FROM class_confusion;
    """,
    "time": """
    UPDATE run SET seconds = NULL, finished = NULL, heartbeat = NULL, git_commit = NULL, error = NULL;
    UPDATE study SET finished = NULL, heartbeat = NULL, progress = '{}', summary = '{}';
    """,
}
"""What is missing, and the statements that take it out of a store."""


@pytest.fixture(scope="module", params=MISSING)
def reduced(request, full_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the full store, without its files, that lacks one kind of fact throughout."""
    copy = tmp_path_factory.mktemp("reduced") / "store.db"
    with sqlite3.connect(full_store) as source, sqlite3.connect(copy) as target:
        source.backup(target)
        target.executescript(MISSING[request.param])
    return copy


@pytest.mark.parametrize("page", [entry.name for entry in PAGES])
def test_pages_open_without_what_is_missing(reduced: Path, open_page: Callable, page: str) -> None:
    app = open_page(reduced, page)
    assert app.title or app.header


@pytest.mark.parametrize("page", ["overview", "defects", "changes", "methods"])
def test_pages_open_on_one_defect_without_it(reduced: Path, open_page: Callable, page: str) -> None:
    app = open_page(reduced, page, defect="body rot")
    assert app.title or app.header
