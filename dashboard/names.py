"""What methods and defects are called where people read."""

from __future__ import annotations

from dashboard import texts

WEIGHTS = ("random_init", "imagenet")
"""What is no method but a start: a sentence speaks of the network."""


def method_words(method: str) -> str:
    """A method as people write it."""
    return texts.METHODS.get(method, method.replace("_", " "))


def subject(method: str) -> str:
    """What a sentence about a run begins with: "the baseline", "Barlow Twins"."""
    if method in WEIGHTS:
        return texts.SENTENCES["network_with"].format(weights=method_words(method))
    return texts.SENTENCES["the_baseline"] if method == "supervised" else method_words(method)


def defect_words(name: str) -> str:
    """A defect as people write it: ``stem-end-rot`` becomes "stem end rot"."""
    return name.replace("_", " ").replace("-", " ")
