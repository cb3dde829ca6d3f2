"""Compression of bodies for their digest, and the search for large bytes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.kernels import digest as kernels
from detectors.kernels.byte_runs import BLOCK, _leading_small
from detectors.kernels.pane_body import count_small

WORD = 1 << 32
KEYS = np.random.default_rng(1).integers(0, WORD, (2, kernels.BLOCK_WORDS + 1)).astype(np.uint64)


def compressed(tokens: bytes, numbers: np.ndarray) -> list[int]:
    results = np.zeros((kernels.n_blocks(len(tokens), len(numbers)), kernels.RESULTS), np.uint64)
    kernels.compress(np.frombuffer(tokens, np.uint8), numbers, KEYS, results)
    return results.reshape(-1).tolist()


def expected(tokens: bytes, numbers: np.ndarray) -> list[int]:
    """The same by its definition, in Python's whole numbers."""
    keys, found = KEYS.tolist(), list[int]()
    n_whole = len(tokens) // 8 * 8
    tail = [int.from_bytes(tokens[n_whole:], "little"), 0, 0, 0]
    for raw, after in ((tokens[:n_whole], tail), (numbers.tobytes(), [])):
        words = [int.from_bytes(raw[i : i + 8], "little") for i in range(0, len(raw), 8)]
        for start in range(0, len(words), kernels.BLOCK_WORDS):
            block = words[start : start + kernels.BLOCK_WORDS]
            for shift in (0, 1):
                products = [
                    (word % WORD + keys[0][i + shift])
                    % WORD
                    * ((word // WORD + keys[1][i + shift]) % WORD)
                    for i, word in enumerate(block)
                ]
                found += [sum(p % WORD for p in products), sum(p // WORD for p in products)]
        found += after
    n_results = kernels.n_blocks(len(tokens), len(numbers)) * kernels.RESULTS
    return found + [0] * (n_results - len(found))


@given(st.integers(0, 5_000), st.integers(0, 700), st.integers(0, 1 << 32))
def test_results_are_those_of_the_definition(n_bytes, n_numbers, seed):
    rng = np.random.default_rng(seed)
    tokens, numbers = rng.bytes(n_bytes), rng.normal(size=n_numbers)
    assert compressed(tokens, numbers) == expected(tokens, numbers)


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_changed_byte_changes_the_results(tokens, data):
    at = data.draw(st.integers(0, len(tokens) - 1))
    other = tokens[:at] + bytes([tokens[at] ^ data.draw(st.integers(1, 255))]) + tokens[at + 1 :]
    assert compressed(tokens, np.ones(3)) != compressed(other, np.ones(3))


@given(st.lists(st.integers(0, 255), max_size=4 * BLOCK), st.integers(0, 40), st.data())
def test_small_bytes_are_counted_one_by_one_or_together(values, n_zeros, data):
    tokens = np.array([0] * n_zeros + values, np.uint8)
    at = data.draw(st.integers(0, len(tokens)))
    end = data.draw(st.integers(at, len(tokens)))
    large = [i for i in range(at, end) if tokens[i] >= 112]
    assert count_small(tokens, np.uint64(at), np.uint64(end)) == (large or [end])[0] - at


def test_plain_code_stops_at_the_first_large_byte_of_a_block():
    tokens = np.array([1, 111, 112, *[0] * BLOCK], np.uint8)
    assert [_leading_small(tokens, np.uint64(at), 112) for at in (0, 1, 2, 3)] == [2, 1, 0, BLOCK]
