"""Everything about one run, a tab at a time; only the open tab reads from the store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import texts
from dashboard.charts.training import training_curve
from dashboard.components import figures, page
from dashboard.components.files import files
from dashboard.components.notes import note_of
from dashboard.components.text import quiet
from dashboard.figure import Figure
from dashboard.filters import Scope
from dashboard.format import duration, missing, number, percent, plain, sensors, when, with_interval
from dashboard.names import defect_words, method_words

WORDS = texts.RUNS
FIRST_METRICS = ("mcc", "recall", "precision", "average_precision", "auroc", "accuracy")


def detail(scope: Scope, run: dict[str, Any]) -> None:
    """Draw one run."""
    title = f"{run['name']} · {WORDS['seed'].format(seed=run['seed'])}"
    st.subheader(plain(title), anchor=False)
    st.markdown(plain(_facts(scope, run)))
    if isinstance(run["error"], str) and run["error"].strip():
        st.markdown(f"**{plain(WORDS['failure'])}**")
        st.code(run["error"], language=None, wrap_lines=True)
    names = [WORDS[name] for name in ("numbers", "curves", "configuration", "origin", "notes")]
    draw = (_numbers, _curves, _configuration, _origin, _notes)
    tabs = st.tabs(names, key="detail", on_change="rerun", bind="query-params")
    for tab, show in zip(tabs, draw, strict=True):
        if tab.open:
            with tab:
                show(scope, run)


def _facts(scope: Scope, run: dict[str, Any]) -> str:
    """What it is, in one line."""
    state = "stalled" if _stalled(scope, run) else run["status"]
    parts = [
        texts.STATES[state],
        f"{method_words(run['method'])}, {texts.KINDS.get(run['kind'], run['kind'])}",
        sensors(run["modalities"]),
        WORDS["label_share"].format(share=percent(run["label_fraction"])),
        WORDS["folds_done"].format(done=run["folds_done"], total=run["n_folds"]),
        when(run["started"]),
        duration(run["seconds"]) if not missing(run["seconds"]) else "",
    ]
    if run["transductive"]:
        parts.append(texts.CAVEATS["transductive"])
    return " · ".join(part for part in parts if part)


def _stalled(scope: Scope, run: dict[str, Any]) -> bool:
    last = run["heartbeat"] or run["started"]
    return run["status"] == "running" and last < scope.store.stale_before()


def _numbers(scope: Scope, run: dict[str, Any]) -> None:
    """Pooled metrics with intervals, a row a defect, then the folds one by one."""
    metrics = scope.store.run_metrics(run["run_id"])
    if metrics.empty:
        quiet(WORDS["no_numbers"])
        return
    pooled = metrics[metrics["fold"].isna()]
    st.dataframe(_wide(scope, pooled), alt=WORDS["numbers"])
    folds = metrics[metrics["fold"].notna() & metrics["defect"].isna()]
    if folds.empty:
        return
    table = folds.pivot_table(index="fold", columns="metric", values="value", aggfunc="first")
    table = table[_ordered(table.columns)].map(number)
    table.index = pd.Index([WORDS["one_fold"].format(fold=int(fold) + 1) for fold in table.index])
    table.columns = pd.Index([texts.METRICS.get(name, name) for name in table.columns])
    st.dataframe(table, alt=WORDS["folds"])


def _wide(scope: Scope, pooled: pd.DataFrame) -> pd.DataFrame:
    """A row a defect and a column a metric, with intervals."""
    cells = pooled.assign(
        text=[
            with_interval(value, low, high)
            for value, low, high in zip(pooled["value"], pooled["ci_low"], pooled["ci_high"], strict=True)
        ],
        defect=pooled["defect"].where(pooled["defect"].notna(), ""),
    )
    table = cells.pivot_table(index="defect", columns="metric", values="text", aggfunc="first")
    rows = [name for name in ("", *scope.order) if name in table.index]
    rows += [name for name in table.index if name not in rows]
    table = table.loc[rows, _ordered(table.columns)].fillna("")
    table.index = pd.Index([defect_words(name) or WORDS["overall"] for name in rows])
    table.columns = pd.Index([texts.METRICS.get(name, name) for name in table.columns])
    return table


def _ordered(names: pd.Index[str]) -> list[str]:
    """Metrics with those that matter first."""
    known = [name for name in FIRST_METRICS if name in names]
    return known + [name for name in names if name not in known]


def _curves(scope: Scope, run: dict[str, Any]) -> None:
    curves = scope.store.curves(run["run_id"])
    if curves.empty:
        quiet(WORDS["no_curves"])
        return
    stamp = page.provenance(scope, (run["run_id"],), run["git_commit"])
    with st.grid(2, min_column_width=320, gap="medium") as grid:
        for metric, rows in curves.groupby("metric", sort=True):
            with grid.cell():
                figures.figure(_curve(str(metric), rows), stamp, f"curve-{metric}")


def _curve(metric: str, rows: pd.DataFrame) -> Figure:
    splits = tuple(sorted(rows["split"].unique(), key=lambda name: (name != "train", name)))
    words = [WORDS.get(split, split) for split in splits]
    last = rows.groupby("split")["epoch"].idxmax()
    frame = rows.assign(split=rows["split"].map(dict(zip(splits, words, strict=True))), label="")
    frame.loc[last, "label"] = frame.loc[last, "split"]
    frame["fold"] = frame["fold"].fillna(-1).astype(int) + 1
    title = texts.METRICS.get(metric, metric)
    return Figure(
        name=f"curve-{metric}",
        title=title,
        sentence=WORDS["curve_sentence"].format(metric=title),
        chart=training_curve,
        frame=frame[["epoch", "value", "fold", "split", "label"]],
        options={"axes": (WORDS["epoch"], title), "splits": tuple(words)},
    )


def _configuration(scope: Scope, run: dict[str, Any]) -> None:
    """Every setting on a line, and the whole as a file."""
    del scope
    table = pd.DataFrame(list(flattened(run["params"])), columns=[WORDS["setting"], WORDS["value"]])
    st.dataframe(table, hide_index=True, alt=WORDS["configuration"])
    st.download_button(
        WORDS["download"],
        json.dumps(run["params"], indent=2, ensure_ascii=False),
        file_name=f"{run['run_id']}.json",
        mime="application/json",
        on_click="ignore",
        icon=":material/download:",
        key="configuration",
    )


def flattened(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted names and JSON text."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield (
                f"{prefix}{name}",
                value if isinstance(value, str) else json.dumps(value, ensure_ascii=False),
            )


def _origin(scope: Scope, run: dict[str, Any]) -> None:
    """Lineage, identity, files and machine."""
    family = scope.store.lineage(run["run_id"])
    lines = []
    for row in family.to_dict("records"):
        place = "ancestor" if row["distance"] < 0 else "itself" if row["distance"] == 0 else "descendant"
        words = f"{WORDS[place]}: {row['name']}, {WORDS['seed'].format(seed=row['seed'])}"
        lines.append(f"- {plain(words)} ({plain(texts.STATES.get(row['status'], row['status']))})")
    st.markdown("\n".join(lines))
    identity = {
        WORDS["run_id"]: run["run_id"],
        WORDS["fingerprint"]: run["dataset_id"],
        WORDS["commit"]: run["git_commit"] or "",
        **dict(flattened(run["environment"])),
    }
    table = pd.DataFrame(list(identity.items()), columns=[WORDS["setting"], WORDS["value"]])
    st.dataframe(table, hide_index=True, alt=WORDS["environment"])
    files(scope, run["run_id"])


def _notes(scope: Scope, run: dict[str, Any]) -> None:
    del scope
    note_of(run["run_id"])
