"""Synthetic Hass avocados: pictures from four sides in RGB and NIR, tap readings, labels and masks."""

from backend.data.synth.make import make_dataset

__all__ = ["make_dataset"]
