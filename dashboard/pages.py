"""The pages in the order of the navigation. A new page is one file in ``views/`` and one line here."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from threading import Timer
from typing import cast

from dashboard import texts
from dashboard.filters import Scope

FIRST = ("dashboard.views.overview", "dashboard.evidence.data", "dashboard.evidence.tuning")
"""The opening page, and what its figures need, Altair above all."""
LATER = ("sklearn.ensemble", "sklearn.inspection")
"""The search for what mattered in tuning needs scikit-learn: a second that no page should wait for."""
PAUSE = 2.0
"""Seconds that the first reader gets alone before other pages are imported."""


@dataclass(frozen=True)
class Entry:
    """One page.

    Attributes:
        name: of the module in ``dashboard.views`` and of the page's address.
        words: its texts, with ``title`` and ``help``.
        icon: a Material symbol.
    """

    name: str
    words: texts.Words
    icon: str

    def show(self, scope: Scope) -> None:
        """Draw the page; its module is imported now, so that no page pays for another."""
        view = import_module(f"dashboard.views.{self.name}")
        cast("Callable[[Scope], None]", view.show)(scope)


PAGES = (
    Entry("overview", texts.OVERVIEW, "monitoring"),
    Entry("defects", texts.DEFECTS, "grid_view"),
    Entry("changes", texts.CHANGES, "swap_horiz"),
    Entry("inputs", texts.INPUTS, "sensors"),
    Entry("augmentations", texts.AUGMENTATIONS, "auto_fix_high"),
    Entry("methods", texts.PROTOCOLS, "science"),
    Entry("gradcam", texts.GRADCAM, "local_fire_department"),
    Entry("space", texts.SPACE, "scatter_plot"),
    Entry("tuning", texts.TUNING, "tune"),
    Entry("data", texts.DATA, "fact_check"),
    Entry("runs", texts.RUNS, "list_alt"),
    Entry("report", texts.REPORT, "summarize"),
)


def import_first() -> None:
    """Import what the opening page needs."""
    _import(FIRST)


@cache
def import_ahead() -> None:
    """Import what the other pages need while the first one is read; once for each server."""
    timer = Timer(PAUSE, _import_all)
    timer.daemon = True
    timer.start()


def _import_all() -> None:
    _import((*LATER, *(f"dashboard.views.{entry.name}" for entry in PAGES)))
    # What is imported stays; looking through it for garbage at every collection costs a tenth of a second.
    gc.collect()
    gc.freeze()


def _import(names: tuple[str, ...]) -> None:
    for name in names:
        import_module(name)
