"""The pages in the order of the navigation. A new page is one file in ``views/`` and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from dashboard import texts
from dashboard.ahead import importer
from dashboard.filters import Scope


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


import_ahead = importer([f"dashboard.views.{entry.name}" for entry in PAGES])
"""Import what the other pages need while the first one is read; once for each server."""
