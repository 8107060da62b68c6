"""How many rows of a vocabulary at once: for the matrix products (a chunk), and for the work between them (a block).

Products want many rows, and memory bounds them: a chunk of each model's logits is alive. What is done to logits between
the products is a dozen passes that compute little, so on a CPU they are made on blocks that stay in its cache. Used by the fused losses, and by
`estimate` without torch.
"""

from __future__ import annotations

from collections.abc import Iterator

CHUNK_ELEMENTS = 2**25
"""Logits of a chunk: 128 MiB in 32 bits, 256 rows of 128 256 words."""
CHUNK_MULTIPLE = 64
WORK_TENSORS = 4
"""As large as a block, for what is done to it."""
BLOCK_ELEMENTS_CPU = 2**19
"""Logits of a block: with the work tensors some 10 MiB."""
BLOCK_ELEMENTS = 2**24
"""Elsewhere: enough to keep a GPU busy."""


def chunk_rows(rows: int, columns: int) -> int:
    """Rows of a chunk where nobody says: a multiple of 64 where it can be, and at least 1."""
    size = CHUNK_ELEMENTS // columns
    size -= size % CHUNK_MULTIPLE if size > CHUNK_MULTIPLE else 0
    return max(1, min(size, rows))


def block_rows(chunk: int, columns: int, device: str) -> int:
    """Rows of a block within a chunk; at least 2 where there are as many, so that two threads have a row each."""
    elements = BLOCK_ELEMENTS_CPU if device == "cpu" else BLOCK_ELEMENTS
    return min(max(elements // columns, 2), chunk)


def slices(length: int, size: int) -> Iterator[slice]:
    """0 … length in parts of `size`; the last may be shorter."""
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
