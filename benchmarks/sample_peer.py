"""MLflow's own page on 1,000 of the same runs, for comparison; it runs in an environment of its own."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from playwright.sync_api import Browser
from sample_visits import WIDE, timed

FILL = """
import sys, mlflow
from mlflow.entities import Metric, Param
client = mlflow.MlflowClient(sys.argv[1])
experiment = client.create_experiment("overnight")
for i in range(int(sys.argv[2])):
    run = client.create_run(experiment, run_name=f"run-{i:04d}")
    score = 0.4 + 0.3 * ((i * 37) % 100) / 100
    metrics = [Metric(name, score, 0, 0) for name in ("mcc", "recall", "accuracy")]
    params = [Param("method", "moco" if i % 2 else "simclr"), Param("dropout", str((i % 90) / 100))]
    client.log_batch(run.info.run_id, metrics, params)
    client.set_terminated(run.info.run_id)
print(experiment)
"""
SHOWN = "(document.body?.innerText ?? '').includes({text})"
SEARCH = "input[data-test-id='search-box'], [data-testid='search-box'], input[placeholder*='metrics.rmse']"


@contextmanager
def served(python: Path, folder: Path, runs: int) -> Iterator[tuple[str, str]]:
    """MLflow's server on a free port with so many runs.

    Args:
        python: an interpreter that has MLflow.
        folder: where its database goes.
        runs: how many.

    Yields:
        Its address and the id of the experiment.
    """
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    filled = subprocess.run([python, "-c", FILL, uri, str(runs)], capture_output=True, text=True, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(python), "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", "127.0.0.1"]
    server = subprocess.Popen(
        [*command, "--port", str(port), "--workers", "1"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(900):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=2)  # noqa: S310 - our own server
                break
            except OSError:
                time.sleep(0.1)
        yield address, filled.stdout.strip().splitlines()[-1]
    finally:
        server.terminate()
        server.wait(20)


def measure(browser: Browser, python: Path, folder: Path, runs: int, repeats: int) -> dict[str, list[float]]:
    """Seconds until the newest run is listed, and from a search to its result."""
    times: dict[str, list[float]] = {"first content": [], "search": []}
    newest = SHOWN.format(text=f"'run-{runs - 1:04d}'")
    with served(python, folder, runs) as (address, experiment):
        for _ in range(repeats + 1):  # the first one warms up, as ours is warm for a new session
            page = browser.new_context(viewport=WIDE).new_page()  # type: ignore[arg-type]
            url = f"{address}/#/experiments/{experiment}/runs"
            visit = partial(page.goto, url, wait_until="commit")
            times["first content"].append(timed(page, visit, newest))
            box = page.locator(SEARCH).first
            for wanted in ("run-0123", "run-0456"):
                box.fill(f"attributes.run_name = '{wanted}'")
                found = f"{SHOWN.format(text=repr(wanted))} && !{newest}"
                times["search"].append(timed(page, partial(box.press, "Enter"), found))
            page.context.close()
    return {name: values[len(values) // (repeats + 1) :] for name, values in times.items()}
