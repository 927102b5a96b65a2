"""The header of ``manifest.csv``: which column means what."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from backend.config import PRESSURE
from backend.data.dataset import MULTICLASS, MULTILABEL
from backend.data.problem import MANIFEST_FILE, Problems
from backend.data.spec import LONGEST_NAME, Spec, is_name

WORD = re.compile(r"[A-Za-z0-9_-]{1,32}")
"""What a modality or a view may be called: it becomes part of a file's name."""

FORMS = (
    "fruit_id, group, split, label, defect:<name>, pressure:<name> or image:<modality>:<view>"  # contracts §1
)


@dataclass
class Columns:
    """Position of every column, counted from 0; None or absent = the manifest has no such column.

    Attributes:
        header: names of all columns in file order.
        fruit_id: of the identifier.
        group: of the group.
        split: of the fixed split.
        label: of the class (multiclass).
        defects: defect to position (multilabel).
        pressures: reading to position.
        images: (modality, view) to position.
    """

    header: list[str]
    fruit_id: int | None = None
    group: int | None = None
    split: int | None = None
    label: int | None = None
    defects: dict[str, int] = field(default_factory=dict)
    pressures: dict[str, int] = field(default_factory=dict)
    images: dict[tuple[str, str], int] = field(default_factory=dict)


def read_columns(header: list[str], spec: Spec | None, problems: Problems) -> Columns:
    """Sort the columns of the header row by what they hold.

    Args:
        header: cells of the manifest's first row.
        spec: what ``dataset.toml`` says; None = unknown, then labels are not compared with it.
        problems: takes every column that is unknown, double, misnamed or missing.
    """
    columns = Columns(header)
    spaced = [name for name in header if name and name != name.strip()]
    for position, name in enumerate(header):
        if name in header[:position]:
            problems.error(MANIFEST_FILE, "this column appears twice; keep one", row=1, column=name)
        elif name in spaced:
            message = "spaces around the name; remove the spaces, around the words below it too"
            problems.error(MANIFEST_FILE, message, row=1, column=name)
        else:
            _place(columns, position, name, spec, problems)
    if spaced:  # what seems to be missing is there under such a name
        return columns
    if columns.fruit_id is None:
        problems.error(MANIFEST_FILE, "no column fruit_id; add one", row=1, column="fruit_id")
    if not columns.images and not columns.pressures:
        message = "no column image:<modality>:<view> or pressure:<name>; add what the sensors saw"
        problems.error(MANIFEST_FILE, message, row=1)
    if spec is not None and spec.task == MULTILABEL:
        for defect in spec.defects:
            if defect.name not in columns.defects:
                message = "named in dataset.toml but no column; add it or remove its [[defect]] table"
                problems.error(MANIFEST_FILE, message, row=1, column=f"defect:{defect.name}")
    return columns


def _place(columns: Columns, position: int, name: str, spec: Spec | None, problems: Problems) -> None:
    kind, _, rest = name.partition(":")
    if name in ("fruit_id", "group", "split"):
        setattr(columns, name, position)
    elif name == "label":
        columns.label = position
        _check_task(MULTICLASS, name, spec, problems)
    elif kind == "defect" and is_name(rest):
        columns.defects[rest] = position
        _check_task(MULTILABEL, name, spec, problems)
        _check_defect(rest, spec, problems)
    elif kind == "pressure" and is_name(rest):
        columns.pressures[rest] = position
    elif kind == "image":
        _place_image(columns, position, name, problems)
    else:
        problems.error(MANIFEST_FILE, _unknown(name, position, columns.header), row=1, column=name)


def _place_image(columns: Columns, position: int, name: str, problems: Problems) -> None:
    modality, _, view = name.removeprefix("image:").partition(":")
    if not WORD.fullmatch(modality) or not WORD.fullmatch(view):
        message = "expected image:<modality>:<view>, words of 1 to 32 letters, digits, - and _"
        problems.error(MANIFEST_FILE, message, row=1, column=name)
    elif modality == PRESSURE:
        message = f"an image modality cannot be called {PRESSURE}, the word of the readings; rename it"
        problems.error(MANIFEST_FILE, message, row=1, column=name)
    else:
        columns.images[modality, view] = position


def _unknown(name: str, position: int, header: list[str]) -> str:
    if len(header) == 1 and (separator := next((mark for mark in ";\t|" if mark in name), None)):
        return f"columns separated by {separator!r}; expected commas"
    if not name:
        return f"column {position + 1} has no name; expected {FORMS}"
    if name.startswith(("defect:", "pressure:")):
        return f"expected a name of 1 to {LONGEST_NAME} printable characters after the colon"
    return f"unknown column; expected {FORMS}"


def _check_task(task: str, name: str, spec: Spec | None, problems: Problems) -> None:
    if spec is not None and spec.task != task:
        message = f"belongs to task {task}, but dataset.toml says {spec.task}; correct one of them"
        problems.error(MANIFEST_FILE, message, row=1, column=name)


def _check_defect(defect: str, spec: Spec | None, problems: Problems) -> None:
    known = [] if spec is None else [known.name for known in spec.defects]
    if spec is not None and spec.task == MULTILABEL and defect not in known:
        message = f"not among the [[defect]] tables of dataset.toml ({', '.join(known)}); add one"
        problems.error(MANIFEST_FILE, message, row=1, column=f"defect:{defect}")
