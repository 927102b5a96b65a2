"""Methods: which pretraining is best, how many labels it saves, and whether its training was healthy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from backend.store.queries import ablations as queries
from dashboard import contenders, texts
from dashboard.answers import UNCLEAR, UNTESTED, WORSE, Answer
from dashboard.charts.grid import value_grid
from dashboard.charts.lines import bands, flat_domain, shared_domain
from dashboard.figure import Figure
from dashboard.format import interval, missing, number, percent, plural
from dashboard.frames import methods as frames
from dashboard.frames.method_tests import Tested, against_baseline, against_baseline_of, other_words
from dashboard.frames.methods import SUPERVISED, Equal
from dashboard.frames.tests import deciding
from dashboard.names import defect_words, method_words
from dashboard.scope import Scope
from dashboard.theme import Tint

WORDS = texts.PROTOCOLS
PURPOSES = ("final", "label-efficiency")
FAMILY = "pretraining"
"""How the family of a test begins that asks whether a pretraining helps."""
SHADE = Tint("other", 2)


@dataclass(frozen=True)
class Compared:
    """Every method of a study under every protocol.

    Attributes:
        runs: see ``ablations.finished``.
        metrics: see ``ablations.whole_metrics``.
        rows: see ``frames.methods.protocol_rows``, over all defects or for the chosen one.
        focus: the method that is argued for; None where there is no pretraining.
        stored: the tests of pretrainings that decide; see ``frames.tests.deciding``.
        tests: of these each method against the baseline, over all defects or for the chosen one.
    """

    runs: pd.DataFrame
    metrics: pd.DataFrame
    rows: pd.DataFrame
    focus: str | None
    stored: pd.DataFrame
    tests: tuple[Tested, ...] = ()

    @property
    def fractions(self) -> tuple[float, ...]:
        """Shares of the labels, rising."""
        return tuple(sorted(self.rows["fraction"].unique()))

    @property
    def telling(self) -> float:
        """The largest share of the labels on which a pretraining was judged, else the largest."""
        pretrained = self.rows.loc[self.rows["method"] != SUPERVISED, "fraction"]
        return float(pretrained.max()) if len(pretrained) else self.fractions[-1]

    def line(self, method: str, protocol: str = "tuned") -> pd.DataFrame:
        """One learning curve, rising in labels."""
        rows = self.rows[(self.rows["method"] == method) & (self.rows["protocol"] == protocol)]
        return rows.sort_values("fraction")


def compared(scope: Scope) -> Compared:
    """What the chosen study holds; the method filter chooses what is argued for."""
    runs = scope.store.ask(queries.finished, scope.dataset.dataset_id, scope.study_id, PURPOSES)
    runs = scope.keep_recent(runs[runs["modalities"] == scope.modalities] if scope.modalities else runs)
    metrics = scope.store.ask(queries.whole_metrics, tuple(runs["run_id"]), frames.METRICS)
    rows = frames.protocol_rows(runs, metrics, scope.one_defect)
    stored = deciding(scope.store.ask(queries.tests_of, scope.dataset.dataset_id, scope.study_id, FAMILY))
    tests = against_baseline(stored, _inductive(runs), scope.one_defect)
    return Compared(runs, metrics, rows, _focus(scope, rows), stored, tests)


def _inductive(runs: pd.DataFrame) -> pd.DataFrame:
    """Those whose pretraining saw no test fruit."""
    return runs[runs["transductive"] == 0]


def _focus(scope: Scope, rows: pd.DataFrame) -> str | None:
    if scope.method and scope.method != SUPERVISED and (rows["method"] == scope.method).any():
        return scope.method
    for protocol in frames.PROTOCOLS:
        there = rows[(rows["protocol"] == protocol) & ~rows["method"].isin(frames.REFERENCES)]
        if len(there):
            return frames.best_method(rows, float(there["fraction"].max()), protocol)
    return None


def said(scope: Scope, found: Compared) -> Answer:
    """How many labels pretraining saves; without fewer labels, which method is best."""
    if found.focus is None:
        return Answer(WORDS["only_baseline"])
    ours, theirs = found.line(found.focus), found.line(SUPERVISED)
    few = ours[ours["fraction"] < 1]
    if few.empty or len(theirs) < 2:
        return _best(scope, found)
    first = few.iloc[0]
    curve = (theirs["fraction"].tolist(), theirs["value"].tolist())
    equal = frames.labels_needed(*curve, float(first["value"]))
    verdict = _verdict(found, float(first["fraction"]))
    # What the curve gives by interpolation is no saving where the difference itself may be chance.
    key = "saving_unclear" if verdict == UNCLEAR else _relation(equal, float(first["fraction"]))
    text = WORDS[key].format(
        method=method_words(found.focus),
        few=percent(first["fraction"]),
        many=percent(equal.share),
        brackets=_brackets(curve, first, equal if verdict != UNCLEAR else Equal(equal.share, 1)),
        on=_on(scope),
    )
    level = WORDS["level"].format(value=number(first["value"]), few=percent(first["fraction"]))
    partner = theirs[theirs["fraction"] == first["fraction"]]
    if len(partner):
        level = WORDS["levels"].format(
            ours=number(first["value"]),
            theirs=number(partner["value"].iloc[0]),
            few=percent(first["fraction"]),
        )
    if verdict == UNCLEAR:
        level = f"{level} {other_words(found.tests, float(first['fraction']), found.focus)}".strip()
    return Answer(text, level, verdict or UNTESTED)


def guessing(found: Compared) -> list[str]:
    """The caveat that neither side of the headline has learned much from the fewest labels."""
    ours = found.line(found.focus or SUPERVISED)
    both = found.rows["method"].isin((found.focus, SUPERVISED)) & (found.rows["protocol"] == "tuned")
    fewest = found.rows["fraction"] == ours["fraction"].min()
    return contenders.guessing(found.rows.loc[both & fewest, "value"].tolist())


def _relation(equal: Equal, few: float) -> str:
    if equal.beyond > 0:
        return "beats_all"
    if equal.beyond < 0:
        return "no_better"
    return "saves" if equal.share > few else "saves_none"


def _brackets(curve: tuple[list[float], list[float]], first: pd.Series, equal: Equal) -> str:
    """The range over seeds, in brackets."""
    seeds = plural(first["seeds"], "seed")
    if first["seeds"] == 1 or equal.beyond:
        return f" ({seeds})"
    low, high = (frames.labels_needed(*curve, float(first[name])).share for name in ("least", "most"))
    return f" ({percent(low)} to {percent(high)}; {seeds})"


def _on(scope: Scope) -> str:
    return (
        ""
        if scope.one_defect is None
        else texts.SENTENCES["on"].format(defect=defect_words(scope.one_defect))
    )


def _best(scope: Scope, found: Compared) -> Answer:
    """Which method is best where nothing is known about fewer labels."""
    assert found.focus is not None, "asked for only with a pretraining"
    own = found.rows[found.rows["method"] == found.focus]
    row = own.loc[own["fraction"] == own["fraction"].max()].iloc[0]
    ends = interval(row["low"], row["high"])
    parts = [part for part in (ends, plural(row["seeds"], "seed")) if part]
    verdict = _verdict(found, float(row["fraction"])) if row["protocol"] == "tuned" else ""
    rivals = found.rows[
        (found.rows["protocol"] == row["protocol"]) & (found.rows["fraction"] == row["fraction"])
    ]
    chosen = (
        not missing(row["validation"])
        and rivals.loc[~rivals["method"].isin(frames.REFERENCES), "method"].nunique()
    )
    # A method that the reader chose need not be the best one.
    key = {UNCLEAR: "no_clear_gain", WORSE: "does_harm"}.get(verdict, "preferred" if chosen > 1 else "best")
    text = WORDS["reaches" if scope.method == found.focus else key].format(
        method=method_words(found.focus),
        protocol=WORDS[f"{row['protocol']}_words"],
        value=number(row["value"]),
        brackets=f" ({'; '.join(parts)})",
        on=_on(scope),
    )
    theirs = found.line(SUPERVISED)
    same = theirs[theirs["fraction"] == row["fraction"]]
    detail = WORDS["baseline_has"].format(value=number(same["value"].iloc[0])) if len(same) else ""
    if verdict in (UNCLEAR, WORSE):
        detail = f"{detail} {other_words(found.tests, float(row['fraction']), found.focus)}".strip()
    return Answer(text, detail, verdict)


def _verdict(found: Compared, fraction: float) -> str:
    """Of the stored test between the fine-tune and its supervised partner; empty where there is none."""
    here = (one for one in found.tests if (one.method, one.fraction) == (found.focus, fraction))
    return next((one.verdict for one in here), "")


def table_figure(scope: Scope, found: Compared, fraction: float, answer: Answer) -> Figure:
    """Methods against protocols at one share of the labels."""
    frame = frames.grid_rows(found.rows, fraction, found.tests)
    here = found.rows[found.rows["fraction"] == fraction]
    return Figure(
        name=f"methods-{round(100 * fraction)}",
        title=WORDS["table"].format(share=percent(fraction), on=_on(scope)),
        sentence=answer.text,
        chart=value_grid,
        frame=frame,
        options={
            "rows": tuple(frame["row"].drop_duplicates()),
            "columns": tuple(WORDS[name] for name in frames.shown_protocols(found.rows, fraction)),
            "tint": SHADE,
            "axis": WORDS["table_axis"],
        },
        table=here.assign(protocol=here["protocol"].map(lambda name: WORDS[f"{name}_words"])),
    )


def efficiency(scope: Scope, found: Compared, protocol: str, answer: Answer) -> Figure | None:
    """Learning curves over labels; None where there is a single share of the labels."""
    if found.focus is None or len(found.fractions) < 2:
        return None
    frame = frames.curve_rows(found.rows, found.focus, protocol)
    return Figure(
        name=f"label-efficiency-{protocol}",
        title=WORDS["efficiency"].format(on=_on(scope)),
        sentence=answer.text,
        chart=bands,
        frame=frame,
        options={"axes": (WORDS["labels_axis"], WORDS["mcc_axis"]), **_log(found), **flat_domain(frame)},
    )


def _log(found: Compared) -> dict[str, object]:
    return {"log": True, "ticks": tuple(round(100 * fraction, 4) for fraction in found.fractions)}


def efficiency_by_defect(scope: Scope, found: Compared) -> tuple[Figure, ...]:
    """Learning curves of fine-tuning for each chosen defect; empty where there is nothing to draw."""
    if found.focus is None or len(found.fractions) < 2 or len(scope.defects) < 2:
        return ()
    both = _two_sides(found)
    tables = frames.protocol_rows_of(both.runs, both.metrics, scope.defects)
    verdicts = against_baseline_of(both.stored, _inductive(both.runs), scope.defects)
    curves = [frames.curve_rows(rows, found.focus, "tuned") for rows in tables]
    options = {
        "axes": (WORDS["labels_axis"], WORDS["mcc_short"]),
        "height": 190,
        **_log(found),
        **shared_domain(curves),
    }
    return tuple(
        Figure(
            name=f"label-efficiency-{defect}",
            title=defect_words(defect),
            sentence=_one_line(replace(both, rows=rows, tests=tests)),
            chart=bands,
            frame=frame.assign(label=frame["label"] if defect == scope.defects[0] else ""),
            options=options,
        )
        for defect, rows, tests, frame in zip(scope.defects, tables, verdicts, curves, strict=True)
        if not frame.empty
    )


def _two_sides(found: Compared) -> Compared:
    """What there is of the method that is argued for and of the baseline: all that a panel a defect needs."""
    runs = found.runs[found.runs["method"].isin((found.focus, SUPERVISED))]
    metrics, tests = found.metrics, found.stored
    return replace(
        found,
        runs=runs,
        metrics=metrics[metrics["run_id"].isin(runs["run_id"]) & (metrics["metric"] == "mcc")],
        stored=tests[tests["run_id_b"].isin(runs["run_id"]) & (tests["metric"] == "mcc")],
    )


def _one_line(found: Compared) -> str:
    """What one panel says: how many labels the fewest pretrained ones are worth, where that is clear."""
    assert found.focus is not None, "asked for only with a pretraining"
    ours, theirs = found.line(found.focus), found.line(SUPERVISED)
    if ours.empty or len(theirs) < 2:
        return ""
    first = ours.iloc[0]
    if _verdict(found, float(first["fraction"])) == UNCLEAR:
        return WORDS["unclear_at"].format(few=percent(first["fraction"]))
    equal = frames.labels_needed(theirs["fraction"].tolist(), theirs["value"].tolist(), float(first["value"]))
    sign = {1: "> ", -1: "< "}.get(equal.beyond, "")
    return WORDS["worth"].format(few=percent(first["fraction"]), many=f"{sign}{percent(equal.share)}")


@dataclass(frozen=True)
class Health:
    """How the pretrainings of a study went.

    Attributes:
        runs: see ``ablations.pretrainings``.
        curves: see ``ablations.health``, of these runs.
    """

    runs: pd.DataFrame
    curves: pd.DataFrame

    @property
    def stopped(self) -> pd.DataFrame:
        """Those that did not finish."""
        return self.runs[self.runs["status"].isin(("failed", "pruned"))]

    @property
    def sentence(self) -> str:
        """Whether any was stopped, and how far apart the others hold the fruit; empty without a measure."""
        finished = self.runs.loc[self.runs["status"] == "complete", "run_id"]
        spread = frames.last_spread(self.curves[self.curves["run_id"].isin(finished)])
        key = "healthy" if self.stopped.empty else "unhealthy"
        parts = [WORDS[key].format(n=plural(len(self.runs), WORDS["pretraining_word"]), k=len(self.stopped))]
        if len(spread):
            low, high = number(spread.min()), number(spread.max())
            ends = low if low == high else WORDS["ends"].format(low=low, high=high)
            parts.append(WORDS["spread"].format(ends=ends))
        return " ".join(parts) if len(self.curves) or len(self.stopped) else ""


def health(scope: Scope) -> Health:
    """How the pretrainings of the chosen study went."""
    runs = scope.store.ask(queries.pretrainings, scope.dataset.dataset_id, scope.study_id)
    runs = scope.keep_recent(runs)
    return Health(runs, scope.store.ask(queries.health, tuple(runs["run_id"])))


def health_figures(found: Health, focus: str | None) -> tuple[Figure, ...]:
    """Curves of every measure of health over the epochs."""
    figures = []
    for metric in frames.HEALTH:
        frame = frames.health_rows(found.curves, found.runs, metric, focus)
        if frame.empty:
            continue
        figures.append(
            Figure(
                name=f"health-{metric}",
                title=WORDS[metric],
                sentence=WORDS[f"{metric}_note"],
                chart=bands,
                frame=frame,
                options={
                    "axes": (WORDS["epoch"], WORDS[f"{metric}_axis"]),
                    "height": 210,
                    **flat_domain(frame),
                },
            )
        )
    return tuple(figures)
