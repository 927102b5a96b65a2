"""How far expectation and reality are apart: a dry run, then the study, with or without a budget.

    python benchmarks/forecast.py --plan quick --dataset DIR [--budget 10m] [--json]

Wants less than 25 % between expected and taken, and with a budget that cuts the plan less than 5 % between
budget and end. To be run on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from backend.training.budget import parse_duration
from backend.training.plan import load_plan
from backend.training.study import StudyOptions, expect_study, run_study


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--plan", default="quick")
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--budget")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    budget = parse_duration(options.budget, "--budget") if options.budget else None
    with tempfile.TemporaryDirectory() as folder:
        study = StudyOptions(
            options.dataset,
            Path(folder) / "store.db",
            Path(folder) / "cache",
            workers=options.workers,
            device=options.device,
            budget=budget,
            quiet=True,
        )
        plan = load_plan(options.plan)
        expected = expect_study(plan, study)
        started = time.perf_counter()
        summary = run_study(plan, study)
        taken = time.perf_counter() - started
    result = {
        "expected": expected["seconds"],
        "taken": round(taken, 1),
        "off_percent": round(100 * (expected["seconds"] / taken - 1), 1),
        "budget": budget,
        "off_budget_percent": round(100 * (taken / budget - 1), 1) if budget else None,
        "cuts": summary["cuts"],
        "runs": summary["runs"],
    }
    print(json.dumps(result, indent=2) if options.json else result)
    late = budget is not None and bool(summary["cuts"]) and abs(taken / budget - 1) > 0.05
    return 1 if late or abs(expected["seconds"] / taken - 1) > 0.25 else 0


if __name__ == "__main__":
    sys.exit(main())
