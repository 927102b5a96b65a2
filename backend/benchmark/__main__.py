"""``python -m backend.benchmark NAME``: a published table or a peer beside this project. Arguments only."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from backend.benchmark.options import Options
from backend.benchmark.registry import BENCHMARKS, find
from backend.cli import EXIT_OK, EXIT_SOME_FAILED, CommandParser, end_in_order, print_json, run_program
from backend.errors import ConfigError


def parser() -> CommandParser:
    """The command's options."""
    names = "\n".join(f"  {b.name:<11}{b.protocol}" for b in BENCHMARKS.values())
    command = CommandParser(
        prog="python -m backend.benchmark",
        description="Run a public protocol with this project and print theirs beside ours. Finished cells "
        "are in the store and are not repeated; the same command goes on where it stopped.",
        epilog=f"benchmarks:\n{names}\n  all        each of them\n  report     stored tables as Markdown",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = command.add_argument
    add("name", metavar="NAME", nargs="?", help="a benchmark, all, or report")
    add("--data", default="", help="kind of data set (mnist, cifar10, ...) or a data set folder")
    add("--root", type=Path, help="where the collection lies as published; with all: a folder of kinds")
    add("--split", type=int, default=1, choices=(1, 2, 3), help="Riseholme's split (default: %(default)s)")
    add("--seeds", type=int, help="repetitions (default: 3, 1 with --quick)")
    add("--quick", action="store_true", help="a smoke test of minutes; its numbers mean nothing")
    add("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"), help="default: %(default)s")
    add("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    add("--mlflow", type=Path, help="an interpreter that has MLflow: dashboard and store measure it too")
    add("--store", type=Path, default=Path("runs/store.db"), help="run store (default: %(default)s)")
    add("--results", type=Path, help="with report: write the tables into this file, as docs/results.md")
    add("--list", action="store_true", help="show the benchmarks")
    add("--json", action="store_true", help="print JSON")
    return command


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    command = parser()
    chosen = command.parse_args(argv)
    if chosen.list:
        return _list(as_json=chosen.json)
    if chosen.name is None:
        command.error("the following arguments are required: NAME")
    for name in ("seeds", "threads"):
        value = getattr(chosen, name)
        if value is not None and value < 1:
            raise ConfigError(f"{value}", where=f"--{name}", expected="1 or more")
    if chosen.name == "report":
        return _report(chosen)
    benchmarks = list(BENCHMARKS.values()) if chosen.name == "all" else [find(chosen.name)]
    end_in_order()

    from backend.benchmark.runner import Outcome, run_all, run_one

    options = Options(
        store=chosen.store,
        data=chosen.data,
        root=chosen.root,
        split=chosen.split,
        seeds=chosen.seeds,
        quick=chosen.quick,
        device=chosen.device,
        threads=chosen.threads,
        mlflow=chosen.mlflow,
    )
    outcomes: list[Outcome] = (
        run_all(benchmarks, options) if chosen.name == "all" else [run_one(benchmarks[0], options)]
    )
    _show(outcomes, as_json=chosen.json)
    return EXIT_SOME_FAILED if any(outcome.failures for outcome in outcomes) else EXIT_OK


def _list(*, as_json: bool) -> int:
    protocols = {benchmark.name: benchmark.protocol for benchmark in BENCHMARKS.values()}
    if as_json:
        print_json({"benchmarks": protocols})
        return EXIT_OK
    print("benchmarks:")
    for name, protocol in protocols.items():
        print(f"  {name:11s} {protocol}")
    return EXIT_OK


def _show(outcomes: list[Any], *, as_json: bool) -> None:
    if as_json:
        print_json([outcome.as_json() for outcome in outcomes])
        return
    for outcome in outcomes:
        for table in outcome.tables:
            print(f"\n{table.text()}")
        for failure in outcome.failures:
            print(f"not measured: {failure}", file=sys.stderr)


def _report(chosen: argparse.Namespace) -> int:
    from backend.benchmark.report import report, write_report

    found = report(chosen.store)
    sections = [section for of_one in found.values() for section in of_one]
    if chosen.json:
        print_json(found)
    elif chosen.results is None:
        print("\n\n".join(sections) or f"{chosen.store}: no stored benchmark")
    else:
        stayed = write_report(sections, chosen.results)
        print(f"{chosen.results}: {', '.join(found) or 'no stored benchmark'}")
        for command in stayed:
            print(f"  left as it was, not in {chosen.store}: {command}")
    return EXIT_OK


if __name__ == "__main__":
    run_program(main)
