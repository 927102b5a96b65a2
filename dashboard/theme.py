"""One look for screen and export: colours, type and the Vega-Lite configuration that carries them.

Hues follow Okabe and Ito: internal defects run from dark red-brown to amber, external ones through blues,
healthy is a quiet green, and steps within a family differ in lightness, so they hold for colour-blind eyes
and in grey print. ``tests/dashboard/test_theme.py`` simulates both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FONT = "'Source Sans', 'Source Sans 3', 'Liberation Sans', Arial, sans-serif"
INTERNAL, EXTERNAL, OTHER = "internal", "external", "other"
KINDS = (INTERNAL, EXTERNAL, OTHER)


@dataclass(frozen=True)
class Look:
    """Every colour of one mode.

    Attributes:
        accent: the thing that is argued for (the best pretraining).
        reference: what it is measured against (the baseline).
        healthy: fruit without defects.
        neutral: the fill of cells that must not draw the eye.
        fewer: the lower end of a diverging scale; ``accent`` is the upper one.
        families: kind of defect to its steps, the most frequent defect first.
    """

    mode: str
    background: str
    text: str
    muted: str
    grid: str
    accent: str
    reference: str
    healthy: str
    neutral: str
    fewer: str
    families: tuple[tuple[str, tuple[str, ...]], ...]

    def family(self, kind: str) -> tuple[str, ...]:
        """The colours of one kind of defect."""
        families = dict(self.families)
        return families.get(kind, families[OTHER])

    def on(self, share: float) -> str:
        """A text colour for a cell whose fill is ``share`` of the way from the background to a colour."""
        return self.background if share > 0.5 else self.text


LIGHT = Look(
    mode="light",
    background="#FFFFFF",
    text="#1D2429",
    muted="#59636B",
    grid="#E3E7EA",
    accent="#6B3FA0",
    reference="#8A929C",
    healthy="#5B8C6E",
    neutral="#F0F3F1",
    fewer="#9A4A00",
    families=(
        (INTERNAL, ("#962100", "#D38400", "#6D0D00", "#C86200", "#B24100")),
        (EXTERNAL, ("#0167A5", "#11A1D4", "#002F67", "#0187BF", "#004B84")),
        (OTHER, ("#883182", "#D478CA", "#6B0F66", "#C065B7", "#A44B9C")),
    ),
)

DARK = Look(
    mode="dark",
    background="#10161A",
    text="#EEF2F4",
    muted="#A7B1B9",
    grid="#2B343B",
    accent="#C8AEFA",
    reference="#838D98",
    healthy="#8FBFA3",
    neutral="#1B2429",
    fewer="#F0A45B",
    families=(
        (INTERNAL, ("#F7B944", "#CE5828", "#FFD978", "#DC7A2A", "#EB9934")),
        (EXTERNAL, ("#6DD2FE", "#247CCF", "#B4EBFF", "#0A98E2", "#00B7FC")),
        (OTHER, ("#F8A1ED", "#AD5CA5", "#FFC5F7", "#C471BB", "#DD89D4")),
    ),
)

LOOKS = {look.mode: look for look in (LIGHT, DARK)}


def defect_colours(kinds: dict[str, str], healthy: str, look: Look) -> dict[str, str]:
    """The colour of each defect, the same on every page.

    Args:
        kinds: defect to kind, in the fixed order (internal first, then by frequency).
        healthy: the class without defects, which is green.
        look: light or dark.
    """
    used = dict.fromkeys(KINDS, 0)
    colours = {}
    for name, kind in kinds.items():
        if name == healthy:
            colours[name] = look.healthy
            continue
        family = look.family(kind)
        place = used.get(kind, 0)
        colours[name] = family[place % len(family)]
        used[kind] = place + 1
    return colours


def config(look: Look) -> dict[str, Any]:
    """The Vega-Lite ``config`` of every chart, on screen and in files. Sizes are pixels."""
    axis = {
        "labelColor": look.text,
        "titleColor": look.muted,
        "labelFontSize": 14,
        "titleFontSize": 14,
        "titleFontWeight": "normal",
        "titlePadding": 10,
        "labelPadding": 6,
        "labelLimit": 220,
        "domainColor": look.grid,
        "gridColor": look.grid,
        "tickColor": look.grid,
        "ticks": False,
        "domain": False,
    }
    return {
        "background": look.background,
        "font": FONT,
        "padding": 4,
        "view": {"stroke": None},
        "axis": axis,
        "axisY": {"titleAnchor": "middle"},
        "title": {
            "anchor": "start",
            "color": look.text,
            "fontSize": 18,
            "fontWeight": 600,
            "subtitleColor": look.muted,
            "subtitleFontSize": 14,
            "subtitlePadding": 6,
            "offset": 14,
            "frame": "group",
        },
        "text": {"color": look.text, "fontSize": 14},
        "header": {"labelColor": look.text, "labelFontSize": 14, "title": None},
        "legend": {
            "labelColor": look.text,
            "titleColor": look.muted,
            "labelFontSize": 14,
            "titleFontSize": 14,
        },
        "rule": {"color": look.muted},
        "line": {"strokeWidth": 2.5, "strokeCap": "round"},
        "point": {"filled": True, "size": 90},
        "concat": {"spacing": 28},
        "facet": {"spacing": 28},
    }
