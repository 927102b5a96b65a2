"""The kinds of sources that can be imported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from backend.errors import unknown_name

if TYPE_CHECKING:
    from backend.data.importers.common import Collection


@dataclass(frozen=True)
class Importer:
    """One kind of source.

    Attributes:
        description: one line for the help.
        collect: ``module:function`` of this package; the function takes the source and the options and
            returns the ``Collection`` it found. Imported when it is used, so that listing kinds is free.
        options: names of the options that the function understands.
        any_folder: whether a folder of any name below the source may be part of it.
    """

    description: str
    collect: str
    options: tuple[str, ...] = ()
    any_folder: bool = False

    def load(self) -> Callable[..., Collection]:
        """The function that ``collect`` names."""
        module, _, function = self.collect.partition(":")
        found = getattr(import_module(f"backend.data.importers.{module}"), function)
        return cast("Callable[..., Collection]", found)


_IMPORTERS: dict[str, Importer] = {
    "folder": Importer(
        "class folders with pictures, with train/, val/, test/ above them or not",
        "folder:collect",
        ("healthy",),
        any_folder=True,
    ),
    "riseholme": Importer("Riseholme-2021 strawberries (folders Data and Splits)", "riseholme:collect"),
    "mnist": Importer("MNIST digits (raw IDX files)", "digits:collect_mnist", ("limit",)),
    "fashion-mnist": Importer("Fashion-MNIST clothes (raw IDX files)", "digits:collect_fashion", ("limit",)),
    "cifar10": Importer("CIFAR-10 (python batches, or class folders)", "cifar10:collect", ("limit",)),
    "sku110k": Importer(
        "SKU-110K crops from the annotation CSV, grouped by source image",
        "sku110k:collect",
        ("min_side", "limit"),
    ),
}

KINDS = MappingProxyType({name: importer.description for name, importer in _IMPORTERS.items()})
"""Kind to one line of description."""


def import_dataset(kind: str, source: str, out: Path, *, progress: bool = True, **options: Any) -> None:
    """Make a data set folder of a public or private collection, all at once or not at all.

    Args:
        kind: one of ``KINDS``.
        source: where the collection lies; it is only read (or downloaded to, where it is missing and the
            kind can download).
        out: new or empty folder.
        progress: show a bar on stderr.
        options: of the kind; None = not given. ``healthy`` (folder): the class without defects.
            ``limit`` (mnist, fashion-mnist, cifar10, sku110k): at most about that many pictures, every
            class and part in its share. ``min_side`` (sku110k): smallest side of a crop in pixels.

    Raises:
        ConfigError: unknown kind or option, or an option out of range.
        DataError: the source is not what the kind expects; ``out`` holds something else, was made when the
            source was in another state, or lies where it would be taken for a part of the source.
    """
    if kind not in _IMPORTERS:
        raise unknown_name("kind", kind, tuple(_IMPORTERS), "import")
    importer = _IMPORTERS[kind]
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in importer.options:
            raise unknown_name("option", name, importer.options or ("none",), f"import {kind}")
    from backend.data.importers.common import make
    from backend.data.importers.source import refuse_inside

    if importer.any_folder:
        refuse_inside(Path(out), Path(source))
    recipe = {"kind": kind, "source": str(Path(source).resolve()), **given}
    make(Path(out), recipe, Path(source), lambda: importer.load()(Path(source), **given), progress)
