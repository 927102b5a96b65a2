"""Small multiples of the Defects page: one figure a defect, of one kind. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from backend.store.queries.catalog import DatasetFacts
from dashboard import scores, texts
from dashboard.charts.confusion import confusion_matrix, difference_matrix
from dashboard.charts.curves import calibration, cost_curve, precision_recall
from dashboard.figure import Figure
from dashboard.format import count, missing, money, number, per_hundred, signed, signed_hundred
from dashboard.frames.agreement import Agreement, agreements
from dashboard.frames.confusion import class_difference, class_rows, matrix_difference, matrix_rows, sides
from dashboard.frames.costs import priced, prices
from dashboard.names import defect_words
from dashboard.scores import ScoreTable
from dashboard.theme import Tint

WORDS = texts.DEFECTS
AXES = (WORDS["truth"], WORDS["said"])
HEADROOM = 4.0
"""How far above the cost of today a cost curve is drawn."""


@dataclass(frozen=True)
class Shown:
    """What all small multiples of a page share.

    Attributes:
        dataset: has the prices and the task.
        defects: one figure each, in the fixed order.
        tints: their colours.
        threshold: a fruit is called at or above it; None = as trained.
        fold: one fold; None = all.
    """

    dataset: DatasetFacts
    defects: tuple[str, ...]
    tints: dict[str, Tint]
    threshold: float | None = None
    fold: int | None = None

    @property
    def names(self) -> tuple[str, str]:
        """How the rows of a matrix are called."""
        return sides(multiclass=self.dataset.task == "multiclass")


def counted(counts: pd.DataFrame, defects: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """The four counts of each defect; zeros where the run did not judge it."""
    columns = [counts[name].tolist() for name in ("defect", *scores.OUTCOMES)]
    known = {defect: cells for defect, *cells in zip(*columns, strict=True)}
    none = [0] * len(scores.OUTCOMES)
    return {
        defect: {name: int(n) for name, n in zip(scores.OUTCOMES, known.get(defect, none), strict=True)}
        for defect in defects
    }


def matrices(
    shown: Shown, counts: pd.DataFrame, show: str, agreed: Mapping[str | None, Agreement]
) -> tuple[Figure, ...]:
    """A confusion matrix for each defect.

    Args:
        shown: what is shown.
        counts: defect, tp, fp, fn, tn.
        show: ``counts``, ``row`` or ``column``.
        agreed: see ``frames.agreement``.
    """
    money_of = _costs(shown, counts)
    return tuple(
        Figure(
            name=f"decisions-{defect}",
            title=defect_words(defect),
            sentence=_matrix_sentence(cells, money_of.get(defect), agreed.get(defect)),
            chart=confusion_matrix,
            frame=matrix_rows(cells, show, shown.names),
            options={"order": shown.names, "tint": shown.tints[defect], "axes": AXES},
        )
        for defect, cells in counted(counts, shown.defects).items()
    )


def _costs(shown: Shown, counts: pd.DataFrame) -> dict[str, float]:
    """What the errors on each defect cost for 1,000 fruit; healthy fruit have no price of their own."""
    bill = priced(shown.dataset, counts)
    money_of = dict(zip(bill["defect"], bill["total"], strict=True))
    money_of.pop(shown.dataset.healthy, None)
    return money_of


def _matrix_sentence(cells: dict[str, int], cost: float | None, agreed: Agreement | None) -> str:
    ill = cells["tp"] + cells["fn"]
    if ill == 0:
        return WORDS["none_ill"]
    parts = [agreed.note] if agreed else []
    parts.append(WORDS["found_of"].format(n=per_hundred(cells["tp"] / ill)))
    parts += [] if cost is None else [WORDS["costs"].format(cost=money(cost))]
    return " · ".join(parts)


def differences(shown: Shown, ours: pd.DataFrame, theirs: pd.DataFrame) -> tuple[Figure, ...]:
    """How the decisions of two runs differ, for each defect: ours minus theirs."""
    figures = []
    mine, others = (counted(counts, shown.defects) for counts in (ours, theirs))
    agreed = [agreements(counts) for counts in (ours, theirs)]
    costs = [_costs(shown, counts) for counts in (ours, theirs)]
    for defect in shown.defects:
        frame = matrix_difference(mine[defect], others[defect], shown.names)
        values = [run[defect].value if defect in run else None for run in agreed]
        said = (
            *_more_agreement(*values),
            WORDS["found_more"].format(n=signed_hundred(frame["share"].iloc[0])),
            *_more_cost(*(run.get(defect) for run in costs)),
        )
        figures.append(
            Figure(
                name=f"difference-{defect}",
                title=defect_words(defect),
                sentence=" · ".join(said),
                chart=difference_matrix,
                frame=frame,
                options={"order": shown.names, "axes": AXES},
            )
        )
    return tuple(figures)


def _more_agreement(ours: float | None, theirs: float | None) -> Iterator[str]:
    if ours is not None and theirs is not None:
        yield WORDS["agrees_more"].format(n=signed(ours - theirs))


def _more_cost(ours: float | None, theirs: float | None) -> Iterator[str]:
    if ours is not None and theirs is not None and ours != theirs and not missing(ours - theirs):
        words = WORDS["costs_more" if ours > theirs else "costs_less"]
        yield words.format(cost=money(abs(ours - theirs)))


def class_matrix(shown: Shown, order: tuple[str, ...], confusion: pd.DataFrame, show: str) -> Figure:
    """The full matrix of a multiclass run."""
    n = int(confusion["n"].sum())
    right = int(confusion.loc[confusion["true_class"] == confusion["predicted_class"], "n"].sum())
    return Figure(
        name="class-matrix",
        title=WORDS["class_matrix"],
        sentence=WORDS["classes_right"].format(right=per_hundred(right / n if n else None), n=count(n)),
        chart=confusion_matrix,
        frame=class_rows(confusion, order, shown.dataset.healthy, show),
        options=_class_options(order) | {"tint": Tint("other", 2)},
    )


def class_matrix_difference(
    shown: Shown, order: tuple[str, ...], ours: pd.DataFrame, theirs: pd.DataFrame
) -> Figure:
    """How two full matrices differ: ours minus theirs."""
    frames = [class_rows(confusion, order, shown.dataset.healthy, "row") for confusion in (ours, theirs)]
    return Figure(
        name="class-difference",
        title=WORDS["difference"],
        sentence=WORDS["class_difference"],
        chart=difference_matrix,
        frame=class_difference(*frames),
        options=_class_options(order),
    )


def _class_options(order: tuple[str, ...]) -> dict[str, object]:
    return {
        "order": tuple(defect_words(name) for name in order),
        "axes": AXES,
        "height": 66 * len(order) + 20,
        "large": 18,
    }


def precision_figures(shown: Shown, table: ScoreTable, counts: pd.DataFrame) -> tuple[Figure, ...]:
    """A precision-recall curve for each defect, with the point where the run, or the reader, decided."""
    figures = []
    for defect, cells in counted(counts, shown.defects).items():
        ill, called = cells["tp"] + cells["fn"], cells["tp"] + cells["fp"]
        curve = scores.precision_recall(table, defect, shown.fold).assign(part="curve", label="")
        chance = ill / max(1, sum(cells.values()))
        marks = [{"recall": at, "precision": chance, "part": "chance", "label": ""} for at in (0.0, 1.0)]
        sentence = WORDS["none_ill"]
        if ill and called:
            point = {"recall": cells["tp"] / ill, "precision": cells["tp"] / called}
            marks.append({**point, "part": "chosen", "label": ""})
            sentence = WORDS["right_alarms"].format(
                found=per_hundred(point["recall"]), right=per_hundred(point["precision"])
            )
        figures.append(
            Figure(
                name=f"precision-{defect}",
                title=defect_words(defect),
                sentence=sentence,
                chart=precision_recall,
                frame=pd.concat([curve, pd.DataFrame(marks)], ignore_index=True),
                options={
                    "tint": shown.tints[defect],
                    "axes": (WORDS["recall_axis"], WORDS["precision_axis"]),
                },
            )
        )
    return tuple(figures)


def calibration_figures(shown: Shown, table: ScoreTable) -> tuple[Figure, ...]:
    """A calibration curve for each defect."""
    figures = []
    for defect in shown.defects:
        bins = scores.calibration(table, defect, shown.fold)
        ideal = pd.DataFrame({"score": [0.0, 1.0], "rate": [0.0, 1.0], "n": [None, None], "part": "ideal"})
        off = (
            float(np.average((bins["score"] - bins["rate"]).abs(), weights=bins["n"])) if len(bins) else None
        )
        figures.append(
            Figure(
                name=f"calibration-{defect}",
                title=defect_words(defect),
                sentence=WORDS["off_by"].format(n=per_hundred(off)),
                chart=calibration,
                frame=pd.concat([bins.assign(part="bin"), ideal], ignore_index=True),
                options={"tint": shown.tints[defect], "axes": (WORDS["score_axis"], WORDS["rate_axis"])},
            )
        )
    return tuple(figures)


def cost_figures(shown: Shown, table: ScoreTable, counts: pd.DataFrame) -> tuple[Figure, ...]:
    """What errors cost at every threshold, for each defect; healthy fruit have no price of their own."""
    figures = []
    price = prices(shown.dataset)
    now = priced(shown.dataset, counts).set_index("defect")["total"].to_dict()
    for defect in shown.defects:
        miss, false_alarm = price[defect]
        curve = scores.cost_by_threshold(table, defect, miss=miss, false_alarm=false_alarm, fold=shown.fold)
        cost, frame, sentence = now.get(defect), curve, WORDS["none_ill"]
        if len(curve) and cost is not None:
            place = int(curve["cost"].to_numpy().argmin())
            at, best = float(curve["threshold"].iloc[place]), float(curve["cost"].iloc[place])
            marks = [
                {
                    "threshold": at,
                    "cost": best,
                    "part": "cheapest",
                    "label": WORDS["cheapest"].format(t=number(at)),
                },
                *({"threshold": end, "cost": cost, "part": "now"} for end in (0.0, 1.0)),
            ]
            if shown.threshold is not None:
                marks.append({"threshold": shown.threshold, "cost": cost, "part": "chosen"})
            # Calling every fruit, or none, costs so much that it would flatten the part that matters.
            kept = curve[curve["cost"] <= HEADROOM * max(cost, best)].assign(part="curve")
            frame = pd.concat([kept, pd.DataFrame(marks)], ignore_index=True)
            sentence = WORDS["now_and_best"].format(now=money(cost), best=money(best))
        figures.append(
            Figure(
                name=f"cost-{defect}",
                title=defect_words(defect),
                sentence=sentence,
                chart=cost_curve,
                frame=frame,
                options={"tint": shown.tints[defect], "axes": (WORDS["threshold_axis"], WORDS["cost_axis"])},
            )
        )
    return tuple(figures)
