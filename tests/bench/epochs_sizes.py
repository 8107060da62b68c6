"""Sizes that ours and the peers share for whole epochs."""

EPOCHS = 2
"""Of a pass; the fastest counts."""
CLASSES, PICTURES, SIDE = 10, 2048, 28
WORDS, TEXTS, LENGTH = 32000, 64, 128
