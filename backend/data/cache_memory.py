"""An image cache held in memory: what a machine gets that has no disk in common with the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.data.cache import ImageCache, Places
from backend.data.cache_layout import CacheLayout, data_file


class MemoryCache(ImageCache):
    """The same images as an ``ImageCache``, as arrays that travel with it.

    Args:
        layout: shapes.
        pixels: modality to (N, V, H, W, C).
        present: modality to (N, V).
    """

    def __init__(
        self, layout: CacheLayout, pixels: dict[str, NDArray[np.uint8]], present: dict[str, NDArray[np.bool_]]
    ) -> None:
        super().__init__(Path("in memory"), layout)
        self._pixels, self._present = pixels, present

    @classmethod
    def of(cls, cache: ImageCache) -> MemoryCache:
        """The images of a cache on disk, as mappings of its files: copied only when they are sent."""
        pixels = {
            name: np.asarray(
                np.memmap(
                    cache.folder / data_file(name),
                    dtype=np.uint8,
                    mode="r",
                    shape=(len(cache), *cache.layout.shape(name)),
                )
            )
            for name in cache.modalities
        }
        return cls(cache.layout, pixels, cache.present)

    def __getstate__(self) -> Any:
        return self.layout, self._pixels, self.present

    def batch(self, indices: Places, modality: str, views: Places | None = None) -> NDArray[np.uint8]:
        """Images of some fruit, as ``ImageCache.batch`` gives them."""
        pixels = self._pixels[modality]
        places = [indices] if views is None else [indices, views]
        chosen = [np.asarray(place, dtype=np.int64) for place in places]
        for place, count in zip(chosen, pixels.shape, strict=False):
            if len(place) and not (place.min() >= 0 and place.max() < count):
                raise IndexError(f"a place outside {count} in the cache")
        return pixels[tuple(chosen)]
