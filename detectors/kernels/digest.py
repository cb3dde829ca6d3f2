"""Kernel for digests: it compresses a long input under a secret key, for a keyed hash of the rest.

NH, the first step of UMAC: two inputs of the same length have the same result with a chance of
2^-64 over the keys. No sum exceeds 64 bits, so compiled and plain code agree.

References
----------
Black, Halevi, Krawczyk, Krovetz, Rogaway, UMAC: Fast and Secure Message Authentication,
CRYPTO 1999, sections 4.1 and 4.2 (the second pass has the keys of the first, shifted).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import kernel
from detectors.kernels.pane_body import add_body

BLOCK_WORDS = 256
"""Words of 8 bytes that share one result: the keys stay in the first cache."""
RESULTS = 4
"""Numbers of a block: the sum of each pass in two halves."""
_WORD_BYTES = 8
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def n_blocks(n_token_bytes: int, n_numbers: int) -> int:
    """Return the number of blocks that tokens and floats take at most.

    Examples
    --------
    >>> n_blocks(0, 0), n_blocks(6_372, 704)
    (3, 8)
    """
    return (n_token_bytes // _WORD_BYTES + n_numbers) // BLOCK_WORDS + 3


@kernel
def _compress_words(
    words: NDArray[np.uint64], keys: NDArray[np.uint64], results: NDArray[np.uint64], block: int
) -> int:
    """Compress whole words from a block on; returns the next block."""
    low_keys, high_keys = keys[0], keys[1]
    for start in range(0, words.size, BLOCK_WORDS):
        part = words[start : start + BLOCK_WORDS]
        low_1, high_1, low_2, high_2 = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
        for i in range(part.size):
            low, high = part[i] & _LOW, part[i] >> _HALF
            one = ((low + low_keys[i]) & _LOW) * ((high + high_keys[i]) & _LOW)
            two = ((low + low_keys[i + 1]) & _LOW) * ((high + high_keys[i + 1]) & _LOW)
            low_1, high_1 = low_1 + (one & _LOW), high_1 + (one >> _HALF)
            low_2, high_2 = low_2 + (two & _LOW), high_2 + (two >> _HALF)
        results[block, 0], results[block, 1] = low_1, high_1
        results[block, 2], results[block, 3] = low_2, high_2
        block += 1
    return block


@kernel
def compress(
    tokens: NDArray[np.uint8],
    numbers: NDArray[np.float64],
    keys: NDArray[np.uint64],
    results: NDArray[np.uint64],
) -> None:
    """Compress bytes and floats.

    Parameters
    ----------
    keys : ndarray of uint64, shape (2, BLOCK_WORDS + 1)
        Random, below 2^32.
    results : ndarray of uint64, shape (n_blocks, RESULTS)
        Zeros; becomes the result.
    """
    n_whole = tokens.size // _WORD_BYTES * _WORD_BYTES
    block = _compress_words(tokens[:n_whole].view(np.uint64), keys, results, 0)
    for i in range(n_whole, tokens.size):
        results[block, 0] |= np.uint64(tokens[i]) << np.uint64(8 * (i - n_whole))
    _compress_words(numbers.view(np.uint64), keys, results, block + 1)


@kernel
def add_and_compress(
    tokens: NDArray[np.uint8],
    numbers: NDArray[np.float64],
    n_variables: int,
    rows: NDArray[np.int32],
    integers: NDArray[np.int64],
    floats: NDArray[np.float64],
    slice_rows: NDArray[np.int32],
    slice_integers: NDArray[np.int64],
    slice_floats: NDArray[np.float64],
    most: int,
    keys: NDArray[np.uint64],
    results: NDArray[np.uint64],
) -> None:
    """Add a checked body as ``add_body`` does, and compress it while it is in the cache."""
    add_body(
        tokens, numbers, n_variables, rows, integers, floats, slice_rows, slice_integers,
        slice_floats, most, False,
    )  # fmt: skip
    compress(tokens, numbers, keys, results)
