"""Lineage: which code, packages and machine made a number. Imports none of the packages it names."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch",
    "torchvision",
    "lightly",
    "lightning",
    "optuna",
    "pytorch-metric-learning",
    "torchmetrics",
    "scikit-learn",
    "scipy",
    "numpy",
    "pandas",
    "pillow",
    "safetensors",
    "sqlite-utils",
)
"""Packages whose version can change a result."""


@functools.cache
def git_commit() -> str | None:
    """The commit of this program, ``-dirty`` where tracked files differ; None outside a checkout."""
    git = shutil.which("git")
    root = Path(__file__).resolve().parents[2]
    if git is None or not (root / ".git").exists():
        return None
    commit = _git(git, root, "rev-parse", "HEAD")
    changed = _git(git, root, "status", "--porcelain", "--untracked-files=no")
    if not commit:
        return None
    return commit + ("-dirty" if changed else "")


def _git(git: str, root: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - a fixed command found on the PATH, no shell
        [git, "-C", str(root), *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""


@functools.cache
def package_versions() -> dict[str, str]:
    """Name to version of every installed package of ``PACKAGES``."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def environment(device: str = "cpu", threads: int = 1) -> dict[str, Any]:
    """What the ``environment`` column of a run holds.

    Args:
        device: what the run computes on, e.g. ``"cpu"`` or ``"cuda:0"``.
        threads: CPU threads of a worker.
    """
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "packages": package_versions(),
        "device": device,
        "threads": threads,
    }
