"""Python's random numbers inside a kernel: the same draws from the same state.

The 624 words of the generator and the place of the next one lie in a detector's
state, as float64, which holds 32 bits exactly. Python's ``Random.sample`` is
reproduced in the kernel that needs it, from :func:`draw_below`.

References: Matsumoto, Nishimura, Mersenne twister, ACM TOMACS 8 (1998), table II and
eq. 2.1 to 2.5. CPython 3.11, ``Random._randbelow_with_getrandbits``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import inlined, uncounted

N_WORDS = 624
N_PLACES = N_WORDS + 1
"""The words, and the index of the next one."""
_SHIFT = 397


@uncounted
def twist(state: NDArray[np.float64], at: int) -> None:
    """Generate the next 624 words from those that begin at ``at``."""
    for i in range(N_WORDS):
        this = int(state[at + i])
        following = int(state[at + (i + 1) % N_WORDS])
        word = (this & 0x80000000) | (following & 0x7FFFFFFF)
        mixed = int(state[at + (i + _SHIFT) % N_WORDS]) ^ (word >> 1)
        state[at + i] = float(mixed ^ 0x9908B0DF if word & 1 else mixed)
    state[at + N_WORDS] = 0.0


@inlined
def draw_bits(n_bits: int, state: NDArray[np.float64], at: int) -> int:
    """Draw 1 to 32 random bits."""
    if state[at + N_WORDS] >= N_WORDS:
        twist(state, at)
    place = int(state[at + N_WORDS])
    state[at + N_WORDS] = place + 1
    y = int(state[at + place])
    y ^= y >> 11
    y ^= (y << 7) & 0x9D2C5680
    y ^= (y << 15) & 0xEFC60000
    y ^= y >> 18
    return y >> (32 - n_bits)


@inlined
def draw_below(n: int, n_bits: int, state: NDArray[np.float64], at: int) -> int:
    """Draw a whole number below ``n``, which has ``n_bits`` bits, by rejection."""
    drawn = draw_bits(n_bits, state, at)
    while drawn >= n:
        drawn = draw_bits(n_bits, state, at)
    return drawn
