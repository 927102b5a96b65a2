"""``python -m backend.store``: look after the run store. Arguments only; the work is in the modules beside.

Exit 0: done, nothing wrong. 1: ``doctor`` found problems that are still there, or ``merge`` refused
something. 2: unusable input.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.cli import EXIT_OK, EXIT_SOME_FAILED, CommandParser, print_json, run_program
from backend.errors import ConfigError

if TYPE_CHECKING:
    from backend.store.merge import Merged

DEFAULT_STORE = Path("runs/store.db")


def main(argv: list[str] | None = None) -> int:
    """Run one command; see ``--help``."""
    options = parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = options.command
    return command(options)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    shared = CommandParser(add_help=False)
    shared.add_argument(
        "--store", type=Path, default=DEFAULT_STORE, metavar="FILE", help="default: %(default)s"
    )
    shared.add_argument("--json", action="store_true", help="print the result as JSON")
    command = CommandParser(prog="python -m backend.store", description="Look after the run store.")
    commands = command.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, action: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=[shared], help=text, description=text)
        added.set_defaults(command=action)
        return added

    add("info", _info, "what is in the store, and who writes to it")
    doctor = add(
        "doctor",
        _doctor,
        "check integrity, references, files, confusion matrices and metrics (exit 1: problems)",
    )
    mend = doctor.add_mutually_exclusive_group()
    mend.add_argument(
        "--fix", action="store_true", help="repair what has one right answer; migrate an old store"
    )
    mend.add_argument("--salvage", type=Path, metavar="OUT", help="save what can be read into a new store")
    export = add("export", _export, "write every table as Parquet and CSV")
    export.add_argument("out", type=Path, help="folder to write to")
    export.add_argument("--format", default="parquet,csv", metavar="LIST", help="default: %(default)s")
    export.add_argument("--tables", default="", metavar="LIST", help="default: every table")
    merge = add("merge", _merge, "take over the runs of other stores, files included; twice is once")
    merge.add_argument("sources", type=Path, nargs="+", metavar="OTHER", help="stores of other machines")
    backup = add("backup", _backup, "copy the store while it is in use, and verify the copy")
    backup.add_argument("out", type=Path, nargs="?", help="default: the store's name with time and .bak")
    gc = add("gc", _gc, "forget old runs; shows what it would do, and does it with --yes")
    gc.add_argument("--keep-days", type=float, default=30, metavar="N", help="default: %(default)s")
    gc.add_argument("--finals", action="store_true", help="let final runs go too")
    gc.add_argument("--artifacts-only", action="store_true", help="forget files, keep every number")
    gc.add_argument("--yes", action="store_true", help="do it")
    return command


def _info(options: argparse.Namespace) -> int:
    from backend.store.info import describe

    facts = describe(options.store)
    if options.json:
        print_json(facts)
        return EXIT_OK
    writer = facts["writer"]
    written_by = f"process {writer.get('pid')} on {writer.get('host')}" if writer else "nobody now"
    print(f"{facts['store']}: schema version {facts['schema_version']}, {_size(facts['bytes'])}")
    print(f"written by: {written_by}")
    for row in facts["datasets"]:
        kind = row["task"] + (", synthetic" if row["synthetic"] else "")
        print(f"data set {row['name']} ({kind}): {row['n_fruits']} fruit, {row['n_labelled']} labelled")
    for study in facts["studies"]:
        runs = ", ".join(f"{n} {status}" for status, n in study["runs"].items()) or "no runs"
        abandoned = " but nothing runs it" if study["status"] == "running" and not writer else ""
        print(f"study {study['name']} ({study['study_id']}), {study['status']}{abandoned}: {runs}")
        if study["best"]:
            print(f"  best: {study['best']['name']}, MCC {study['best']['mcc']:.3f}")
    print(f"artifacts: {facts['artifacts']['files']} files, {_size(facts['artifacts']['bytes'])}")
    for table, rows in facts["rows"].items():
        print(f"  {table:18s}{rows:>12,}")
    return EXIT_OK


def _doctor(options: argparse.Namespace) -> int:
    if options.salvage:
        return _salvage(options)
    from backend.store.doctor import examine, treat

    repaired, problems = treat(options.store) if options.fix else ([], examine(options.store))
    if options.json:
        found = {"repaired": [asdict(p) for p in repaired], "problems": [asdict(p) for p in problems]}
        print_json({"store": str(options.store), **found})
    else:
        for problem in repaired:
            print(f"repaired: {problem}")
        for problem in problems:
            print(f"{problem}" + (f" (--fix would {problem.repair})" if problem.repair else ""))
        if any(problem.kind == "corrupt" for problem in problems):
            print("what can still be read is saved by: python -m backend.store doctor --salvage OUT")
        print(f"{options.store}: {len(problems)} problems" if problems else f"{options.store}: sound")
    return EXIT_SOME_FAILED if problems else EXIT_OK


def _salvage(options: argparse.Namespace) -> int:
    from backend.store.salvage import salvage

    result = salvage(options.store, options.salvage)
    if options.json:
        print_json(asdict(result))
    else:
        for table, rows in result.rows.items():
            notes = [" (some pages could not be read)"] if table in result.damaged else []
            if table in result.dropped:
                notes.append(f" ({result.dropped[table]} more belong to a lost run, study or data set)")
            print(f"  {table:18s}{rows:>12,}" + "".join(notes))
        print(f"saved to {options.salvage}, with {result.artifacts} artifacts")
    return EXIT_SOME_FAILED if result.damaged or result.dropped else EXIT_OK


def _export(options: argparse.Namespace) -> int:
    from backend.store.export import export

    rows = export(options.store, options.out, _words(options.format), _words(options.tables))
    _print_rows(options, {"folder": str(options.out), "rows": rows}, f"exported to {options.out}")
    return EXIT_OK


def _merge(options: argparse.Namespace) -> int:
    from backend.store.merge import merge

    results = merge(options.store, options.sources)
    if options.json:
        print_json([asdict(result) for result in results])
    else:
        for result in results:
            _print_merged(result)
    return EXIT_SOME_FAILED if any(result.refused for result in results) else EXIT_OK


def _print_merged(result: Merged) -> None:
    for reason in result.refused:
        print(f"refused: {reason}")
    print(
        f"{result.source}: {len(result.added)} runs added, {len(result.replaced)} replaced by a later state, "
        f"{result.known} known; {result.artifacts} artifacts"
    )


def _backup(options: argparse.Namespace) -> int:
    from backend.store.backup import back_up
    from backend.store.connection import utc_now

    stamp = utc_now()[:19].replace(":", "").replace("-", "")
    out = options.out or options.store.with_name(f"{options.store.name}.{stamp}.bak")
    rows = back_up(options.store, out)
    _print_rows(
        options,
        {"backup": str(out), "rows": rows},
        f"backed up to {out}, verified; the files in artifacts/ stay where they are",
    )
    return EXIT_OK


def _gc(options: argparse.Namespace) -> int:
    from contextlib import closing

    from backend.store.connection import open_readonly
    from backend.store.retention import Policy, collect, expendable, own_files

    policy = Policy(options.keep_days, not options.finals, options.artifacts_only)
    if options.yes:
        runs, kept = collect(options.store, policy)
    else:
        with closing(open_readonly(options.store)) as connection:
            runs = expendable(connection, policy)
            _, kept = own_files(connection, options.store, runs)
    if options.json:
        print_json({"done": options.yes, "runs": [asdict(run) for run in runs], "kept": kept})
        return EXIT_OK
    for run in runs:
        about = f"{run.status:11s}  {run.purpose:22s}  {_size(run.bytes):>9s}  {run.name}"
        print(f"{run.run_id}  {run.ended[:10]}  {about}")
    total = f"{len(runs)} runs"
    if kept:
        print(kept)
    else:
        total += f", {sum(run.files for run in runs)} files, {_size(sum(run.bytes for run in runs))}"
    print(f"forgot {total}" if options.yes else f"would forget {total}; --yes does it")
    return EXIT_OK


def _print_rows(options: argparse.Namespace, facts: dict[str, Any], last: str) -> None:
    if options.json:
        print_json(facts)
        return
    for table, rows in facts["rows"].items():
        print(f"  {table:18s}{rows:>12,}")
    print(last)


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if text and not words:
        raise ConfigError(repr(text), expected="names separated by commas")
    return words


def _size(n: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


if __name__ == "__main__":
    run_program(main)
