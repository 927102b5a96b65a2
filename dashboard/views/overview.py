"""Overview: is pretraining worth it, for which defect, what ran and what is running."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import contenders, texts
from dashboard.answers import UNTESTED
from dashboard.components import figures, page, states
from dashboard.components.progress import running_now
from dashboard.components.text import quiet
from dashboard.evidence.overview import Argument, argued, figure
from dashboard.filters import Scope
from dashboard.format import count, duration, listing, plain, plural, sensors
from dashboard.frames.defects import FEW
from dashboard.names import defect_words, method_words

WORDS = texts.OVERVIEW
MEASURES = {WORDS["found"]: "recall", WORDS["agreement"]: "mcc"}


def show(scope: Scope) -> None:
    """Draw the page."""
    argument = argued(scope)
    pretrained = argument is not None and "challenger" in argument.sides
    page.heading(scope, WORDS["question" if pretrained else "question_baseline"], over_all=True)
    if argument is None:
        states.no_runs(scope)
    else:
        _result(scope, argument)
    running_now(scope.store.path)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _what_ran(scope)
    with right:
        _data(scope)


def _result(scope: Scope, argument: Argument) -> None:
    """Answer, evidence and caveats."""
    both = len(argument.sides) > 1
    words = ("pretraining", "baseline", "interval", "MCC") if both else ("found", "interval")
    page.answer(argument.answer, words)
    chosen = st.segmented_control(
        WORDS["measure"],
        list(MEASURES),
        key="measure",
        bind="query-params",
        default=WORDS["found"],
        required=True,
    )
    stamp = page.provenance(scope, argument.run_ids, argument.commit)
    figures.figure(figure(scope, argument, MEASURES[chosen or WORDS["found"]]), stamp, "defect-by-defect")
    seeds = max(side.seeds for side in argument.sides.values())
    if both and seeds > 1:
        quiet(WORDS["one_of_seeds"].format(seeds=seeds))
    page.caveats(_caveats(scope, argument))


def _caveats(scope: Scope, argument: Argument) -> list[str]:
    counts = scope.store.defect_counts(scope.dataset.dataset_id)
    few = counts[counts["defect"].isin(scope.defects) & (counts["positives"] < FEW)]
    rare = [
        f"{defect_words(str(name))} ({count(n)})"
        for name, n in zip(few["defect"], few["positives"], strict=True)
    ]
    found = {
        "synthetic": scope.dataset.synthetic,
        "few": bool(rare),
        "untested": argument.answer.verdict == UNTESTED,
    }
    sides = argument.sides.values()
    return [
        *contenders.guessing([side.value for side in sides]),
        *(texts.CAVEATS[key].format(defects=listing(rare)) for key, applies in found.items() if applies),
        *contenders.one_seed({side.words: side.seeds for side in sides}),
    ]


def _what_ran(scope: Scope) -> None:
    """How many runs ended how, and why those that did not finish did not."""
    st.subheader(WORDS["ran"], anchor=False)
    chosen = scope.runs(stale_before=scope.store.stale_before())
    counts = scope.store.state_counts(chosen)
    with st.grid("auto", min_column_width=140, gap="small"):
        for state in ("complete", "running", "stalled", "interrupted", "failed", "pruned"):
            if counts.get(state) or state == "complete":
                words = texts.STATES[state]
                st.metric(words, count(counts.get(state, 0)), border=True, help=texts.GLOSSARY.get(words))
    summary = _summary(scope)
    _took(summary)
    _time(scope)
    reasons = scope.store.reasons(chosen)
    _list(WORDS["reasons"], [_reason(row) for row in reasons.head(8).to_dict("records")])
    _list(WORDS["lost"], _lost(summary))


def _list(title: str, lines: list[str]) -> None:
    if lines:
        st.markdown(f"**{plain(title)}**")
        st.markdown("\n".join(f"- {plain(line)}" for line in lines))


def _summary(scope: Scope) -> dict[str, Any]:
    """What the chosen study said at its end; empty before, and where it cannot be read."""
    study = scope.store.study(scope.study_id)
    summary = study["summary"] if study else {}
    return summary if isinstance(summary, dict) else {}


def _lost(summary: dict[str, Any]) -> list[str]:
    """Methods, stages and reports that did not finish although no run of theirs may have failed."""
    failed = summary.get("failed")
    faults = [fault for fault in failed if isinstance(fault, dict)] if isinstance(failed, list) else []
    lost = [fault for fault in faults if fault.get("run_id") is None and fault.get("name")]
    return [
        WORDS["lost_part"].format(part=method_words(str(part["name"])), reason=_first_line(part.get("error")))
        for part in lost
    ]


def _took(summary: dict[str, Any]) -> None:
    """How long the chosen study took, and what its budget cut."""
    if not isinstance(summary.get("seconds"), int | float):
        return
    parts = [WORDS["took"].format(time=duration(summary["seconds"]))]
    cuts: list[str] = []
    if isinstance(summary.get("budget"), int | float):
        cuts = [_cut_words(str(cut)) for cut in summary.get("cuts") or []]
        words = WORDS["cut"].format(cuts=plural(len(cuts), WORDS["setting"])) if cuts else WORDS["uncut"]
        parts.append(f"{WORDS['budget'].format(time=duration(summary['budget']))} {words}")
    quiet(" ".join(parts))
    if cuts:
        with st.expander(WORDS["cuts"]):
            st.markdown("\n".join(f"- {plain(cut)}" for cut in cuts))


def _cut_words(cut: str) -> str:
    """``baseline.tune_epochs: 13 instead of 20`` without dots and underscores."""
    name, _, values = cut.partition(": ")
    return f"{name.replace('.', ', ').replace('_', ' ')}: {values}"


def _time(scope: Scope) -> None:
    """Where the time went, by what it was for."""
    from dashboard.evidence.tuning import time_figure  # imports altair, after the answer is on its way

    spent = time_figure(scope)
    if spent is not None:
        figures.figure(spent, page.provenance(scope, ()), "time")
        quiet(spent.sentence)


def _reason(row: dict[Any, Any]) -> str:
    state = texts.STATES[row["state"]]
    return WORDS["reason_row"].format(n=count(row["n"]), state=state, reason=_first_line(row["error"]))


def _first_line(error: object) -> str:
    """Of a reason; what stands for it where none was recorded."""
    return error.strip().splitlines()[0] if isinstance(error, str) and error.strip() else WORDS["no_reason"]


def _data(scope: Scope) -> None:
    """What the fruit are."""
    from dashboard.evidence.data import balance_figure  # imports altair, after the answer is on its way

    dataset = scope.dataset
    st.subheader(WORDS["data"], anchor=False)
    with st.container(border=True):
        badge = f" :orange-badge[{texts.SYNTHETIC}]" if dataset.synthetic else ""
        st.markdown(f"**{plain(dataset.name)}**{badge}")
        facts = [WORDS["fruit"].format(n=count(dataset.n_fruits), labelled=count(dataset.n_labelled))]
        if scope.pallets:
            groups = plural(len(scope.pallets), WORDS["group"], WORDS["group_many"])
            facts.append(WORDS["groups"].format(groups=groups))
        facts.append(WORDS["sensors"].format(sensors=_views(dataset.modalities, len(dataset.pressures))))
        st.markdown(plain(" ".join(facts)))
        if dataset.description:
            with st.expander(WORDS["about"]):
                quiet(dataset.description)
        figures.figure(balance_figure(scope), page.provenance(scope, ()), "balance")


def _views(modalities: dict[str, tuple[str, ...]], pressures: int) -> str:
    parts = [f"{sensors([name])} ({plural(len(views), WORDS['view'])})" for name, views in modalities.items()]
    if pressures:
        parts.append(plural(pressures, WORDS["reading"]))
    return listing(parts)
