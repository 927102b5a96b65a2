"""Runs that a page lets its reader choose, under labels that differ. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dashboard import texts
from dashboard.names import subject
from dashboard.scope import labelled


@dataclass(frozen=True)
class Run:
    """A run that can be chosen.

    Attributes:
        subject: what a sentence about it begins with.
        share: of the labels that it was trained on, 0 to 1.
    """

    run_id: str
    label: str
    subject: str
    finished: str
    commit: object
    seeds: int
    share: float


def run_options(runs: pd.DataFrame) -> list[Run]:
    """The runs under labels that differ: the name, the seed where names repeat, a number where seeds do.

    Args:
        runs: see ``results.scored_runs``.
    """
    words = texts.DEFECTS["seed"]
    twins = [f" #{twin + 1}" if twin else "" for twin in runs["twin"]]
    details = [words.format(seed=seed) + twin for seed, twin in zip(runs["seed"], twins, strict=True)]
    labels = labelled(runs["name"], details)
    seeds = runs.groupby("name")["seed"].transform("nunique")
    subjects = [subject(str(method)) for method in runs["method"]]
    columns = (runs["run_id"], labels, subjects, runs["finished"], runs["git_commit"], seeds)
    rows = zip(*columns, runs["label_fraction"], strict=True)
    return [Run(str(a), b, c, str(d), e, int(f), float(g)) for a, b, c, d, e, f, g in rows]


def favourite(options: list[Run], runs: pd.DataFrame) -> Run:
    """The run that is argued for: of those on the most labels the first pretrained one, else the first.

    Args:
        options: see ``run_options``.
        runs: with ``run_id`` and ``kind``.
    """
    kinds = dict(zip(runs["run_id"], runs["kind"], strict=True))
    most = max(run.share for run in options)
    best = [run for run in options if run.share == most]
    return next((run for run in best if kinds[run.run_id] != "baseline"), best[0])
