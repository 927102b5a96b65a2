"""``python -m backend.augment DATASET_DIR OUT.png``: a contact sheet of a policy or of operations."""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.cli import EXIT_OK, CommandParser, run_program
from backend.config import AugmentConfig
from backend.errors import ConfigError


def main(argv: list[str] | None = None) -> int:
    """Draw the sheet that the arguments ask for and print where it is."""
    args = parser().parse_args(argv)
    if args.fruits < 1:
        raise ConfigError(str(args.fruits), where="--fruits", expected="1 or more")
    if args.out.suffix.lower() != ".png" or not args.out.parent.is_dir():
        raise ConfigError(str(args.out), where="OUT", expected="a .png file in a folder that exists")
    if args.operation is None:
        config = AugmentConfig(policy=args.policy, strength=args.strength)
    else:
        config = AugmentConfig(policy="custom", operations=(args.operation,), strength=args.strength)

    from backend.augment.registry import list_operations
    from backend.augment.sheet import contact_sheet, operation_sheet
    from backend.data.manifest import read_dataset

    dataset = read_dataset(args.dataset)
    if args.every:
        sheet = operation_sheet(dataset, [info.name for info in list_operations()], seed=args.seed)
    else:
        always = args.operation is not None
        sheet = contact_sheet(dataset, config, fruits=args.fruits, seed=args.seed, always=always)
    sheet.save(args.out)
    print(args.out)
    return EXIT_OK


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    command = CommandParser(
        prog="python -m backend.augment",
        description="Draw an augmentation on fruit of a data set: each row a fruit and sensor, as it is and "
        "after random draws. Names: python -m backend.tune --list.",
    )
    command.add_argument("dataset", type=Path, metavar="DATASET_DIR", help="data set folder")
    command.add_argument("out", type=Path, metavar="OUT.png", help="the picture to write")
    what = command.add_mutually_exclusive_group()
    what.add_argument("--policy", metavar="NAME", default="fruit", help="a named policy (default: fruit)")
    what.add_argument("--operation", metavar="NAME", help="one operation, on every tile")
    what.add_argument("--every", action="store_true", help="every operation alone, a row each, on one fruit")
    command.add_argument("--strength", metavar="S", type=float, default=1.0, help="0 (off) to 2, default 1")
    command.add_argument("--fruits", metavar="N", type=int, default=6, help="how many fruit, default 6")
    command.add_argument("--seed", metavar="S", type=int, default=0, help="of the draws, default 0")
    return command


if __name__ == "__main__":
    run_program(main)
