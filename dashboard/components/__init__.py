"""Pieces of pages: the answer, a figure with its exports, a fruit card, and the designed empty states."""
