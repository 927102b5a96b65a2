"""Where a sorter sends a fruit, and when its labels leave that open."""

import numpy as np
import pytest

from backend.evaluation.exits import EXITS, exits

NAMES = ("rot", "mould", "scar", "odd")
KINDS = {"rot": "internal", "mould": "internal", "scar": "external", "odd": "other"}
SORT = {"task": "multilabel", "healthy": "a-quality", "kinds": KINDS}
NAN = np.nan


def exit_of(*labels):
    row = exits(np.array([labels], float), NAMES, **SORT)[0]
    assert row.shape == (3,)
    return None if np.isnan(row).all() else EXITS[int(np.flatnonzero(row == 1)[0])]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ((0, 0, 0, 0), "a-quality"),
        ((1, 0, 1, 0), "internal"),
        ((0, 1, 0, 0), "internal"),
        ((0, 0, 1, 0), "external only"),
        ((0, 0, 0, 1), "external only"),
        ((1, NAN, NAN, NAN), "internal"),  # nothing that is unknown can make it better
        ((0, 0, 1, NAN), "external only"),  # another outer defect changes nothing
        ((NAN, 0, 1, 0), None),  # it may be rotten too
        ((NAN, 1, 0, 0), "internal"),
        ((0, 0, 0, NAN), None),
        ((NAN, 0, 0, 0), None),
        ((NAN, NAN, NAN, NAN), None),
    ],
)
def test_the_exit_follows_from_the_worst_that_is_known(labels, expected):
    assert exit_of(*labels) == expected


def test_the_healthy_class_is_no_defect():
    rows = exits(
        np.eye(3),
        ("fine", "scar", "rot"),
        task="multiclass",
        healthy="fine",
        kinds={**KINDS, "fine": "other"},
    )
    assert rows.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
