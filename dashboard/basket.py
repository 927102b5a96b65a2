"""A figure put away for the report: the same ``Figure`` object as text, and back.

What is kept is the name of the chart function, its options and its rows, so a figure from the basket is drawn
by the very code that drew it on the page. Only functions of ``dashboard.charts`` and the colours of
``dashboard.theme`` are ever looked up, so that a foreign notes database can name nothing else.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, cast

import pandas as pd

from backend.errors import StoreError
from dashboard.export import Provenance
from dashboard.figure import ChartFunction, Figure, Panels, records
from dashboard.theme import Look, Tint

CHARTS = "dashboard.charts."
VALUES: dict[str, type[Any]] = {"Tint": Tint, "Look": Look}


@dataclass(frozen=True)
class Exhibit:
    """A figure together with where it comes from: what the report is made of.

    Attributes:
        figure: what is drawn.
        stamp: runs, data, code, filters, date.
        caption: the reader's own sentence; empty = the figure's.
        item: number in the basket; None where it is not from there.
    """

    figure: Figure | Panels
    stamp: Provenance
    caption: str = ""
    item: int | None = None

    @property
    def shown(self) -> Figure | Panels:
        """The figure with the reader's caption as its sentence."""
        return dataclasses.replace(self.figure, sentence=self.caption) if self.caption else self.figure


def freeze(exhibit: Exhibit) -> str:
    """An exhibit as JSON text; the caption stays outside, since it changes.

    The time at which it was made is part of the text only to the minute, so that two clicks in a row give
    the same text.
    """
    stamp = dataclasses.asdict(exhibit.stamp)
    stamp["made"] = exhibit.stamp.made.replace(second=0, microsecond=0).isoformat()
    values = {"figure": _figure_values(exhibit.figure), "stamp": stamp}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_number)


def thaw(text: str, caption: str = "", item: int | None = None) -> Exhibit:
    """The exhibit of ``freeze``.

    Args:
        text: what ``freeze`` wrote.
        caption: the reader's own sentence.
        item: number in the basket.

    Raises:
        StoreError: the text is not of this program, or of a version with other charts.
    """
    try:
        values = json.loads(text)
        stamp = dict(values["stamp"])
        stamp["made"] = datetime.fromisoformat(stamp["made"])
        stamp["runs"] = tuple(str(run) for run in stamp["runs"])
        stamp["filters"] = tuple((str(name), str(value)) for name, value in stamp["filters"])
        return Exhibit(_figure(values["figure"]), Provenance(**stamp), caption, item)
    except (AttributeError, ImportError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            "a figure of the report cannot be read",
            expected="one that this version of the program has put there",
            action="remove it and add it again",
        ) from error


def _figure_values(figure: Figure | Panels) -> dict[str, Any]:
    common = {"name": figure.name, "title": figure.title, "sentence": figure.sentence}
    if isinstance(figure, Panels):
        parts = [_figure_values(part) for part in figure.figures]
        shape = {"columns": figure.columns, "width": figure.width}
        return common | shape | {"figures": parts, "table": _table(figure.table)}
    module = figure.chart.__module__
    assert module.startswith(CHARTS), f"{module} is no chart"
    return common | {
        "chart": f"{module.removeprefix(CHARTS)}:{figure.chart.__name__}",
        "options": {name: _plain(value) for name, value in figure.options.items()},
        "frame": _table(figure.frame),
        "table": None if figure.table is None else _table(figure.table),
    }


def _figure(values: dict[str, Any]) -> Figure | Panels:
    common = {name: str(values[name]) for name in ("name", "title", "sentence")}
    if "figures" in values:
        parts = tuple(cast("Figure", _figure(part)) for part in values["figures"])
        return Panels(
            **common,
            figures=parts,
            columns=int(values["columns"]),
            table=_frame(values["table"]),
            width=int(values["width"]),
        )
    return Figure(
        **common,
        chart=_chart(values["chart"]),
        frame=_frame(values["frame"]),
        options={str(name): _value(value) for name, value in values["options"].items()},
        table=None if values["table"] is None else _frame(values["table"]),
    )


def _chart(name: str) -> ChartFunction:
    """A public function of one of the modules of ``dashboard.charts``."""
    module, function = name.split(":")
    if not (module.isidentifier() and function.isidentifier()) or function.startswith("_"):
        raise ValueError(name)
    found = getattr(import_module(CHARTS + module), function)
    if getattr(found, "__module__", "") != CHARTS + module:
        raise ValueError(name)
    return cast("ChartFunction", found)


def _table(frame: pd.DataFrame) -> dict[str, Any]:
    return {
        "columns": [str(name) for name in frame.columns],
        "rows": [list(r.values()) for r in records(frame)],
    }


def _frame(values: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(values["rows"], columns=values["columns"])


def _plain(value: Any) -> Any:
    """An option as JSON types; tuples and colours keep their type."""
    if isinstance(value, tuple):
        return {"tuple": [_plain(item) for item in value]}
    kind = type(value).__name__
    if kind in VALUES:
        fields = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {kind: fields}
    value = value.item() if hasattr(value, "item") else value
    assert value is None or isinstance(value, str | int | float), f"option {value!r} cannot be kept"
    return value


def _value(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, inside),) = value.items()
    if kind == "tuple":
        return tuple(_value(item) for item in inside)
    return VALUES[kind](**{name: _value(item) for name, item in inside.items()})


def _number(value: Any) -> Any:
    """Scalars of numpy and pandas as plain ones."""
    if hasattr(value, "item"):
        return value.item()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(type(value).__name__)
