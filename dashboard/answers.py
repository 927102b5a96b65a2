"""From rows to sentences: what the difference between two runs is, what one achieves, how to say it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from dashboard import texts
from dashboard.contenders import Contender
from dashboard.figure import records
from dashboard.format import (
    count,
    interval,
    listing,
    missing,
    number,
    per_hundred,
    percent,
    plural,
    sentence_start,
    signed,
)
from dashboard.names import defect_words
from dashboard.rows import of_defect

SAY = texts.SENTENCES
BETTER, WORSE, UNCLEAR, UNTESTED = "better", "worse", "not distinguishable", "not tested"


@dataclass(frozen=True)
class Answer:
    """A headline.

    Attributes:
        text: the sentence.
        detail: a second sentence, or empty.
        verdict: ``better``, ``worse``, ``not distinguishable``, ``not tested``, or empty where nothing is
            compared.
    """

    text: str
    detail: str = ""
    verdict: str = ""


def _pick(rows: pd.DataFrame, metric: str, defect: str | None) -> dict[str, Any] | None:
    """One row of metrics or comparisons."""
    about = of_defect(rows, defect)
    found = about[(about["metric"] == metric)]
    if found.empty or missing(found.iloc[0].get("value", found.iloc[0].get("delta"))):
        return None
    return {str(key): value for key, value in found.iloc[0].items()}


def compared(
    challenger: Contender,
    reference: Contender,
    tests: pd.DataFrame,
    metrics: pd.DataFrame,
    defect: str | None,
    *,
    multiclass: bool = False,
) -> Answer:
    """What pretraining changes.

    Args:
        challenger: the best pretraining.
        reference: the best baseline.
        tests: see ``results.comparisons``, challenger minus reference.
        metrics: see ``results.pooled_metrics``, of both runs.
        defect: one defect; None = over all.
        multiclass: whether each fruit has exactly one class.
    """
    what = found_of(defect, multiclass=multiclass)
    found, agreement = _pick(tests, "recall", defect), _pick(tests, "mcc", defect)
    if found is None and agreement is None:
        return _untested(challenger, reference, metrics, defect, what)
    if found and agreement and agreement_decides(found, agreement):
        found = None
    test = found or agreement
    assert test is not None
    verdict = test_verdict(test)
    text = _found(challenger, test, verdict, what) if found else _agreement(challenger, test, verdict, defect)
    more = [
        _most(borne_out(tests)) if defect is None and found else "",
        _level(metrics, challenger, reference, defect),
        settled(test) if verdict == UNCLEAR else "",
    ]
    return Answer(on_share(text, challenger.share), " ".join(part for part in more if part), verdict)


def on_share(sentence: str, share: float, *, lower: bool = True) -> str:
    """The sentence, opened by the share of the labels where that is not all of them.

    Args:
        sentence: what is said.
        share: of the labels, 0 to 1.
        lower: whether the sentence may begin with a small letter; a method's name may not.
    """
    if share >= 1:
        return sentence
    rest = sentence[:1].lower() + sentence[1:] if lower else sentence
    return SAY["few_labels"].format(share=percent(share), sentence=rest)


def among(said: Answer, group: str) -> Answer:
    """The headline, opened by the pallet that it is about, where it is not about all of them."""
    return replace(said, text=SAY["among"].format(group=group, sentence=said.text)) if group else said


def settled(test: dict[str, Any]) -> str:
    """What would settle an unclear difference, in words; empty where nothing is known.

    Args:
        test: a row of ``results.comparisons``.
    """
    needed = test.get("n_needed")
    if needed is not None and not missing(needed):
        return SAY["settled"].format(n=count(float(f"{needed:.2g}")))
    _, _, remedy = str(test.get("verdict") or "").partition("; ")
    return f"{sentence_start(remedy)}." if remedy else ""


def test_verdict(test: dict[str, Any]) -> str:
    """The stored verdict; where there is none, whether the interval leaves out zero."""
    said = str(test.get("verdict") or "").strip().lower()
    if said in (BETTER, WORSE, UNCLEAR):
        return said
    low, high = test["ci_low"], test["ci_high"]
    if missing(low) or missing(high):
        return UNTESTED
    return BETTER if low > 0 else WORSE if high < 0 else UNCLEAR


def agreement_decides(found: dict[str, Any], agreement: dict[str, Any]) -> bool:
    """Whether the test of agreement has to speak in the place of that of what is found.

    A model that calls every fruit defective finds them all, and one that finds as many may do so with fewer
    false alarms: only agreement knows them. So what is found speaks where both say the same, or agreement
    says nothing that is clear of what is unclear.
    """
    one, other = test_verdict(found), test_verdict(agreement)
    return one not in (other, UNTESTED) and not (one == UNCLEAR and other == UNTESTED)


def borne_out(tests: pd.DataFrame) -> pd.DataFrame:
    """One test for each defect: of what is found, or of agreement where that decides.

    Args:
        tests: see ``frames.tests.deciding``; of one pair of runs.
    """
    found, agreement = (tests[tests["metric"] == metric] for metric in ("recall", "mcc"))
    of = {str(row["defect"]): row for row in records(agreement)}
    kept = []
    for row in records(found):
        other = of.get(str(row["defect"]))
        kept.append(other if other and agreement_decides(row, other) else row)
    return pd.DataFrame(kept, columns=tests.columns)


def _brackets(ends: str, n: Any) -> str:
    inside = "; ".join(
        part for part in (ends, "" if missing(n) else f"{count(n)}\N{NO-BREAK SPACE}fruit") if part
    )
    return f" ({inside})" if inside else ""


def certainty(test: dict[str, Any]) -> str:
    """The interval of what is found of a hundred and the fruit it rests on, in brackets after a blank."""
    return _brackets(_hundred_ends(test), test.get("n"))


def _hundred_ends(values: dict[str, Any]) -> str:
    low, high = values["ci_low"], values["ci_high"]
    return "" if missing(low) or missing(high) else f"{per_hundred(low)} to {per_hundred(high)}"


def change_words(test: dict[str, Any], defect: str | None, *, mirrored: bool = False) -> dict[str, str]:
    """The size of a change in agreement: ``n``, its interval as ``brackets``, and ``on`` a defect.

    Args:
        test: a row of ``results.comparisons``.
        defect: one defect; None = over all.
        mirrored: for a sentence about the other side of the comparison. A clear change has its size alone,
            for the sentence says where it went; an unclear one its sign.
    """
    delta, low, high = test["delta"], test["ci_low"], test["ci_high"]
    clear = test_verdict(test) in (BETTER, WORSE)
    turned = delta < 0 if clear else mirrored
    if turned:
        delta, low, high = -delta, *(end if missing(end) else -end for end in (high, low))
    ends = interval(low, high)
    return {
        "n": number(delta) if clear else signed(delta),
        "brackets": f" ({ends})" if ends else "",
        "on": "" if defect is None else SAY["on"].format(defect=defect_words(defect)),
    }


def found_of(defect: str | None, *, multiclass: bool) -> str:
    """Of what so many of 100 are found."""
    if defect is None:
        return SAY["fruit_of_a_class" if multiclass else "defects"]
    return SAY["class_fruit" if multiclass else "fruit_with"].format(defect=defect_words(defect))


def _found(challenger: Contender, test: dict[str, Any], verdict: str, what: str) -> str:
    more = test["delta"] >= 0
    key = "unclear" if verdict == UNCLEAR else "more" if more else "fewer"
    return SAY[key].format(
        method=challenger.words,
        size=per_hundred(abs(test["delta"])),
        direction=texts.DIRECTIONS[0 if more else 1],
        what=what,
        brackets=certainty(test),
    )


def _agreement(challenger: Contender, test: dict[str, Any], verdict: str, defect: str | None) -> str:
    unclear = verdict == UNCLEAR
    key = "unclear_agreement" if unclear else "raises" if test["delta"] > 0 else "lowers"
    return SAY[key].format(
        method=challenger.words,
        size=signed(test["delta"]) if unclear else number(abs(test["delta"])),
        scope="" if defect is None else SAY["on"].format(defect=defect_words(defect)),
        brackets=_brackets(interval(test["ci_low"], test["ci_high"]), test.get("n")),
    )


def _most(tests: pd.DataFrame) -> str:
    """Which defects gain clearly, the largest gain first."""
    rows = tests[(tests["metric"] == "recall") & tests["defect"].notna()]
    clear = [row["defect"] for _, row in rows.iterrows() if test_verdict(dict(row)) == BETTER]
    gains = rows[rows["defect"].isin(clear)].nlargest(2, "delta")
    named = [
        SAY["gain"].format(defect=defect_words(str(defect)), size=per_hundred(delta))
        for defect, delta in zip(gains["defect"], gains["delta"], strict=True)
    ]
    return SAY["most"].format(gains=listing(named, SAY["and"])) if named else ""


def _level(metrics: pd.DataFrame, challenger: Contender, reference: Contender, defect: str | None) -> str:
    """Where both stand in agreement: over all defects as means over seeds, as the difference is."""
    if defect is None:
        return SAY["level"].format(ours=number(challenger.value), theirs=number(reference.value))
    ours = _pick(metrics[metrics["run_id"] == challenger.run_id], "mcc", defect)
    theirs = _pick(metrics[metrics["run_id"] == reference.run_id], "mcc", defect)
    if ours is None or theirs is None:
        return ""
    return SAY["level"].format(ours=number(ours["value"]), theirs=number(theirs["value"]))


def _untested(
    challenger: Contender, reference: Contender, metrics: pd.DataFrame, defect: str | None, what: str
) -> Answer:
    level = _level(metrics, challenger, reference, defect)
    ours = _pick(metrics[metrics["run_id"] == challenger.run_id], "recall", defect)
    theirs = _pick(metrics[metrics["run_id"] == reference.run_id], "recall", defect)
    if ours is None or theirs is None:
        return Answer(level, verdict=UNTESTED)
    text = SAY["untested"].format(
        method=challenger.words,
        ours=per_hundred(ours["value"]),
        theirs=per_hundred(theirs["value"]),
        what=what,
    )
    return Answer(on_share(text, challenger.share), level, UNTESTED)


def average(who: str, metrics: pd.DataFrame, counts: pd.DataFrame, *, multiclass: bool) -> Answer:
    """What one run achieves over all defects: the mean of what is found, and all alarms taken together.

    Args:
        who: the subject: "the baseline".
        metrics: see ``results.pooled_metrics``, of this run.
        counts: see ``results.defect_confusion``, of this run and all its defects.
        multiclass: whether each fruit has exactly one class.
    """
    fruit = _judged(counts)
    metric = _pick(metrics, "accuracy" if multiclass else "recall", None)
    if metric is None:
        return Answer(SAY["none"].format(defect=SAY["any_defect"], fruit=count(fruit)))
    values = {
        "who": who,
        "Who": sentence_start(who),
        "found": per_hundred(metric["value"]),
        "defects": plural(_defined(metrics), SAY["defect"], SAY["defects"]),
        "brackets": _brackets(_hundred_ends(metric), fruit),
    }
    if multiclass:
        return Answer(SAY["classes"].format(**values))
    return Answer(SAY["mean"].format(**values), _alarms(counts))


def _defined(metrics: pd.DataFrame) -> int:
    """Over how many defects the mean of what is found is."""
    found = metrics[(metrics["metric"] == "recall") & metrics["value"].notna()]
    return int(found["defect"].nunique())


def _judged(counts: pd.DataFrame) -> int:
    """Of how many labelled fruit these are the confusion counts."""
    return int(counts[["tp", "fp", "fn", "tn"]].sum(axis=1).max()) if len(counts) else 0


def _alarms(counts: pd.DataFrame) -> str:
    """How many of a hundred alarms are right, all of them together; empty where there is none."""
    tp, fp = int(counts["tp"].sum()), int(counts["fp"].sum())
    return SAY["alarms"].format(right=per_hundred(tp / (tp + fp))) if tp + fp else ""


def classified(who: str, confusion: pd.DataFrame, metrics: pd.DataFrame | None = None) -> Answer:
    """What a multiclass run amounts to.

    Args:
        who: the subject: "the baseline".
        confusion: true_class, predicted_class, n.
        metrics: of this run, whose interval of ``accuracy`` is quoted; None = these are other decisions.
    """
    n = int(confusion["n"].sum())
    right = int(confusion.loc[confusion["true_class"] == confusion["predicted_class"], "n"].sum())
    metric = None if metrics is None else _pick(metrics, "accuracy", None)
    ends = "" if metric is None else _hundred_ends(metric)
    text = SAY["classes"].format(
        Who=sentence_start(who), found=per_hundred(right / n if n else None), brackets=_brackets(ends, n)
    )
    return Answer(text)


def decided(who: str, counts: pd.DataFrame, metrics: pd.DataFrame | None = None, what: str = "") -> Answer:
    """What decisions amount to, from their confusion counts.

    Args:
        who: the subject: "the baseline".
        counts: see ``results.defect_confusion``: one defect, or several that are summed.
        metrics: of one run, whose interval of ``recall`` is quoted where one defect is asked for and the
            counts are those the interval belongs to.
        what: how several defects together are called; empty = "defects".
    """
    tp, fn = int(counts["tp"].sum()), int(counts["fn"].sum())
    fruit = _judged(counts)
    one = str(counts.iloc[0]["defect"]) if len(counts) == 1 else None
    defect = SAY["any_defect"] if one is None else defect_words(one)
    if tp + fn == 0:
        return Answer(SAY["none"].format(defect=defect, fruit=count(fruit)))
    metric = None if metrics is None or one is None else _pick(metrics, "recall", one)
    stored = "" if metric is None else _hundred_ends(metric)
    # Of few fruit "75 of 100" says more than is known: without an interval the numbers themselves are there.
    ends = stored or SAY["counted"].format(tp=count(tp), n=count(tp + fn))
    text = SAY["sum" if one is None else "one"].format(
        Who=sentence_start(who),
        found=per_hundred(tp / (tp + fn)),
        defect=defect,
        brackets=_brackets(ends, fruit),
        tp=count(tp),
        n=count(tp + fn),
        what=what or SAY["defects"],
    )
    return Answer(text, _alarms(counts))
