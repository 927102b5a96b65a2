"""docs/results.md from the store: the tables of every benchmark, between two marker comments.

A section is known by the command and the data that its second paragraph begins with. What a store does not
hold stays as it was written: tables of other machines, from other stores.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from backend.benchmark.bench import PREFIX, QUICK, Result, StudyFacts, read_results
from backend.benchmark.registry import BENCHMARKS
from backend.errors import DataError
from backend.store.queries import open_readonly
from backend.store.queries.catalog import datasets, studies, study

BEGIN = "<!-- benchmarks: written by python -m backend.benchmark report; edits here are lost -->"
END = "<!-- end of benchmarks -->"


def report(store: Path) -> dict[str, list[str]]:
    """What the store holds of every benchmark in full: name to Markdown sections, one a data set.

    Raises:
        StoreError: no such store.
    """
    sections: dict[str, list[str]] = {}
    with closing(open_readonly(store)) as connection:
        for facts, cells in _stored(connection):
            sections.setdefault(facts.benchmark, []).append(_section(facts, cells))
    return sections


def write_report(sections: Sequence[str], results: Path) -> list[str]:
    """Renew these sections between the markers, or append them with markers where there are none.

    Args:
        sections: of ``report``.
        results: a Markdown file.

    Returns:
        The commands of sections that stayed as they were, for the store holds nothing of them.

    Raises:
        DataError: the file has one marker without the other, or cannot be read or written.
    """
    try:
        return _renew(sections, results)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read or write ({getattr(error, 'strerror', None) or error})",
            where=str(results),
            expected="a Markdown file, or a new one in a folder that is there",
            action="choose another --results",
        ) from error


def _renew(sections: Sequence[str], results: Path) -> list[str]:
    text = results.read_text(encoding="utf-8") if results.exists() else "# Results\n"
    before, begin, rest = text.partition(BEGIN)
    written, end, after = rest.partition(END)
    if bool(begin) != (END in text) or (begin and not end):
        raise DataError("one marker without the other", where=str(results), expected=f"{BEGIN} ... {END}")
    fresh = {_command(section): section for section in sections}
    stayed = {_command(section): section for section in _split(written) if _command(section) not in fresh}
    body = "\n\n".join([BEGIN, *sorted([*fresh.values(), *stayed.values()], key=_place), END])
    appended = f"{text.rstrip()}\n\n## Published tables and peers\n\n{body}\n"
    results.write_text(before + body + after if begin else appended, encoding="utf-8")
    return list(stayed)


def _split(written: str) -> list[str]:
    """The sections of what stands between the markers."""
    return [part.strip() for part in re.split(r"^(?=### )", written, flags=re.MULTILINE) if part.strip()]


def _command(section: str) -> str:
    """Command and data of a section, as its second paragraph begins with them."""
    return section.partition("\n\n")[2].partition(";")[0]


def _place(section: str) -> tuple[int, str]:
    """The place of a section: the benchmark's in the registry, then by command and data."""
    name = section.removeprefix("### ").partition(":")[0]
    order = list(BENCHMARKS)
    return order.index(name) if name in order else len(order), _command(section)


def _stored(connection: Any) -> Iterator[tuple[StudyFacts, list[Result]]]:
    """Every benchmark in full that has a finished cell, in the order of the registry."""
    rows: list[tuple[str, str, str, str]] = []
    for data in datasets(connection).to_dict("records"):
        for found in studies(connection, data["dataset_id"]).to_dict("records"):
            name = str(found["name"])
            if name.startswith(PREFIX) and not name.endswith(QUICK):
                rows.append((name.removeprefix(PREFIX), found["study_id"], data["dataset_id"], data["name"]))
    order = list(BENCHMARKS)
    for name, study_id, dataset_id, dataset_name in sorted(
        rows, key=lambda row: (order.index(row[0]), row[1])
    ):
        cells = list(read_results(connection, study_id))
        if cells:
            yield _facts(connection, name, study_id, dataset_id, dataset_name), cells


def _facts(connection: Any, name: str, study_id: str, dataset_id: str, dataset_name: str) -> StudyFacts:
    from backend.store.queries.catalog import dataset

    row, known = study(connection, study_id), dataset(connection, dataset_id)
    assert row is not None and known is not None, study_id
    plan = row["plan"] if isinstance(row["plan"], dict) else json.loads(row["plan"])
    return StudyFacts(name, study_id, dataset_name, tuple(d.name for d in known.defects), False, plan)


def _section(facts: StudyFacts, cells: list[Result]) -> str:
    """Heading, command and hardware, tables."""
    benchmark = BENCHMARKS[facts.benchmark]
    options = f" --split {facts.plan['split']}" if "split" in facts.plan else ""
    on = f" on {facts.dataset}" if benchmark.data else ""
    minutes = sum(cell.seconds for cell in cells) / 60
    seeds = ", ".join(str(seed) for seed in sorted({cell.seed for cell in cells}))
    made = (
        f"`python -m backend.benchmark {facts.benchmark}{options}`{on}; {_machine(cells)}; "
        f"{len(cells)} runs in {minutes:.0f} min, {_days(cells)}; seeds {seeds}. "
        f"Goal: {benchmark.goal}."
    )
    tables = [table.markdown() for table in benchmark.load().tables(facts, cells)]
    return "\n\n".join([f"### {facts.benchmark}: {benchmark.protocol}", made, *tables])


def _days(cells: list[Result]) -> str:
    """The day on which the cells finished, or the first and the last one."""
    days = sorted({cell.finished[:10] for cell in cells})
    return " to ".join(dict.fromkeys((days[0], days[-1])))


def _machine(cells: list[Result]) -> str:
    """Devices, processors and versions that the cells ran on, commit by commit."""
    told = []
    for cell in cells:
        machine = cell.machine
        torch = machine.get("packages", {}).get("torch", "?")
        commit = (cell.commit or "unknown")[:9]
        threads = f"threads: {machine.get('threads', '?')} of {machine.get('cpus', '?')}"
        told.append(f"{machine.get('device', '?')}, {threads}, torch {torch}, commit {commit}")
    return "; ".join(dict.fromkeys(told))
