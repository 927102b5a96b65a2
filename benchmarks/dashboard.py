"""How fast the dashboard is in Chromium: first content, page change, filter, slider, cell click, export.

    python benchmarks/dashboard.py --runs 1000
    python benchmarks/dashboard.py --runs 10000 --fruit 1000 --json

A sample store is built by formula (``sample_store.py``), the real ``streamlit run dashboard/app.py`` serves
it, and times are taken from the action to the frame of the browser that shows its result. While it measures,
a writer commits to the store as a study does. Run it on an idle machine: the numbers are of wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright
from sample_store import Plan, build

from backend.store.writer import RunStore

ROOT = Path(__file__).parents[1]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DEFECTS = ("body rot", "sunburn", "wind scar", "bruising", "insect damage")
TARGETS = {
    "first content, cold": 2.0,
    "whole overview, cold": 4.0,
    "first content, new session": 2.0,
    "whole overview, new session": 2.0,
    "to Defects": 1.0,
    "to Runs": 1.0,
    "filter": 0.4,
    "slider": 0.4,
    "cell click": 0.4,
    "export PNG": 1.5,
}
"""Seconds that are allowed, at the 95th percentile."""

HEADLINE = "(document.querySelector('[data-testid=stMain] h1')?.innerText ?? '')"
CALM = "document.querySelectorAll('[data-testid=stStatusWidget]').length === 0"
CHARTS = (
    "document.querySelectorAll('[data-testid=stVegaLiteChart]').length > 0 && "
    "document.querySelectorAll('[data-testid=stVegaLiteChart] svg.marks').length === "
    "document.querySelectorAll('[data-testid=stVegaLiteChart]').length"
)


@contextmanager
def served(store: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The dashboard on a free port, ended afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py", "--server.headless", "true"]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1", "--", "--store", str(store)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=2)  # noqa: S310 - our own server
                break
            except OSError:
                time.sleep(0.1)
        yield address, server
    finally:
        server.terminate()
        server.wait(20)


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


def timed(page: Page, action: Callable[[], object], shown: str) -> float:
    """Seconds from an action until the expression ``shown`` holds in a frame of the browser."""
    start = time.perf_counter()
    action()
    page.wait_for_function(f"() => {shown}", polling="raf", timeout=60_000)
    return time.perf_counter() - start


def opened(browser: Browser, address: str) -> tuple[Page, float, float]:
    """The overview in a new session, and the seconds until its answer and until its figures are there."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    start = time.perf_counter()
    first = timed(page, lambda: page.goto(address, wait_until="commit"), f"{HEADLINE} !== ''")
    page.wait_for_function(f"() => {CHARTS} && {CALM}", polling="raf", timeout=60_000)
    return page, first, time.perf_counter() - start


def choose(page: Page, label: str, option: str) -> Callable[[], None]:
    """Open a select box; what is returned clicks the option."""
    page.get_by_role("combobox", name=label).first.click()
    entry = page.get_by_role("option", name=option, exact=True)
    entry.wait_for()
    return entry.click


