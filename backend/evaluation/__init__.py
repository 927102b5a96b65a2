"""Metrics, intervals, protocols and comparisons."""
