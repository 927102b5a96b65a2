"""The search: what it found, what mattered and what it cost, in sentences and figures."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from dashboard import loaders_findings as load
from dashboard import texts
from dashboard.answers import Answer
from dashboard.charts.bars import interval_bars
from dashboard.charts.tuning import history, parallel, pareto, setting
from dashboard.figure import Figure, Panels
from dashboard.format import count, duration, listing, number, per_hundred, plural
from dashboard.frames import tuning as frames
from dashboard.loaders import Store, open_store
from dashboard.names import subject
from dashboard.scope import Scope

WORDS = texts.TUNING
MOST_SLICES = 9
MOST_COMPARED = 2000
"""The newest trials whose settings are held against each other; the history shows all of them."""


@dataclass(frozen=True)
class Search:
    """The trials of one method, which share a score and so can be compared.

    Attributes:
        label: the method for people.
        subject: the same inside a sentence.
        trials: see ``tuning.trials``.
        table: what differed between those that are compared, see ``frames.tuning.parameters``.
    """

    label: str
    subject: str
    trials: pd.DataFrame
    table: pd.DataFrame

    @property
    def done(self) -> pd.DataFrame:
        """Those with a score."""
        return self.trials[self.trials["score"].notna()]

    @property
    def compared(self) -> pd.DataFrame:
        """The newest of them, whose settings are in ``table``."""
        return self.done.tail(MOST_COMPARED)

    @property
    def commit(self) -> object:
        """Of the code that ran them."""
        return self.trials["git_commit"].iloc[0]

    @property
    def runs(self) -> tuple[str, ...]:
        """Id of the best trial, which stands for the search in provenance lines."""
        best = self.done.nlargest(1, "score")
        return tuple(str(name) for name in best["run_id"])


def searches(scope: Scope) -> dict[str, Search]:
    """Label to search, the one with the most finished trials first; the sidebar's method narrows them."""
    found = _current(scope.store, scope.dataset.dataset_id, scope.study_id, scope.since)
    if scope.method:
        kept = {k: s for k, s in found.items() if s.trials["method"].iloc[0] in (scope.method, "supervised")}
        return kept or found
    return found


def _current(store: Store, dataset_id: str, study_id: str, since: str) -> dict[str, Search]:
    """The searches as they stand, worked out anew once a trial has started or ended."""
    state = load.state_of_search(store, dataset_id, study_id)
    return _searches(store.path, state, dataset_id, study_id, since)


@lru_cache(maxsize=12)
def _searches(path: Path, state: Hashable, dataset_id: str, study_id: str, since: str) -> dict[str, Search]:
    del state  # part of the key alone
    trials = load.trials(open_store(path), dataset_id, study_id)
    trials = trials[trials["started"] >= since]
    parts = []
    for (kind, method), rows in trials.groupby(["kind", "method"], sort=True):
        name = subject(str(method))
        label = texts.OVERVIEW["reference"] if kind == "baseline" else name
        if kind not in ("baseline", "pretrain"):
            label = f"{label}, {texts.KINDS.get(str(kind), str(kind))}"
        table = frames.parameters(rows[rows["score"].notna()].tail(MOST_COMPARED))
        parts.append(Search(label, name, rows, table))
    parts.sort(key=lambda search: (-len(search.done), search.label))
    return {search.label: search for search in parts if len(search.done)}


def mattered(scope: Scope, search: Search) -> pd.DataFrame:
    """See ``frames.tuning.importance``; kept until another trial has finished, since it takes a forest."""
    newest = str(search.done["run_id"].iloc[-1])
    where = (scope.store.path, scope.dataset.dataset_id, scope.study_id, scope.since, search.label)
    return _mattered(*where, len(search.done), newest)


@lru_cache(maxsize=32)
def _mattered(
    path: Path, dataset_id: str, study_id: str, since: str, label: str, n: int, newest: str
) -> pd.DataFrame:
    del n, newest  # part of the key alone
    search = _current(open_store(path), dataset_id, study_id, since)[label]
    return frames.importance(search.table, search.compared["score"].astype(float))


def said(scope: Scope, search: Search) -> Answer:
    """What the search amounts to."""
    done = search.done
    best = float(done["score"].max())
    needed = frames.needed(done)
    text = WORDS["answer_one" if len(done) == 1 else "answer"].format(
        who=search.subject,
        n=plural(len(done), WORDS["setting"]),
        best=number(best),
        enough=WORDS["enough_one" if needed == 1 else "enough"].format(k=count(needed)),
    )
    parts = [_chief(scope, search)]
    seconds = float(pd.to_numeric(search.trials["seconds"]).sum())
    if seconds:
        parts.append(WORDS["took"].format(time=duration(seconds)))
    ended = search.trials["status"].isin(("pruned", "failed"))
    if ended.any():
        parts.append(WORDS["ended"].format(n=plural(int(ended.sum()), WORDS["trial_word"])))
    return Answer(text, " ".join(part for part in parts if part))


