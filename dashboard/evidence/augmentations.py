"""Augmentations: which random changes of the pictures help pretraining, ranked cheaply and then confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from backend.store.queries import ablations as queries
from dashboard import contenders, texts
from dashboard.answers import (
    BETTER,
    UNCLEAR,
    UNTESTED,
    WORSE,
    Answer,
    borne_out,
    certainty,
    change_words,
    found_of,
    test_verdict,
)
from dashboard.charts.bars import interval_bars
from dashboard.charts.grid import difference_grid
from dashboard.figure import Figure, records
from dashboard.format import count, number, per_hundred, sentence_start, signed
from dashboard.frames import augmentations as frames
from dashboard.frames.augmentations import Policy
from dashboard.frames.tests import deciding
from dashboard.names import method_words
from dashboard.rows import of_defect
from dashboard.scope import Scope

WORDS = texts.AUGMENTATIONS
PURPOSE = "augmentation-ablation"
RANKING = ("probe_inner_mcc", "inner_mcc")
"""What policies were ranked by: pretrainings by a probe on inner validation (once by nearest fruit there)."""
PROXIES = (*RANKING, "mcc", "knn_mcc")
REACH = 0.15
"""A gain in MCC that takes the full colour."""


@dataclass(frozen=True)
class Confirmed:
    """A policy that was tested on held-out fruit against no augmentation."""

    policy: Policy
    text: str
    verdict: str
    delta: float


@dataclass(frozen=True)
class Found:
    """The ablation of one method.

    Attributes:
        method: its name in the registry.
        runs: see ``ablations.finished``.
        metrics: see ``ablations.whole_metrics``; the proxies of all runs.
    """

    method: str
    runs: pd.DataFrame
    metrics: pd.DataFrame

    def scores(self, metric: str) -> dict[Policy, float]:
        """See ``frames.augmentations.scores``."""
        return frames.scores(self.runs, self.metrics, metric)

    @property
    def measures(self) -> tuple[str, ...]:
        """The proxies that some run has, first the one that ranked them."""
        known = [metric for metric in PROXIES if self.scores(metric)]
        ranking = [metric for metric in known if metric in RANKING]
        return tuple(metric for metric in known if metric not in ranking[1:])

    @property
    def learned(self) -> bool:
        """Whether some policy, by some measure, is better than guessing: else their ranking is chance."""
        return not self.guessing

    @cached_property
    def guessing(self) -> list[str]:
        """The caveat that none is."""
        return contenders.guessing([max(self.scores(metric).values()) for metric in self.measures])


def found(scope: Scope) -> list[Found]:
    """The ablations of the chosen study, one a method."""
    runs = scope.store.ask(queries.finished, scope.dataset.dataset_id, scope.study_id, (PURPOSE,))
    runs = scope.keep_recent(runs[runs["method"] == scope.method] if scope.method else runs)
    metrics = scope.store.ask(queries.whole_metrics, tuple(runs["run_id"]), PROXIES)
    every = [
        Found(str(method), some, metrics[metrics["run_id"].isin(some["run_id"])])
        for method, some in runs.groupby("method", sort=False)
    ]
    return [one for one in every if one.measures]


def confirmed(scope: Scope, ablation: Found) -> list[Confirmed]:
    """What the tests of the confirmed policies say, the greatest gain first."""
    tests = deciding(scope.store.ask(queries.tests_of, scope.dataset.dataset_id, scope.study_id, PURPOSE))
    about = of_defect(tests, scope.one_defect)
    about = about[about["delta"].notna()]
    policies = dict(zip(ablation.runs["run_id"], ablation.runs["augment"], strict=True))
    rows = [
        _confirmed(scope, ablation, Policy.read(policies[str(run_id)]), row)
        for run_id, of_run in about.groupby("run_id_b", sort=False)
        if str(run_id) in policies
        for row in records(borne_out(of_run))
    ]
    return sorted(rows, key=lambda row: -row.delta)


def _confirmed(scope: Scope, ablation: Found, policy: Policy, test: dict[str, Any]) -> Confirmed:
    verdict, delta = test_verdict(test), float(test["delta"])
    values = {
        "policy": policy.words,
        "Policy": sentence_start(policy.words),
        "method": method_words(ablation.method),
        "direction": texts.DIRECTIONS[0 if delta >= 0 else 1],
        "what": found_of(scope.one_defect, multiclass=scope.multiclass),
    }
    if test["metric"] == "recall":
        key = "unclear" if verdict == UNCLEAR else "more" if delta >= 0 else "fewer"
        text = WORDS[key].format(**values, n=per_hundred(abs(delta)), brackets=certainty(test))
        return Confirmed(policy, text, verdict, delta)
    key = {BETTER: "agreement_rises", WORSE: "agreement_falls"}.get(verdict, "agreement_unclear")
    text = WORDS[key].format(**values, **change_words(test, scope.one_defect))
    return Confirmed(policy, text, verdict, delta)


def said(ablation: Found, tested: list[Confirmed], metric: str) -> Answer:
    """Which augmentation helps: as confirmed, else as ranked."""
    ranked = ablation.scores(metric)
    base = frames.reference(ranked)
    best = max(ranked, key=lambda policy: ranked[policy])
    value, none = number(ranked[best]), number(base)
    key = "best_is_none" if ranked[best] == base else "level" if value == none else "best"
    if not ablation.learned:
        key = "guessed"
    proxy = WORDS[key].format(
        policy=best.words,
        Policy=sentence_start(best.words),
        value=value,
        against="" if base is None else WORDS["base"].format(value=none),
        measure=_measured(ablation, metric),
    )
    if tested:
        first = next((one for one in tested if one.verdict == BETTER), tested[0])
        if first.verdict == UNCLEAR and not ablation.learned:
            return Answer(proxy, first.text, UNCLEAR)
        return Answer(first.text, proxy, first.verdict)
    return Answer(proxy, WORDS["runs"].format(n=count(len(ranked))), UNTESTED)


def winner(ablation: Found, tested: list[Confirmed], metric: str) -> Policy | None:
    """What to pretrain with: what was confirmed as better, else the first that was not found worse.

    None if nothing helps.
    """
    if ablation.method == "supervised" or not ablation.learned:
        return None
    ranked = ablation.scores(metric)
    better = [one.policy for one in tested if one.verdict == BETTER]
    worse = [one.policy for one in tested if one.verdict == WORSE]
    left = [policy for policy in ranked if policy not in worse]
    best = better[0] if better else max(left, key=lambda policy: ranked[policy], default=None)
    return None if best is None or best.plain else best


def matrix(ablation: Found, metric: str, answer: Answer) -> Figure | None:
    """The composition matrix, or bars without pairs; None where no operation was tried by itself."""
    found_scores = ablation.scores(metric)
    if not frames.paired(found_scores):
        return _one_at_a_time(ablation, metric, answer)
    frame = frames.composition(found_scores)
    rows = tuple(frame["row"].drop_duplicates())
    return Figure(
        name=f"augmentations-{metric}",
        title=WORDS["matrix"],
        sentence=answer.text,
        chart=difference_grid,
        frame=frame[["row", "column", "part", "large", "small", "shade", "words"]],
        options={
            "rows": rows,
            "columns": tuple(str(i + 1) for i in range(len(rows))),
            "axis": WORDS["matrix_axis"],
            "reach": REACH,
        },
        table=frame[["first", "second", "value", "gain"]],
    )


def _one_at_a_time(ablation: Found, metric: str, answer: Answer) -> Figure | None:
    """Every policy that was ranked, for lack of pairs."""
    found_scores = ablation.scores(metric)
    if not frames.operations_of(found_scores):
        return None
    name, title = f"augmentations-alone-{metric}", WORDS["alone"]
    frame = frames.ranked_policies(found_scores)
    return _levels(name, title, answer.text, WORDS["whole_axis"], frame)


def measure_words(ablation: Found, metric: str) -> str:
    """How a proxy is called: what scores a pretraining by a readout scores a baseline by itself."""
    trained = ablation.method == "supervised" and metric == "mcc"
    return WORDS["held_out" if trained else metric]


def _measured(ablation: Found, metric: str) -> str:
    """The same in a sentence: "of a linear readout"."""
    trained = ablation.method == "supervised" and metric == "mcc"
    return WORDS["held_out_words" if trained else f"{metric}_words"]


def worth(ablation: Found, metric: str) -> Figure | None:
    """What each operation of the default policy is worth; None where none was left out."""
    found_scores = ablation.scores(metric)
    frame = frames.leave_one_out(found_scores)
    default = frames.default_policy(found_scores)
    if frame.empty or default is None:
        return None
    top = frame.iloc[0]
    return Figure(
        name=f"augmentations-worth-{metric}",
        title=WORDS["worth"].format(policy=default.words),
        sentence=_if_learned(ablation, WORDS["worth_most"].format(name=top["name"], n=signed(top["value"]))),
        chart=interval_bars,
        frame=frame,
        options={
            "order": tuple(frame["name"]),
            "axis": WORDS["worth_axis"],
            "domain": (min(0.0, float(frame["value"].min())), max(0.01, float(frame["value"].max()))),
        },
        table=frame[["name", "value"]],
    )


def strength(ablation: Found, metric: str) -> Figure | None:
    """The default policy weaker and stronger; None where fewer than two strengths were tried."""
    found_scores = ablation.scores(metric)
    frame = frames.strengths(found_scores)
    default = frames.default_policy(found_scores)
    if len(frame) < 3 or default is None:
        return None
    best = max(records(frame), key=lambda row: float(row["value"]))
    sentence = _if_learned(ablation, WORDS["strongest"].format(name=best["name"], value=best["text"]))
    title = WORDS["strengths"].format(policy=default.words)
    return _levels(f"augmentations-strength-{metric}", title, sentence, WORDS["strength_axis"], frame)


def whole(ablation: Found, metric: str) -> Figure | None:
    """Named policies side by side; None where fewer than two were tried beside none."""
    frame = frames.whole_policies(ablation.scores(metric))
    if frame.empty:
        return None
    sentence = _if_learned(ablation, WORDS["whole_best"].format(name=frame["name"].iloc[0]))
    return _levels(f"augmentations-whole-{metric}", WORDS["whole"], sentence, WORDS["whole_axis"], frame)


def _if_learned(ablation: Found, sentence: str) -> str:
    """What a figure shows, unless its bars are chance."""
    return sentence if ablation.learned else WORDS["chance"]


def _levels(name: str, title: str, sentence: str, axis: str, frame: pd.DataFrame) -> Figure:
    """Scores as bars from zero."""
    values = frame["value"].astype(float)
    return Figure(
        name=name,
        title=title,
        sentence=sentence,
        chart=interval_bars,
        frame=frame,
        options={
            "order": tuple(frame["name"]),
            "axis": axis,
            "domain": (min(0.0, float(values.min())), max(0.01, float(values.max()))),
        },
        table=frame[["name", "value"]],
    )
