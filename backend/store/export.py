"""Every table as a file for other tools: Parquet keeps the types, CSV opens anywhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.errors import StoreError, unknown_name
from backend.store.connection import as_store_error, open_readonly
from backend.store.schema import TABLES

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("parquet", "csv")
CHUNK = 50_000
"""Rows in memory at once."""


def export(
    path: Path, out: Path, formats: tuple[str, ...] = FORMATS, tables: tuple[str, ...] = ()
) -> dict[str, int]:
    """Write tables to ``out/<table>.parquet`` and ``out/<table>.csv``, each whole or not at all.

    All files show the store at one moment, whoever writes to it meanwhile.

    Args:
        path: the store.
        out: a folder; made where it does not exist.
        formats: of ``FORMATS``.
        tables: names; empty = every table.

    Returns:
        Rows a table.

    Raises:
        ConfigError: unknown format or table.
        StoreError: the store cannot be read or the folder not be written.
    """
    for kind, names, valid in (("format", formats, FORMATS), ("table", tables, tuple(TABLES))):
        for name in names:
            if name not in valid:
                raise unknown_name(kind, name, valid)
    with closing(open_readonly(path)) as connection:
        try:
            out.mkdir(parents=True, exist_ok=True)
            connection.execute("BEGIN")
            return {table: _export_table(connection, table, out, formats) for table in tables or TABLES}
        except sqlite3.Error as error:
            raise as_store_error(error, path) from error
        except (OSError, ValueError) as error:
            raise StoreError(
                f"the table cannot be written ({error})",
                where=str(out),
                action="check the folder and the disk",
            ) from error


def _export_table(connection: sqlite3.Connection, table: str, out: Path, formats: tuple[str, ...]) -> int:
    import pyarrow as pa
    from pyarrow import csv, parquet

    types = {"INTEGER": pa.int64(), "REAL": pa.float64(), "TEXT": pa.string()}
    schema = pa.schema(
        [
            (row["name"], types.get(row["type"], pa.string()))
            for row in connection.execute(f"PRAGMA table_info({table})")
        ]
    )
    makers = {"parquet": parquet.ParquetWriter, "csv": csv.CSVWriter}
    rows = 0
    with ExitStack() as stack:
        partial = {name: out / f".{table}.{name}.partial" for name in formats}
        for file in partial.values():
            stack.callback(file.unlink, missing_ok=True)
        with ExitStack() as open_files:
            writers = [
                open_files.enter_context(makers[name](str(file), schema)) for name, file in partial.items()
            ]
            for batch in _batches(connection, table, schema):
                rows += batch.num_rows
                for writer in writers:
                    writer.write_table(batch)
        for name, file in partial.items():
            file.replace(out / f"{table}.{name}")
    return rows


def _batches(connection: sqlite3.Connection, table: str, schema: pa.Schema) -> Iterator[pa.Table]:
    import pyarrow as pa

    selected = ", ".join(_selected(field.name, text=field.type == pa.string()) for field in schema)
    cursor = connection.execute(f"SELECT {selected} FROM {table}")  # noqa: S608 - quoted and our own names
    while True:
        rows: list[Any] = cursor.fetchmany(CHUNK)
        if not rows:
            return
        columns = zip(*rows, strict=True)
        yield pa.table(
            [pa.array(column, type=kind) for column, kind in zip(columns, schema.types, strict=True)],
            schema=schema,
        )


def _selected(column: str, *, text: bool) -> str:
    """An expression for a column; one that an analyst added may hold anything, which is then told as text."""
    quoted = '"' + column.replace('"', '""') + '"'
    if not text:
        return quoted
    return f"CASE typeof({quoted}) WHEN 'blob' THEN hex({quoted}) ELSE CAST({quoted} AS TEXT) END"