def _chief(scope: Scope, search: Search) -> str:
    """What mattered most."""
    found = mattered(scope, search)
    chief = found[found["share"] >= 0.2].head(2)
    if chief.empty:
        return ""
    named = [
        WORDS["chief_one"].format(name=name, n=per_hundred(share))
        for name, share in zip(chief["name"], chief["share"], strict=True)
    ]
    return WORDS["chief"].format(settings=listing(named))


def history_figure(search: Search, answer: Answer) -> Figure:
    """Every trial and the best so far."""
    return Figure(
        name="search-history",
        title=WORDS["history"].format(who=search.label),
        sentence=answer.text,
        chart=history,
        frame=frames.history_rows(search.trials),
        options={"axes": (WORDS["trial_axis"], WORDS["score_axis"])},
    )


def importance_figure(scope: Scope, search: Search) -> Figure | None:
    """What mattered; None with too few trials."""
    found = mattered(scope, search)
    if found.empty:
        return None
    rows = frames.importance_rows(found)
    return Figure(
        name="search-importance",
        title=WORDS["importance"],
        sentence=_chief(scope, search) or WORDS["nothing_mattered"],
        chart=interval_bars,
        frame=rows,
        options={"order": tuple(rows["name"]), "axis": WORDS["importance_axis"], "domain": (0.0, 1.0)},
        table=found,
    )


def slices(scope: Scope, search: Search) -> Panels | None:
    """Each setting against the score, the most important first; None where nothing differed."""
    found = mattered(scope, search)
    names = [*found["name"], *(name for name in search.table.columns if name not in set(found["name"]))]
    done = search.compared
    figures = []
    for name in names[:MOST_SLICES]:
        values = search.table[name]
        numeric = pd.api.types.is_numeric_dtype(values) and not frames.few_sizes(values)
        rows = frames.slice_rows(values, done["score"])
        if rows.empty:
            continue
        figures.append(
            Figure(
                name=f"setting-{name.replace(' ', '-')}",
                title=name,
                sentence=WORDS["best_at"].format(value=rows["words"].iloc[-1].split(" · ")[0]),
                chart=setting,
                frame=rows,
                options={
                    "title": WORDS["score"],
                    "scale": "names" if not numeric else "log" if frames.logarithmic(values) else "linear",
                },
            )
        )
    if not figures:
        return None
    table = pd.concat([figure.frame.assign(setting=figure.title) for figure in figures], ignore_index=True)
    table["value"] = table["value"].astype(str)
    return Panels("search-settings", WORDS["slices"], WORDS["slices_note"], tuple(figures), 3, table)


def parallel_figure(search: Search) -> Figure | None:
    """All settings at once; None with fewer than two that differ."""
    done, table = search.compared, search.table
    if table.shape[1] < 2 or len(done) < 2:
        return None
    rows = frames.parallel_rows(table, done["score"].astype(float))
    return Figure(
        name="search-parallel",
        title=WORDS["parallel"],
        sentence=WORDS["parallel_note"],
        chart=parallel,
        frame=rows,
        options={"order": tuple(rows["axis"].drop_duplicates())},
        table=table.assign(score=done["score"]),
    )


def cost_figure(search: Search) -> Figure | None:
    """Time against score; None where no trial has both."""
    rows = frames.cost_rows(search.trials)
    if rows.empty:
        return None
    front = rows[rows["front"] == 1]
    first, last = front.iloc[0]["words"], front.iloc[-1]["words"]
    same = len(front) == 1
    return Figure(
        name="search-cost",
        title=WORDS["pareto"],
        sentence=WORDS["pareto_one" if same else "pareto_note"].format(fast=first, best=last),
        chart=pareto,
        frame=rows,
        options={"axes": (WORDS["minutes_axis"], WORDS["score_axis"])},
    )


def time_figure(scope: Scope) -> Figure | None:
    """Where the time of the whole study went; None where nothing has ended."""
    spent = load.time_spent(scope.store, scope.dataset.dataset_id, scope.study_id, scope.since)
    spent = spent[spent["seconds"] > 0]
    if spent.empty:
        return None
    rows = frames.time_rows(spent)
    total = float(spent["seconds"].sum())
    largest = float(rows["value"].iloc[0]) / float(rows["value"].sum()) * total
    return Figure(
        name="time-spent",
        title=WORDS["time"],
        sentence=WORDS["time_note" if largest > total / 2 else "time_parts"].format(
            total=duration(total), most=rows["name"].iloc[0]
        ),
        chart=interval_bars,
        frame=rows,
        options={
            "order": tuple(rows["name"]),
            "axis": WORDS["hours_axis"],
            "domain": (0.0, float(rows["value"].max())),
        },
        table=spent,
    )
