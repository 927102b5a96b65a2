"""Batched, per-sample random, channel-aware augmentations."""
