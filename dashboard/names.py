"""What methods and defects are called where people read."""

from __future__ import annotations

from dashboard import texts


def method_words(method: str) -> str:
    """A method as people write it."""
    return texts.METHODS.get(method, method.replace("_", " "))


def subject(method: str) -> str:
    """What a sentence about a run begins with: "the baseline", "Barlow Twins"."""
    return texts.SENTENCES["the_baseline"] if method == "supervised" else method_words(method)


def defect_words(name: str) -> str:
    """A defect as people write it: ``stem-end-rot`` becomes "stem end rot"."""
    return name.replace("_", " ").replace("-", " ")
