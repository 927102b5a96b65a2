"""Points of a projection with their colours, and how alike neighbours are. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dashboard import texts
from dashboard.format import number, per_hundred
from dashboard.frames.defects import headed
from dashboard.frames.fruit import DEFECT
from dashboard.names import defect_words
from dashboard.scores import ScoreTable
from dashboard.theme import HEALTHY, Tint

WORDS = texts.SPACE
MOST_GROUPS = 7
"""So many groups get a colour of their own; the others are grey."""

PALE = ("grid", "reference")
"""Colours of the look for points that only make up the ground."""

Paint = Tint | str
"""A defect's colour, or the name of a colour of ``Look``."""


@dataclass(frozen=True)
class Coloured:
    """What every point is called, and the colours of the names.

    Attributes:
        values: (n,) names, or numbers where ``paints`` is empty.
        names: in the order of the legend.
        paints: a colour a name; empty = a sequential scale.
    """

    values: pd.Series
    names: tuple[str, ...] = ()
    paints: tuple[Paint, ...] = ()


def by_defect(
    facts: pd.DataFrame, defects: tuple[str, ...], tints: dict[str, Tint], healthy: str
) -> Coloured:
    """Which defect a fruit has: the first one in the fixed order, where it has several.

    Args:
        facts: the fruit of the points, in their order.
        defects: those that the filter lets through.
        tints: their colours.
        healthy: how fruit without a defect are called.
    """
    labels = facts[[f"{DEFECT}{name}" for name in defects]].to_numpy(float)
    ill = labels == 1
    names = [defect_words(name) for name in defects]
    sound = WORDS["without"] if len(defects) == 1 else healthy or WORDS["without"]
    none = np.where(np.isnan(labels).all(axis=1), WORDS["unlabelled"], sound)
    values = np.where(ill.any(axis=1), np.array(names, dtype=object)[ill.argmax(axis=1)], none)
    paints: list[Paint] = [tints[name] for name in defects]
    if sound not in names:
        names.append(sound)
        paints.append("reference" if len(defects) == 1 else Tint(HEALTHY))
    if WORDS["unlabelled"] in values:
        names.append(WORDS["unlabelled"])
        paints.append("grid")
    return Coloured(pd.Series(values, dtype=object), tuple(names), tuple(paints))


def by_decision(table: ScoreTable, defects: tuple[str, ...]) -> Coloured:
    """Right and wrong decisions: the four outcomes of one defect, or the worst error over several."""
    columns = [table.defects.index(name) for name in defects]
    truth, said = table.truth[:, columns], table.decided[:, columns]
    missed = ((truth == 1) & (said == 0)).any(axis=1)
    alarm = ((truth == 0) & (said == 1)).any(axis=1)
    found = ((truth == 1) & (said == 1)).any(axis=1)
    judged = (~np.isnan(truth) & ~np.isnan(said)).any(axis=1)
    names = [texts.OUTCOMES[name] for name in ("tp", "fn", "fp", "tn")]
    values = np.select(
        [~judged, missed, alarm, found], [WORDS["not_judged"], names[1], names[2], names[0]], names[3]
    )
    return Coloured(
        pd.Series(values, dtype=object),
        (*names, WORDS["not_judged"]),
        ("accent", "fewer", Tint("external"), "reference", "grid"),
    )


def by_group(groups: pd.Series) -> Coloured:
    """The largest groups, each in its colour; by name among equals, so that colours do not jump."""
    counts = groups.value_counts()
    ordered = sorted(counts.index, key=lambda name: (-counts[name], name))[:MOST_GROUPS]
    paints: tuple[Paint, ...] = (
        Tint("internal", 0), Tint("external", 1), Tint("other", 1), Tint("internal", 1), Tint("external", 2),
        Tint(HEALTHY), Tint("other", 2),
    )  # fmt: skip
    values = groups.where(groups.isin(ordered), WORDS["other_groups"])
    names = tuple(str(name) for name in ordered)
    return Coloured(
        values.reset_index(drop=True), (*names, WORDS["other_groups"]), (*paints[: len(names)], "grid")
    )


