"""``python -m backend.data synth|import|check``: make and look after data set folders. Arguments only."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from backend.cli import EXIT_OK, EXIT_UNUSABLE, CommandParser, end_in_order, print_json, run_program
from backend.data.importers.registry import KINDS
from backend.errors import ConfigError

DEFAULT_FOLDS = 5
DEFAULT_SIZE = 64
DEFAULT_UNLABELLED = 0.5


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    command = CommandParser(
        prog="python -m backend.data", description="Make, import and check data set folders."
    )
    actions = command.add_subparsers(dest="action", required=True, metavar="synth|import|check")
    _add_synth(actions.add_parser("synth", help="make the synthetic avocado data set"))
    _add_import(
        actions.add_parser("import", help="turn a published or own collection into a data set folder")
    )
    _add_check(actions.add_parser("check", help="report every problem of a data set"))
    return command


def _add_synth(synth: argparse.ArgumentParser) -> None:
    synth.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    synth.add_argument("--fruits", type=int, required=True, metavar="N", help="number of fruit")
    synth.add_argument("--seed", type=int, default=0, help="of everything random (default: %(default)s)")
    synth.add_argument(
        "--size", type=int, default=DEFAULT_SIZE, metavar="PX", help="side of an image (default: %(default)s)"
    )
    synth.add_argument(
        "--unlabelled",
        type=float,
        default=DEFAULT_UNLABELLED,
        metavar="SHARE",
        help="share of fruit without labels, 0 to below 1 (default: %(default)s)",
    )
    synth.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    synth.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_import(importer: argparse.ArgumentParser) -> None:
    importer.add_argument("kind", metavar="KIND", help="; ".join(f"{k}: {d}" for k, d in KINDS.items()))
    importer.add_argument("source", metavar="SRC", help="where it lies")
    importer.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    importer.add_argument("--healthy", metavar="NAME", help="folder: the class without defects")
    importer.add_argument(
        "--limit", type=int, metavar="N", help="the digits, cifar10, sku110k: about so many pictures"
    )
    importer.add_argument("--min-side", type=int, metavar="PX", help="sku110k: smallest side of a crop")
    importer.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_check(check: argparse.ArgumentParser) -> None:
    check.add_argument("folder", type=Path, metavar="DIR", help="data set folder")
    check.add_argument(
        "--folds",
        type=int,
        default=DEFAULT_FOLDS,
        metavar="K",
        help="outer folds the labels must suffice for (default: %(default)s)",
    )
    check.add_argument("--json", action="store_true", help="print the problems as JSON")


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    options = parser().parse_args(argv)
    end_in_order()
    return {"synth": _synth, "import": _import, "check": _check}[options.action](options)


def _synth(options: argparse.Namespace) -> int:
    from backend.data.synth import make_dataset

    make_dataset(
        options.out,
        fruits=options.fruits,
        seed=options.seed,
        size=options.size,
        unlabelled=options.unlabelled,
        workers=options.workers,
        progress=not options.quiet,
    )
    print(options.out)
    return EXIT_OK


def _import(options: argparse.Namespace) -> int:
    from backend.data.importers import import_dataset

    import_dataset(
        options.kind,
        options.source,
        options.out,
        progress=not options.quiet,
        healthy=options.healthy,
        limit=options.limit,
        min_side=options.min_side,
    )
    print(options.out)
    return EXIT_OK


def _check(options: argparse.Namespace) -> int:
    """Problems on stdout; where one of them refuses the data set, what it is in one line on stderr too."""
    if options.folds < 2:
        raise ConfigError(str(options.folds), where="--folds", expected="2 or more", action="correct it")

    from backend.data.check import ERROR, check_dataset

    problems = check_dataset(options.folder, options.folds, progress=True)
    errors = [problem for problem in problems if problem.severity == ERROR]
    if options.json:
        print_json([problem.to_dict() for problem in problems])
    else:
        for problem in problems:
            print(problem)
        print(f"{options.folder}: errors {len(errors)}, warnings {len(problems) - len(errors)}")
    if errors:
        others = f" (and {len(errors) - 1} more errors)" if len(errors) > 1 else ""
        print(f"{errors[0]}{others}", file=sys.stderr)
    return EXIT_UNUSABLE if errors else EXIT_OK


if __name__ == "__main__":
    run_program(main)
