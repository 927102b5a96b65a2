"""Tables as Parquet and CSV, with their types."""

import csv
from contextlib import closing

import pyarrow.parquet
import pytest

from backend.errors import ConfigError, StoreError
from backend.store.connection import open_readonly
from backend.store.export import export
from backend.store.schema import TABLES


def test_every_table_is_exported_with_its_types(store, fill, store_path, tmp_path):
    fill(store)
    out = tmp_path / "tables"
    rows = export(store_path, out)
    assert set(rows) == set(TABLES)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"{table}.{kind}" for table in TABLES for kind in ("parquet", "csv")
    )
    table = pyarrow.parquet.read_table(out / "prediction.parquet")
    assert table.num_rows == rows["prediction"] == 20
    with closing(open_readonly(store_path)) as connection:
        stored = [tuple(row) for row in connection.execute("SELECT * FROM prediction")]
    assert [tuple(row.values()) for row in table.to_pylist()] == stored
    with (out / "prediction.csv").open(newline="") as file:
        text = list(csv.DictReader(file))
    assert [(row["fruit_id"], float(row["score"])) for row in text] == [(row[2], row[5]) for row in stored]
    assert [row["y_true"] for row in text].count("") == 1
    assert pyarrow.parquet.read_schema(out / "comparison.parquet").names[:2] == ["run_id_a", "run_id_b"]


def test_columns_of_other_types_that_an_analyst_added_are_text(store, fill, store_path, tmp_path, plant):
    fill(store)
    for column in ('"my ""note""" VARCHAR(20)', "good BOOLEAN", "free", "raw BLOB"):
        plant(store_path, f"ALTER TABLE run ADD COLUMN {column}")
    plant(store_path, 'UPDATE run SET "my ""note""" = \'ok\', good = TRUE, free = 1.5, raw = x\'ff00\'')
    export(store_path, tmp_path, tables=("run",))
    (row,) = pyarrow.parquet.read_table(tmp_path / "run.parquet").to_pylist()
    assert [row[name] for name in ('my "note"', "good", "free", "raw")] == ["ok", "1", "1.5", "FF00"]
    assert (row["seed"], row["error"]) == (0, None)


def test_large_tables_are_exported_in_pieces(store, fill, store_path, tmp_path, monkeypatch):
    fill(store)
    monkeypatch.setattr("backend.store.export.CHUNK", 3)
    export(store_path, tmp_path, ("parquet",), ("prediction", "metric"))
    assert pyarrow.parquet.read_table(tmp_path / "prediction.parquet").num_rows == 20
    assert sorted(path.name for path in tmp_path.glob("*.parquet")) == [
        "metric.parquet",
        "prediction.parquet",
    ]


def test_bad_exports_are_one_line(store, fill, store_path, tmp_path):
    fill(store)
    with pytest.raises(ConfigError, match="unknown format 'xls'; expected one of csv, parquet"):
        export(store_path, tmp_path, ("xls",))
    with pytest.raises(ConfigError, match="unknown table 'runs'; expected one of artifact"):
        export(store_path, tmp_path, tables=("runs",))
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        export(store_path, tmp_path / "file" / "out")
    store.connection.execute("UPDATE metric SET value = 'many'")
    with pytest.raises(StoreError, match="cannot be written"):
        export(store_path, tmp_path / "out", tables=("metric",))
    assert list((tmp_path / "out").iterdir()) == []
