"""``dataset.toml``: what the data set is called, what its labels mean and what mistakes cost."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.data.dataset import EXTERNAL, INTERNAL, MULTICLASS, MULTILABEL, OTHER, Defect
from backend.data.problem import SPEC_FILE, Problems, shown

TASKS = (MULTILABEL, MULTICLASS)
KINDS = (INTERNAL, EXTERNAL, OTHER)
DEFAULT_HEALTHY = "a-quality"
LONGEST_NAME = 128
HIGHEST_COST = 1e9

_TEXTS = ("name", "task", "healthy", "description", "licence", "source")
_KEYS = (*_TEXTS, "synthetic", "defect")
_DEFECT_KEYS = ("name", "kind", "cost_miss", "cost_false_alarm")


@dataclass(frozen=True)
class Spec:
    """The content of ``dataset.toml``.

    Attributes:
        name: of the data set.
        task: ``multilabel`` or ``multiclass``.
        healthy: the class without defects; "" = a multiclass data set that has none.
        synthetic: whether the fruit are drawn by a program.
        description: for people.
        licence: of the images.
        source: where they come from.
        defects: defects, or in a multiclass data set every class, the healthy one included.
        content: the parsed file, for the fingerprint.
    """

    name: str
    task: str
    healthy: str = DEFAULT_HEALTHY
    synthetic: bool = False
    description: str = ""
    licence: str = ""
    source: str = ""
    defects: tuple[Defect, ...] = ()
    content: dict[str, Any] = field(default_factory=dict)


def is_name(text: str) -> bool:
    """Whether ``text`` can name a defect, group or reading: 1 to 128 printable characters."""
    return 0 < len(text) <= LONGEST_NAME and text.isprintable() and text == text.strip()


def read_text(path: Path, problems: Problems) -> str | None:
    """The text of a small UTF-8 file, with or without a byte order mark; None after noting why not."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        problems.error(path.name, f"missing; expected {path.name} in the folder {path.parent}")
    except OSError as error:
        problems.error(path.name, f"cannot be read ({error.strerror}); check the file and its permissions")
    else:
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            problems.error(
                path.name,
                f"byte 0x{raw[error.start]:02X} is not UTF-8; save the file as UTF-8 (in Excel: CSV UTF-8)",
                row=raw.count(b"\n", 0, error.start) + 1,
            )
    return None


def read_spec(root: Path, problems: Problems) -> Spec | None:
    """Read ``dataset.toml`` of the folder ``root``.

    Args:
        root: the data set folder.
        problems: takes everything that is wrong with the file.

    Returns:
        What could be read, or None where the file is missing or no TOML.
    """
    text = read_text(root / SPEC_FILE, problems)
    if text is None:
        return None
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        problems.error(SPEC_FILE, f"not TOML ({error or 'nested too deeply'}); correct the syntax")
        return None
    for key in content:
        if key not in _KEYS:
            problems.warning(SPEC_FILE, f"unknown key, ignored; known: {', '.join(_KEYS)}", column=key)
    texts = {key: _text(content, key, problems) for key in _TEXTS}
    task = texts["task"]
    if task not in TASKS:
        problems.error(
            SPEC_FILE, f"found {shown(content.get('task'))}; expected {_quoted(TASKS)}", column="task"
        )
        task = MULTILABEL
    if not texts["name"]:
        problems.error(SPEC_FILE, "no name; give the data set one", column="name")
    if not isinstance(content.get("synthetic", False), bool):
        problems.error(
            SPEC_FILE, f"found {shown(content['synthetic'])}; expected true or false", column="synthetic"
        )
    healthy = texts["healthy"] or (DEFAULT_HEALTHY if task == MULTILABEL else "")
    return Spec(
        name=texts["name"],
        task=task,
        healthy=healthy,
        synthetic=content.get("synthetic") is True,
        description=texts["description"],
        licence=texts["licence"],
        source=texts["source"],
        defects=_with_healthy(_defects(content.get("defect", []), problems), task, healthy, problems),
        content=content,
    )


def _quoted(words: tuple[str, ...]) -> str:
    return ", ".join(f'"{word}"' for word in words[:-1]) + f' or "{words[-1]}"'


def _text(content: dict[str, Any], key: str, problems: Problems) -> str:
    value = content.get(key, "")
    if isinstance(value, str):
        return value
    problems.error(SPEC_FILE, f"found {shown(value)}; expected text in quotes", column=key)
    return ""


def _with_healthy(
    defects: tuple[Defect, ...], task: str, healthy: str, problems: Problems
) -> tuple[Defect, ...]:
    """In a multiclass data set healthy is a class like the others; in a multilabel one it is none."""
    named = healthy in [defect.name for defect in defects]
    if task == MULTILABEL and named:
        message = f"the healthy class {healthy!r} is no defect; remove its [[defect]] table"
        problems.error(SPEC_FILE, message, column="defect")
    if task == MULTICLASS and healthy and not named:
        return (Defect(healthy), *defects)
    return defects


def _defects(tables: Any, problems: Problems) -> tuple[Defect, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problems.error(SPEC_FILE, "expected one [[defect]] table per defect or class", column="defect")
        return ()
    defects: dict[str, Defect] = {}
    for number, table in enumerate(tables, start=1):
        defect = _defect(table, f"[[defect]] {number}", problems)
        if defect.name in defects:
            problems.error(SPEC_FILE, f"{defect.name!r} twice; keep one", column=f"[[defect]] {number}")
        defects.setdefault(defect.name, defect)
    return tuple(defects.values())


def _defect(table: dict[str, Any], where: str, problems: Problems) -> Defect:
    for key in table:
        if key not in _DEFECT_KEYS:
            problems.error(
                SPEC_FILE, f"unknown key {shown(key)}; expected {', '.join(_DEFECT_KEYS)}", column=where
            )
    name = _text(table, "name", problems)
    if not is_name(name):
        message = f"name {shown(name)}; expected 1 to {LONGEST_NAME} printable characters"
        problems.error(SPEC_FILE, message, column=where)
    kind = table.get("kind", OTHER)
    if kind not in KINDS:
        problems.error(SPEC_FILE, f"kind {shown(kind)}; expected {_quoted(KINDS)}", column=where)
        kind = OTHER
    return Defect(
        name,
        kind,
        _cost(table, "cost_miss", where, problems),
        _cost(table, "cost_false_alarm", where, problems),
    )


def _cost(table: dict[str, Any], key: str, where: str, problems: Problems) -> float:
    value = table.get(key, 1.0)
    if not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= HIGHEST_COST:
        return float(value)
    message = f"{key} {shown(value)}; expected money per fruit, 0 to {HIGHEST_COST:g}"
    problems.error(SPEC_FILE, message, column=where)
    return 1.0
