"""Which options of ``python -m backend.tune`` make a study what it is, as its row in the store tells. Pure.

A study's id is a function of plan, data, seed, sensors and budget, so the command that goes on with it has to
repeat each of them that was given.
"""

from __future__ import annotations

from typing import Any

Values = dict[str, Any]


def identity_options(content: Values) -> list[str]:
    """The options after ``python -m backend.tune``.

    Args:
        content: of ``study.plan``: ``words`` as they were given; where an older version or a script started
            the study, ``plan``, ``seed`` and ``budget``, from which plan, seed and budget are told. Anything
            may be missing.

    Returns:
        Words of the command line, unquoted.
    """
    words = content.get("words")
    if isinstance(words, list) and words:
        return [str(word) for word in words]
    name, seed = _table(content, "plan").get("name"), content.get("seed")
    seconds = _table(content, "budget").get("seconds")
    options: list[str] = []
    if isinstance(name, str) and name:
        options += ["--plan", name]
    if isinstance(seed, int) and seed:
        options += ["--seed", str(seed)]
    if isinstance(seconds, int | float) and seconds > 0:
        options += ["--budget", _spelled(seconds)]
    return options


def _table(values: Values, key: str) -> Values:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _spelled(seconds: float) -> str:
    """A budget as the command takes it: "8h", "90m" or "45s"."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.10g}s"
