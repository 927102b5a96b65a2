"""How fast the dashboard is in Chromium: every page, filter, slider, cell click, files, crowds.

    python benchmarks/dashboard.py --runs 10000 --fruit 1000
    python benchmarks/dashboard.py --runs 10000 --fruit 1000 --mlflow PYTHON_WITH_MLFLOW --json

A sample store is built by formula (``sample_store.py``), the real ``streamlit run dashboard/app.py`` serves
it, and times are taken from the action to the frame of the browser that shows its result. While it measures,
a writer commits to the store as a study does. Run it on an idle machine: the numbers are of wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sample_peer
from peers import require_mlflow
from playwright.sync_api import Browser, sync_playwright
from sample_server import BARE, FLAGS, VIEWS, chromium, served
from sample_store import Plan, build
from sample_visits import Times, bare_search, crowd, explore, opened, pack, search, walk

from backend.cli import run_command
from backend.store.writer import RunStore

MEMORY_MB = 600
SESSIONS, CROWD, PEER_RUNS = 5, 20, 1000
TARGETS = {
    "first content, cold": 2.0,
    "whole overview, cold": 4.0,
    "first content, new session": 2.0,
    "whole overview, new session": 2.0,
    f"first content, {CROWD} open": 2.0,
    **{f"{part} {view}": 1.0 for view in VIEWS[1:] for part in ("to", "all of")},
    "filter": 0.4,
    "slider": 0.4,
    "cell click": 0.4,
    "search": 0.4,
    "export PNG": 1.5,
    "review pack": 30.0,
}
"""Seconds that are allowed at the 95th percentile; what is not here is there to compare with."""


@contextmanager
def writing(store: Path) -> Iterator[None]:
    """A writer that commits twenty times a second, as a busy study does."""
    stop = threading.Event()

    def write() -> None:
        with RunStore(store, purpose="benchmark") as writer:
            while not stop.wait(0.05):
                writer.heartbeat([], "study-tonight")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def resident(process: subprocess.Popen[bytes]) -> float:
    """Memory of a process in MB; NaN where the system does not say."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return float("nan")
    line = next(text for text in status.read_text().splitlines() if text.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def measure(store: Path, browser: Browser, repeats: int) -> tuple[Times, float]:
    """Every time, and the server's memory in MB with five sessions open."""
    times: Times = {}
    for _ in range(repeats):
        with served(store) as (address, _server):
            page, first, whole = opened(browser, address)
            times.setdefault("first content, cold", []).append(first)
            times.setdefault("whole overview, cold", []).append(whole)
            page.context.close()
    with served(store) as (address, server), writing(store):
        opened(browser, address)[0].context.close()
        for _ in range(repeats):
            page, first, whole = opened(browser, address)
            times.setdefault("first content, new session", []).append(first)
            times.setdefault("whole overview, new session", []).append(whole)
            walk(page, times)
            explore(page, times)
            search(page, times)
            times.setdefault("review pack", []).append(pack(page))
            page.context.close()
        open_now = [opened(browser, address)[0] for _ in range(SESSIONS)]
        memory = resident(server)
        for page in open_now:
            page.context.close()
        times[f"first content, {CROWD} open"] = crowd(browser, address, CROWD, repeats)
    with served(store, BARE) as (address, _server):
        for _ in range(repeats):
            bare_search(browser, address, times)
    return times, memory


def summary(times: Times) -> list[dict[str, Any]]:
    """Median and 95th percentile of each measurement beside its target."""
    rows = []
    for name, values in times.items():
        ordered = sorted(values)
        late = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
        target = TARGETS.get(name)
        rows.append(
            {
                "what": name,
                "n": len(values),
                "median_s": round(statistics.median(values), 3),
                "p95_s": round(late, 3),
                "target_s": target,
                "holds": target is None or late <= target,
            }
        )
    return rows


def against(times: Times, peer: Times) -> list[dict[str, Any]]:
    """The medians of the peer beside ours, and how many times faster we are."""
    rows = []
    for name, ours in (("first content", "first content, new session"), ("search", "search")):
        if peer:
            theirs, own = statistics.median(peer[name]), statistics.median(times[ours])
            rows.append(
                {"what": name, "peer_s": round(theirs, 3), "ours_s": round(own, 3), "times": theirs / own}
            )
    return rows


def main(argv: list[str] | None = None) -> int:
    """Measure from the command line."""
    chosen = _parser().parse_args(argv)
    if chosen.mlflow is not None:
        require_mlflow(chosen.mlflow)
    executable = chromium()
    if executable is None:
        print("error: no Chromium on the PATH; install chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        store = chosen.store or Path(folder) / "store.db"
        if not store.exists():
            print(f"building a store of {chosen.runs} runs ...", file=sys.stderr)
            build(store, Plan(fruit=chosen.fruit, runs=chosen.runs))
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        times, memory = measure(store, browser, chosen.repeats)
        peer = (
            sample_peer.measure(browser, chosen.mlflow, Path(folder), PEER_RUNS, chosen.repeats)
            if chosen.mlflow
            else {}
        )
        browser.close()
    facts = {"runs": chosen.runs, "fruit": chosen.fruit, "load": os.getloadavg()[0], "server_mb": memory}
    rows = summary(times)
    beside = against(times, peer)
    if chosen.json:
        print(json.dumps(facts | {"rows": rows, "peer": beside}, indent=2))
    else:
        _print(facts, rows, beside)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure the dashboard in Chromium.")
    parser.add_argument("--runs", type=int, default=1000, help="runs in the store (default: 1000)")
    parser.add_argument("--fruit", type=int, default=1000, help="labelled fruit (default: 1000)")
    parser.add_argument("--repeats", type=int, default=5, help="visitors, and cold starts (default: 5)")
    parser.add_argument("--store", type=Path, help="measure this sample store, or build it there")
    parser.add_argument("--mlflow", type=Path, help="an interpreter that has MLflow: measure its page too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _print(facts: dict[str, Any], rows: list[dict[str, Any]], beside: list[dict[str, Any]]) -> None:
    memory = facts["server_mb"]
    print(f"{facts['runs']} runs, {facts['fruit']} fruit; load {facts['load']:.1f}")
    mark = "" if memory <= MEMORY_MB else ", too much"
    print(f"server with {SESSIONS} sessions: {memory:.0f} MB (at most {MEMORY_MB}{mark})")
    print(f"{'':30}{'n':>4}{'median s':>10}{'p95 s':>8}{'target':>8}")
    for row in rows:
        mark = "" if row["holds"] else "  too slow"
        target = "" if row["target_s"] is None else f"{row['target_s']:.1f}"
        times = f"{row['median_s']:>10.3f}{row['p95_s']:>8.3f}{target:>8}"
        print(f"{row['what']:30}{row['n']:>4}{times}{mark}")
    for row in beside:
        print(f"MLflow, {row['what']}: {row['peer_s']} s, ours {row['ours_s']} s: {row['times']:.1f} x")


if __name__ == "__main__":
    sys.exit(run_command(main))
