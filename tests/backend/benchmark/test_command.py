"""The command: what it says where it cannot start, that it resumes, and that it writes the report."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from backend.benchmark.registry import BENCHMARKS
from backend.benchmark.report import BEGIN, END


def test_help_names_every_benchmark_and_imports_nothing_heavy():
    code = "import sys; from backend.benchmark.__main__ import parser; print(parser().format_help());"
    code += "print(sorted({'torch', 'numpy', 'pandas', 'sklearn', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
    assert all(name in done.stdout for name in BENCHMARKS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "expected one of all, coreset, dashboard"),
        (["scenarios", "--data", "sku110k"], "expected one of cifar10, fashion-mnist, mnist"),
        (["riseholme"], "expected --root DIR, or AVOCADO_REAL_DATA"),
        (["riseholme", "--root", "nowhere"], "expected the folder of Riseholme-2021 with Data/Normal/Ripe"),
        (["scenarios", "--seeds", "0"], "--seeds: 0; expected 1 or more"),
        (["report"], "store"),
    ],
)
def test_what_cannot_be_used_is_one_line(benchmark_command, monkeypatch, arguments, words):
    monkeypatch.delenv("AVOCADO_REAL_DATA", raising=False)
    code, out, err = benchmark_command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err


def test_a_split_without_lists_is_one_line(benchmark_command, strawberries):
    code, _, err = benchmark_command("riseholme", "--root", strawberries, "--split", 3)
    assert code == 2
    assert "no lists of Split3 for R; expected Splits/Split3/Split3-R-Train.txt" in err


def test_resumes_and_reports(benchmark_command, strawberries, tmp_path, monkeypatch):
    quick = ("riseholme", "--root", strawberries, "--quick", "--device", "cpu")
    code, first, err = benchmark_command(*quick)
    assert code == 0, err
    assert err.count(" s\n") == 4
    code, second, err = benchmark_command(*quick)
    assert (code, second) == (0, first)
    assert " ... " not in err
    with closing(sqlite3.connect(tmp_path / "out" / "store.db")) as store:
        assert {row[0] for row in store.execute("SELECT purpose FROM run")} == {"benchmark"}
        assert store.execute("SELECT name FROM artifact").fetchall() == [("table.json",)]
        store.execute("UPDATE study SET name = 'benchmark-riseholme'")
        store.commit()
    code, printed, _ = benchmark_command("report")
    assert code == 0
    assert printed.startswith("### riseholme: one-class anomaly detection")
    results = tmp_path / "results.md"
    results.write_text("# Results\n\nkept\n")
    for _ in range(2):
        code, out, err = benchmark_command("report", "--results", results)
        assert (code, out) == (0, f"{results}: riseholme\n"), err
    text = results.read_text()
    assert text.startswith("# Results\n\nkept\n")
    assert (text.count(BEGIN), text.count(END)) == (1, 1)
    assert "| CH-Rand, published | 1 | .920 |" in text
    assert printed.strip() in text
    results.write_text(text.replace(END, ""))
    assert benchmark_command("report", "--results", results)[0] == 2


def test_a_smoke_test_is_not_reported(benchmark_command, strawberries, tmp_path):
    assert benchmark_command("riseholme", "--root", strawberries, "--quick", "--device", "cpu")[0] == 0
    code, out, _ = benchmark_command("report")
    assert (code, out) == (0, f"{tmp_path / 'out' / 'store.db'}: no stored benchmark\n")


def test_all_goes_past_what_cannot_start(benchmark_command, strawberries, monkeypatch):
    kept = {name: BENCHMARKS[name] for name in ("riseholme", "drlim")}
    monkeypatch.setattr("backend.benchmark.__main__.BENCHMARKS", kept)
    (strawberries.parent / "mnist").write_text("no folder")
    code, out, err = benchmark_command("all", "--root", strawberries.parent, "--quick", "--device", "cpu")
    assert code == 1
    assert "Riseholme-2021, Split 1" in out
    assert "not measured: drlim: " in err
