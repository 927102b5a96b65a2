"""Does the input ablation find a truth that was planted? Every defect is visible in one sensor or view alone.

    python benchmarks/planted.py OUT [--fruits 600] [--seed 0] [--size 64] [--plan input-ablation]
                                     [--spec a=nir b=pressure c=rgb:2] [--data DIR] [--workers N] [--json]

Makes the data set, or takes one from DIR of which ``--spec`` is the truth, whatever its sensors and views.
Runs the plan on it and prints, for each defect and sensor, the verdict on leaving the sensor out and its
Shapley value; for a defect planted in one view, the MCC that is left without each view; where there are maps,
how often their hottest point lies on the defect. Exit code 1 where a verdict is wrong, intervals do not
separate or fewer than 80 % point at it. A second call on the same OUT only prints.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from backend.data.manifest import read_dataset
from backend.data.synth.planted import DEFAULT_SPEC, make_planted
from backend.store.connection import open_readonly
from backend.store.queries import ablations
from backend.training.plan import load_plan
from backend.training.study import StudyOptions, run_study

FAMILY = "input-ablation: without "
POINTING = "localisation_pointing"
_ENDS = ("value", "ci_low", "ci_high")
Interval = dict[str, float]
"""A metric's value and the ends of its 95 % interval, by these names."""
GOAL = 0.8
"""Share of the defects found on which the hottest point of the maps has to lie."""


def read_results(store: Path, views: dict[str, tuple[str, ...]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The verdicts on leaving a sensor out, and the metrics of the first full-set baseline.

    Args:
        store: of the study.
        views: image sensor to its view names.
    """
    connection = open_readonly(store)
    dataset = str(connection.execute("SELECT dataset_id FROM study").fetchone()[0])
    runs = ablations.finished(connection, dataset)
    full = str(runs.loc[runs["kind"] == "baseline", "run_id"].iloc[0])
    tests = ablations.tests_of(connection, dataset, family=FAMILY)
    tests = tests[(tests["run_id_b"] == full) & (tests["metric"] == "mcc") & (tests["test"] == "bootstrap")]
    subsets = ablations.finished(connection, dataset, purposes=("input-ablation",)).set_index("run_id")
    sensors = json.loads(runs.loc[runs["run_id"] == full, "modalities"].iloc[0])
    parts = {str(run): set(json.loads(str(subsets.loc[run, "modalities"]))) for run in subsets.index}
    left_out = [next(s for s in sensors if s not in parts[str(run)]) for run in tests["run_id_a"]]
    tests = tests.assign(sensor=left_out)
    names = [f"shapley:{sensor}" for sensor in sensors]
    names += [f"mcc_without_view:{sensor}:{view}" for sensor in sensors for view in views.get(sensor, ())]
    # Maps are those of the best seed, everything else of the first.
    every = runs.loc[runs["kind"] == "baseline", "run_id"].tolist()
    maps = ablations.whole_metrics(connection, every, [POINTING])
    return tests, pd.concat([ablations.whole_metrics(connection, [full], names), maps])


def judge(spec: dict[str, str], tests: pd.DataFrame, metrics: pd.DataFrame) -> list[dict[str, Any]]:
    """One row for each defect: what was planted, what was found, whether that is right."""
    rows = []
    for defect, where in spec.items():
        planted, _, view = where.partition(":")
        verdicts = tests[tests["defect"] == defect].set_index("sensor")["verdict"].to_dict()
        own: dict[str, Interval] = (
            metrics[metrics["defect"] == defect].set_index("metric")[list(_ENDS)].to_dict("index")  # type: ignore[assignment]
        )
        shares = _named(own, "shapley:")
        right = all(text.startswith("better") == (sensor == planted) for sensor, text in verdicts.items())
        apart = shares[planted]["ci_low"] > max(
            share["ci_high"] for sensor, share in shares.items() if sensor != planted
        )
        row = {"defect": defect, "planted": where, "verdicts": verdicts, "right": right}
        row["shapley"] = {sensor: _text(share) for sensor, share in shares.items()}
        if view:
            views = _named(own, f"mcc_without_view:{planted}:")
            blind = views[view]["ci_high"]
            apart &= blind < min(left["ci_low"] for name, left in views.items() if name != view)
            row["views"] = {name: _text(left) for name, left in views.items()}
        row |= {"apart": apart, "points": POINTING not in own or own[POINTING]["value"] >= GOAL}
        if POINTING in own:
            row["pointing"] = _text(own[POINTING])
        rows.append(row)
    return rows


def _named(metrics: dict[str, Interval], prefix: str) -> dict[str, Interval]:
    """Those whose name begins with ``prefix``, by the rest of it."""
    return {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}


def _text(interval: Interval) -> str:
    return f"{interval['value']:.2f} ({interval['ci_low']:.2f} to {interval['ci_high']:.2f})"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--fruits", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--plan", default="input-ablation")
    parser.add_argument("--spec", nargs="+", default=[f"{k}={v}" for k, v in DEFAULT_SPEC.items()])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    spec = dict(pair.split("=", 1) for pair in options.spec)
    data, store = options.data or options.out / "data", options.out / "store.db"
    if not data.exists():
        make_planted(data, options.fruits, options.seed, spec, size=options.size)
    run_study(
        load_plan(options.plan),
        StudyOptions(data, store, options.out / "cache", workers=options.workers),
        seed=options.seed,
    )
    rows = judge(spec, *read_results(store, read_dataset(data).modalities))
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        for row in rows:
            right = "right" if row["right"] else "WRONG"
            apart = "apart" if row["apart"] else "NOT APART"
            print(f"{row['defect']}, planted in {row['planted']}: verdicts {right}, intervals {apart}")
            for sensor, text in row["verdicts"].items():
                print(f"  with {sensor}: {text}; Shapley value {row['shapley'][sensor]}")
            for view, text in row.get("views", {}).items():
                print(f"  MCC without view {view}: {text}")
            if "pointing" in row:
                print(f"  hottest point on the defect: {row['pointing']}")
    return 0 if all(row["right"] and row["apart"] and row["points"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
