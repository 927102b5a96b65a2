"""Images per second of self-supervised training: this project, the limit, and lightly's recipe, in one run.

``python benchmarks/throughput.py [--quick] [--json]``. Three ways to do the same step, repeated in turn, so
that a busy machine slows all; medians are reported. Ratios travel to other machines, times do not.

- ours: pixels read from the cache, augmented in batches, forward, backward, optimiser.
- limit: forward, backward and optimiser of the same method on one batch of views that lies in memory.
- peer: lightly's documented recipe (``lightly_recipe.py``) on the same images as files.

Then each method's step beside SimCLR's, and the peak memory of ours beside the limit's.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import resource
import statistics
import sys
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

from sample_steps import Setting, make_training, stepper, write_images

from backend.cli import EXIT_OK, print_json, run_command

FIVE = ("simclr", "moco", "byol", "simsiam", "barlow_twins")
BATCHES = {64: 128, 32: 256}


@dataclass(frozen=True)
class Speed:
    """Images per second at one size: medians, and the ratios that are promised."""

    size: int
    method: str
    ours: float
    limit: float
    peer: float
    of_limit: float
    over_peer: float


@dataclass(frozen=True)
class Overhead:
    """Seconds a step against SimCLR's."""

    size: int
    method: str
    seconds: float
    over_simclr: float


def measure_speed(method: str, folder: Path, setting: Setting) -> Speed:
    """Ours, the limit and the peer in turn."""
    from lightly_recipe import seconds_per_step

    ours = stepper(make_training(method, folder, setting), limit=False)
    limit = stepper(make_training(method, folder, setting), limit=True)
    times: dict[str, list[float]] = {"ours": [], "limit": [], "peer": []}
    for _ in range(setting.repeats):
        times["limit"].append(limit(setting.steps))
        times["ours"].append(ours(setting.steps))
        times["peer"].append(
            seconds_per_step(
                method,
                folder / "pixels",
                size=setting.size,
                batch_size=setting.batch,
                steps=setting.steps,
                workers=setting.workers,
                device=setting.device,
            )
        )
    rate = {name: setting.batch / statistics.median(values) for name, values in times.items()}
    # Ratios of neighbours in time, so that a machine that grows busy does not favour one side.
    of_limit = statistics.median(b / a for a, b in zip(times["ours"], times["limit"], strict=True))
    over_peer = statistics.median(b / a for a, b in zip(times["ours"], times["peer"], strict=True))
    return Speed(
        setting.size,
        method,
        round(rate["ours"], 1),
        round(rate["limit"], 1),
        round(rate["peer"], 1),
        round(of_limit, 3),
        round(over_peer, 3),
    )


def measure_overheads(methods: list[str], folder: Path, setting: Setting) -> list[Overhead]:
    """Each method's step against a SimCLR step right before it."""
    reference = stepper(make_training("simclr", folder, setting), limit=False)
    rows = []
    for method in methods:
        step = stepper(make_training(method, folder, setting), limit=False)
        pairs = [(reference(setting.steps), step(setting.steps)) for _ in range(setting.repeats)]
        seconds = statistics.median(own for _, own in pairs)
        ratio = statistics.median(own / simclr for simclr, own in pairs)
        rows.append(Overhead(setting.size, method, round(seconds, 4), round(ratio, 3)))
    return rows


def peak_memory(folder: Path, setting: Setting, *, limit: bool) -> float:
    """Most MiB that a fresh process held while it did a repeat of SimCLR steps."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_in_this_process, (folder, setting, limit))


def _peak_in_this_process(folder: Path, setting: Setting, limit: bool) -> float:
    stepper(make_training("simclr", folder, setting), limit=limit)(setting.steps)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(
    setting: Setting, methods: list[str], compared: list[str]
) -> tuple[list[Speed], list[Overhead], float | None]:
    """Everything at one size, on images in a temporary folder; memory with the overheads only."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder, setting.size)
        print(f"{setting.size} px, batch {setting.batch}", file=sys.stderr)
        speeds = []
        for method in methods:
            speeds.append(measure_speed(method, folder, setting))
            print(f"  {speeds[-1]}", file=sys.stderr)
        if not compared:
            return speeds, [], None
        overheads = measure_overheads(compared, folder, setting)
        memory = peak_memory(folder, setting, limit=False) / peak_memory(folder, setting, limit=True)
    return speeds, overheads, round(memory, 3)


def named(methods: str) -> list[str]:
    """The names of a list with commas; of ``none``, no name."""
    return [] if methods == "none" else methods.split(",")


def main(argv: list[str] | None = None) -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="benchmarks/throughput.py", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--methods", default=",".join(FIVE), help="compared with the peer, or none (default: %(default)s)"
    )
    parser.add_argument(
        "--overheads", default="", help="beside SimCLR's step, or none (default: every method)"
    )
    parser.add_argument("--sizes", default="64,32", help="sides in pixels (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=8, help="steps a repeat (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="interleaved repeats (default: %(default)s)")
    parser.add_argument("--backbone", default="resnet18", help="for overheads alone; the peer is ResNet-18")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument(
        "--workers", type=int, default=2, help="of the peer's DataLoader (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="SimCLR, 32 px, few steps: does it run?")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)

    from backend.methods.registry import list_methods

    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    sizes = [32] if options.quick else [int(size) for size in options.sizes.split(",")]
    every = [info.name for info in list_methods() if info.pretrains]
    methods = ["simclr"] if options.quick else named(options.methods)
    compared = ["rotation"] if options.quick else named(options.overheads) if options.overheads else every
    results = []
    for size in sizes:
        setting = Setting(
            size=size,
            batch=32 if options.quick else BATCHES.get(size, 64),
            steps=2 if options.quick else options.steps,
            repeats=1 if options.quick else options.repeats,
            device=options.device,
            backbone=options.backbone,
            workers=options.workers,
        )
        results.append(measure(setting, methods, compared))
    if options.json:
        print_json(
            {
                "speed": [asdict(row) for speeds, _, _ in results for row in speeds],
                "overhead": [asdict(row) for _, overheads, _ in results for row in overheads],
                "memory_over_limit": {
                    str(s): memory for s, (_, _, memory) in zip(sizes, results, strict=True) if memory
                },
            }
        )
        return EXIT_OK
    for size, result in zip(sizes, results, strict=True):
        print_tables(size, *result)
    return EXIT_OK


def print_tables(size: int, speeds: list[Speed], overheads: list[Overhead], memory: float | None) -> None:
    """The results at one size, for people."""
    print(f"\n{size} px, images/s   {'ours':>8}{'limit':>8}{'peer':>8}  of limit  over peer")
    for row in speeds:
        rates = f"{row.ours:8.1f}{row.limit:8.1f}{row.peer:8.1f}"
        print(f"{row.method:<18} {rates}{row.of_limit:10.3f}{row.over_peer:11.3f}")
    print(f"\n{size} px              s/step  over simclr")
    for line in overheads:
        print(f"{line.method:<22} {line.seconds:7.4f} {line.over_simclr:9.3f}")
    if memory is not None:
        print(f"peak memory over the limit's: {memory:.3f}")


if __name__ == "__main__":
    raise SystemExit(run_command(main))
