"""Which runs are argued about: the best baseline and the best pretraining. Pure.

The best of several configurations is picked by its mean over seeds on validation fruit, so that the fruit it
is then judged by choose nothing: of many methods the best on the test fruit is mostly the luckiest. Its run
with the lowest seed (that the other side has too) stands for it in figures, so that nobody picks a lucky one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from dashboard import texts
from dashboard.format import listing, missing, number
from dashboard.names import method_words

HEADLINE = "mcc"
"""What a contender is worth: agreement with the labels of test fruit."""
CHOSEN_BY = "inner_mcc"
"""What chooses it: the same on validation fruit. Readouts have none, so among them the headline chooses."""
ASKED = (HEADLINE, CHOSEN_BY)
"""Metrics that a choice needs."""
GUESSING = 0.1
"""A model whose agreement (MCC) is lower than this is hardly better than guessing."""


@dataclass(frozen=True)
class Contender:
    """A configuration and the run that stands for it.

    Attributes:
        run_id: of its run with the lowest seed, among those that both sides have.
        method: name from the registry.
        value: ``HEADLINE``, mean over seeds.
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


def best_pair(runs: pd.DataFrame, metrics: pd.DataFrame) -> tuple[Contender | None, Contender | None]:
    """The best baseline and the best pretraining on the same share of the labels.

    The largest share on which both are finished; where nothing can be compared, the largest one. A linear
    readout stands for its pretraining only where nothing was fine-tuned.

    Args:
        runs: see ``results.scored_runs``; transductive ones never count.
        metrics: see ``results.pooled_metrics``; rows of ``ASKED`` without a defect are used.

    Returns:
        Baseline and pretraining; None where there is none with a defined value.
    """
    overall = metrics[metrics["defect"].isna() & metrics["value"].notna()]
    values = {name: some.set_index("run_id")["value"] for name, some in overall.groupby("metric")}
    known = runs[runs["transductive"] == 0]
    for name in ASKED:
        known = known.assign(**{name: known["run_id"].map(values.get(name, {})).astype(float)})
    known = known[known[HEADLINE].notna()]
    found: tuple[Contender | None, Contender | None] = (None, None)
    for share in sorted(known["label_fraction"].unique(), reverse=True):
        here = known[known["label_fraction"] == share]
        pretrained = here[(here["init"] == "ssl") & (here["kind"] != "baseline")]
        tuned = pretrained[pretrained["kind"] == "finetune"]
        sides = _best(here[here["kind"] == "baseline"]), _best(pretrained if tuned.empty else tuned)
        both = set(sides[0]["seed"]) & set(sides[1]["seed"])
        pair = _contender(sides[0], both), _contender(sides[1], both)
        if all(pair):
            return pair
        found = found if any(found) else pair
    return found


def best_whole(runs: pd.DataFrame, metrics: pd.DataFrame) -> Contender | None:
    """Who does best on the most labels: the pretraining where one is finished, else the baseline."""
    most = runs[runs["label_fraction"] == runs["label_fraction"].max()]
    reference, challenger = best_pair(most, metrics)
    return challenger or reference


def _best(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of the best configuration, one a seed."""
    if runs.empty:
        return runs
    same = ["kind", "method", "backbone", "init", "modalities"]
    chosen_by = CHOSEN_BY if runs[CHOSEN_BY].notna().all() else HEADLINE
    groups = runs.groupby(same, sort=False)[chosen_by]
    best = runs[groups.transform("mean") == groups.transform("mean").max()]
    return best[best[same[1]] == best.iloc[0][same[1]]]


def _contender(best: pd.DataFrame, both: set[int]) -> Contender | None:
    """Who the runs of a configuration are.

    Args:
        best: see ``_best``.
        both: seeds that the other side has too, of which a test is; where there are none, any stands.
    """
    if best.empty:
        return None
    shared = best[best["seed"].isin(both)]
    first = (best if shared.empty else shared).sort_values("seed", kind="stable").iloc[0]
    return Contender(
        run_id=str(first["run_id"]),
        method=str(first["method"]),
        name=str(first["name"]),
        finished=str(first["finished"]),
        value=float(best[HEADLINE].mean()),
        seeds=int(best["seed"].nunique()),
        share=float(first["label_fraction"]),
    )


def guessing(values: Sequence[float]) -> list[str]:
    """The caveat that models have learned next to nothing; none where one of them has, or nothing is known.

    Args:
        values: ``HEADLINE`` of each; NaN where undefined.
    """
    best = max((value for value in values if not missing(value)), default=1.0)
    return [texts.CAVEATS["guessing"].format(value=number(best))] if best < GUESSING else []


def one_seed(seeds: Mapping[str, int]) -> list[str]:
    """The caveat that a side was trained once; none where every side was repeated.

    Args:
        seeds: name of each side to its number of seeds.
    """
    once = [name for name, n in seeds.items() if n == 1]
    if not once:
        return []
    key = "seeds" if len(once) == len(seeds) else "one_seed"
    return [texts.CAVEATS[key].format(names=listing(once, texts.SENTENCES["and"]))]
