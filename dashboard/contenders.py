"""Which runs are argued about: the best baseline and the best pretraining. Pure.

The best of several configurations is picked by its mean over seeds, and its run with the lowest seed stands
for it in figures, so that nobody picks a lucky seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dashboard import texts
from dashboard.names import method_words


@dataclass(frozen=True)
class Contender:
    """A configuration and the run that stands for it.

    Attributes:
        run_id: of its run with the lowest seed.
        method: name from the registry.
        value: the headline metric, mean over seeds.
        seeds: how many.
        share: of the labels that it was trained on, 0 to 1.
    """

    run_id: str
    method: str
    name: str
    finished: str
    value: float
    seeds: int
    share: float = 1.0

    @property
    def words(self) -> str:
        """How people call it: "Barlow Twins", "baseline"."""
        return texts.OVERVIEW["reference"] if self.method == "supervised" else method_words(self.method)


def best_pair(
    runs: pd.DataFrame, metrics: pd.DataFrame, metric: str
) -> tuple[Contender | None, Contender | None]:
    """The best baseline and the best pretraining on the same share of the labels.

    The largest share on which both are finished; where nothing can be compared, the largest one. A linear
    readout stands for its pretraining only where nothing was fine-tuned.

    Args:
        runs: see ``results.scored_runs``; transductive ones never count.
        metrics: see ``results.pooled_metrics``; rows of ``metric`` without a defect are used.
        metric: what is maximised.

    Returns:
        Baseline and pretraining; None where there is none with a defined value.
    """
    overall = metrics[(metrics["metric"] == metric) & metrics["defect"].isna() & metrics["value"].notna()]
    known = runs[runs["transductive"] == 0].merge(overall[["run_id", "value"]], on="run_id")
    found: tuple[Contender | None, Contender | None] = (None, None)
    for share in sorted(known["label_fraction"].unique(), reverse=True):
        here = known[known["label_fraction"] == share]
        pretrained = here[(here["init"] == "ssl") & (here["kind"] != "baseline")]
        tuned = pretrained[pretrained["kind"] == "finetune"]
        pair = _best(here[here["kind"] == "baseline"]), _best(pretrained if tuned.empty else tuned)
        if all(pair):
            return pair
        found = found if any(found) else pair
    return found


def best_whole(runs: pd.DataFrame, metrics: pd.DataFrame, metric: str) -> Contender | None:
    """Who does best on the most labels: the pretraining where one is finished, else the baseline."""
    most = runs[runs["label_fraction"] == runs["label_fraction"].max()]
    reference, challenger = best_pair(most, metrics, metric)
    return challenger or reference


def _best(runs: pd.DataFrame) -> Contender | None:
    if runs.empty:
        return None
    same = ["kind", "method", "backbone", "init", "modalities"]
    groups = runs.groupby(same, sort=False)["value"]
    best = runs[groups.transform("mean") == groups.transform("mean").max()]
    best = best[best[same[1]] == best.iloc[0][same[1]]]
    first = best.sort_values("seed", kind="stable").iloc[0]
    return Contender(
        run_id=str(first["run_id"]),
        method=str(first["method"]),
        name=str(first["name"]),
        finished=str(first["finished"]),
        value=float(best["value"].mean()),
        seeds=int(best["seed"].nunique()),
        share=float(first["label_fraction"]),
    )
