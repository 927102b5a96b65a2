"""Heat maps as cases: one fruit and one defect each, with all its pictures. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dashboard import texts
from dashboard.format import missing, per_hundred, signed_hundred
from dashboard.frames.defects import headed
from dashboard.names import defect_words

POINTING = "localisation_pointing"
MEASURES = (POINTING, "localisation_energy", "localisation_iou", "sanity_correlation")


@dataclass(frozen=True)
class Case:
    """What one run saw on one fruit as a sign of one defect.

    Attributes:
        outcome: ``tp``, ``fn``, ``fp``, ``tn`` or empty.
        score: of the run, 0 to 1; NaN = not known.
        maps: (sensor, view) to the path of the heat map, relative to the store.
    """

    fruit_id: str
    group: str
    defect: str
    outcome: str
    score: float
    maps: dict[tuple[str, str], str]


def cases(rows: pd.DataFrame) -> dict[tuple[str, str], Case]:
    """Every case of a run by fruit and defect.

    Args:
        rows: see ``explanations.attributions``.
    """
    found: dict[tuple[str, str], Case] = {}
    scores = pd.to_numeric(rows["score"], errors="coerce").to_numpy(float)
    for row, score in zip(rows.to_dict("records"), scores, strict=True):
        key = (str(row["fruit_id"]), str(row["defect"]))
        case = found.get(key)
        if case is None:
            known = row["outcome"] if row["outcome"] in texts.OUTCOMES else ""
            case = found[key] = Case(key[0], str(row["fruit_group"]), key[1], known, float(score), {})
        case.maps[(str(row["modality"]), str(row["view"]))] = str(row["path"])
    return found


def chosen(
    found: dict[tuple[str, str], Case],
    defects: tuple[str, ...],
    outcomes: tuple[str, ...],
    group: str,
    scores: tuple[float, float],
) -> list[Case]:
    """Cases that pass the filters, defect by defect, the most confident decision first.

    Args:
        found: see ``cases``.
        defects: in the fixed order.
        outcomes: empty = all.
        group: empty = all.
        scores: from and to; a case without a score passes only where the whole range is asked for.
    """
    low, high = scores
    whole = low <= 0 and high >= 1
    passed = [
        case
        for case in found.values()
        if case.defect in defects
        and (not outcomes or case.outcome in outcomes)
        and (not group or case.group == group)
        and (whole if missing(case.score) else low <= case.score <= high)
    ]
    places = {name: i for i, name in enumerate(defects)}
    kinds = {name: i for i, name in enumerate(("tp", "fn", "fp", "tn", ""))}

    def confidence(case: Case) -> float:
        return 0.0 if missing(case.score) else abs(case.score - 0.5)

    return sorted(passed, key=lambda c: (places[c.defect], kinds[c.outcome], -confidence(c), c.fruit_id))


def localisation_rows(
    metrics: pd.DataFrame,
    sides: dict[str, str],
    defects: tuple[str, ...],
    n: dict[str, int] | None = None,
) -> pd.DataFrame:
    """How often the hottest point lies on the defect, as rows of ``charts.defects.defect_by_defect``.

    Args:
        metrics: see ``results.pooled_metrics``, of both runs.
        sides: ``challenger`` and perhaps ``reference``, each with its run id.
        defects: in the fixed order; those without a mask are left out.
        n: cases behind each defect of the challenger, said beside its name.

    Returns:
        Empty where no run has the metric.
    """
    own = metrics[metrics["run_id"].isin(sides.values())]
    wanted = own[(own["metric"] == POINTING) & own["value"].notna() & own["defect"].isin(defects)]
    shown = [name for name in defects if name in set(wanted["defect"])]
    values = {side: wanted[wanted["run_id"] == run_id].set_index("defect") for side, run_id in sides.items()}
    rows = []
    for side in sides:
        own = values[side]
        for defect in shown:
            value = _number(own["value"].get(defect))
            argued = side == "challenger"
            rows.append(
                {
                    "defect": defect_words(defect),
                    "side": side,
                    "value": 100 * value,
                    "low": 100 * _number(own["ci_low"].get(defect)),
                    "high": 100 * _number(own["ci_high"].get(defect)),
                    "text": texts.OVERVIEW["of_hundred"].format(n=per_hundred(value)),
                    "gap": _gap(values, defect) if argued else "",
                    "heading": headed(defect, (n or {}).get(defect)) if argued else "",
                }
            )
    return pd.DataFrame(rows)


def _gap(values: dict[str, pd.DataFrame], defect: str) -> str:
    """The difference to the other run in words, or without one the value itself."""
    own = _number(values["challenger"]["value"].get(defect))
    if "reference" not in values:
        return texts.OVERVIEW["of_hundred"].format(n=per_hundred(own))
    return signed_hundred(own - _number(values["reference"]["value"].get(defect)))


def _number(value: object) -> float:
    return float("nan") if value is None else float(value)  # type: ignore[arg-type]
