"""Everything the dashboard reads: pure functions of a read-only connection, the only SQL of the read side.

Each takes a ``sqlite3.Connection`` from ``open_readonly`` and returns a ``pandas.DataFrame`` or plain
values. ``StoreWatch`` tells whether the store has changed since it was asked last, ``writer_was_killed``
whether what it says is running still can be.
"""

from backend.store.connection import StoreMissing, as_store_error, open_readonly
from backend.store.locking import writer_was_killed
from backend.store.queries.watch import StoreWatch

__all__ = ["StoreMissing", "StoreWatch", "as_store_error", "open_readonly", "writer_was_killed"]
