"""Which options of ``python -m backend.tune`` make a study what it is, read back from its stored plan. Pure.

A study's id is a function of plan, data, seed, sensors and budget, so the command that goes on with it has to
repeat each of them that was given.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

Values = dict[str, Any]


def identity_options(content: Values) -> list[str]:
    """The options after ``python -m backend.tune``.

    Args:
        content: of ``study.plan``: ``words`` as they were typed. Where an older version or a script started
            the study they follow from ``plan``, ``seed``, and with a budget ``asked`` (the plan before it was
            scaled) and ``budget``; a plan in a file of one's own is then told by its name. Anything may be
            missing.

    Returns:
        Words of the command line, unquoted.
    """
    words = content.get("words")
    if isinstance(words, list) and words:
        return [str(word) for word in words]
    plan = _table(content, "asked") or _table(content, "plan")
    name = plan.get("name")
    options: list[str] = []
    if isinstance(name, str) and name:
        options += ["--plan", name, *_narrowed(plan, _shipped(name))]
    seed = content.get("seed")
    if isinstance(seed, int) and seed:
        options += ["--seed", str(seed)]
    seconds = _table(content, "budget").get("seconds")
    if isinstance(seconds, int | float) and seconds > 0:
        options += ["--budget", _spelled(seconds)]
    return options


def _narrowed(plan: Values, shipped: Values) -> list[str]:
    """The narrowing options that were given: where the plan is not what ships under its name."""
    options: list[str] = []
    sensors = plan.get("modalities") or []
    if sensors != shipped.get("modalities", []):
        options += ["--modalities", ",".join(sensors)]
    methods = _table(plan, "pretraining").get("methods") or []
    if methods != _table(shipped, "pretraining").get("methods", methods):
        options += ["--methods", ",".join(methods)]
    trials = _table(plan, "baseline").get("trials")
    if trials != _table(shipped, "baseline").get("trials", trials):
        options += ["--trials", str(trials)]
    return options


def _shipped(name: str) -> Values:
    """The plan of that name that ships with the program; empty where it is somebody's own."""
    file = resources.files("backend.plans") / f"{name}.toml"
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _table(values: Values, key: str) -> Values:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _spelled(seconds: float) -> str:
    """A budget as the command takes it: "8h", "90m" or "45s"."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.10g}s"
