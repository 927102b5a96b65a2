"""The command: what it says where it cannot start, that it resumes, and that it writes the report."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from PIL import Image

from backend.benchmark import riseholme
from backend.benchmark.bench import Measured
from backend.benchmark.options import Options
from backend.benchmark.registry import BENCHMARKS
from backend.benchmark.report import BEGIN, END, write_report
from backend.benchmark.sources import open_source
from backend.cli import STOPS
from backend.errors import DataError


@pytest.mark.parametrize("shown", ["print(parser().format_help())", "main(['--list'])"])
def test_help_and_list_name_every_benchmark_and_import_nothing_heavy(shown):
    code = f"import sys; from backend.benchmark.__main__ import main, parser; {shown};"
    code += "print(sorted({'torch', 'numpy', 'pandas', 'sklearn', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
    assert all(name in done.stdout for name in BENCHMARKS)


def test_the_list_is_json_too(benchmark_command):
    code, out, _ = benchmark_command("--list", "--json")
    assert code == 0
    assert json.loads(out) == {"benchmarks": {name: b.protocol for name, b in BENCHMARKS.items()}}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: NAME"),
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


def test_a_split_without_lists_is_one_line_and_imports_nothing(benchmark_command, strawberries, tmp_path):
    code, _, err = benchmark_command("riseholme", "--root", strawberries, "--split", 3)
    assert code == 2
    assert err.startswith(f"error: {strawberries}: no Splits/*/Split3-*.txt; expected ")
    assert not (tmp_path / "out").exists()


def measure_nothing(monkeypatch):
    """The four cells of a smoke test on strawberries, at once."""
    for name in ("_naive", "_colours", "measure_ch_rand", "_simclr"):
        monkeypatch.setattr(riseholme, name, lambda *_: Measured())


def test_a_collection_that_was_corrected_is_read_again(benchmark_command, strawberries, monkeypatch):
    measure_nothing(monkeypatch)
    listed = strawberries / "Splits" / "Split1" / "Split1-U-Val.txt"
    names = listed.read_text()
    listed.unlink()
    quick = ("riseholme", "--root", strawberries, "--quick", "--device", "cpu")
    code, _, err = benchmark_command(*quick)
    assert code == 2
    assert (
        f"error: {strawberries}: no lists of Split1 for U; expected Splits/Split1/Split1-U-Train.txt" in err
    )
    listed.write_text(names)
    code, _, err = benchmark_command(*quick)
    assert code == 0, err


def test_a_root_that_grows_is_imported_anew_and_one_that_stays_is_not(cifar_folders, tmp_path):
    options = Options(store=tmp_path / "out" / "store.db", data="cifar10", root=cifar_folders)
    first, again = (open_source(BENCHMARKS["retrieval"], options) for _ in range(2))
    assert again.root == first.root
    Image.new("RGB", (32, 32)).save(cifar_folders / "train" / "cat" / "one more.png")
    grown = open_source(BENCHMARKS["retrieval"], options)
    assert len(grown.fruit_ids) == len(first.fruit_ids) + 1
    (cifar_folders / "train" / "cat" / "one more.png").rename(
        cifar_folders / "train" / "dog" / "one more.png"
    )
    assert open_source(BENCHMARKS["retrieval"], options).dataset_id != grown.dataset_id


def test_a_fault_inside_a_cell_costs_that_cell_only(benchmark_command, strawberries, tmp_path, monkeypatch):
    def broken(*_):
        raise IndexError("a bug\nof ours")

    measure_nothing(monkeypatch)
    monkeypatch.setattr(riseholme, "_naive", broken)
    code, out, err = benchmark_command("riseholme", "--root", strawberries, "--quick", "--device", "cpu")
    assert code == 1
    assert "Riseholme-2021, Split 1" in out
    assert err.endswith("not measured: riseholme: hsv_histogram · R · seed 0: IndexError: a bug of ours\n")
    with closing(sqlite3.connect(tmp_path / "out" / "store.db")) as store:
        failed = store.execute("SELECT error FROM run WHERE status = 'failed'").fetchall()
        assert store.execute("SELECT count(*) FROM run WHERE status = 'complete'").fetchone() == (4,)
    assert len(failed) == 1
    assert "Traceback" in failed[0][0]


def test_a_closed_terminal_ends_it_in_order(benchmark_command, strawberries, tmp_path, monkeypatch):
    monkeypatch.setattr(riseholme, "_colours", lambda *_: os.kill(os.getpid(), signal.SIGHUP))
    handlers = {number: signal.signal(number, lambda *_: None) for number in STOPS}
    try:
        code, _, err = benchmark_command("riseholme", "--root", strawberries, "--quick", "--device", "cpu")
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert code == 130, err
    with closing(sqlite3.connect(tmp_path / "out" / "store.db")) as store:
        statuses = [row[0] for row in store.execute("SELECT status FROM run ORDER BY started")]
        assert store.execute("SELECT status FROM study").fetchall() == [("interrupted",)]
    assert statuses == ["complete", "interrupted"]


@pytest.mark.parametrize("results", ["nowhere/x.md", "folder", "latin.md"])
def test_a_report_that_cannot_be_written_is_one_line(tmp_path, results):
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin.md").write_bytes(b"\xe9")
    with pytest.raises(DataError, match=rf"{results}: cannot read or write \(.+\); expected a Markdown file"):
        write_report([], tmp_path / results)


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
    assert re.search(r"4 runs in 0 min, 20\d\d-\d\d-\d\d[^;]*; seeds 0\.", printed), printed
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


def section(name, data, told):
    return f"### {name}: protocol\n\n`python -m backend.benchmark {name}` on {data}; cpu; {told}."


def test_a_report_renews_what_the_store_holds_and_leaves_the_rest(tmp_path):
    results = tmp_path / "results.md"
    results.write_text("# Results\n")
    first = [section("retrieval", "MNIST", "old"), section("retrieval", "CIFAR-10", "other machine")]
    assert write_report(first, results) == []
    fresh = [section("scenarios", "MNIST", "new"), section("retrieval", "MNIST", "new")]
    assert write_report(fresh, results) == ["`python -m backend.benchmark retrieval` on CIFAR-10"]
    body = results.read_text().partition(BEGIN)[2].partition(END)[0]
    assert body == "\n\n" + "\n\n".join([fresh[0], first[1], fresh[1]]) + "\n\n"
    before = results.read_text()
    assert len(write_report([], results)) == 3
    assert results.read_text() == before


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
