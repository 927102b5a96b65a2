"""Fruit on disk and in memory: manifest, checks, cache, splits, importers, synthetic avocados."""