def resident(process: subprocess.Popen[bytes]) -> float:
    """Memory of a process in MB; NaN where the system does not say."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return float("nan")
    line = next(text for text in status.read_text().splitlines() if text.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def session(browser: Browser, address: str, times: dict[str, list[float]]) -> None:
    """One visitor: opens, changes pages, filters, moves the slider, clicks a cell, exports."""
    page, first, whole = opened(browser, address)
    times["first content, new session"].append(first)
    times["whole overview, new session"].append(whole)
    before = page.evaluate(HEADLINE)
    defects = page.get_by_role("link", name="Defects").click
    times["to Defects"].append(
        timed(page, defects, f"{HEADLINE} !== {json.dumps(before)} && {CHARTS} && {CALM}")
    )
    for defect in DEFECTS:
        pick = choose(page, "Defect", defect)
        times["filter"].append(timed(page, pick, f"{HEADLINE}.includes({json.dumps(defect)}) && {CHARTS}"))
    slider = page.get_by_role("slider")
    slider.focus()
    for key in ("PageUp", "PageUp", "PageUp", "PageDown", "PageDown", "PageDown", "PageDown", "PageUp"):
        page.wait_for_timeout(300)
        cells = "[...document.querySelectorAll('svg.marks text')].map(x => x.textContent).join()"
        before = page.evaluate(cells)
        moved = f"{cells} !== {json.dumps(before)}"
        times["slider"].append(timed(page, partial(slider.press, key), moved))
    page.wait_for_timeout(300)
    box = page.locator("[data-testid=stVegaLiteChart]").first.bounding_box()
    assert box is not None, "a chart that is drawn has a place"
    at = (box["x"] + 0.4 * box["width"], box["y"] + 0.75 * box["height"])
    cards = "document.querySelectorAll('.card img, .card .row').length > 0"
    times["cell click"].append(timed(page, lambda: page.mouse.click(*at), cards))
    page.get_by_role("button", name="Export").first.click()
    start = time.perf_counter()
    with page.expect_download():
        page.get_by_role("button", name="PNG picture").click()
    times["export PNG"].append(time.perf_counter() - start)
    page.keyboard.press("Escape")
    table = "document.querySelectorAll('[data-testid=stDataFrame] canvas').length > 0"
    times["to Runs"].append(timed(page, page.get_by_role("link", name="Runs").click, table))
    page.context.close()


def measure(store: Path, repeats: int, chromium: str) -> dict[str, Any]:
    """Every time, several visitors one after the other, and the server's memory."""
    times: dict[str, list[float]] = {name: [] for name in TARGETS}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for _ in range(repeats):
            with served(store) as (address, _server):
                page, first, whole = opened(browser, address)
                times["first content, cold"].append(first)
                times["whole overview, cold"].append(whole)
                page.context.close()
        with served(store) as (address, server), writing(store):
            opened(browser, address)[0].context.close()
            for _ in range(repeats):
                session(browser, address, times)
            memory = resident(server)
        browser.close()
    return {"times": times, "server_mb": memory}


def summary(times: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Median and 95th percentile of each measurement beside its target."""
    rows = []
    for name, values in times.items():
        ordered = sorted(values)
        late = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
        rows.append(
            {
                "what": name,
                "n": len(values),
                "median_s": round(statistics.median(values), 3),
                "p95_s": round(late, 3),
                "target_s": TARGETS[name],
                "holds": late <= TARGETS[name],
            }
        )
    return rows


def main(argv: list[str] | None = None) -> int:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description="Measure the dashboard in Chromium.")
    parser.add_argument("--runs", type=int, default=1000, help="runs in the store (default: 1000)")
    parser.add_argument("--fruit", type=int, default=1000, help="labelled fruit (default: 1000)")
    parser.add_argument("--repeats", type=int, default=5, help="visitors, and cold starts (default: 5)")
    parser.add_argument("--store", type=Path, help="measure this sample store instead of building one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args(argv)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("error: no Chromium on the PATH; install chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        store = chosen.store or Path(folder) / "store.db"
        if not store.exists():
            print(f"building a store of {chosen.runs} runs ...", file=sys.stderr)
            build(store, Plan(fruit=chosen.fruit, runs=chosen.runs))
        found = measure(store, chosen.repeats, chromium)
    rows = summary(found["times"])
    load = os.getloadavg()[0]
    if chosen.json:
        print(
            json.dumps(
                {"runs": chosen.runs, "load": load, "server_mb": found["server_mb"], "rows": rows}, indent=2
            )
        )
        return 0
    print(f"{chosen.runs} runs, {chosen.fruit} fruit; load {load:.1f}; server {found['server_mb']:.0f} MB")
    print(f"{'':28}{'n':>4}{'median s':>10}{'p95 s':>8}{'target':>8}")
    for row in rows:
        mark = "" if row["holds"] else "  too slow"
        print(
            f"{row['what']:28}{row['n']:>4}{row['median_s']:>10.3f}{row['p95_s']:>8.3f}{row['target_s']:>8.1f}{mark}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
