"""The model card of a run, filled from the store alone: what a reviewer asks first.

After Mitchell et al. 2019, "Model Cards for Model Reporting". What the store does not know is said to be
unknown, never made up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backend.errors import StoreError
from backend.explain.markdown import number, plain, records, section, table
from backend.store.queries import catalog, results, runs

if TYPE_CHECKING:
    import sqlite3

Pooled = dict[tuple[str | None, str], dict[str, Any]]
"""(defect or None, metric) to the row of table ``metric`` over all folds."""

HEADLINES = (
    "mcc",
    "sorting_mcc",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "auroc",
    "average_precision",
    "probe_accuracy",
    "knn_accuracy",
    "retrieval_map",
)
"""Metrics over all defects, where the run has them."""

BY_DEFECT = ("mcc", "precision", "recall", "average_precision")
"""Metrics of each defect."""

_FEW = 30
_STARTS = {"random": "random weights", "imagenet": "ImageNet weights", "ssl": "self-supervised pretraining"}


def model_card(connection: sqlite3.Connection, run_id: str) -> str:
    """Purpose, data, held-out results with intervals, limits and lineage of a run, as Markdown.

    Args:
        connection: of the store.
        run_id: a complete run.

    Raises:
        StoreError: the store does not know the run.
    """
    run = runs.run(connection, run_id)
    if run is None:
        raise StoreError(f"unknown run {run_id!r}", where="model card", expected="a run of this store")
    facts = catalog.dataset(connection, run["dataset_id"])
    assert facts is not None, "the data set of a run is in the store"
    metrics = records(results.run_metrics(connection, run_id))
    pooled = {(row["defect"], row["metric"]): row for row in metrics if row["fold"] is None}
    counts = records(catalog.defect_counts(connection, facts.dataset_id))
    lines = [
        f"# Model card: {plain(run['name'])}",
        "",
        *section("Model", _model(run)),
        *section("Intended use", _use(run, facts)),
        *section("Data", _data(run, facts)),
        *section("Results on held-out fruit", _results(pooled, facts)),
        *section("Limits", _limits(run, facts, pooled, counts)),
        *section("Lineage", _lineage(run)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _model(run: dict[str, Any]) -> list[str]:
    model = run["params"].get("model", {})
    rows = [
        ("run", run["run_id"]),
        ("kind", f"{run['kind']}, {run['purpose']}"),
        ("method", run["method"]),
        ("starts from", _STARTS.get(run["init"], run["init"])),
        ("pretraining", run["parent_run_id"] or "none"),
        ("backbone", run["backbone"]),
        ("sensors", ", ".join(run["modalities"])),
        ("views and sensors", f"views: {model.get('view_pooling')}; sensors: {model.get('fusion')} fusion"),
        ("augmentation", ", ".join(run["augmentations"]) or "none"),
        ("seed", run["seed"]),
    ]
    return table(("", ""), [(name, plain(value)) for name, value in rows])


def _use(run: dict[str, Any], facts: catalog.DatasetFacts) -> list[str]:
    kinds = {"pretrain": "features", "probe": "features"}
    defects = ", ".join(plain(defect.name) for defect in facts.defects if defect.name != facts.healthy)
    first = (
        "Features of fruit for comparing pretraining methods; it decides nothing by itself."
        if run["kind"] in kinds
        else f"Grading single fruit by pictures and readings like those of this data set: {defects}."
    )
    return [
        f"- {first}",
        "- Meant for choosing sensors, labels and models. Before it sorts fruit for sale it needs a trial on "
        "the line, with that line's cameras, cultivars and season.",
        "- Not for food safety: it sees quality defects and neither residues nor pathogens.",
    ]


def _data(run: dict[str, Any], facts: catalog.DatasetFacts) -> list[str]:
    data = run["params"].get("data", {})
    rows = [
        ("data set", plain(facts.name) + (" (synthetic)" if facts.synthetic else "")),
        ("fingerprint", facts.dataset_id),
        ("labels", facts.label_version),
        ("folds", f"{run['fold_version']}, {run['n_folds']} outer"),
        ("fruit", f"{facts.n_fruits}, {facts.n_labelled} of them labelled"),
        ("labels used for training", f"{100 * run['label_fraction']:g} %"),
        ("image size", f"{data.get('resolution')} px"),
        ("licence", plain(facts.licence)),
        ("source", plain(facts.source)),
    ]
    return table(("", ""), rows)


def _results(pooled: Pooled, facts: catalog.DatasetFacts) -> list[str]:
    """Every metric from the pooled predictions of the outer folds, with its 95 % interval."""
    names = [name for name in HEADLINES if (None, name) in pooled]
    if not names:
        return ["This run has no predictions of its own; see the probes and fine-tunes made from it."]
    overall = [(name, pooled[None, name]) for name in names]
    lines = table(
        ("over all defects", "value", "95 % interval"),
        [(name, number(row["value"]), _interval(row)) for name, row in overall],
    )
    rows = []
    for defect in facts.defects:
        cells = [_cell(pooled.get((defect.name, metric))) for metric in BY_DEFECT]
        if any(cell != "–" for cell in cells):
            rows.append((plain(defect.name), *cells))
    return lines + table(("defect", *BY_DEFECT), rows)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    interval = _interval(row)
    return number(row["value"]) + (f" ({interval})" if interval != "–" else "")


def _interval(row: dict[str, Any]) -> str:
    low, high = number(row["ci_low"]), number(row["ci_high"])
    return "–" if "–" in (low, high) else f"{low} to {high}"


def _limits(
    run: dict[str, Any], facts: catalog.DatasetFacts, pooled: Pooled, counts: list[dict[str, Any]]
) -> list[str]:
    limits = [
        "Intervals say how far the numbers would move with other fruit of the same origins, not on other "
        "orchards, seasons or cameras.",
        "Thresholds were chosen on inner validation; no choice saw a test fold.",
    ]
    if facts.synthetic:
        limits.insert(
            0, "The fruit are drawn by a program; nothing here says how well it does on real fruit."
        )
    if run["transductive"]:
        limits.insert(0, "Pretraining saw the test fruit (without labels): for study only, not comparable.")
    rare = [
        f"{plain(row['defect'])} ({row['positives']})"
        for row in counts
        if row["defect"] != facts.healthy and row["positives"] < _FEW
    ]
    if rare:
        limits.append(f"Fewer than {_FEW} fruit have: {', '.join(rare)}.")
    limits += [
        f"Undefined: {metric}{f' of {plain(defect)}' if defect else ''}: {plain(row['reason'])}."
        for (defect, metric), row in pooled.items()
        if row["value"] is None and metric in (*HEADLINES, *BY_DEFECT)
    ]
    limits += [f"The data check warned: {plain(text)}" for text in facts.warnings]
    return [f"- {text}" for text in limits]


def _lineage(run: dict[str, Any]) -> list[str]:
    environment = run["environment"]
    packages = environment.get("packages", {})
    versions = ", ".join(
        f"{name} {packages[name]}" for name in ("torch", "lightly", "scikit-learn") if name in packages
    )
    rows = [
        ("study", f"{run['study_name']} ({run['study_id']})"),
        ("code", run["git_commit"] or "unknown"),
        ("configuration", run["config_hash"]),
        ("python", environment.get("python", "unknown")),
        ("packages", versions or "unknown"),
        ("device", environment.get("device", "unknown")),
        ("trained for", f"{run['seconds'] or 0:.0f} s"),
        ("finished", run["finished"] or "not yet"),
    ]
    return table(("", ""), [(name, plain(value)) for name, value in rows])
