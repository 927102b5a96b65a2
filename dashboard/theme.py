"""One look for screen and export: colours, type and the Vega-Lite configuration that carries them.

Hues follow Okabe and Ito: internal defects run from dark red-brown to amber, external ones through blues,
healthy is a quiet green, and steps within a family differ in lightness, so they hold for colour-blind eyes
and in grey print. ``tests/dashboard/test_theme.py`` simulates both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FONT = "'Source Sans', 'Source Sans 3', 'Liberation Sans', Arial, sans-serif"
PAPER_FONT = "Arial, 'Liberation Sans', sans-serif"
"""For files: their renderer has to measure words itself, which it can only do in a font that it has."""
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
        (INTERNAL, ("#962100", "#CF8200", "#6D0D00", "#C86200", "#B24100")),
        (EXTERNAL, ("#0167A5", "#0B9ED0", "#002F67", "#0187BF", "#004B84")),
        (OTHER, ("#852E7F", "#CF73C5", "#6B0F66", "#B75DAF", "#9E4696")),
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


def channels(colour: str) -> tuple[float, float, float]:
    """Red, green and blue of ``#RRGGBB``, 0 to 1."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def contrast(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    """Contrast ratio of two colours after WCAG 2.2, 1 to 21."""

    def luminance(colour: tuple[float, float, float]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


BLACK, WHITE = "#000000", "#FFFFFF"


def inks(look: Look) -> tuple[str, str]:
    """The colours of words on a pale and on a full cell. Only pure ones read on every step in between."""
    return (WHITE, BLACK) if look.mode == "dark" else (BLACK, WHITE)


def turning_point(colour: str, look: Look) -> float:
    """From which share of ``colour`` mixed into the background the second ink reads better than the first.

    Returns:
        0 to 1, or above 1 where the first ink always reads better.
    """
    ground, end = channels(look.background), channels(colour)
    pale, full = (channels(ink) for ink in inks(look))
    for percent in range(101):
        share = percent / 100
        mixed = tuple(a + share * (b - a) for a, b in zip(ground, end, strict=True))
        fill = (mixed[0], mixed[1], mixed[2])
        if contrast(full, fill) > contrast(pale, fill):
            return share
    return 1.01


HEALTHY = "healthy"


@dataclass(frozen=True)
class Tint:
    """The colour of one defect, whatever the look: its family and its place in it."""

    kind: str
    place: int = 0

    def colour(self, look: Look) -> str:
        """The colour itself."""
        if self.kind == HEALTHY:
            return look.healthy
        family = look.family(self.kind)
        return family[self.place % len(family)]


def tints(kinds: dict[str, str], healthy: str) -> dict[str, Tint]:
    """The colour of each defect, the same on every page and in every file.

    Args:
        kinds: defect to kind, in the fixed order (internal first, then by frequency).
        healthy: the class without defects, which is green.
    """
    used = dict.fromkeys(KINDS, 0)
    found = {}
    for name, kind in kinds.items():
        family = kind if kind in used else OTHER
        if name == healthy:
            found[name] = Tint(HEALTHY)
            continue
        found[name] = Tint(family, used[family])
        used[family] += 1
    return found


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
