"""Numbers, times and names as people read them."""

from __future__ import annotations

import pytest

from dashboard import format as fmt


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.7123, "0.71"),
        (-0.0312, "−0.031"),
        (0.00261, "0.003"),
        (-0.0001, "0.000"),
        (0.998, "0.998"),
        (1 - 1e-15, "1.0"),
        (-1 + 1e-15, "−1.0"),
        (0.99999999, "1.0"),
        (1.0, "1.0"),
        (0, "0"),
        (1234.5, "1,234"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_metrics_have_two_significant_digits(value, text) -> None:
    assert fmt.number(value) == text


def test_differences_carry_their_sign() -> None:
    assert [fmt.signed(x) for x in (0.05, -0.05, 0, None)] == ["+0.050", "−0.050", "0", "–"]
    assert [fmt.signed_count(x) for x in (3, -3, 0)] == ["+3", "−3", "0"]
    assert [fmt.signed_hundred(x) for x in (0.09, -0.09, 0.0)] == ["+9", "−9", "0"]


def test_counts_set_thousands_apart() -> None:
    assert [fmt.count(x) for x in (1234567, -1234, 7, None)] == ["1,234,567", "−1,234", "7", "–"]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0"),
        (0.0004, "0.04"),
        (0.09, "9"),
        (0.995, "99.5"),
        (0.9999, "99.9"),
        (1.0, "100"),
        (-0.03, "−3"),
    ],
)
def test_rare_events_never_round_to_none_or_all(share, text) -> None:
    assert fmt.per_hundred(share) == text


def test_intervals_need_both_ends() -> None:
    assert fmt.interval(0.61, 0.7) == "0.61 to 0.70"
    assert fmt.interval(None, 0.7) == ""
    assert fmt.with_interval(0.65, 0.61, 0.7) == "0.65 (0.61 to 0.70)"
    assert fmt.with_interval(0.65, None, None) == "0.65"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (90, "2 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (100_000, "1 d 3 h"),
        (None, "–"),
    ],
)
def test_durations_have_two_units_at_most(seconds, text) -> None:
    assert fmt.duration(seconds) == text


def test_times_are_utc_and_survive_nonsense() -> None:
    assert fmt.when("2026-11-03T21:04:05+00:00") == "3 Nov 2026, 21:04 UTC"
    assert fmt.day("2026-11-03T21:04:05") == "3 Nov 2026"
    assert fmt.when("yesterday") == "–" and fmt.when(None) == "–"


def test_markup_from_the_store_is_only_text() -> None:
    hostile = "<script>alert(1)</script> **b** [x](http://y) :red[z] $a$ ![i](u)"
    shown = fmt.plain(hostile)
    assert "\\<script\\>" in shown and "\\*\\*b\\*\\*" in shown and "\\[x\\]\\(" in shown
    assert "\\:red\\[" in shown and "\\$a\\$" in shown and "\\!\\[i\\]" in shown
    joined = fmt.plain("https://a.b www.c.d e@f.g").replace("\\", "")
    assert joined == "https\N{WORD JOINER}://a.b www\N{WORD JOINER}.c.d e@\N{WORD JOINER}f.g"
    assert fmt.plain("two\n\nlines\N{NO-BREAK SPACE}x") == "two lines\N{NO-BREAK SPACE}x"


def test_sensors_are_spelt_out() -> None:
    assert fmt.sensors('["rgb","nir","pressure"]') == "RGB + NIR + pressure"
    assert fmt.sensors("not json") == "not json"


def test_a_study_is_not_named_after_its_data_twice() -> None:
    assert fmt.study_name("quick · Riseholme-2021", "Riseholme-2021") == "quick"
    assert fmt.study_name("quick", "Riseholme-2021") == "quick" and fmt.study_name("hass", "hass") == "hass"


def test_phrases() -> None:
    assert (
        fmt.listing([]) == "" and fmt.listing(["a"]) == "a" and fmt.listing(["a", "b", "c"]) == "a, b and c"
    )
    assert fmt.plural(1, "run") == "1 run" and fmt.plural(2, "view", "views") == "2 views"
    assert fmt.money(0.5) == "0.50" and fmt.money(12345.6) == "12,346"


@pytest.mark.parametrize(("share", "said"), [(0.0004, "0"), (-0.0004, "0"), (0.003, "+0.3"), (-0.02, "−2")])
def test_a_difference_of_less_than_a_tenth_of_100_is_none(share, said) -> None:
    assert fmt.signed_hundred(share) == said
