"""What the documents say is there: links, files, commands, options, targets, methods; nothing has drifted."""

import argparse
import importlib.util
import pkgutil
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "runs" / "README.md"])
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
DOTTED = re.compile(r"`(backend(?:\.\w+)+)`")
COMMAND = re.compile(r"python -m ((?:backend|dashboard)(?:\.\w+)+)([^`\n#|]*)")


@cache
def generator():
    """docs/reference.py as a module."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {word.replace(" ", "-") for word in words}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_anchors_lead_somewhere(page):
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        assert ROOT in (file, *file.parents), f"{page.name}: {target} leaves the project"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page):
    named = r"`((?:backend|dashboard|tests|benchmarks|docs|\.ci)/[\w./-]+)`"
    for path in re.findall(named, FENCE.sub("", page.read_text(encoding="utf-8"))):
        assert (ROOT / path).exists(), f"{page.name}: {path}"


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def test_names_in_the_words_of_code_and_documents_exist():
    sources = [
        file for folder in ("backend", "tests", "benchmarks") for file in ROOT.glob(f"{folder}/**/*.py")
    ]
    texts = {file: file.read_text(encoding="utf-8") for file in (*PAGES, *sources)}
    named = {name: file for file, text in texts.items() for name in DOTTED.findall(text)}
    assert len(named) > 20
    missing = [f"{file.relative_to(ROOT)}: {name}" for name, file in named.items() if not is_there(name)]
    assert missing == []


def test_the_reference_is_what_the_code_says():
    # in a process of its own: tests beside this one register backbones and methods too
    code = "import runpy; print(runpy.run_path('docs/reference.py')['reference'](), end='')"
    made = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    expected = made.stdout
    found = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert found == expected, "docs/reference.md has drifted: run make reference"


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Every option of a command and its subcommands."""
    found: set[str] = set()
    for action in parser._actions:
        found |= set(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                found |= options_of(sub)
    return found


def parser_of(module: str) -> argparse.ArgumentParser:
    """The parser behind ``python -m module``."""
    package = importlib.util.find_spec(module).submodule_search_locations is not None
    return importlib.import_module(f"{module}.__main__" if package else module).parser()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "reference.md"], ids=lambda page: page.name
)
def test_commands_have_the_options_that_are_shown(page):
    for module, rest in COMMAND.findall(page.read_text(encoding="utf-8")):
        known = options_of(parser_of(module))
        for option in re.findall(r"(?<!\S)\[?(--[\w-]+)", rest):
            assert option in known, f"{page.name}: python -m {module}{rest}"


def test_make_targets_that_are_named_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)
        assert set(named) <= targets or page.name == "roadmap.md", page.name


def test_every_method_is_explained_with_its_loss():
    from backend.methods.registry import list_methods

    text = (ROOT / "docs" / "explanation.md").read_text(encoding="utf-8")
    missing = [info.name for info in list_methods() if info.pretrains and f"`{info.name}`" not in text]
    assert missing == []


def test_the_reference_reads_meanings_of_every_setting():
    from backend.training.plan import Plan

    meanings = generator().attributes(Plan)
    assert meanings["folds"] == "outer folds K"
    assert set(meanings) == set(Plan.__dataclass_fields__)


def test_hooks_use_the_pinned_tools():
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.search(r"ruff-pre-commit\n\s+rev: v(\S+)", text)[1] == pins["ruff"]


def test_version_and_licence_agree_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = (ROOT / "CITATION.cff").read_text()
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^version: (\S+)$", citation, re.MULTILINE)[1] == project["version"]
    assert re.search(r"^license: (\S+)$", citation, re.MULTILINE)[1] == project["license"]
    assert re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == project["version"]
    assert project["license"] in (ROOT / "LICENSE").read_text()
