"""Does pretraining gain from steps in which images of one pallet stand together? One plan, block by block.

    python benchmarks/pallets.py DATASET OUT [--blocks 1 32] [--plan few-labels] [--methods NAME ...]
                                 [--epochs N] [--fractions F ...] [--seeds N] [--workers N] [--json]

The light and the belt of a pallet tell its fruit from all others, so a method that contrasts fruit of many
pallets learns the pallet. Runs the plan once for each block (``pretraining.group_block``; 1 = drawn without
regard to pallets) into OUT/store.db and prints, for each method and share of the labels, the means over the
draws of labels: average precision and MCC of a linear probe of the frozen features, MCC of the fine-tuned and
of the supervised model, and the stored difference between these with its 95 % interval. Differences between
blocks, on the same fruit, follow. A second call on the same OUT only prints.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from backend.cli import EXIT_OK, print_json, run_command
from backend.data.dataset import FruitDataset
from backend.data.manifest import read_dataset
from backend.evaluation.compare import BOOTSTRAP
from backend.evaluation.joint import joint_mcc
from backend.store.connection import open_readonly
from backend.store.folds import load_predictions
from backend.store.queries import ablations

PURPOSES = ("final", "label-efficiency")
METRICS = ("mcc", "average_precision")


@dataclass(frozen=True)
class Row:
    """What a method reaches with one block at one share of the labels; means over the draws of labels."""

    block: int
    method: str
    fraction: float
    probe_ap: float
    probe_mcc: float
    tuned_mcc: float
    baseline_mcc: float
    gain: str


@dataclass(frozen=True)
class Step:
    """How far a block lies above the first one; both on the same fruit, draws and folds."""

    block: int
    method: str
    fraction: float
    kind: str
    delta: str


def run_plans(options: argparse.Namespace) -> dict[int, str]:
    """Run the plan with each block; block to study."""
    from backend.training.plan import load_plan
    from backend.training.study import StudyOptions, run_study

    asked = load_plan(options.plan)
    changes: dict[str, Any] = {"methods": tuple(options.methods)}
    if options.epochs:
        changes["epochs"] = options.epochs
    if options.fractions:
        changes["fractions"] = tuple(options.fractions)
    if options.seeds:
        changes["seeds"] = tuple(range(options.seeds))
    where = StudyOptions(
        options.dataset, options.out / "store.db", options.out / "cache", workers=options.workers
    )
    studies = {}
    for block in options.blocks:
        stage = replace(asked.pretraining, **changes, group_block=block)
        plan = replace(asked, name=f"{asked.name}-block-{block}", pretraining=stage)
        studies[block] = str(run_study(plan, where)["study_id"])
    return studies


class Results:
    """What the studies came to.

    Args:
        store: of all studies.
        studies: block to study.
    """

    def __init__(self, store: Path, studies: Mapping[int, str]) -> None:
        self._connection = open_readonly(store)
        self._studies = studies
        self._dataset = str(self._connection.execute("SELECT dataset_id FROM study").fetchone()[0])
        self._runs = {
            block: ablations.finished(self._connection, self._dataset, study, PURPOSES)
            for block, study in studies.items()
        }

    def _chosen(self, block: int, kind: str, fraction: float, method: str) -> list[str]:
        """The runs of one cell, by seed."""
        runs = self._runs[block]
        mine = (runs["kind"] == kind) & (runs["label_fraction"] == fraction) & (runs["method"] == method)
        return [str(run) for run in runs[mine].sort_values("seed")["run_id"]]

    def _mean(self, runs: list[str], metric: str) -> float:
        found = ablations.whole_metrics(self._connection, runs, METRICS)
        found = found[found["defect"].isna() & (found["metric"] == metric)]
        return float(pd.to_numeric(found["value"]).mean())

    def _cells(self) -> Iterator[tuple[int, str, float]]:
        for block, runs in self._runs.items():
            tuned = runs[runs["kind"] == "finetune"]
            cells = tuned[["method", "label_fraction"]].drop_duplicates()
            for method, fraction in cells.itertuples(index=False):
                yield block, str(method), float(fraction)

    def rows(self) -> list[Row]:
        """One row for each block, method and share of the labels."""
        rows = []
        for block, method, fraction in self._cells():
            probes, tuned = (self._chosen(block, kind, fraction, method) for kind in ("probe", "finetune"))
            rows.append(
                Row(
                    block=block,
                    method=method,
                    fraction=fraction,
                    probe_ap=self._mean(probes, "average_precision"),
                    probe_mcc=self._mean(probes, "mcc"),
                    tuned_mcc=self._mean(tuned, "mcc"),
                    baseline_mcc=self._mean(self._chosen(block, "baseline", fraction, "supervised"), "mcc"),
                    gain=self._gain(block, tuned),
                )
            )
        return rows

    def _gain(self, block: int, tuned: list[str]) -> str:
        """The stored difference from the supervised partners."""
        tests = ablations.tests_of(self._connection, self._dataset, self._studies[block], "pretraining")
        mine = tests["run_id_b"].isin(tuned) & tests["defect"].isna()
        mine &= (tests["metric"] == "mcc") & (tests["test"] == BOOTSTRAP)
        return _text(tests[mine].iloc[0].to_dict()) if mine.any() else ""

    def steps(self, dataset: FruitDataset) -> list[Step]:
        """Every other block against the first one, probe against probe and fine-tune against fine-tune."""
        first = next(iter(self._runs))
        found = []
        for block, method, fraction in self._cells():
            for kind in ("probe", "finetune") if block != first else ():
                sides = [self._chosen(one, kind, fraction, method) for one in (first, block)]
                if all(sides):
                    found.append(Step(block, method, fraction, kind, self._difference(sides, dataset)))
        return found

    def _difference(self, sides: list[list[str]], dataset: FruitDataset) -> str:
        predictions = [[load_predictions(self._connection, run) for run in runs] for runs in sides]
        groups = dict(zip(dataset.fruit_ids, dataset.groups, strict=True))
        second_less_first = np.array([[-1.0, 1.0]])
        values = joint_mcc(
            ("difference",), predictions, task=dataset.task, groups=groups, mixture=second_less_first
        )
        return _text(asdict(values[-1]) | {"delta": values[-1].value})


def _text(difference: Mapping[Any, Any]) -> str:
    """``+0.034 (0.010 to 0.058)``."""
    low, high = difference["ci_low"], difference["ci_high"]
    ends = f" ({low:.3f} to {high:.3f})" if pd.notna(low) and pd.notna(high) else ""
    return f"{difference['delta']:+.3f}{ends}"


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--blocks", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--plan", default="few-labels")
    parser.add_argument("--methods", nargs="+", default=["simclr"])
    parser.add_argument("--epochs", type=int, help="of pretraining (default: the plan's)")
    parser.add_argument("--fractions", type=float, nargs="+", help="of the labels (default: the plan's)")
    parser.add_argument("--seeds", type=int, help="draws of labels (default: the plan's)")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    options = parse(argv)
    results = Results(options.out / "store.db", run_plans(options))
    rows, steps = results.rows(), results.steps(read_dataset(options.dataset))
    if options.json:
        print_json({"rows": [asdict(row) for row in rows], "steps": [asdict(step) for step in steps]})
        return EXIT_OK
    for row in rows:
        print(
            f"block {row.block:3d}, {row.method}, {row.fraction:.0%} of the labels: probe average precision "
            f"{row.probe_ap:.3f}, MCC {row.probe_mcc:.3f}; fine-tuned MCC {row.tuned_mcc:.3f}, "
            f"baseline {row.baseline_mcc:.3f}, gain {row.gain}"
        )
    for step in steps:
        print(
            f"block {step.block} less block {options.blocks[0]}, {step.method}, {step.fraction:.0%}, "
            f"{step.kind}: MCC {step.delta} (fruit resampled by pallet; not the luck of training)"
        )
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(run_command(main))
