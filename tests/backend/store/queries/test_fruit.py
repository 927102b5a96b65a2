"""Queries of fruit: what is known and what was said of each."""

from __future__ import annotations

import numpy as np

from backend.store.queries import fruit


def test_predictions_and_fruit_come_as_stored(connection) -> None:
    found = fruit.predictions(connection, "base").set_index(["fruit_id", "defect"])
    assert len(found) == 10
    assert tuple(found.loc[("c", "rot"), ["fold", "y_true", "y_pred"]]) == (0, 1, 0)
    assert np.isnan(found.loc[("e", "scar"), "y_true"])
    asked = fruit.fruit(connection, "d1", ["c", "a", "nobody"])
    assert list(asked["fruit_id"]) == ["c", "a"]
    assert asked.loc[0, "images"] == "{}" and asked.loc[1, "images"] == '{"rgb":{"1":"a.png"}}'


def test_pressure_quantiles_ignore_the_missing(connection) -> None:
    found = fruit.pressure_quantiles(connection, "d1").iloc[0]
    assert tuple(found) == ("tap", 1.0, 3.0, 5.0, 1.0, 5.0, 5)
