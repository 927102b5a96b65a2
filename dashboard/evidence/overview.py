"""Is pretraining worth it: the best baseline against the best pretraining, defect by defect."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dashboard import answers, contenders, texts
from dashboard.answers import Answer
from dashboard.contenders import Contender
from dashboard.figure import Figure
from dashboard.format import listing, number, percent
from dashboard.frames.defects import defect_rows
from dashboard.frames.tests import deciding
from dashboard.names import defect_words, subject
from dashboard.scope import Scope

WORDS = texts.OVERVIEW
QUOTED = (*contenders.ASKED, "recall", "precision", "accuracy")
RESULTS = ("final", "label-efficiency")
"""Purposes of runs that were judged on fruit which nothing has seen, on all labels or on few."""


@dataclass(frozen=True)
class Argument:
    """Who is argued about, and by which numbers.

    Attributes:
        runs: see ``results.scored_runs``.
        metrics: see ``results.pooled_metrics``.
        tests: see ``results.comparisons``, challenger minus reference, of the chosen defects.
        sides: ``reference`` (the best baseline) and ``challenger`` (the best pretraining); either may be
            absent, but not both.
        answer: what follows.
    """

    runs: pd.DataFrame
    metrics: pd.DataFrame
    tests: pd.DataFrame
    sides: dict[str, Contender]
    answer: Answer

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs that stand for the sides."""
        return tuple(side.run_id for side in self.sides.values())

    @property
    def commit(self) -> object:
        """Of the code that trained the first of them."""
        return self.runs.loc[self.runs["run_id"] == self.run_ids[0], "git_commit"].iloc[0]


def argued(scope: Scope) -> Argument | None:
    """The argument of the chosen study; None where no result is finished.

    Where pretraining was compared on few labels only, that comparison is argued, and the best result on all
    labels stands beside it. Where nothing was learned from the few labels, it is the other way round.
    """
    runs = scope.keep(scope.store.scored_runs(scope.dataset.dataset_id, scope.study_id, RESULTS))
    metrics = scope.store.pooled_metrics(tuple(runs["run_id"]), QUOTED)
    reference, challenger = contenders.best_pair(runs, metrics)
    found = {"reference": reference, "challenger": challenger}
    sides = {side: contender for side, contender in found.items() if contender is not None}
    if not sides:
        return None
    whole = contenders.best_whole(runs, metrics)
    best = max(side.value for side in sides.values())
    if whole is not None and whole.value >= contenders.GUESSING > best:
        return _instead(scope, runs, metrics, whole, _too_little(sides))
    both = (reference.run_id, challenger.run_id) if reference and challenger else ("", "")
    if (refused := _refused(scope, both)) and whole is not None:
        reasons = listing([texts.INCOMPARABLE[reason] for reason in refused])
        return _instead(scope, runs, metrics, whole, texts.NOT_COMPARABLE.format(reasons=reasons))
    tests = deciding(scope.store.comparisons(*both))
    tests = tests[tests["defect"].isna() | tests["defect"].isin(scope.defects)]
    said = _answer(scope, metrics, tests, reference, challenger)
    if whole is not None and whole.share > min(side.share for side in sides.values()):
        other = alone(scope, metrics, whole).text
        beside = answers.SAY["beside"].format(sentence=other[:1].lower() + other[1:])
        said = Answer(said.text, f"{said.detail} {beside}".strip(), said.verdict)
    return Argument(runs, metrics, tests, sides, said)


def _instead(scope: Scope, runs: pd.DataFrame, metrics: pd.DataFrame, whole: Contender, why: str) -> Argument:
    """The best result alone, and why no two are compared."""
    side = "reference" if whole.method == "supervised" else "challenger"
    said = alone(scope, metrics, whole)
    said = Answer(said.text, f"{said.detail} {why}".strip())
    return Argument(runs, metrics, scope.store.comparisons("", ""), {side: whole}, said)


def _refused(scope: Scope, both: tuple[str, str]) -> list[str]:
    """Why the two must not be compared; inside one study nothing can be."""
    return scope.store.comparability(*both) if all(both) and not scope.study_id else []


def _too_little(sides: dict[str, Contender]) -> str:
    """That models on few labels have not learned enough to be compared."""
    values = listing([number(side.value) for side in sides.values()], answers.SAY["and"])
    names = listing([subject(side.method) for side in sides.values()], answers.SAY["and"])
    share = percent(min(side.share for side in sides.values()))
    return WORDS["too_little"].format(share=share, names=names, values=values)


def _answer(
    scope: Scope,
    metrics: pd.DataFrame,
    tests: pd.DataFrame,
    reference: Contender | None,
    challenger: Contender | None,
) -> Answer:
    if reference is not None and challenger is not None:
        return answers.compared(
            challenger, reference, tests, metrics, scope.one_defect, multiclass=scope.multiclass
        )
    one = challenger or reference
    assert one is not None, "somebody is argued about"
    return alone(scope, metrics, one)


def alone(scope: Scope, metrics: pd.DataFrame, one: Contender) -> Answer:
    """What one run amounts to by itself."""
    counts = scope.store.defect_confusion(one.run_id)
    own = metrics[metrics["run_id"] == one.run_id]
    who = subject(one.method)
    if scope.one_defect is not None:
        return answers.decided(who, counts[counts["defect"] == scope.one_defect], own)
    return answers.average(who, own, counts, multiclass=scope.multiclass)


def figure(scope: Scope, argument: Argument, metric: str) -> Figure:
    """Both sides of every defect.

    Args:
        scope: what is looked at.
        argument: who is argued about.
        metric: ``recall`` or ``mcc``.
    """
    from dashboard.charts.defects import defect_by_defect  # imports altair, which an answer need not wait for

    sides = argument.sides
    counts = scope.store.defect_counts(scope.dataset.dataset_id)
    n = dict(zip(counts["defect"], counts["positives"], strict=True))
    frame = defect_rows(scope.defects, sides, argument.metrics, argument.tests, metric, n)
    names = {side: contender.words for side, contender in sides.items()}
    title = WORDS["evidence" if len(sides) > 1 else "evidence_alone"]
    what = WORDS["of_classes" if scope.multiclass else "of_defects"]
    title = title.format(subject=what, alone=" ".join(names.values()), **names)
    share = next(iter(sides.values())).share
    if share < 1:
        title = WORDS["evidence_few"].format(title=title, share=percent(share))
    low = float(pd.to_numeric(frame["low"]).min()) if frame["low"].notna().any() else 0.0
    return Figure(
        name=f"defect-by-defect-{metric}",
        title=title,
        sentence=argument.answer.text,
        chart=defect_by_defect,
        frame=frame,
        options={
            "order": tuple(defect_words(name) for name in scope.defects),
            "axis": WORDS[_axis(scope, metric)],
            "domain": _domain(low, metric),
            "sides": tuple(names.items()),
        },
    )


def _axis(scope: Scope, metric: str) -> str:
    if metric != "recall":
        return "agreement_axis"
    return "recognised_axis" if scope.multiclass else "found_axis"


def _domain(low: float, metric: str) -> tuple[float, float]:
    """From zero, or from below it where MCC is negative."""
    if metric == "recall":
        return (0.0, 100.0)
    return (min(0.0, low), 1.0)
