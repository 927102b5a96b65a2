"""Methods under the protocols of their field, learning curves over labels, health of pretrainings. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dashboard import texts
from dashboard.contenders import CHOSEN_BY
from dashboard.figure import records
from dashboard.format import count, interval, missing, number, percent, plural
from dashboard.frames.method_tests import MARKS, Tested, gap_words
from dashboard.names import method_words
from dashboard.rows import of_defect

WORDS = texts.PROTOCOLS
SUPERVISED = "supervised"
REFERENCES = (SUPERVISED, "random_init")
"""What a pretraining is compared with; neither is one."""
PROTOCOLS = {
    "tuned": ("finetune", "mcc"),
    "readout": ("probe", "mcc"),
    "neighbours": ("probe", "knn_mcc"),
    "retrieval": ("probe", "retrieval_map"),
    "neighbours_right": ("probe", "knn_accuracy"),
    "readout_right": ("probe", "probe_accuracy"),
}
"""Protocol to the kind of run that it scores and the metric it reads."""
SHOWN = ("tuned", "readout", "neighbours", "retrieval")
"""Protocols of the figure; the others stand in the table."""
BY_SCORE = {score: protocol for protocol, score in PROTOCOLS.items()}
PLACE = {protocol: i for i, protocol in enumerate(PROTOCOLS)}
PROTOCOL_COLUMNS = [
    "method", "protocol", "fraction", "value", "low", "high", "least", "most", "seeds", "validation",
]  # fmt: skip
CURVE_COLUMNS = ["x", "value", "low", "high", "series", "tone", "label", "side", "words"]
VALIDATED = (CHOSEN_BY, "probe_inner_mcc")
"""Agreement on validation fruit, of a training and of a readout of frozen features."""
METRICS = (*dict.fromkeys(metric for _, metric in PROTOCOLS.values()), *VALIDATED)
HEALTH = ("embedding_std", "effective_rank", "alignment_loss", "uniformity_loss")


def protocol_rows(runs: pd.DataFrame, metrics: pd.DataFrame, defect: str | None) -> pd.DataFrame:
    """Each method under each protocol at each share of the labels, as means over seeds.

    The baseline counts as fine-tuned: it is the same training without the pretraining.

    Args:
        runs: see ``ablations.finished``; transductive ones never count.
        metrics: see ``ablations.whole_metrics``.
        defect: one defect; None = over all.

    Returns:
        method, protocol, fraction, value, low, high (mean of the seeds' intervals; where the store has none,
        the range over seeds), least, most (over seeds), seeds, validation (agreement over all defects on
        validation fruit; NaN where a seed has none).
    """
    return protocol_rows_of(runs, metrics, (defect,))[0]


def protocol_rows_of(
    runs: pd.DataFrame, metrics: pd.DataFrame, defects: Sequence[str | None]
) -> list[pd.DataFrame]:
    """See ``protocol_rows``, for several defects at once."""
    chosen_by = of_defect(metrics, None)
    chosen_by = chosen_by[chosen_by["metric"].isin(VALIDATED) & chosen_by["value"].notna()]
    validation = dict(zip(chosen_by["run_id"], chosen_by["value"].astype(float), strict=True))
    runs = runs[(runs["transductive"] == 0) & (runs["kind"] != "pretrain")]
    columns = ["run_id", "kind", "method", "label_fraction", "seed"]
    # Plain loops: grouping frames for every defect took most of this page's time.
    of_run = {run_id: about for run_id, *about in runs[columns].itertuples(index=False)}
    place = {run_id: i for i, run_id in enumerate(of_run)}
    known = metrics[metrics["value"].notna() & metrics["run_id"].isin(of_run)]
    scores: dict[str | None, list[tuple[Any, ...]]] = {}
    for defect, *score in known[["defect", "run_id", "metric", "value", "ci_low", "ci_high"]].itertuples(
        index=False
    ):
        scores.setdefault(None if missing(defect) else defect, []).append(tuple(score))
    tables = []
    for defect in defects:
        groups: dict[tuple[str, str, float], list[tuple[Any, ...]]] = {}
        for run_id, metric, *values in sorted(scores.get(defect, []), key=lambda score: place[score[0]]):
            kind, method, fraction, seed = of_run[run_id]
            protocol = BY_SCORE.get(("finetune" if kind == "baseline" else kind, metric))
            if protocol is not None:
                inner = validation.get(run_id, math.nan)
                groups.setdefault((protocol, str(method), float(fraction)), []).append((seed, *values, inner))
        ordered = sorted(groups.items(), key=lambda group: PLACE[group[0][0]])
        rows = [_protocol_row(*key, group) for key, group in ordered]
        tables.append(pd.DataFrame(rows, columns=PROTOCOL_COLUMNS))
    return tables


def _protocol_row(
    protocol: str, method: str, fraction: float, scores: list[tuple[Any, ...]]
) -> dict[str, object]:
    """One method under one protocol, from the (seed, value, low, high, validation) of its runs."""
    values = [float(score[1]) for score in scores]
    low, high = (_mean([score[end] for score in scores]) for end in (2, 3))
    several = len(set(values)) > 1
    return {
        "method": method,
        "protocol": protocol,
        "fraction": fraction,
        "value": _mean(values),
        "low": min(values) if math.isnan(low) and several else low,
        "high": max(values) if math.isnan(high) and several else high,
        "least": min(values),
        "most": max(values),
        "seeds": len({score[0] for score in scores}),
        "validation": math.fsum(score[4] for score in scores) / len(scores),
    }


def _mean(values: list[Any]) -> float:
    """The mean of the known values; NaN where there is none."""
    known = [float(value) for value in values if not missing(value)]
    return math.fsum(known) / len(known) if known else math.nan


def best_method(rows: pd.DataFrame, fraction: float, protocol: str = "tuned") -> str | None:
    """The best pretraining at a share of the labels; None where there is none.

    Chosen on validation fruit where all were judged on them, so that test fruit choose nothing (see
    ``dashboard.contenders``).
    """
    there = rows[
        (rows["protocol"] == protocol) & (rows["fraction"] == fraction) & ~rows["method"].isin(REFERENCES)
    ]
    by = there["validation"] if there["validation"].notna().all() else there["value"]
    return None if there.empty else str(there["method"].iloc[int(by.to_numpy().argmax())])


def ranked(rows: pd.DataFrame, fraction: float) -> tuple[str, ...]:
    """Methods at a share of the labels, the best first and the baseline last."""
    keys: dict[str, tuple[bool, int, float]] = {}
    for row in records(rows[rows["fraction"] == fraction]):
        key = (row["method"] == SUPERVISED, PLACE[row["protocol"]], -row["value"])
        keys[row["method"]] = min(key, keys.get(row["method"], key))
    return tuple(sorted(keys, key=lambda method: keys[method]))


def shown_protocols(rows: pd.DataFrame, fraction: float) -> tuple[str, ...]:
    """Those of ``SHOWN`` that some method was judged by at a share of the labels."""
    there = set(rows.loc[rows["fraction"] == fraction, "protocol"])
    return tuple(protocol for protocol in SHOWN if protocol in there)


def grid_rows(rows: pd.DataFrame, fraction: float, tests: tuple[Tested, ...] = ()) -> pd.DataFrame:
    """Cells of methods against protocols for ``charts.grid.value_grid``.

    Args:
        rows: see ``protocol_rows``.
        fraction: share of the labels.
        tests: a mark stands behind the fine-tuned ones that they set apart from the baseline.

    Returns:
        row, column, part, large, small, shade, words.
    """
    here = {(row["method"], row["protocol"]): row for row in records(rows[rows["fraction"] == fraction])}
    apart = {(one.method, "tuned"): one for one in tests if one.fraction == fraction and one.differs}
    cells = [
        _cell(method, name, here.get((method, name)), apart.get((method, name)))
        for method in ranked(rows, fraction)
        for name in shown_protocols(rows, fraction)
    ]
    return pd.DataFrame(cells)


def _cell(
    method: str, protocol: str, found: dict[str, Any] | None, apart: Tested | None
) -> dict[str, object]:
    cell = {"row": row_words(method), "column": WORDS[protocol], "part": "cell"}
    if found is None:
        return cell | {"large": "", "small": "", "shade": 0.0, "words": WORDS["no_cell"]}
    ends = interval(found["low"], found["high"])
    words = WORDS["cell"].format(
        method=row_words(method),
        protocol=WORDS[f"{protocol}_words"],
        value=number(found["value"]),
        ends=f" ({ends})" if ends else "",
        seeds=plural(found["seeds"], "seed"),
    )
    if apart is not None:
        words += gap_words(apart)
    return cell | {
        "large": number(found["value"]) + (f" {MARKS[apart.verdict]}" if apart else ""),
        "small": f"±{(found['high'] - found['low']) / 2:.2f}" if ends else "",
        "shade": max(0.0, float(found["value"])),
        "words": words,
    }


def row_words(method: str) -> str:
    """A method in a row: what is compared with is called the baseline."""
    return texts.OVERVIEW["reference"] if method == SUPERVISED else method_words(method)


def curve_rows(rows: pd.DataFrame, focus: str, protocol: str) -> pd.DataFrame:
    """Learning curves over labels for ``charts.lines.bands``: the baseline grey, one method loud.

    Args:
        rows: see ``protocol_rows``.
        focus: the method that is argued for.
        protocol: of the methods; the baseline is always its own training.

    Returns:
        x (per cent of the labels), value, low, high (over seeds), series, tone, label, side, words.
    """
    wanted = (rows["protocol"] == protocol) | ((rows["method"] == SUPERVISED) & (rows["protocol"] == "tuned"))
    lines: dict[str, list[dict[str, Any]]] = {}
    for row in records(rows[wanted].sort_values("fraction", kind="stable")):
        lines.setdefault(row["method"], []).append(row)
    points = []
    for method in rows.loc[wanted, "method"].drop_duplicates():
        line = lines[method]
        tone = "accent" if method == focus else "reference" if method == SUPERVISED else "other"
        name = row_words(str(method))
        for row in line:
            spread = row["seeds"] > 1 and tone != "other"
            points.append(
                {
                    "x": 100 * row["fraction"],
                    "value": row["value"],
                    "low": row["least"] if spread else math.nan,
                    "high": row["most"] if spread else math.nan,
                    "series": name,
                    "tone": tone,
                    "label": name if row is line[-1] else "",
                    "side": "right" if len(line) == 1 and row["fraction"] < 1 else "above",
                    "words": WORDS["point"].format(
                        method=name,
                        share=percent(row["fraction"]),
                        value=number(row["value"]),
                        seeds=plural(row["seeds"], "seed"),
                    ),
                }
            )
    _keep_apart(points)
    return pd.DataFrame(points, columns=CURVE_COLUMNS)


def _keep_apart(points: list[dict[str, Any]]) -> None:
    """Names that keep apart: of two that are argued about the lower one's stands below its line.

    Quiet lines go without a name that would run into another one; tooltips still have them.
    """
    named = sorted((point for point in points if point["label"]), key=lambda point: point["tone"] == "other")
    loud = [point for point in named if point["tone"] != "other" and point["side"] == "above"]
    for point in sorted(loud, key=lambda point: point["value"])[:-1]:
        point["side"] = "below"
    values = [point["value"] for point in points]
    room = 0.09 * (max(values) - min(values)) if values else 0.0
    kept: list[float] = []
    for point in named:
        if point["tone"] == "other" and any(abs(point["value"] - other) < room for other in kept):
            point["label"] = ""
        else:
            kept.append(point["value"])


@dataclass(frozen=True)
class Equal:
    """The share of the labels at which a curve reaches a value.

    Attributes:
        share: 0 to 1; the nearest end where the value lies outside the curve.
        beyond: 1 where even all labels do not reach it, -1 where the fewest do already, else 0.
    """

    share: float
    beyond: int = 0


def labels_needed(shares: list[float], values: list[float], target: float) -> Equal:
    """Where a learning curve first reaches ``target``, interpolated over the logarithm of the share.

    Args:
        shares: rising, above 0.
        values: of the curve.
        target: the value sought.
    """
    if values[0] >= target:
        return Equal(shares[0], -1 if values[0] > target else 0)
    for (a, low), (b, high) in zip(
        zip(shares, values, strict=True), zip(shares[1:], values[1:], strict=True), strict=False
    ):
        if high >= target:
            part = (target - low) / (high - low)
            return Equal(math.exp(math.log(a) + part * (math.log(b) - math.log(a))))
    return Equal(shares[-1], 1)


def last_spread(curves: pd.DataFrame) -> pd.Series:
    """Spread of the embeddings of each pretraining after its last epoch; see ``ablations.health``."""
    spread = curves[curves["metric"] == "embedding_std"].sort_values("epoch", kind="stable")
    return spread.groupby("run_id", sort=False)["value"].last()


def health_rows(
    curves: pd.DataFrame, pretrainings: pd.DataFrame, metric: str, focus: str | None
) -> pd.DataFrame:
    """One measure of health over the epochs, a line a method, for ``charts.lines.bands``.

    Args:
        curves: see ``ablations.health``.
        pretrainings: see ``ablations.pretrainings``; one that did not finish is a line of its own.
        metric: one of ``HEALTH``.
        focus: the method that is argued for.

    Returns:
        See ``curve_rows``; x is the epoch, values are means over seeds and folds.
    """
    known = curves[curves["metric"] == metric].merge(
        pretrainings[["run_id", "method", "status"]], on="run_id"
    )
    known["failed"] = known["status"].isin(("failed", "pruned"))
    parts = []
    for (method, failed), some in known.groupby(["method", "failed"], sort=False):
        line = some.groupby("epoch", sort=True)["value"].mean().reset_index()
        tone = "fewer" if failed else "accent" if method == focus else "other"
        name = method_words(str(method))
        label = WORDS["collapsed_line"].format(method=name) if failed else name if tone == "accent" else ""
        parts.append(
            pd.DataFrame(
                {
                    "x": line["epoch"],
                    "value": line["value"],
                    "low": None,
                    "high": None,
                    "series": f"{name} ({WORDS['stopped']})" if failed else name,
                    "tone": tone,
                    "label": [label if i == len(line) - 1 else "" for i in range(len(line))],
                    "side": "right" if failed else "above",
                    "words": [
                        WORDS["epoch_point"].format(method=name, epoch=count(x), value=number(value))
                        for x, value in zip(line["epoch"], line["value"], strict=True)
                    ],
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=CURVE_COLUMNS)
