"""``python -m dashboard.report OUT``: the review pack without a browser. Arguments only.

OUT ends in .html, .pptx or .zip. What was collected on the Report page goes into it; where nothing was, or
where filters are given, the figures that answer a manager's questions do.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from backend.cli import EXIT_OK, CommandParser, print_json, run_program
from backend.errors import ConfigError, StoreError

KINDS = (".html", ".pptx", ".zip")


def main(argv: list[str] | None = None) -> int:
    """Write one review pack; see ``--help``."""
    options = parser().parse_args(argv)
    out: Path = options.out
    if out.suffix.lower() not in KINDS:
        raise ConfigError(
            f"{out.suffix or 'no ending'!r}", where=str(out), expected=f"a file ending in {', '.join(KINDS)}"
        )
    from dashboard import story, writers  # imports pandas, which --help need not wait for
    from dashboard.loaders import open_store, store_path

    store = open_store(store_path(options.store))
    scope = story.chosen_scope(store, options.dataset, options.study, options.defect)
    filtered = any((options.dataset, options.study, options.defect, options.default))
    exhibits = [] if filtered else story.collected(store)
    source = "basket" if exhibits else "default"
    exhibits = exhibits or story.told(scope)
    if not exhibits:
        raise StoreError(
            "nothing of the chosen study is finished",
            where=str(store.path),
            action="wait for its first final run, or choose another --study",
        )
    data = writers.WRITERS[out.suffix.lower()](story.pack_of(scope, exhibits, options.title))
    _write(out, data)
    facts = {"out": str(out), "figures": len(exhibits), "source": source, "bytes": len(data)}
    if options.json:
        print_json(facts)
    else:
        print(f"wrote {out}: {len(exhibits)} figures ({source}), {len(data) / 1e6:.1f} MB")
    return EXIT_OK


def parser() -> CommandParser:
    """The command's options."""
    command = CommandParser(
        prog="python -m dashboard.report",
        description="Write the review pack: what was collected on the Report page, else the main figures.",
    )
    command.add_argument("out", type=Path, metavar="OUT", help="a file ending in .html, .pptx or .zip")
    command.add_argument("--store", metavar="FILE", help="default: AVOCADO_STORE, else runs/store.db")
    command.add_argument("--dataset", default="", metavar="NAME", help="default: the one studied last")
    command.add_argument(
        "--study", default="", metavar="NAME", help="default: the latest with a final result; all = every one"
    )
    command.add_argument(
        "--defect", default="", metavar="NAME", help='one defect, or "internal defects"; default: all'
    )
    command.add_argument("--title", default="", help="of the pack")
    command.add_argument("--default", action="store_true", help="the main figures, whatever was collected")
    command.add_argument("--json", action="store_true", help="print the result as JSON")
    return command


def _write(out: Path, data: bytes) -> None:
    """Write the file whole or not at all."""
    partial = out.with_name(f".{out.name}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(out)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StoreError(
            f"the report cannot be written ({error.strerror})", where=str(out), action="choose another OUT"
        ) from error


if __name__ == "__main__":
    run_program(main)
