"""Tables and the pooling of repetitions."""

import pytest
from scipy import stats

from backend.benchmark.table import Score, Table, plain, pooled


def test_numbers_as_tables_show_them():
    assert [plain(value) for value in (0.5, -0.25, 0.0, 1.0, 12.34, 1234.5)] == [
        ".500",
        "-.250",
        ".000",
        "1.000",
        "12.3",
        "1,234.5",
    ]
    assert str(Score(0.9, 0.85, 0.95, 3)) == ".900 [.850, .950]"
    assert str(Score(None)) == "–"


def test_repetitions_with_intervals_average_their_ends():
    both = pooled([Score(0.8, 0.7, 0.9), Score(0.9, 0.8, 1.0), Score(None)])
    assert (both.value, both.low, both.high, both.n) == pytest.approx((0.85, 0.75, 0.95, 2))


def test_repetitions_without_give_the_t_interval():
    values = [0.8, 0.82, 0.9]
    low, high = stats.t.interval(0.95, 2, loc=sum(values) / 3, scale=stats.sem(values))
    found = pooled([Score(value) for value in values])
    assert (found.low, found.high) == pytest.approx((low, high))
    assert pooled([Score(0.8)]) == Score(0.8)
    assert pooled([]) == Score(None, n=0)


def test_text_markdown_and_json_say_the_same():
    table = Table("t", ("a|b", "n"), (("x", 0.25), ("long", Score(0.5, 0.4, 0.6, 3)), ("", None)), ("note.",))
    lines = table.text().splitlines()
    assert lines[:3] == ["t", "", "a|b   n"]
    assert lines[4:] == ["x     .250", "long  .500 [.400, .600]", "", "· note."]
    assert "| a\\|b | n |\n| --- | --- |\n| x | .250 |" in table.markdown()
    score = {"value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 3}
    assert table.as_json()["rows"] == [
        {"a|b": "x", "n": 0.25},
        {"a|b": "long", "n": score},
        {"a|b": "", "n": None},
    ]
