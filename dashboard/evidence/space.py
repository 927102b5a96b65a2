"""Feature space: whether fruit that look alike to the model share their defects."""

from __future__ import annotations

import math

import pandas as pd

from dashboard import loaders_findings as load
from dashboard import texts
from dashboard.answers import Answer
from dashboard.charts.defects import defect_by_defect
from dashboard.charts.space import feature_space
from dashboard.figure import Figure
from dashboard.format import count, missing, number, per_hundred
from dashboard.frames.space import Coloured, likeness, likeness_rows
from dashboard.names import defect_words
from dashboard.options import Run
from dashboard.scope import Scope

WORDS = texts.SPACE
TRUST, GROUP, CHANCE = "trustworthiness", "group_probe_accuracy", "group_chance"
BLURRED = 0.85
"""Below this trustworthiness points that lie together need not be alike."""
STEP = 20
"""Of 100: the axis ends at a multiple of it."""
FAINT = 0.1
"""Below such a share of what chance leaves to gain, fruit with the same defect hardly lie together."""
TELLS = 0.05
"""With such a share of it, the features know the pallet."""


def projected(scope: Scope) -> pd.DataFrame:
    """Runs whose features were projected and that the filters let through; see ``space.projected_runs``."""
    return scope.keep(load.projected_runs(scope.store, scope.dataset.dataset_id, scope.study_id))


def projection_words(name: str) -> str:
    """A projection as people write it: ``tsne_5`` becomes "t-SNE, perplexity 5"."""
    method, _, perplexity = name.partition("_")
    known = WORDS.get(method, name)
    if method == "tsne":
        return WORDS["perplexity"].format(method=known, n=perplexity or "30")
    return known


def alike(scope: Scope, run: Run) -> pd.DataFrame:
    """See ``frames.space.likeness``: of the chosen pallet, and of the chosen defects that some fruit have."""
    facts = load.fruit_table(scope.store, scope.dataset.dataset_id)
    beside = load.neighbours(scope.store, run.run_id)
    if scope.group:
        beside = beside[beside["fruit_id"].isin(scope.fruit)]
    found = likeness(beside, facts, scope.defects)
    return found[found["shared"].notna()]


def said(scope: Scope, run: Run, found: pd.DataFrame, points: int) -> Answer:
    """Whether neighbours share their defects.

    Args:
        scope: what is looked at.
        run: whose features.
        found: see ``alike``.
        points: fruit in the picture.
    """
    if found.empty:
        return Answer(WORDS["only_points"].format(n=count(points)))
    shared, chance = float(found["shared"].mean()), float(found["chance"].mean())
    one = scope.one_defect
    key = "one_shared" if one else "shared" if _gain(shared, chance) >= FAINT else "hardly_shared"
    text = WORDS[key].format(
        shared=per_hundred(shared),
        chance=per_hundred(chance),
        defect="" if one is None else defect_words(one),
        n=count(points),
        **_same(scope),
    )
    return Answer(text, _pallets(scope, run))


def _gain(value: float, chance: float) -> float:
    """How much of what chance leaves to be had was had: 0 = chance, 1 = all of it."""
    return (value - chance) / (1 - chance) if chance < 1 else 0.0


def _pallets(scope: Scope, run: Run) -> str:
    """Whether the features give the pallet away."""
    metrics = scope.store.pooled_metrics((run.run_id,), (GROUP, CHANCE))
    values = {
        name: float(value)
        for name, value, defect in zip(metrics["metric"], metrics["value"], metrics["defect"], strict=True)
        if missing(defect) and not missing(value)
    }
    if len(values) < 2:
        return ""
    key = "tells" if _gain(values[GROUP], values[CHANCE]) > TELLS else "tells_not"
    return WORDS[key].format(n=per_hundred(values[GROUP]), chance=per_hundred(values[CHANCE]))


def trust(scope: Scope, run: Run, projection: str) -> float | None:
    """How far neighbours in the picture are neighbours in the features, 0 to 1; None = not measured."""
    metrics = scope.store.pooled_metrics((run.run_id,), (f"{TRUST}:{projection}",))
    return None if metrics.empty or missing(metrics["value"].iloc[0]) else float(metrics["value"].iloc[0])


def scatter(projection: str, coloured: Coloured, rows: pd.DataFrame, title: str, answer: Answer) -> Figure:
    """Every fruit a point.

    Args:
        projection: its name.
        coloured: what the points are called.
        rows: see ``frames.space.point_rows``.
        title: what the colour says.
        answer: of the page.
    """
    return Figure(
        name=f"feature-space-{projection}",
        title=WORDS["map"].format(projection=projection_words(projection)),
        sentence=answer.text,
        chart=feature_space,
        frame=rows,
        options={
            "names": coloured.names,
            "paints": coloured.paints,
            "title": title,
            "group": WORDS["group"],
        },
    )


def _same(scope: Scope) -> dict[str, str]:
    """How fruit with the same label are called."""
    what = WORDS["class" if scope.multiclass else "defect"]
    return {"what": what, "alike": WORDS["of_same" if scope.multiclass else "with_same"].format(what=what)}


def neighbour_figure(scope: Scope, found: pd.DataFrame, answer: Answer) -> Figure:
    """How often neighbours share each defect, against chance."""
    frame = likeness_rows(found)
    return Figure(
        name="neighbours",
        title=WORDS["likeness"].format(**_same(scope)),
        sentence=answer.text,
        chart=defect_by_defect,
        frame=frame,
        options={
            "order": tuple(frame["defect"].drop_duplicates()),
            "axis": WORDS["likeness_axis"].format(**_same(scope)),
            "sides": (("reference", WORDS["chance"]), ("challenger", WORDS["neighbours"])),
            "domain": (0.0, min(100.0, STEP * math.ceil(1.15 * frame["value"].max() / STEP))),
        },
        table=found,
    )


def trust_words(value: float) -> str:
    """What a trustworthiness means."""
    return WORDS["trust"].format(n=number(value))
