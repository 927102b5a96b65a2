"""Overview: is pretraining worth it, for which defect, what ran and what is running."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import answers, texts
from dashboard.answers import UNTESTED, Answer, Contender, defect_words
from dashboard.components import figures, page, states
from dashboard.components.page import stale_before
from dashboard.components.progress import running_now
from dashboard.components.text import quiet
from dashboard.figure import Figure
from dashboard.filters import Scope
from dashboard.format import count, listing, plain, plural, sensors
from dashboard.frames.defects import FEW, balance_rows, defect_rows

WORDS = texts.OVERVIEW
QUOTED = ("mcc", "recall", "precision", "accuracy")
MEASURES = {WORDS["found"]: "recall", WORDS["agreement"]: "mcc"}


def show(scope: Scope) -> None:
    """Draw the page."""
    runs = scope.keep(scope.store.scored_runs(scope.dataset.dataset_id, scope.study_id, ("final",)))
    metrics = scope.store.pooled_metrics(tuple(runs["run_id"]), QUOTED)
    reference, challenger = answers.contenders(runs, metrics, "mcc")
    page.heading(scope, WORDS["question"] if challenger else WORDS["question_baseline"])
    if reference is None and challenger is None:
        states.no_runs(scope)
    else:
        _result(scope, runs, metrics, reference, challenger)
    running_now(scope.store.path)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _what_ran(scope)
    with right:
        _data(scope)


def _result(
    scope: Scope,
    runs: pd.DataFrame,
    metrics: pd.DataFrame,
    reference: Contender | None,
    challenger: Contender | None,
) -> None:
    """Answer, evidence and caveats."""
    both = reference is not None and challenger is not None
    none = scope.store.comparisons("", "")
    tests = scope.store.comparisons(reference.run_id, challenger.run_id) if reference and challenger else none
    tests = tests[tests["defect"].isna() | tests["defect"].isin(scope.defects)]
    said = _answer(scope, metrics, tests, reference, challenger)
    page.answer(said, ("pretraining", "baseline", "interval", "MCC") if both else ("found", "interval"))
    sides = {"reference": reference, "challenger": challenger}
    shown = {side: contender for side, contender in sides.items() if contender is not None}
    _evidence(scope, runs, metrics, tests, shown, said)
    page.caveats(_caveats(scope, shown, said))


def _answer(
    scope: Scope,
    metrics: pd.DataFrame,
    tests: pd.DataFrame,
    reference: Contender | None,
    challenger: Contender | None,
) -> Answer:
    if reference is not None and challenger is not None:
        return answers.compared(challenger, reference, tests, metrics, scope.one_defect)
    one = challenger or reference
    assert one is not None, "somebody is argued about"
    counts = scope.store.defect_confusion(one.run_id)
    own = metrics[metrics["run_id"] == one.run_id]
    who = answers.subject(one.method)
    if scope.one_defect is not None:
        return answers.decided(who, counts[counts["defect"] == scope.one_defect], own)
    fruit = int(counts[["tp", "fp", "fn", "tn"]].sum(axis=1).max()) if len(counts) else 0
    return answers.average(who, own, fruit, multiclass=scope.multiclass)


def _evidence(
    scope: Scope,
    runs: pd.DataFrame,
    metrics: pd.DataFrame,
    tests: pd.DataFrame,
    sides: dict[str, Contender],
    said: Answer,
) -> None:
    from dashboard.charts.defects import defect_by_defect  # imports altair, after the answer is on its way

    chosen = st.segmented_control(
        WORDS["measure"],
        list(MEASURES),
        key="measure",
        bind="query-params",
        default=WORDS["found"],
        required=True,
    )
    metric = MEASURES[chosen or WORDS["found"]]
    frame = defect_rows(scope.defects, sides, metrics, tests, metric)
    names = {side: contender.words for side, contender in sides.items()}
    title = WORDS["evidence" if len(sides) > 1 else "evidence_alone"]
    subject = WORDS["of_classes" if scope.multiclass else "of_defects"]
    low = float(pd.to_numeric(frame["low"]).min()) if frame["low"].notna().any() else 0.0
    figure = Figure(
        name=f"defect-by-defect-{metric}",
        title=title.format(subject=subject, alone=" ".join(names.values()), **names),
        sentence=said.text,
        chart=defect_by_defect,
        frame=frame,
        options={
            "order": tuple(defect_words(name) for name in scope.defects),
            "axis": WORDS[_axis(scope, metric)],
            "domain": _domain(low, metric),
        },
    )
    ids = tuple(contender.run_id for contender in sides.values())
    commit = runs.loc[runs["run_id"] == ids[0], "git_commit"].iloc[0]
    figures.figure(figure, page.provenance(scope, ids, commit), "defect-by-defect")


def _axis(scope: Scope, metric: str) -> str:
    if metric != "recall":
        return "agreement_axis"
    return "recognised_axis" if scope.multiclass else "found_axis"


def _domain(low: float, metric: str) -> tuple[float, float]:
    """From zero, or from below it where MCC is negative."""
    if metric == "recall":
        return (0.0, 100.0)
    return (min(0.0, low), 1.0)


def _caveats(scope: Scope, sides: dict[str, Contender], said: Answer) -> list[str]:
    counts = scope.store.defect_counts(scope.dataset.dataset_id)
    few = counts[counts["defect"].isin(scope.defects) & (counts["positives"] < FEW)]
    rare = [
        f"{defect_words(str(name))} ({count(n)})"
        for name, n in zip(few["defect"], few["positives"], strict=True)
    ]
    found = {
        "synthetic": scope.dataset.synthetic,
        "few": bool(rare),
        "untested": said.verdict == UNTESTED,
        "seeds": all(contender.seeds == 1 for contender in sides.values()),
    }
    return [texts.CAVEATS[key].format(defects=listing(rare)) for key, applies in found.items() if applies]


def _what_ran(scope: Scope) -> None:
    """How many runs ended how, and why those that did not finish did not."""
    st.subheader(WORDS["ran"], anchor=False)
    chosen = scope.runs(stale_before=stale_before())
    counts = scope.store.state_counts(chosen)
    with st.grid("auto", min_column_width=112, gap="small"):
        for state in ("complete", "running", "stalled", "interrupted", "failed", "pruned"):
            if counts.get(state) or state == "complete":
                words = texts.STATES[state]
                st.metric(words, count(counts.get(state, 0)), border=True, help=texts.GLOSSARY.get(words))
    reasons = scope.store.reasons(chosen)
    if reasons.empty:
        return
    st.markdown(f"**{plain(WORDS['reasons'])}**")
    st.markdown("\n".join(_reason(row) for row in reasons.head(8).to_dict("records")))


def _reason(row: dict[Any, Any]) -> str:
    error = row["error"] if isinstance(row["error"], str) else WORDS["no_reason"]
    first_line = error.strip().splitlines()[0] if error.strip() else WORDS["no_reason"]
    text = WORDS["reason_row"].format(n=count(row["n"]), state=texts.STATES[row["state"]], reason=first_line)
    return f"- {plain(text)}"


def _data(scope: Scope) -> None:
    """What the fruit are."""
    from dashboard.charts.balance import balance

    dataset = scope.dataset
    st.subheader(WORDS["data"], anchor=False)
    with st.container(border=True):
        badge = f" :orange-badge[{texts.SYNTHETIC}]" if dataset.synthetic else ""
        st.markdown(f"**{plain(dataset.name)}**{badge}")
        groups = scope.store.group_count(dataset.dataset_id)
        facts = [WORDS["fruit"].format(n=count(dataset.n_fruits), labelled=count(dataset.n_labelled))]
        if groups < dataset.n_fruits:
            facts.append(WORDS["groups"].format(groups=plural(groups, WORDS["group"], WORDS["group_many"])))
        facts.append(WORDS["sensors"].format(sensors=_views(dataset.modalities, len(dataset.pressures))))
        st.markdown(plain(" ".join(facts)))
        if dataset.description:
            quiet(dataset.description)
        frame = balance_rows(scope.order, scope.store.defect_counts(dataset.dataset_id))
        figure = Figure(
            name="defect-balance",
            title=WORDS["balance_classes" if scope.multiclass else "balance"],
            sentence=WORDS["balance_sentence"].format(n=count(dataset.n_labelled)),
            chart=balance,
            frame=frame,
            options={
                "order": tuple(defect_words(name) for name in scope.order),
                "tints": tuple(scope.tints[name] for name in scope.order),
                "axis": WORDS["balance_axis_classes" if scope.multiclass else "balance_axis"],
            },
        )
        figures.figure(figure, page.provenance(scope, ()), "balance")


def _views(modalities: dict[str, tuple[str, ...]], pressures: int) -> str:
    parts = [f"{sensors([name])} ({plural(len(views), WORDS['view'])})" for name, views in modalities.items()]
    if pressures:
        parts.append(plural(pressures, WORDS["reading"]))
    return listing(parts)
