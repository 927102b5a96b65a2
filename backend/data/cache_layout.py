"""What lies in the folder of an image cache, and where."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

FORMAT = 2
"""Part of a cache's name: raise it when decoding changes, and old caches are no longer found."""

META_FILE = "cache.json"


def data_file(modality: str) -> str:
    """Name of the file with a modality's pixels: raw uint8 of shape (N, V, H, W, C)."""
    return f"{modality}.u8"


def present_file(modality: str) -> str:
    """Name of the file that tells which views of a modality exist: an (N, V) bool array."""
    return f"{modality}.present.npy"


@dataclass(frozen=True)
class ModalityLayout:
    """How one modality lies in its file.

    Attributes:
        views: V.
        channels: C, 1 (grey) or 3 (RGB).
        bits: bits in use of its 16-bit images; 8 where it has none.
    """

    views: int
    channels: int
    bits: int


@dataclass(frozen=True)
class CacheLayout:
    """Everything that is needed to read a cache.

    Attributes:
        resolution: side of the square images in pixels.
        count: N fruit.
        modalities: name to layout, in the order of the manifest.
    """

    resolution: int
    count: int
    modalities: dict[str, ModalityLayout]

    def shape(self, modality: str) -> tuple[int, int, int, int]:
        """(V, H, W, C) of one fruit."""
        layout = self.modalities[modality]
        return layout.views, self.resolution, self.resolution, layout.channels

    def file_bytes(self, modality: str) -> int:
        """Size of the modality's file."""
        return self.count * math.prod(self.shape(modality))

    def to_json(self) -> str:
        """The content of ``cache.json``."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> CacheLayout:
        """Read ``cache.json``.

        Raises:
            ValueError, KeyError, TypeError: it is damaged.
        """
        values: dict[str, Any] = json.loads(text)
        layouts = {name: ModalityLayout(**layout) for name, layout in values["modalities"].items()}
        return cls(values["resolution"], values["count"], layouts)
