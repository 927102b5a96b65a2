"""Whether a peer can be measured: it may live in an environment of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from backend.errors import ConfigError


def require_mlflow(python: Path) -> None:
    """Check that an interpreter starts and has MLflow.

    Raises:
        ConfigError: there is none at this path, or it has no MLflow; with its own words.
    """
    try:
        done = subprocess.run([python, "-c", "import mlflow"], capture_output=True, text=True, check=False)
        fault = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except OSError as error:
        fault = [str(error.strerror)]
    if fault:
        raise ConfigError(
            fault[0],
            where=f"--mlflow {python}",
            expected="an interpreter that has MLflow",
            action="make an environment with `pip install mlflow` and pass its python",
        )
