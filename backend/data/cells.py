"""The rows of ``manifest.csv``: every cell checked and turned into arrays, one function a kind of column.

``rows`` are the cells below the header, each as long as the header; the first is row 2 of the file.
A cell that is wrong is noted and read as missing, so that one pass finds everything.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from backend.data.columns import Columns
from backend.data.dataset import MULTICLASS
from backend.data.problem import MANIFEST_FILE, Problems, shown
from backend.data.spec import LONGEST_NAME, Spec, is_name

SPLIT_WORDS = ("train", "val", "test")
FRUIT_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
FIRST_ROW = 2
_NO_GROUPS = ("nan", "na", "null", "none")
"""What programs write into cells that they leave empty, in small letters."""

Rows = list[list[str]]


def read_fruit_ids(rows: Rows, columns: Columns, problems: Problems) -> tuple[str, ...]:
    """The n identifiers; where the column is missing, empty words."""
    position = columns.fruit_id
    if position is None:
        return ("",) * len(rows)
    seen: dict[str, int] = {}
    for number, cells in enumerate(rows, start=FIRST_ROW):
        fruit_id = cells[position]
        if not FRUIT_ID.fullmatch(fruit_id):
            message = f"found {shown(fruit_id)}; expected 1 to 64 letters, digits, '.', '_' or '-'"
            problems.cell(number, "fruit_id", message)
        elif fruit_id in seen:
            message = f"duplicate {fruit_id!r}, already in row {seen[fruit_id]}; give every fruit its own"
            problems.cell(number, "fruit_id", message)
        seen.setdefault(fruit_id, number)
    return tuple(cells[position] for cells in rows)


def read_groups(
    rows: Rows, columns: Columns, fruit_ids: tuple[str, ...], problems: Problems
) -> tuple[str, ...]:
    """The n groups; a fruit that names none is its own group."""
    if columns.group is None:
        return fruit_ids
    groups = []
    for number, (cells, fruit_id) in enumerate(zip(rows, fruit_ids, strict=True), start=FIRST_ROW):
        group = cells[columns.group]
        if group and not is_name(group):
            message = f"found {shown(group)}; expected 1 to {LONGEST_NAME} printable characters or nothing"
            problems.cell(number, "group", message)
        groups.append(group or fruit_id)
    _check_spellings([cells[columns.group] for cells in rows], problems)
    return tuple(groups)


def _check_spellings(groups: list[str], problems: Problems) -> None:
    """Point out names that people take for one group, or for none; a split takes them as they are."""
    seen: dict[str, dict[str, int]] = {}
    for number, group in enumerate(groups, start=FIRST_ROW):
        spellings = seen.setdefault(group.casefold(), {})
        if not group or group in spellings:
            continue
        if spellings:
            first, row = next(iter(spellings.items()))
            message = (
                f"{shown(group)} here and {shown(first)} in row {row} are two groups, and one pallet could"
            )
            message += " sit on both sides of a split; spell them alike"
            problems.warning(MANIFEST_FILE, message, row=number, column="group")
        elif group.casefold() in _NO_GROUPS:
            message = (
                f"{shown(group)} names a group like any other word; leave the cell empty if there is none"
            )
            problems.warning(MANIFEST_FILE, message, row=number, column="group")
        spellings[group] = number


def read_splits(
    rows: Rows, columns: Columns, groups: tuple[str, ...], problems: Problems
) -> tuple[str, ...] | None:
    """The n split words; None where the manifest fixes no split."""
    position = columns.split
    if position is None:
        return None
    side: dict[str, tuple[str, int]] = {}
    words = []
    for number, (cells, group) in enumerate(zip(rows, groups, strict=True), start=FIRST_ROW):
        word = cells[position]
        if word not in (*SPLIT_WORDS, ""):
            problems.cell(number, "split", f"found {shown(word)}; expected train, val, test or nothing")
            word = ""
        words.append(word)
        # A fruit without a word is trained on, so it counts as train here.
        first, first_row = side.setdefault(group, (word or "train", number))
        if (word or "train") != first:
            message = f"group {shown(group)} is in {word or 'no part'} here and in {first} in row {first_row}"
            message += "; keep a group on one side"
            problems.cell(number, "split", message)
    if not any(words):
        return None
    if "train" not in words or "test" not in words:
        message = "a fixed split needs the words train and test; add them or remove the column"
        problems.error(MANIFEST_FILE, message, column="split")
    return tuple(words)


def read_labels(rows: Rows, columns: Columns, spec: Spec, problems: Problems) -> NDArray[np.float32]:
    """(n, D) labels: 1, 0 or NaN = unlabelled."""
    labels = np.full((len(rows), len(spec.defects)), np.nan, dtype=np.float32)
    names = [defect.name for defect in spec.defects]
    if spec.task == MULTICLASS:
        if columns.label is not None:
            _read_classes(rows, columns.label, names, labels, problems)
        return labels
    meaning = {"0": 0.0, "1": 1.0, "": np.nan}
    for d, name in enumerate(names):
        position = columns.defects.get(name)
        if position is None:
            continue
        for row, cells in enumerate(rows):
            if cells[position] in meaning:
                labels[row, d] = meaning[cells[position]]
            else:
                message = f"found {shown(cells[position])}; expected 0, 1 or nothing (unlabelled)"
                problems.cell(row + FIRST_ROW, f"defect:{name}", message)
    return labels


def _read_classes(
    rows: Rows, position: int, names: list[str], labels: NDArray[np.float32], problems: Problems
) -> None:
    index = {name: d for d, name in enumerate(names)}
    for row, cells in enumerate(rows):
        label = cells[position]
        if label in index:
            labels[row] = 0
            labels[row, index[label]] = 1
        elif label:
            message = (
                f"unknown class {shown(label)}; expected one of dataset.toml: {', '.join(names)}; "
                "correct it or add a [[defect]] table"
            )
            problems.cell(row + FIRST_ROW, "label", message)


def read_pressures(rows: Rows, columns: Columns, problems: Problems) -> NDArray[np.float32]:
    """(n, P) readings; NaN = missing."""
    pressures = np.full((len(rows), len(columns.pressures)), np.nan, dtype=np.float32)
    highest = float(np.finfo(np.float32).max)
    for p, (name, position) in enumerate(columns.pressures.items()):
        for row, cells in enumerate(rows):
            text = cells[position]
            if NUMBER.fullmatch(text) and abs(float(text)) <= highest:
                pressures[row, p] = float(text)
            elif text:
                message = f"found {shown(text)}; expected a finite number like 3.5, or nothing (missing)"
                problems.cell(row + FIRST_ROW, f"pressure:{name}", message)
    return pressures
