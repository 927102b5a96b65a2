"""Queries of runs: states, the table, one run whole."""

from __future__ import annotations

import numpy as np
import pytest

from backend.store.queries import runs
from backend.store.queries.runs import RunFilter

FUTURE = "2999-01-01T00:00:00.000000+00:00"


def test_states_tell_the_stalled_from_the_running(connection) -> None:
    assert runs.state_counts(connection, RunFilter(stale_before="2019-01-01")) == {
        "complete": 4, "failed": 2, "running": 1
    }  # fmt: skip
    counts = runs.state_counts(connection, RunFilter(stale_before=FUTURE, statuses=("stalled",)))
    assert counts == {"stalled": 1}


def test_equal_reasons_are_counted_together(connection) -> None:
    found = runs.reasons(connection, RunFilter(stale_before=FUTURE))
    failed = found[found["state"] == "failed"].iloc[0]
    assert (failed["error"], failed["n"]) == ("out of 100% memory", 2)
    assert set(found["state"]) == {"failed", "stalled"}


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (RunFilter(dataset_id="d1"), {"pre", "base", "base2", "fine", "bad1", "bad2", "slow"}),
        (RunFilter(dataset_id="d2"), set()),
        (RunFilter(study_id="s1", method="simclr"), {"pre", "fine"}),
        (RunFilter(modalities='["rgb","nir"]'), {"bad1", "bad2"}),
        (RunFilter(purposes=("tune", "benchmark")), {"bad1", "bad2"}),
        (RunFilter(statuses=("complete",), method="supervised"), {"base", "base2"}),
        (RunFilter(text="100% MEM"), {"bad1", "bad2"}),
        (RunFilter(text="name%fine"), set()),
        (RunFilter(text="_ine"), set()),
        (RunFilter(text="'; DROP TABLE run; --"), set()),
    ],
)
def test_the_table_holds_what_the_filter_lets_through(connection, chosen, expected) -> None:
    assert set(runs.run_table(connection, chosen)["run_id"]) == expected


def test_the_table_is_newest_first_and_bounded(connection) -> None:
    found = runs.run_table(connection, RunFilter(), limit=2)
    assert list(found["run_id"]) == ["slow", "bad2"]
    scores = runs.run_table(connection, RunFilter()).set_index("run_id")["score"]
    assert scores["fine"] == 0.6 and np.isnan(scores["bad1"])


def test_finish_times_come_in_the_order_asked_for(connection) -> None:
    finished = dict(connection.execute("SELECT run_id, finished FROM run").fetchall())
    asked = ("slow", "fine", "base", "never made")
    assert runs.finish_times(connection, asked) == ("", finished["fine"], finished["base"], "")


def test_choices_list_methods_with_sensors(connection) -> None:
    found = runs.choices(connection, "d1", "s1").set_index(["method", "modalities"])["n"]
    assert dict(found) == {
        ("simclr", '["rgb"]'): 2,
        ("supervised", '["rgb"]'): 3,
        ("supervised", '["rgb","nir"]'): 2,
    }


def test_a_run_comes_whole(connection) -> None:
    found = runs.run(connection, "base")
    assert found["params"] == {"optim": {"epochs": 2}} and found["modalities"] == ["rgb"]
    assert (found["study_name"], found["dataset_name"], found["folds_done"]) == ("first", "six", 2)
    assert runs.run(connection, "nothing") is None
    assert list(runs.folds(connection, "base")["seconds"]) == [10.0, 11.0]
    assert list(runs.curves(connection, "base")["value"]) == [0.5, 0.4, 0.5, 0.4]
    assert runs.artifacts(connection, "base").empty


def test_lineage_goes_up_and_down(connection) -> None:
    assert list(runs.lineage(connection, "fine")["run_id"]) == ["pre", "fine"]
    down = runs.lineage(connection, "pre").set_index("run_id")["distance"]
    assert dict(down) == {"pre": 0, "fine": 1}
