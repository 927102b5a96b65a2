"""Peak memory of a study on many fruit: it must grow with the batch, not with the data set.

    python benchmarks/memory.py [--fruit 50000] [--json]

Writes N fruit with four RGB and four NIR pictures each (noise over a few patterns, one in eleven labelled),
runs a small study on them in a process of its own, and reports the highest sum over driver and workers of
anonymous memory (what the processes hold themselves) and of resident memory (which counts pages of the
cache file that the kernel may drop at any time).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 48
VIEWS = ("1", "2", "3", "4")
PLAN = """
name = "memory"
folds = 3
resolution = 48
[baseline]
trials = 1
generation = 1
tune_epochs = 1
epochs = 1
"""
SPEC = """
name = "many"
task = "multilabel"
healthy = "a-quality"
synthetic = true
description = "noise, for a memory benchmark"
licence = "CC0-1.0"
source = "benchmarks/memory.py"
[[defect]]
name = "dark"
kind = "internal"
[[defect]]
name = "red"
kind = "external"
"""


def write_fruit(root: Path, number: int) -> list[str]:
    """The pictures of one fruit; returns its row of the manifest."""
    rng = np.random.default_rng(number)
    dark, red = number % 5 == 0, number % 7 == 0
    row = [f"f{number:06d}", f"p{number // 10}"]
    row += [str(int(dark)), str(int(red))] if number % 11 == 0 else ["", ""]
    folder = root / "images" / f"{number // 1000:03d}"
    folder.mkdir(parents=True, exist_ok=True)
    for sensor, channels in (("rgb", (3,)), ("nir", ())):
        for view in VIEWS:
            pixels = rng.integers(60, 180, (SIDE, SIDE, *channels), dtype=np.uint8)
            if dark and sensor == "nir":
                pixels //= 2
            if red and sensor == "rgb":
                pixels[..., 0] += 60
            path = folder / f"{number}-{sensor}-{view}.png"
            Image.fromarray(pixels).save(path, compress_level=0)
            row.append(str(path.relative_to(root)))
    return row


def write_dataset(root: Path, fruit: int) -> None:
    """A data set folder of ``fruit`` fruit."""
    root.mkdir(parents=True)
    with ProcessPoolExecutor() as pool:
        rows = list(pool.map(partial(write_fruit, root), range(fruit), chunksize=500))
    header = ["fruit_id", "group", "defect:dark", "defect:red"]
    header += [f"image:{sensor}:{view}" for sensor in ("rgb", "nir") for view in VIEWS]
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    (root / "dataset.toml").write_text(SPEC)


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for parent in found:
        children = Path(f"/proc/{parent}/task/{parent}/children")
        try:
            found += [int(child) for child in children.read_text().split()]
        except OSError:
            continue
    return found


def memory(pid: int) -> tuple[int, int]:
    """(anonymous, resident) MiB of one process; zeros once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0, 0
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    anonymous, resident = (int(fields.get(name, "0 kB").split()[0]) for name in ("RssAnon", "VmRSS"))
    return anonymous // 1024, resident // 1024


def watch(command: list[str], folder: Path) -> tuple[int, int, float]:
    """Run a command; returns the peaks of anonymous and resident MiB over its family, and seconds."""
    started = time.perf_counter()
    peak = [0, 0]
    with subprocess.Popen(command, cwd=folder, env={**os.environ}) as process:
        while process.poll() is None:
            totals = [sum(values) for values in zip(*map(memory, family(process.pid)), strict=True)]
            peak = [max(old, new) for old, new in zip(peak, totals, strict=True)]
            time.sleep(0.2)
    if process.returncode != 0:
        raise SystemExit(f"the study ended with exit code {process.returncode}")
    return peak[0], peak[1], time.perf_counter() - started


def main() -> int:
    """Print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fruit", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(folder / "data", arguments.fruit)
        (folder / "plan.toml").write_text(PLAN)
        command = [sys.executable, "-m", "backend.tune", "--plan", "plan.toml", "--dataset", "data"]
        command += ["--store", "out/store.db", "--workers", str(arguments.workers), "--quiet"]
        anonymous, resident, seconds = watch(command, folder)
    result = {
        "fruit": arguments.fruit,
        "workers": arguments.workers,
        "peak_anonymous_mib": anonymous,
        "peak_resident_mib": resident,
        "seconds": round(seconds),
    }
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        print("\n".join(f"{key:20s} {value}" for key, value in result.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
