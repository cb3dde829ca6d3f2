"""Random values of one type are the same columns through every entrance."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftline.canonical import category_of, category_of_text, number_of
from driftline.scalars import plain
from tests.support.entrances import ENTRANCES, arrivals, wanted

laws = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
no_odd_ends = st.characters(exclude_categories=("Cs",), exclude_characters="\x00\r\n")
numerals = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,8})?", fullmatch=True)
COLUMNS = st.one_of(
    st.lists(st.booleans(), min_size=1, max_size=8),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8),
    st.lists(st.floats(), min_size=1, max_size=8),
    st.lists(st.floats(width=32).map(np.float32), min_size=1, max_size=8),
    st.lists(
        st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=4),
        min_size=1,
        max_size=8,
    ),
    st.lists(numerals, min_size=1, max_size=8),
)


def form_of(value: Any) -> tuple[str | None, float | None]:
    """What the table says of one value."""
    held = plain(value)
    if isinstance(held, float) and not math.isfinite(held):
        return None, None
    return category_of(held), number_of(held)


@given(COLUMNS)
@laws
def test_random_numbers_are_one_category_and_one_number_everywhere(values):
    expected = [wanted(*form_of(value)) for value in values]
    with tempfile.TemporaryDirectory() as folder:
        for entrance in ENTRANCES:
            for fast in (True, False):
                found = arrivals(entrance, values, Path(folder), is_number=True, fast=fast)
                assert found == expected, entrance.__name__


@given(st.lists(st.text(no_odd_ends, max_size=12), min_size=1, max_size=8))
@laws
def test_random_text_is_one_category_everywhere(values):
    expected = [wanted(category_of_text(value), None) for value in values]
    with tempfile.TemporaryDirectory() as folder:
        for entrance in ENTRANCES:
            for fast in (True, False):
                found = arrivals(entrance, values, Path(folder), is_number=False, fast=fast)
                assert found == expected, entrance.__name__


@given(st.text(max_size=20) | numerals)
@settings(max_examples=500, deadline=None)
def test_the_form_of_a_form_is_itself(text):
    form = category_of_text(text)
    if form is not None:
        assert category_of_text(form) == form
