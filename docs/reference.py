"""Write docs/reference.md from the code: ``python docs/reference.py`` (``make reference``).

Everything there is taken from parsers, registries, dataclasses and the schema, so nothing is said twice. A
test compares the file with what this makes.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

OUT = Path(__file__).with_name("reference.md")
HEAD = """# Reference

Made from the code by `make reference`; do not edit. What stages leave in the store is in
[stored-results.md](stored-results.md), terms are in [glossary.md](glossary.md).
"""

EXITS = """Results go to stdout, progress to stderr. Exit code 0 = done, 1 = some runs failed (or `doctor`
found problems), 2 = unusable input, said in one line, 130 = interrupted, everything finished so far kept.
"""


def main() -> None:
    """Write the file."""
    OUT.write_text(reference(), encoding="utf-8")


def reference() -> str:
    """The whole page."""
    parts = [HEAD, *commands(), *plans(), *settings(), *methods(), *augmentations(), *others(), *store()]
    return "\n".join(parts).rstrip() + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table with a blank line behind it."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _code(text: object) -> str:
    return f"`{text}`" if str(text) else ""


def commands() -> list[str]:
    """Every command with its options."""
    import backend.augment.__main__
    import backend.benchmark.__main__
    import backend.data.__main__
    import backend.store.__main__
    import backend.tune
    import dashboard.report

    modules = (
        backend.tune,
        backend.data.__main__,
        backend.store.__main__,
        backend.augment.__main__,
        backend.benchmark.__main__,
        dashboard.report,
    )
    parts = ["## Commands\n", EXITS]
    for module in modules:
        parts += _command(module.parser(), level=3)
    return parts


def _command(parser: argparse.ArgumentParser, level: int) -> list[str]:
    parts = [f"{'#' * level} {parser.prog}\n", f"{_sentence(parser.description or '')}\n"]
    subcommands = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for group in subcommands:
        helps = {choice.dest: choice.help or "" for choice in group._choices_actions}
        for name, sub in group.choices.items():
            sub.description = sub.description or helps.get(name, "")
            parts += _command(sub, level + 1)
    rows = [_option(action, parser) for action in parser._actions if action not in subcommands]
    rows = [row for row in rows if row[0] != "`-h`, `--help`"]
    return [*parts, table(("option", "does"), rows)] if rows else parts


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _option(action: argparse.Action, parser: argparse.ArgumentParser) -> tuple[str, str]:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices and not action.metavar:
        metavar = "{" + ",".join(map(str, action.choices)) + "}"
    value = "" if action.nargs == 0 else f" {metavar}"
    names = [f"{name}{value}" for name in action.option_strings] or [metavar]
    words = (action.help or "") % {**vars(action), "prog": parser.prog}
    return ", ".join(map(_code, names)), words


def plans() -> list[str]:
    """The plans that ship with the program."""
    from backend.training.plan import load_plan, plan_names

    rows = [(_code(name), load_plan(name).description) for name in plan_names()]
    return [
        "## Plans\n",
        "`--plan NAME`; the files are in `backend/plans`.\n",
        table(("plan", "makes"), rows),
    ]


def settings() -> list[str]:
    """Everything a plan file may say."""
    from backend.training.plan import STAGE_FIELDS, Plan

    text = "A plan is a TOML file. What is left out keeps its default; each stage is a table of its own.\n"
    stages: dict[str, object] = {
        field.name: field.default_factory for field in dataclasses.fields(Plan) if field.name in STAGE_FIELDS
    }
    parts = ["## Settings of a plan\n", text, _fields(Plan, leave_out=STAGE_FIELDS)]
    for name, stage in stages.items():
        assert isinstance(stage, type)
        summary = (inspect.getdoc(stage) or "").split("\n")[0]
        parts += [f"### [{name}]\n", f"{summary}\n", _fields(stage)]
    return parts


def _fields(cls: type[Any], leave_out: Sequence[str] = ()) -> str:
    meanings = attributes(cls)
    rows = [
        (_code(field.name), _code(_value(getattr(cls(), field.name))), meanings[field.name])
        for field in dataclasses.fields(cls)
        if field.name not in leave_out
    ]
    return table(("setting", "default", "meaning"), rows)


def attributes(cls: type[Any]) -> dict[str, str]:
    """Name to meaning from the ``Attributes:`` section of a docstring."""
    section = (inspect.getdoc(cls) or "").partition("Attributes:")[2]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.replace("``", "`").split()).rstrip(".") for name, text in found}


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def methods() -> list[str]:
    """Every method, family by family."""
    from backend.methods.registry import FAMILIES, list_methods

    parts = ["## Methods\n", "`--methods NAME,NAME`. Positives: the first is the default.\n"]
    for family in FAMILIES:
        rows = [
            (
                _code(info.name),
                info.description,
                info.paper,
                ", ".join(info.positives) if info.pretrains else "",
                info.labels,
                ", ".join(f"`{name} = {_value(value)}`" for name, value in info.defaults.items()),
            )
            for info in list_methods(family)
        ]
        header = ("name", "does", "source", "positives", "labels", "settings")
        parts += [f"### {family[0].upper()}{family[1:]}\n", table(header, rows)]
    return parts


def augmentations() -> list[str]:
    """Operations and policies."""
    from backend.augment.policies import list_policies
    from backend.augment.registry import list_operations

    operations = [
        (
            _code(info.name),
            info.kind,
            info.description,
            f"{info.probability:g}",
            "; ".join(f"`{m.name} = {m.default:g}` {m.description}" for m in info.magnitudes),
            info.source,
        )
        for info in list_operations()
    ]
    policies = [
        (
            _code(policy.name),
            policy.description,
            ", ".join(step.operation for step in policy.steps),
            policy.source,
        )
        for policy in list_policies()
    ]
    header = ("operation", "kind", "does", "probability", "magnitudes", "source")
    return [
        "## Augmentations\n",
        table(header, operations),
        "### Policies\n",
        table(("policy", "what", "operations", "source"), policies),
    ]


def others() -> list[str]:
    """Backbones, metrics, importers and benchmarks."""
    from backend.benchmark.registry import BENCHMARKS
    from backend.data.importers.registry import KINDS
    from backend.evaluation.metrics import DESCRIPTIONS
    from backend.models.backbones import list_backbones

    return [
        "## Backbones\n",
        table(("backbone", "what"), ((_code(info.name), info.description) for info in list_backbones())),
        "## Metrics\n",
        table(("metric", "meaning"), ((_code(name), text) for name, text in DESCRIPTIONS.items())),
        "## Importers\n",
        table(("kind", "source"), ((_code(name), text) for name, text in KINDS.items())),
        "## Benchmarks\n",
        table(
            ("name", "protocol", "goal"), ((_code(b.name), b.protocol, b.goal) for b in BENCHMARKS.values())
        ),
    ]


def store() -> list[str]:
    """The tables of the run store."""
    from backend.store.schema import SCHEMA_VERSION, TABLES

    lines = [inspect.cleandoc("\n" + statement).strip() + ";" for statement in TABLES.values()]
    lines = [re.sub(r"\n {8}\)", "\n)", line) for line in lines]
    text = f"SQLite, schema version {SCHEMA_VERSION}. Any tool can read it; only `backend.tune` writes.\n"
    return ["## The run store\n", text, "```sql", "\n".join(lines), "```\n"]


if __name__ == "__main__":
    main()
