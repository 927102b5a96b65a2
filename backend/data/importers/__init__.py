"""Public and private picture collections as data set folders; one module per kind."""

from backend.data.importers.registry import KINDS, import_dataset

__all__ = ["KINDS", "import_dataset"]
