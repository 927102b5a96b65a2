"""Backbones, view and modality fusion, heads."""
