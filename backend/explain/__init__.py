"""Grad-CAM and projections."""