def point_rows(
    points: pd.DataFrame, coloured: Coloured, groups: pd.Series, searched: dict[str, str]
) -> pd.DataFrame:
    """The rows of ``charts.space.feature_space``.

    Args:
        points: fruit_id, x, y.
        coloured: of the same fruit in the same order.
        groups: of the same fruit.
        searched: fruit id to what is written beside it.

    Returns:
        fruit, x, y, colour, group, label; fruit in pale colours first, so that others lie on them.
    """
    frame = pd.DataFrame(
        {
            "fruit": points["fruit_id"].to_numpy(),
            "x": points["x"].to_numpy(float),
            "y": points["y"].to_numpy(float),
            "colour": coloured.values.to_numpy(),
            "group": groups.to_numpy(),
            "label": [searched.get(name, "") for name in points["fruit_id"]],
        }
    )
    if not coloured.paints:
        return frame
    quiet = [name for name, paint in zip(coloured.names, coloured.paints, strict=True) if paint in PALE]
    loud = ~frame["colour"].isin(quiet)
    return frame.assign(order=loud).sort_values("order", kind="stable").drop(columns="order")


def inside_box(points: pd.DataFrame, box: tuple[float, float, float, float]) -> list[str]:
    """Ids of the fruit whose point lies in a box, those nearest to its middle first.

    Args:
        points: fruit_id, x, y.
        box: x from, x to, y from, y to; either end may be the larger one.
    """
    left, right, bottom, top = *sorted(box[:2]), *sorted(box[2:])
    held = points[points["x"].between(left, right) & points["y"].between(bottom, top)]
    away = (held["x"] - (left + right) / 2) ** 2 + (held["y"] - (bottom + top) / 2) ** 2
    return [str(name) for name in held["fruit_id"].to_numpy()[np.argsort(away.to_numpy(), kind="stable")]]


def likeness(neighbours: pd.DataFrame, facts: pd.DataFrame, defects: tuple[str, ...]) -> pd.DataFrame:
    """Whether fruit that lie together share their defects.

    Args:
        neighbours: fruit_id, neighbour_id.
        facts: see ``loaders_findings.fruit_table``.
        defects: which.

    Returns:
        defect, shared (share of the labelled neighbours of fruit with the defect that have it too), chance
        (share of all labelled fruit), n (fruit with the defect); NaN where there is none.
    """
    rows = []
    for defect in defects:
        labels = facts[f"{DEFECT}{defect}"]
        own, other = neighbours["fruit_id"].map(labels), neighbours["neighbour_id"].map(labels)
        beside = other[own == 1].dropna()
        rows.append((defect, beside.mean(), labels.mean(), int((labels == 1).sum())))
    return pd.DataFrame(rows, columns=["defect", "shared", "chance", "n"])


def likeness_rows(found: pd.DataFrame) -> pd.DataFrame:
    """``likeness`` as rows of ``charts.defects.defect_by_defect``: chance grey, neighbours in the accent."""
    rows = []
    for side, column in (("reference", "chance"), ("challenger", "shared")):
        for row in found.to_dict("records"):
            rows.append(
                {
                    "defect": defect_words(row["defect"]),
                    "side": side,
                    "value": 100 * row[column],
                    "low": None,
                    "high": None,
                    "text": WORDS["of_hundred"].format(n=per_hundred(row[column])),
                    "gap": _times(row["shared"], row["chance"]) if side == "challenger" else "",
                    "heading": headed(row["defect"], row["n"]) if side == "reference" else "",
                }
            )
    return pd.DataFrame(rows)


def _times(shared: float, chance: float) -> str:
    return WORDS["times"].format(n=number(shared / chance)) if chance > 0 else ""
