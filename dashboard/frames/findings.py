"""What is odd about the data: rows of charts, and words for the cards of the fruit in question. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from backend.config import PRESSURE
from dashboard import texts
from dashboard.format import count, missing, number, per_hundred, percent, plural, sensors, signed
from dashboard.frames.tuning import bar_rows
from dashboard.names import defect_words

WORDS = texts.DATA
KINDS = ("label_issue", "label_conflict", "duplicate", "outlier")
"""Findings about fruit, in the order in which they are worth a look."""
DRIFT_ROWS = 10
FEW_IN_GROUP = 5


@dataclass(frozen=True)
class Finding:
    """One finding about one fruit or a pair of them.

    Attributes:
        fruit_ids: one, or the two of a pair.
        note: what is odd, for the card.
    """

    fruit_ids: tuple[str, ...]
    note: str


def of_kind(
    findings: pd.DataFrame, kind: str, defects: tuple[str, ...], order: tuple[str, ...]
) -> pd.DataFrame:
    """The findings of a kind that the defect filter lets through; those about no defect always pass.

    Args:
        findings: see ``findings.findings``.
        kind: which.
        defects: those that the filter lets through.
        order: every defect; a subject that is none of them passes.
    """
    rows = findings[findings["kind"] == kind]
    return rows[rows["subject"].isin(defects) | ~rows["subject"].isin(order)]


def listed(rows: pd.DataFrame) -> list[Finding]:
    """Findings in words, in the order of the rows.

    Args:
        rows: see ``findings.findings``, of one kind.
    """
    found = []
    for row in rows.to_dict("records"):
        pair = (str(row["fruit_id"]), str(row["other_id"]))
        detail = _detail(row["detail"])
        found.append(Finding(tuple(name for name in pair if name), _note(row, detail)))
    return found


def _detail(text: Any) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (TypeError, json.JSONDecodeError):
        return {}
    return values if isinstance(values, dict) else {}


def _label(value: Any, subject: str) -> str:
    """A label as people write it; "none" is a fruit without the defect in question."""
    if value in (None, "", "none"):
        return WORDS["no_defect"].format(defect=defect_words(subject))
    return defect_words(str(value))


def _note(row: dict[Any, Any], detail: dict[str, Any]) -> str:
    kind, value, subject = row["kind"], row["value"], str(row["subject"])
    if kind == "label_issue":
        return WORDS["issue_note"].format(
            given=_label(detail.get("given"), subject),
            likely=_label(detail.get("likely"), subject),
            n=per_hundred(value),
        )
    if kind == "label_conflict":
        return WORDS["conflict_note"].format(
            given=_label(detail.get("given"), subject), other=_label(detail.get("other"), subject)
        )
    if kind == "duplicate":
        apart = detail.get("same_group") is False
        return WORDS["apart_note" if apart else "duplicate_note_card"].format(n=count(value))
    return WORDS["outlier_card"].format(n=number(value))


def pair_rows(order: tuple[str, ...], found: pd.DataFrame) -> pd.DataFrame:
    """Which defects come together, as rows of ``charts.pairs.pairs``: of fruit with the row's defect.

    Args:
        order: the defects, in the fixed order.
        found: see ``findings.co_occurrence``.

    Returns:
        row, column, n (fruit with both), share (0 to 1; NaN where no fruit has the row's defect), shade,
        text, words.
    """
    n = {(a, b): int(k) for a, b, k in zip(found["a"], found["b"], found["n"], strict=True)}
    rows = []
    for a in order:
        total = n.get((a, a), 0)
        for b in order:
            share = n.get((a, b), 0) / total if total else float("nan")
            own = a == b
            rows.append(
                {
                    "row": defect_words(a),
                    "column": defect_words(b),
                    "n": n.get((a, b), 0),
                    "share": share,
                    "shade": 0.0 if own or missing(share) else share,
                    "text": "" if own else per_hundred(share),
                    "words": plural(total, WORDS["fruit_word"], WORDS["fruit_word"])
                    if own
                    else WORDS["pair"].format(
                        a=defect_words(a), b=defect_words(b), n=per_hundred(share), k=count(total)
                    ),
                }
            )
    return pd.DataFrame(rows)


def strongest_pair(rows: pd.DataFrame, least: int = 5) -> dict[str, Any] | None:
    """The pair of defects that come together most often, by share; None where none does ``least`` times."""
    pairs = rows[(rows["row"] != rows["column"]) & (rows["n"] >= least)]
    best = pairs.nlargest(1, "share").to_dict("records")
    return {str(name): value for name, value in best[0].items()} if best else None


def group_rows(order: tuple[str, ...], groups: pd.DataFrame) -> pd.DataFrame:
    """How common each defect is in each group, for ``charts.groups.group_rates``.

    Args:
        order: the defects.
        groups: see ``findings.groups``.

    Returns:
        defect, group, rate (of 100), n, mean (of 100), words, label (the name of the group
        that stands out most; the first of several alike), heading (the defect, once), end (which end of the
        label stands at its dot).
    """
    known = groups[groups["defect"].isin(order) & (groups["labelled"] >= FEW_IN_GROUP)]
    parts = []
    for defect in order:
        own = known[known["defect"] == defect]
        if own.empty:
            continue
        rate = own["positives"] / own["labelled"]
        mean = float(own["positives"].sum() / own["labelled"].sum())
        spread = np.sqrt(mean * (1 - mean) / own["labelled"].to_numpy(float)) if 0 < mean < 1 else np.inf
        far = (rate - mean) / spread
        outstanding = (far == far.max()) & (far > 3)
        parts.append(
            pd.DataFrame(
                {
                    "defect": defect_words(defect),
                    "group": own["fruit_group"],
                    "rate": 100 * rate,
                    "n": own["labelled"],
                    "mean": 100 * mean,
                    "words": [
                        WORDS["group_words"].format(
                            group=g, n=per_hundred(r), k=plural(k, WORDS["fruit_word"])
                        )
                        for g, r, k in zip(own["fruit_group"], rate, own["labelled"], strict=True)
                    ],
                    "label": _first_of(own["fruit_group"], outstanding),
                    "heading": [defect_words(defect), *([""] * (len(own) - 1))],
                }
            )
        )
    columns = ["defect", "group", "rate", "n", "mean", "words", "label", "heading", "end"]
    if not parts:
        return pd.DataFrame(columns=columns)
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(end=np.where(frame["rate"] > 0.6 * frame["rate"].max(), "right", "left"))


def _first_of(groups: pd.Series, outstanding: pd.Series) -> list[str]:
    """The name of the first outstanding group, once: several stand at the same place."""
    places = np.flatnonzero(outstanding)
    labels = [""] * len(groups)
    if len(places):
        more = WORDS["and_more"].format(n=len(places) - 1) if len(places) > 1 else ""
        labels[places[0]] = f"{groups.iloc[places[0]]}{more}"
    return labels


def missing_rows(present: pd.DataFrame, n_fruits: int) -> pd.DataFrame:
    """Which pictures and readings are missing, as rows of ``charts.bars.interval_bars``, the most first.

    Args:
        present: see ``findings.inputs``.
        n_fruits: of the data set.
    """
    lacking = (n_fruits - present["present"].astype(float)).clip(lower=0)
    names = [
        _part_words(str(sensor), defect_words(str(part)))
        for sensor, part in zip(present["sensor"], present["part"], strict=True)
    ]
    frame = pd.DataFrame({"name": names, "n": lacking}).sort_values("n", ascending=False, kind="stable")
    share = frame["n"] / n_fruits if n_fruits else frame["n"]
    text = [percent(value) for value in share]
    return bar_rows(list(frame["name"]), list(100 * share), text)


def drift_rows(findings: pd.DataFrame) -> pd.DataFrame:
    """Groups whose pictures or readings differ most, as rows of ``charts.bars.interval_bars``."""
    rows = findings[(findings["kind"] == "drift") & findings["value"].notna()]
    rows = rows.assign(size=rows["value"].astype(float).abs()).nlargest(DRIFT_ROWS, "size")
    frame = bar_rows(
        [_sensor_and_group(str(name)) for name in rows["subject"]],
        [float(value) for value in rows["value"]],
        [signed(value) for value in rows["value"]],
    )
    return frame.assign(tone=["fewer" if value < 0 else "accent" for value in frame["value"]])


def _part_words(sensor: str, part: str) -> str:
    """A view of a camera, "RGB view 2", or the name of a reading."""
    return part if sensor == PRESSURE else WORDS["part"].format(sensor=sensors([sensor]), part=part)


def _sensor_words(name: str) -> str:
    """A sensor of a finding, ``rgb`` or ``pressure:tap1``, as people write it."""
    sensor, _, reading = name.partition(":")
    return defect_words(reading) if reading else sensors([sensor])


def _sensor_and_group(subject: str) -> str:
    """``rgb · pallet-3`` as people write it."""
    sensor, dot, group = subject.partition(" · ")
    return f"{_sensor_words(sensor)}{dot}{group}"


def sensor_table(findings: pd.DataFrame) -> pd.DataFrame:
    """What each sensor delivers, in words: a row a sensor; empty where nothing was read."""
    rows = []
    for row in findings[findings["kind"] == "sensor"].to_dict("records"):
        detail = _detail(row["detail"])

        def share(name: str, detail: dict[str, Any] = detail) -> str:
            value = detail.get(name)
            return percent(value) if isinstance(value, int | float) and not missing(value) else "–"

        rows.append(
            {
                WORDS["sensor"]: _sensor_words(str(row["subject"])),
                WORDS["mean"]: number(_float(detail.get("mean"))),
                WORDS["std"]: number(_float(detail.get("std"))),
                WORDS["missing"]: share("missing"),
                WORDS["saturated"]: share("saturated"),
            }
        )
    return pd.DataFrame(rows)


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
