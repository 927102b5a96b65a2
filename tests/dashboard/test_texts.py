"""Every word is in one file: nothing missing, nothing left over, and templates name what they are given."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from dashboard import texts

ROOT = Path(texts.__file__).parent
SOURCES = {path: path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py")}
WORDS = tomllib.loads((ROOT / "words" / "en.toml").read_text(encoding="utf-8"))
SPLITS = ("train", "val")
"""Parts of a training curve, named as the store names them."""
NAMED = {
    "overview": "OVERVIEW",
    "defects": "DEFECTS",
    "runs": "RUNS",
    "fruit": "FRUIT",
    "filters": "FILTERS",
    "changes": "CHANGES",
    "inputs": "INPUTS",
    "augmentations": "AUGMENTATIONS",
    "protocols": "PROTOCOLS",
    "gradcam": "GRADCAM",
    "space": "SPACE",
    "tuning": "TUNING",
    "data": "DATA",
    "compare": "COMPARE",
    "notes": "NOTES",
    "report": "REPORT",
    "agreement": "AGREEMENT",
}


def used(section: str) -> set[str]:
    """Keys of a section that the sources ask for."""
    constant = NAMED[section]
    found = set()
    for text in SOURCES.values():
        found |= set(re.findall(rf'texts\.{constant}\["(\w+)"\]', text))
        if re.search(rf"^WORDS = texts\.{constant}$", text, re.MULTILINE):
            found |= set(re.findall(r'WORDS\["(\w+)"\]', text))
    return found


@pytest.mark.parametrize("section", NAMED)
def test_every_word_that_is_asked_for_is_there(section: str) -> None:
    assert used(section) <= set(WORDS[section]), section
    assert used(section)


@pytest.mark.parametrize("section", NAMED)
def test_no_word_is_left_over(section: str) -> None:
    everything = "\n".join(SOURCES.values())
    for key, value in WORDS[section].items():
        # Some keys are built from the name of a thing and what is said of it.
        built = re.sub(r"_(note|words|axis|help|one|many)$", "", key)
        asked = re.search(rf"""['"]({key}|{built})['"]""", everything)
        assert isinstance(value, dict) or asked or key in SPLITS, key


def test_every_glossary_word_that_is_asked_for_is_there() -> None:
    for text in SOURCES.values():
        for key in re.findall(r'GLOSSARY\["([^"]+)"\]', text):
            assert key in WORDS["glossary"], key


def test_tooltips_are_one_line() -> None:
    for word, line in WORDS["glossary"].items():
        assert len(line) < 110 and line.endswith("."), word


def test_pages_have_a_title_and_a_help() -> None:
    from dashboard.pages import PAGES

    for entry in PAGES:
        assert entry.words["title"] and entry.words["help"].endswith(".")
        assert (ROOT / "views" / f"{entry.name}.py").is_file()


def test_no_page_holds_words_of_its_own() -> None:
    sentence = re.compile(
        r'st\.(?:markdown|caption|title|header|subheader|write|info|warning)\("[^"{]*[a-z]{3}'
    )
    for path, text in SOURCES.items():
        assert not sentence.search(text), path
