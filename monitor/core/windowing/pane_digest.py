"""A digest of the statistics of a pane, under a key of this process."""

from __future__ import annotations

import secrets

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import digest as kernels
from monitor.core.windowing.pane_body import PaneBody

_KEY_WORDS = kernels.BLOCK_WORDS + 1
KEYS: NDArray[np.uint64] = (
    np.frombuffer(secrets.token_bytes(8 * _KEY_WORDS), np.uint32)
    .astype(np.uint64)
    .reshape(2, _KEY_WORDS)
)
"""Of this process: no writer can choose a body for its digest."""


def digest_of(body: PaneBody) -> int:
    """Return the digest of a body's statistics, 64 bits; its details are not part of it.

    Notes
    -----
    Two bodies of different statistics have the same digest with a chance of about 2^-63,
    whoever chose them. A body of 12 kB takes 1 us, SipHash 4.
    """
    results = empty_results(body)
    kernels.compress(*body.arrays(), KEYS, results)
    return joined_digest(body, results)


def empty_results(body: PaneBody) -> NDArray[np.uint64]:
    """Return what the kernel writes its results for a body into."""
    n_blocks = kernels.n_blocks(len(body.tokens), len(body.floats) // 8)
    return np.zeros((n_blocks, kernels.RESULTS), np.uint64)


def joined_digest(body: PaneBody, results: NDArray[np.uint64]) -> int:
    """Return the digest of a body whose tokens and floats have these results."""
    names = (body.segments, body.n_variables, body.slices)
    return hash((names, len(body.tokens), len(body.floats), results.tobytes()))
