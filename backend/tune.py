"""``python -m backend.tune``: run, or resume, a plan on a data set into a run store. Arguments only."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

from backend.cli import EXIT_OK, EXIT_SOME_FAILED, CommandParser, end_in_order, print_json, run_program
from backend.errors import ConfigError

DEMO = Path("runs/datasets/demo")
DEMO_FRUITS, DEMO_SEED, DEMO_UNLABELLED = 2000, 1, 0.25
LIMITS = (
    ("trials", 1, math.inf),
    ("workers", 0, math.inf),
    ("devices", 1, math.inf),
    ("seed", 0, 2**32 - 1),
)
"""Option, least and most; scikit-learn knows no larger seeds."""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    command = CommandParser(
        prog="python -m backend.tune",
        description="Tune, cross-validate and store experiments. The same command resumes a stopped study.",
    )
    add = command.add_argument
    add(
        "--plan",
        default="overnight",
        help="a name, such as quick (see --list), or FILE.toml (default: %(default)s)",
    )
    add("--dataset", type=Path, help="data set folder (default: AVOCADO_DATASET, else the synthetic demo)")
    add("--store", type=Path, default=Path("runs/store.db"), help="run store (default: %(default)s)")
    add("--trials", type=int, help="Optuna trials of the search")
    add("--methods", type=_names, default=(), help="pretraining methods, e.g. simclr,moco")
    add("--modalities", type=_names, default=(), help="sensors to use, e.g. rgb,nir,pressure")
    add(
        "--budget", help="when the study has to end, e.g. 8h or 90m: the plan is scaled (default: the plan's)"
    )
    add("--timeout", help="when a fold counts as hung, e.g. 2h (default: from the folds that have ended)")
    add("--workers", type=int, help="worker processes (default: as many as the cores can feed)")
    add("--cluster", default="", help="run folds on Ray: auto, host:port, ray://host:port or local:N")
    add("--gpu-share", type=float, default=1.0, help="GPUs a fold takes on a cluster, e.g. 0.25")
    add("--devices", type=int, help="GPUs of one machine that share each pretraining (default: the plan's)")
    add("--seed", type=int, default=0, help="seed of the study (default: %(default)s)")
    add("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"), help="default: %(default)s")
    add(
        "--storage",
        default=os.environ.get("AVOCADO_STORAGE", ""),
        help="Optuna's database, e.g. postgresql://HOST/NAME (default: AVOCADO_STORAGE, else a file)",
    )
    add("--dry-run", action="store_true", help="only say what would run, and how long it would take")
    add("--list", action="store_true", help="show plans, backbones, augmentations and methods")
    add("--json", action="store_true", help="print the result as JSON on stdout")
    add("--events", action="store_true", help="progress as JSON lines on stderr instead of a bar")
    add("--quiet", action="store_true", help="no progress bar")
    return command


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r}; expected names separated by commas")
    return names


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    begun = time.monotonic()
    options = parser().parse_args(argv)
    if options.list:
        return _list(as_json=options.json)
    _check_numbers(options)
    end_in_order()

    from backend.training.budget import parse_duration
    from backend.training.plan import load_plan

    timeout = parse_duration(options.timeout, "--timeout") if options.timeout else None
    plan = load_plan(options.plan).narrowed(
        modalities=options.modalities,
        methods=options.methods,
        trials=options.trials,
        devices=options.devices,
    )
    until = options.budget or plan.budget
    budget = parse_duration(until, "--budget" if options.budget else "plan budget") if until else None

    from backend.training.study import StudyOptions, expect_study, run_study

    study = StudyOptions(
        dataset=_dataset(options.dataset, quiet=options.quiet),
        store=options.store,
        cache=Path(os.environ.get("AVOCADO_CACHE", options.store.parent / "cache")),
        workers=options.workers,
        device=options.device,
        storage=options.storage,
        timeout=timeout,
        budget=budget,
        cluster=options.cluster,
        gpu_share=options.gpu_share,
        quiet=options.quiet,
        events=options.events,
        begun=begun,
        words=identity_words(options),
    )
    if options.dry_run:
        _print_expected(expect_study(plan, study, seed=options.seed), as_json=options.json)
        return EXIT_OK
    summary = run_study(plan, study, seed=options.seed)
    _print_summary(summary, as_json=options.json)
    return EXIT_SOME_FAILED if summary.get("failed") else EXIT_OK


def identity_words(options: argparse.Namespace) -> tuple[str, ...]:
    """The words of the command that make its study what it is: who repeats them goes on with that study."""
    own_file = options.plan.endswith(".toml")
    words = ["--plan", str(Path(options.plan).resolve()) if own_file else options.plan]
    for name in ("modalities", "methods"):
        if names := getattr(options, name):
            words += [f"--{name}", ",".join(names)]
    for name in ("trials", "devices", "seed", "budget"):
        if value := getattr(options, name):
            words += [f"--{name}", str(value)]
    return tuple(words)


def _check_numbers(options: argparse.Namespace) -> None:
    if not 0 < options.gpu_share <= 8:
        raise ConfigError(
            str(options.gpu_share), where="--gpu-share", expected="above 0, up to 8", action="correct it"
        )
    for name, lowest, highest in LIMITS:
        value = getattr(options, name)
        if value is not None and not lowest <= value <= highest:
            expected = f"{lowest} or more" if highest == math.inf else f"{lowest} to {highest}"
            raise ConfigError(str(value), where=f"--{name}", expected=expected, action="correct it")


def _dataset(given: Path | None, *, quiet: bool) -> Path:
    """The data set folder; the synthetic demo is made on the spot."""
    if given is None and "AVOCADO_DATASET" in os.environ:
        given = Path(os.environ["AVOCADO_DATASET"])
    if given is not None:
        return given
    if not DEMO.exists():
        from backend.data.synth import make_dataset

        print(f"making {DEMO_FRUITS} synthetic avocados in {DEMO}", file=sys.stderr)
        make_dataset(DEMO, fruits=DEMO_FRUITS, seed=DEMO_SEED, unlabelled=DEMO_UNLABELLED, progress=not quiet)
    return DEMO


def _list(*, as_json: bool) -> int:
    from backend.augment.policies import list_policies
    from backend.augment.registry import list_operations
    from backend.methods.registry import FAMILIES, list_methods
    from backend.models.backbones import list_backbones
    from backend.training.plan import load_plan, plan_names

    catalogue: dict[str, dict[str, str]] = {
        "plans": {name: load_plan(name).description for name in plan_names()},
        "backbones": {info.name: info.description for info in list_backbones()},
        **{
            f"methods, {family}": {info.name: info.description for info in list_methods(family)}
            for family in FAMILIES
        },
        "augmentation policies": {policy.name: policy.description for policy in list_policies()},
        "augmentations": {info.name: info.description for info in list_operations()},
    }
    if as_json:
        print_json(catalogue)
        return EXIT_OK
    for title, entries in catalogue.items():
        print(f"{title}:")
        for name, description in entries.items():
            print(f"  {name:24s} {description}")
    return EXIT_OK


def _print_expected(expected: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(expected)
        return
    print(f"study {expected['study_id']} would run:")
    for work in expected["works"]:
        what = f"{work['stage']}: {work['what']}".removesuffix(": ")
        size = f"{work['runs']} x {work['folds']} folds" if work["runs"] else ""
        epochs = f", {work['epochs']} epochs" if work["epochs"] else ""
        print(f"  {what:58s} {size + epochs:28s} {_duration(work['seconds']):>9s}")
    print(f"expected: {_duration(expected['seconds'])}")
    if expected["unknown"]:
        print(f"beside that, not measured yet: {', '.join(expected['unknown'])}")
    _print_cuts(expected)


def _print_cuts(facts: dict[str, Any]) -> None:
    if facts["cuts"]:
        print(f"cut to fit the budget of {_duration(facts['budget'])}: " + "; ".join(facts["cuts"]))


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def _print_summary(summary: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(summary)
        return
    counts = summary["runs"]
    ran = ", ".join(f"{n} {status}" for status, n in counts.items())
    print(f"study {summary['study_id']}: {ran} in {_duration(summary['seconds'])}")
    _print_cuts(summary)
    for failure in summary["failed"]:
        print(f"failed: {failure['name']}: {failure['error'].splitlines()[0]}")
    best = summary["best"]
    if best:
        low, high = best["ci_low"], best["ci_high"]
        interval = f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else ""
        print(f"best: {best['name']}: MCC {best['mcc']:.3f}{interval}")
    if summary["failed"]:
        print(f"the whole reasons are on the page Runs and in {summary['log']}")
    print(f"open it: {_python()} -m streamlit run dashboard/app.py -- --store {summary['store']}")


def _python() -> Path:
    """This interpreter as one types it here: the one that has Streamlit may not be on the PATH."""
    program, here = Path(sys.executable), Path.cwd()
    return program.relative_to(here) if program.is_relative_to(here) else program


if __name__ == "__main__":
    run_program(main)
