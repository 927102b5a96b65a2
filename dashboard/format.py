"""Numbers, times and names as people read them: two significant digits, real minus signs, thousands apart."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"

_ADDRESS = re.compile(r"\b(https?(?=://)|www(?=\.))|@", re.IGNORECASE)
"""What makes Markdown turn an address into a link; an invisible joiner behind it keeps it text."""
_MARKDOWN = frozenset("\\`*_{}[]()<>#+-.!|~$:&^=\"'")


def plain(text: object) -> str:
    """Text from the store for a Markdown element, so that it shows as it is and never as markup."""
    words = re.sub(r"[ \t\r\n]+", " ", str(text)).strip()
    words = _ADDRESS.sub("\\g<0>\N{WORD JOINER}", words)
    return "".join(f"\\{char}" if char in _MARKDOWN else char for char in words)


def missing(value: Any) -> bool:
    """Whether a value from the store is NULL: None or not a number."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def number(value: float | None, digits: int = 2, finest: int = 3) -> str:
    """A metric at ``digits`` significant digits; a dash where it is undefined.

    A value below 1 never reads as 1: 0.998 stays 0.998.

    Args:
        value: the metric.
        digits: significant ones.
        finest: decimals at most: a metric of 0.0026 is 0.003, more would be noise.
    """
    if value is None or missing(value):
        return DASH
    size = abs(value)
    if size == 0:
        return "0"
    places = min(finest, max(0, digits - 1 - math.floor(math.log10(size))))
    while size < 1 and round(size, places) >= 1 and places < 6:
        places += 1
    if places == 6 and round(size, places) >= 1:  # 1 but for the last bits of a float
        places = max(0, digits - 1)
    text = f"{size:,.{places}f}"
    return f"{MINUS}{text}" if value < 0 and round(size, places) else text


def signed(value: float | None, digits: int = 2) -> str:
    """A difference with its sign, plus as well as minus."""
    text = number(value, digits)
    above = value is not None and not missing(value) and value > 0 and text.strip("0.")
    return f"+{text}" if above else text


def count(value: float | None) -> str:
    """A whole number with thousands apart."""
    if value is None or missing(value):
        return DASH
    whole = round(value)
    return f"{MINUS}{-whole:,}" if whole < 0 else f"{whole:,}"


def signed_count(value: float | None) -> str:
    """A whole difference with its sign."""
    text = count(value)
    return f"+{text}" if value is not None and not missing(value) and round(value) > 0 else text


def per_hundred(share: float | None) -> str:
    """A share of 1 as "of 100": a whole number, except that a rare event never rounds to none or to all."""
    if share is None or missing(share):
        return DASH
    hundred = 100 * share
    size = abs(hundred)
    if 0 < size < 1:
        text = f"{size:.1g}"
    elif 99 < size < 100:
        text = f"{min(size, 99.9):.1f}"
    else:
        text = f"{size:.0f}"
    return f"{MINUS}{text}" if hundred < 0 else text


def signed_hundred(share: float) -> str:
    """A difference of shares in fruit of 100, with its sign; of less than a tenth nobody can say more."""
    text = "0" if abs(share) < 0.0005 else per_hundred(share)
    return f"+{text}" if not missing(share) and share > 0 and text != "0" else text


def percent(share: float | None) -> str:
    """A share of 1 in per cent."""
    return DASH if share is None or missing(share) else f"{per_hundred(share)} %"


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """Both ends of an interval, ``"0.62 to 0.71"``; empty where either is unknown."""
    if missing(low) or missing(high):
        return ""
    return f"{number(low, digits)} to {number(high, digits)}"


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """A metric and its interval in brackets."""
    ends = interval(low, high)
    return f"{number(value)} ({ends})" if ends else number(value)


def money(value: float | None) -> str:
    """An amount in the data set's own unit of money."""
    if value is None or missing(value):
        return DASH
    return count(value) if abs(value) >= 100 else number(value)


def duration(seconds: float | None) -> str:
    """A stretch of time in at most two units: "42 s", "3 min", "2 h 5 min", "1 d 4 h"."""
    if seconds is None or missing(seconds):
        return DASH
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def moment(text: str | None) -> datetime | None:
    """A time of the store (UTC ISO-8601); None where it is missing or unreadable."""
    if text is None or missing(text) or not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def when(text: str | None) -> str:
    """A time for people: "3 Nov 2026, 21:04 UTC"."""
    time = moment(text)
    return DASH if time is None else f"{time.day} {time:%b %Y, %H:%M} UTC"


def day(text: str | None) -> str:
    """A date for people: "3 Nov 2026"."""
    time = moment(text)
    return DASH if time is None else f"{time.day} {time:%b %Y}"


def before_now(seconds: float) -> str:
    """The UTC time so long ago, as the store writes times.

    Rounded to the minute, so that equal questions are asked only once a minute.
    """
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    return (now - timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def sensors(modalities: str | list[str]) -> str:
    """Sensors for people, "RGB + NIR + pressure", from a list or its JSON text."""
    if isinstance(modalities, str):
        try:
            modalities = json.loads(modalities)
        except json.JSONDecodeError:
            return modalities if isinstance(modalities, str) else ""
    names = [str(name) for name in modalities]
    return " + ".join(name.upper() if name.lower() in ("rgb", "nir") else name for name in names)


def study_name(name: str, dataset: str) -> str:
    """A study's name without the data set's, which stands beside it anyway."""
    return name.removesuffix(dataset).rstrip(" ·") or name


def plural(n: float, one: str, many: str = "") -> str:
    """A count with its noun: "1 run", "2 runs"."""
    return f"{count(n)} {one if round(n) == 1 else many or one + 's'}"


def listing(items: list[str], last: str = "and") -> str:
    """Items as a phrase: "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def sentence_start(text: str) -> str:
    """``text`` with a capital first letter."""
    return text[:1].upper() + text[1:]
