"""The data card of a data set, filled from the store alone: origin, composition, sensors, oddities.

After Gebru et al. 2021, "Datasheets for Datasets". What the store does not know is said to be unknown.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from backend.errors import StoreError
from backend.explain.markdown import number, plain, records, section, share, table
from backend.store.queries import catalog, findings

if TYPE_CHECKING:
    import sqlite3

KINDS = {
    "label_issue": ("likely label errors", "the model's probability that the label is wrong"),
    "duplicate": ("pairs of near-duplicates", "differing bits of 256"),
    "label_conflict": ("near-duplicates with different labels", "differing bits of 256"),
    "outlier": ("outliers in feature space", "distance to the neighbours, in medians"),
    "drift": ("groups that differ from the others", "standardised difference"),
}
"""Kind of finding to its name and the meaning of its value."""

_STRONGEST = 5


def data_card(connection: sqlite3.Connection, dataset_id: str) -> str:
    """Origin, composition, sensors and findings of a data set, as Markdown.

    Args:
        connection: of the store.
        dataset_id: the data set.

    Raises:
        StoreError: the store does not know the data set.
    """
    facts = catalog.dataset(connection, dataset_id)
    if facts is None:
        raise StoreError(
            f"unknown data set {dataset_id!r}", where="data card", expected="a data set of this store"
        )
    found = records(findings.findings(connection, dataset_id))
    lines = [
        f"# Data card: {plain(facts.name)}",
        "",
        *section("Origin", _origin(facts)),
        *section("Composition", _composition(connection, facts)),
        *section("Sensors", _sensors(facts, found)),
        *section("What deserves a second look", _oddities(facts, found)),
        *section("Limits", _limits(facts)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _origin(facts: catalog.DatasetFacts) -> list[str]:
    rows = [
        ("description", plain(facts.description)),
        ("source", plain(facts.source)),
        ("licence", plain(facts.licence)),
        ("synthetic", "yes, drawn by a program" if facts.synthetic else "no"),
        ("fingerprint", facts.dataset_id),
        ("labels", facts.label_version),
    ]
    return table(("", ""), rows)


def _composition(connection: sqlite3.Connection, facts: catalog.DatasetFacts) -> list[str]:
    groups = len(catalog.groups(connection, facts.dataset_id))
    counts = {row["defect"]: row for row in records(catalog.defect_counts(connection, facts.dataset_id))}
    rows = []
    for defect in facts.defects:
        count = counts.get(defect.name, {"positives": 0, "labelled": 0})
        positives, labelled = count["positives"], count["labelled"]
        part = share(positives / labelled) if labelled else "–"
        money = f"{defect.cost_miss:g} / {defect.cost_false_alarm:g}"
        rows.append((plain(defect.name), defect.kind, str(positives), str(labelled), part, money))
    task = (
        "each fruit has any number of defects" if facts.task == "multilabel" else "each fruit has one class"
    )
    return [
        f"{facts.n_fruits} fruit of {groups} groups, {facts.n_labelled} labelled; {task}; without any "
        f"defect it is called {plain(facts.healthy)}.",
        "",
        *table(
            ("defect", "kind", "fruit with it", "labelled", "share", "cost of a miss / false alarm"), rows
        ),
    ]


def _sensors(facts: catalog.DatasetFacts, found: list[dict[str, Any]]) -> list[str]:
    rows = []
    for row in (row for row in found if row["kind"] == "sensor"):
        detail = json.loads(row["detail"])
        values = [number(detail.get("mean")), number(detail.get("std"))]
        rows.append(
            (plain(row["subject"]), *values, share(detail.get("missing")), share(detail.get("saturated")))
        )
    views = [f"{plain(name)}: {len(named)} views" for name, named in facts.modalities.items()]
    listed = [*views, *(f"{plain(name)}: a pressure reading" for name in facts.pressures)]
    return [
        "; ".join(listed) + ".",
        "",
        *table(("sensor", "mean", "standard deviation", "missing", "saturated"), rows),
    ]


def _oddities(facts: catalog.DatasetFacts, found: list[dict[str, Any]]) -> list[str]:
    if not found:
        return ["No data report was made."]
    lines = []
    for kind, (name, meaning) in KINDS.items():
        rows = [row for row in found if row["kind"] == kind]
        lines.append(f"- {name}: {len(rows)}")
        for row in rows[:_STRONGEST]:
            fruit = " and ".join(row[part] for part in ("fruit_id", "other_id") if row[part])
            about = ", ".join(plain(part) for part in (row["subject"], fruit) if part)
            lines.append(f"  - {about}: {number(row['value'])} ({meaning})")
    return lines + [f"- the data check warned: {plain(text)}" for text in facts.warnings]


def _limits(facts: catalog.DatasetFacts) -> list[str]:
    limits = [
        "Findings are suggestions for people; nothing was changed or left out because of them.",
        "Fruit of one group never sit on both sides of a split; a wrong group column voids every result.",
    ]
    if facts.synthetic:
        limits.insert(
            0, "Synthetic fruit show that the program works; they are no evidence about real fruit."
        )
    return [f"- {text}" for text in limits]
