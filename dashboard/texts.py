"""Every word on the screen and in exported figures, read from one file: ``words/en.toml``.

Another language is another file beside it. Sentences are templates for ``str.format``; values from the
store are escaped by whoever draws them. The glossary explains each technical word in one line, as a tooltip.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

LANGUAGE = "en"

_WORDS: dict[str, Any] = tomllib.loads(
    (Path(__file__).parent / "words" / f"{LANGUAGE}.toml").read_text(encoding="utf-8")
)

Words = dict[str, str]


def words(section: str) -> Words:
    """The texts of one section, such as those of a page."""
    return dict(_WORDS[section])


APP: str = _WORDS["app"]
SYNTHETIC: str = _WORDS["synthetic"]
NOT_COMPARABLE: str = _WORDS["not_comparable"]
DIRECTIONS: list[str] = _WORDS["directions"]
METHODS: Words = _WORDS["methods"]
KINDS: Words = _WORDS["kinds"]
PURPOSES: Words = _WORDS["purposes"]
STATES: Words = _WORDS["states"]
FAMILIES: Words = _WORDS["families"]
METRICS: Words = _WORDS["metrics"]
GLOSSARY: Words = _WORDS["glossary"]
FILTERS: Words = _WORDS["filters"]
LOGIN: Words = _WORDS["login"]
OVERVIEW: Words = _WORDS["overview"]
DEFECTS: Words = _WORDS["defects"]
CHANGES: Words = _WORDS["changes"]
INPUTS: Words = _WORDS["inputs"]
AUGMENTATIONS: Words = _WORDS["augmentations"]
PROTOCOLS: Words = _WORDS["protocols"]
RUNS: Words = _WORDS["runs"]
EXPORT: Words = _WORDS["export"]
CAVEATS: Words = _WORDS["caveats"]
INCOMPARABLE: Words = _WORDS["incomparable"]
STATES_OF_STORE: Words = _WORDS["states_of_store"]
COMMANDS: Words = _WORDS["commands"]
AGREEMENT: Words = _WORDS["agreement"]
SENTENCES: Words = _WORDS["sentences"]
VERDICTS: Words = _WORDS["verdicts"]
VERDICT_HELP: Words = _WORDS["verdict_help"]
FRUIT: Words = _WORDS["fruit"]
OUTCOMES: Words = _WORDS["defects"]["outcomes"]
COLUMNS: Words = _WORDS["runs"]["columns"]
GRADCAM: Words = _WORDS["gradcam"]
SPACE: Words = _WORDS["space"]
TUNING: Words = _WORDS["tuning"]
DATA: Words = _WORDS["data"]
COMPARE: Words = _WORDS["compare"]
NOTES: Words = _WORDS["notes"]
REPORT: Words = _WORDS["report"]
