"""Heat maps: whether the model looks at the defect, in a sentence and a figure."""

from __future__ import annotations

import pandas as pd

from backend.config import PRESSURE
from dashboard import loaders_findings as load
from dashboard import texts
from dashboard.answers import Answer, on_share
from dashboard.charts.defects import defect_by_defect
from dashboard.evidence import inputs
from dashboard.figure import Figure
from dashboard.format import count, listing, missing, number, per_hundred, plural, sentence_start
from dashboard.frames.explanations import MEASURES, POINTING, localisation_rows
from dashboard.frames.inputs import told_by_pressure
from dashboard.names import defect_words
from dashboard.options import Run
from dashboard.scope import Scope

WORDS = texts.GRADCAM
TOO_LIKE = 0.5
"""Maps that correlate so strongly with those of a network with random weights explain little."""


def explained(scope: Scope) -> pd.DataFrame:
    """Runs with heat maps that the filters let through; see ``explanations.explained_runs``."""
    return scope.keep(load.explained_runs(scope.store, scope.dataset.dataset_id, scope.study_id))


def measured(scope: Scope, runs: tuple[str, ...]) -> pd.DataFrame:
    """What was measured of the maps; see ``results.pooled_metrics``."""
    return scope.store.pooled_metrics(runs, MEASURES)


def unseen(scope: Scope) -> tuple[str, ...]:
    """Defects that pressure alone tells, after the first sensor ablation with pressure; empty without one."""
    for ablation in inputs.of_the_data(scope):
        if ablation.full is not None and PRESSURE in ablation.sensors:
            metrics = inputs.shapley_values(scope, ablation)
            return told_by_pressure(metrics, ablation.full, ablation.sensors, scope.defects)
    return ()


def said(scope: Scope, run: Run, metrics: pd.DataFrame, maps: pd.DataFrame) -> Answer:
    """Whether the model looks at the defects.

    Args:
        scope: what is looked at.
        run: which run.
        metrics: see ``measured``.
        maps: see ``explanations.attributions``.
    """
    own = metrics[(metrics["run_id"] == run.run_id) & metrics["value"].notna()]
    fruit = maps.loc[maps["defect"].isin(scope.defects), "fruit_id"].nunique()
    pointing = own[own["metric"] == POINTING]
    row = _overall(pointing, scope)
    who = run.subject if run.share < 1 else sentence_start(run.subject)
    if row is None:
        text = WORDS["unmasked"].format(Who=who, fruit=plural(fruit, WORDS["fruit"], WORDS["fruit"]))
        return Answer(on_share(text, run.share, lower=False), _joined(_unseen(scope), _sanity(own, scope)))
    n = sum(checked(scope, run, maps).get(name, 0) for name in scope.defects)
    low, high = row["ci_low"], row["ci_high"]
    ends = "" if missing(low) else f"{per_hundred(low)} to {per_hundred(high)}"
    inside = "; ".join(part for part in (ends, plural(n, WORDS["case"]) if n else "") if part)
    what = WORDS["the_defect"] if scope.one_defect is None else defect_words(scope.one_defect)
    text = WORDS["looks"].format(
        Who=who,
        n=per_hundred(row["value"]),
        what=what,
        brackets=f" ({inside})" if inside else "",
    )
    detail = _joined(_least(pointing, scope), _unseen(scope), _sanity(own, scope))
    return Answer(on_share(text, run.share, lower=False), detail)


def checked(scope: Scope, run: Run, maps: pd.DataFrame) -> dict[str, int]:
    """On how many fruit with a mask each defect was measured; where no file says so, those with a map."""
    masked = maps.loc[maps["pointing"].notna(), ["fruit_id", "defect"]].drop_duplicates()
    shown = {str(name): int(n) for name, n in masked["defect"].value_counts().items()}
    return load.checked_cases(scope.store, run.run_id) or shown


def _overall(pointing: pd.DataFrame, scope: Scope) -> dict[str, float] | None:
    """The stored value over all defects, else the mean over the chosen ones, else None."""
    if len(scope.defects) == len(scope.order):
        stored = pointing[pointing["defect"].isna()]
        if len(stored):
            return {name: float(stored.iloc[0][name]) for name in ("value", "ci_low", "ci_high")}
    own = pointing[pointing["defect"].isin(scope.defects)]
    if own.empty:
        return None
    if len(own) == 1:
        return {name: float(own.iloc[0][name]) for name in ("value", "ci_low", "ci_high")}
    return {"value": float(own["value"].mean()), "ci_low": float("nan"), "ci_high": float("nan")}


def _least(pointing: pd.DataFrame, scope: Scope) -> str:
    """Where it looks elsewhere most often: at most two defects, and worse than the others."""
    own = pointing[pointing["defect"].isin(scope.defects)]
    worst = own[own["value"] < own["value"].mean()].nsmallest(2, "value")
    named = [
        WORDS["of"].format(defect=defect_words(str(defect)), n=per_hundred(value))
        for defect, value in zip(worst["defect"], worst["value"], strict=True)
    ]
    return WORDS["least"].format(defects=listing(named)) if named else ""


def _unseen(scope: Scope) -> str:
    """Which defects no picture shows."""
    named = [defect_words(defect) for defect in unseen(scope)]
    return WORDS["unseen"].format(defects=listing(named)) if named else ""


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _sanity(own: pd.DataFrame, scope: Scope) -> str:
    rows = own[(own["metric"] == "sanity_correlation")]
    rows = rows[rows["defect"].isna() | rows["defect"].isin(scope.defects)]
    if rows.empty:
        return ""
    mean = float(rows["value"].mean())
    return WORDS["insane" if mean > TOO_LIKE else "sane"].format(n=number(mean))


def figure(
    scope: Scope, run: Run, against: Run | None, metrics: pd.DataFrame, answer: Answer, n: dict[str, int]
) -> Figure | None:
    """How often the hottest point lies on the defect, a row a defect; None where no mask exists.

    Args:
        scope: what is looked at.
        run: which run.
        against: the run beside it.
        metrics: see ``measured``.
        answer: of the page.
        n: see ``checked``.
    """
    sides = {"challenger": run} if against is None else {"reference": against, "challenger": run}
    runs = {side: one.run_id for side, one in sides.items()}
    frame = localisation_rows(metrics, runs, scope.defects, n)
    if frame.empty:
        return None
    return Figure(
        name="where-it-looks",
        title=WORDS["pointing"],
        sentence=answer.text,
        chart=defect_by_defect,
        frame=frame,
        options={
            "order": tuple(frame["defect"].drop_duplicates()),
            "axis": WORDS["pointing_axis"],
            "sides": tuple((side, sentence_start(one.subject)) for side, one in sides.items()),
        },
    )


def counted(n: int) -> str:
    """How many cases a gallery holds."""
    return WORDS["cases"].format(n=count(n))
