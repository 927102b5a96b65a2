"""The real ``streamlit run dashboard/app.py`` for browser tests, benchmarks and screenshots."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 60.0
"""Seconds that a start may take on a busy machine."""
BARE = "benchmarks/sample_bare.py"
"""The least that Streamlit can serve."""
VIEWS = ("overview", "defects", "changes", "inputs", "augmentations", "methods", "gradcam", "space", "tuning",
         "data", "runs", "report")  # fmt: skip
"""Every page by its address; the first one also has the empty address."""


def chromium() -> str | None:
    """Where Chromium is: AVOCADO_CHROMIUM, else on the PATH; None where there is none."""
    for name in (os.environ.get("AVOCADO_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name) if name else None
        if found:
            return found
    return None


@contextmanager
def served(store: Path, app: str = "dashboard/app.py") -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The dashboard on a free port of this machine, ended afterwards.

    Args:
        store: the run store.
        app: what Streamlit is to serve.

    Yields:
        Its address and its process.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", app, "--server.headless", "true"]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1", "--", "--store", str(store)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{address}/_stcore/health", server)
        yield address, server
    finally:
        server.kill()  # it only reads, and a graceful end takes seconds
        server.wait(20)


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):  # noqa: S310 - our own server
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the dashboard did not answer at {address}: run `streamlit run dashboard/app.py`")
