"""The data: what the fruit are, and which labels and pictures deserve a second look."""

from __future__ import annotations

import math

import pandas as pd

from dashboard import loaders_findings as load
from dashboard import texts
from dashboard.answers import Answer
from dashboard.charts.balance import balance
from dashboard.charts.bars import interval_bars
from dashboard.charts.groups import group_rates
from dashboard.charts.pairs import pairs
from dashboard.figure import Figure
from dashboard.format import count, listing, per_hundred, plural
from dashboard.frames import findings as frames
from dashboard.frames.defects import balance_rows
from dashboard.names import defect_words
from dashboard.scope import Scope
from dashboard.theme import Tint

WORDS = texts.DATA
SHADE = Tint("other", 2)


def found(scope: Scope) -> pd.DataFrame:
    """See ``findings.findings``."""
    return load.data_findings(scope.store, scope.dataset.dataset_id)


def counts(scope: Scope, findings: pd.DataFrame) -> dict[str, int]:
    """How many findings of each kind the defect filter lets through; kinds without any are left out."""
    n = {kind: len(frames.of_kind(findings, kind, scope.defects, scope.order)) for kind in frames.KINDS}
    return {kind: k for kind, k in n.items() if k}


def said(scope: Scope, findings: pd.DataFrame) -> Answer:
    """Whether labels and pictures can be trusted."""
    dataset = scope.dataset
    if findings.empty:
        text = WORDS["unread"].format(n=count(dataset.n_fruits), labelled=count(dataset.n_labelled))
        return Answer(text)
    n = counts(scope, findings)
    capped = most_kept(scope, findings)
    parts = [_part(kind, k, full=(findings["kind"] == kind).sum() >= capped) for kind, k in n.items()]
    drift = frames.drift_rows(findings)
    moved = WORDS["drifts"].format(name=drift["name"].iloc[0]) if len(drift) else ""
    if not parts:
        chosen = scope.one_defect or scope.family
        return Answer(
            WORDS["no_finding"] if chosen else WORDS["clean"].format(n=count(dataset.n_fruits)), moved
        )
    text = WORDS["answer"].format(what=listing(parts), n=count(dataset.n_labelled))
    return Answer(text, moved)


def _part(kind: str, n: int, *, full: bool) -> str:
    """How many findings of a kind; at least so many where the report kept no more."""
    words = plural(n, WORDS[f"{kind}_one"], WORDS[f"{kind}_many"])
    return WORDS["at_least"].format(n=words) if full else words


def most_kept(scope: Scope, findings: pd.DataFrame) -> float:
    """How many findings of a kind the report kept at most; infinite where its plan does not say."""
    runs = findings["run_id"].dropna()
    run = scope.store.run(str(runs.iloc[0])) if len(runs) else None
    plan = (scope.store.study(run["study_id"]) or {}).get("plan", {}) if run else {}
    kept = plan.get("plan", {}).get("data_report", {}).get("keep") if isinstance(plan, dict) else None
    return float(kept) if isinstance(kept, int) else math.inf


def balance_figure(scope: Scope) -> Figure:
    """How many fruit have each defect."""
    words = texts.OVERVIEW
    dataset = scope.dataset
    return Figure(
        name="defect-balance",
        title=words["balance_classes" if scope.multiclass else "balance"],
        sentence=words["balance_sentence"].format(n=count(dataset.n_labelled)),
        chart=balance,
        frame=balance_rows(scope.order, scope.store.defect_counts(dataset.dataset_id)),
        options={
            "order": tuple(defect_words(name) for name in scope.order),
            "tints": tuple(scope.tints[name] for name in scope.order),
            "axis": words["balance_axis_classes" if scope.multiclass else "balance_axis"],
        },
    )


def pairs_figure(scope: Scope) -> Figure | None:
    """Which defects come together; None where a fruit has one class only, or nothing is labelled."""
    if scope.multiclass:
        return None
    rows = frames.pair_rows(scope.order, load.co_occurrence(scope.store, scope.dataset.dataset_id))
    strongest = frames.strongest_pair(rows)
    if not rows["n"].any():
        return None
    sentence = WORDS["no_pair"] if strongest is None else strongest["words"]
    return Figure(
        name="defects-together",
        title=WORDS["together"],
        sentence=sentence,
        chart=pairs,
        frame=rows[["row", "column", "shade", "text", "words"]],
        options={
            "order": tuple(defect_words(name) for name in scope.order),
            "tint": SHADE,
            "axis": WORDS["together_axis"],
            "reach": max(0.1, float(rows["shade"].max())),
        },
        table=rows[["row", "column", "n", "share"]],
    )


def groups_figure(scope: Scope) -> Figure | None:
    """How common each defect is in each group; None where fruit have no groups worth the name."""
    rows = frames.group_rows(scope.defects, load.groups(scope.store, scope.dataset.dataset_id))
    if rows["group"].nunique() < 2:
        return None
    named = rows[rows["label"] != ""]
    order = tuple(rows["defect"].drop_duplicates())
    tints = {defect_words(name): tint for name, tint in scope.tints.items()}
    outstanding = [
        WORDS["outstanding"].format(
            group=row["label"], n=per_hundred(row["rate"] / 100), defect=row["defect"]
        )
        for row in named.to_dict("records")[:3]
    ]
    return Figure(
        name="groups",
        title=WORDS["groups"],
        sentence=f"{listing(outstanding)}." if outstanding else WORDS["none_outstanding"],
        chart=group_rates,
        frame=rows,
        options={"order": order, "tints": tuple(tints[name] for name in order), "axis": WORDS["groups_axis"]},
        table=rows.drop(columns=["words", "label", "heading"]),
    )


def missing_figure(scope: Scope) -> Figure | None:
    """Which pictures and readings are missing; None where nothing is known of any."""
    rows = frames.missing_rows(load.inputs(scope.store, scope.dataset.dataset_id), scope.dataset.n_fruits)
    if rows.empty or not rows["value"].any():
        return None
    worst = rows.iloc[0]
    return Figure(
        name="missing",
        title=WORDS["missing_title"],
        sentence=WORDS["most_missing"].format(name=worst["name"], n=worst["text"]),
        chart=interval_bars,
        frame=rows,
        options={
            "order": tuple(rows["name"]),
            "axis": WORDS["missing_axis"],
            "domain": (0.0, max(1.0, float(rows["value"].max()))),
        },
    )


def drift_figure(findings: pd.DataFrame) -> Figure | None:
    """Which groups look different; None where none was found."""
    rows = frames.drift_rows(findings)
    if rows.empty:
        return None
    reach = float(rows["value"].abs().max())
    return Figure(
        name="drift",
        title=WORDS["drift"],
        sentence=WORDS["drifts"].format(name=rows["name"].iloc[0]),
        chart=interval_bars,
        frame=rows,
        options={
            "order": tuple(rows["name"]),
            "axis": WORDS["drift_axis"],
            "domain": (min(0.0, -reach), max(0.0, reach)),
        },
    )
