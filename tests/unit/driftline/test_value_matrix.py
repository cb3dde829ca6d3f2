"""Every value through every entrance: one category, one number, whatever carried it."""

from __future__ import annotations

import datetime as dt
import decimal
import math
from typing import Any

import numpy as np
import pytest

from tests.support.entrances import ENTRANCES, arrivals, wanted

D = decimal.Decimal
ZONED = dt.datetime(2024, 3, 4, 10, 0, 0, 500_000, dt.UTC)
NO_NUMBER = object()
BEYOND = 2**53 + 1
"""No float holds it."""

MATRIX: dict[str, list[tuple[Any, str | None, Any]]] = {
    "booleans": [(True, "true", 1.0), (False, "false", 0.0), (None, None, None)],
    "booleans as text": [("True", "true", 1.0), ("FALSE", "false", 0.0), (" true ", "true", 1.0)],
    "integers": [
        (7, "7", 7.0),
        (0, "0", 0.0),
        (-7, "-7", -7.0),
        (2**53 + 1, str(2**53 + 1), 2**53),
    ],
    "large integers": [
        (2**63 - 1, str(2**63 - 1), float(2**63)),
        (-(2**63), str(-(2**63)), -(2.0**63)),
    ],
    "whole floats": [(7.0, "7", 7.0), (-0.0, "0", 0.0), (1e16, "1" + "0" * 16, 1e16)],
    "floats": [(0.5, "0.5", 0.5), (0.1, "0.1", 0.1), (1 / 3, repr(1 / 3), 1 / 3)],
    "small and large floats": [
        (1e-7, "1e-07", 1e-7),
        (1.5e-300, "1.5e-300", 1.5e-300),
        (1e22, "1" + "0" * 22, 1e22),
        (1e300, "1e+300", 1e300),
    ],
    "not finite": [(math.nan, None, None), (math.inf, None, None), (-math.inf, None, None)],
    "float32": [(np.float32(0.1), "0.1", 0.1), (np.float32(7), "7", 7.0)],
    "float16": [(np.float16(0.1), "0.1", 0.1), (np.float16(7), "7", 7.0)],
    "float64 of numpy": [(np.float64(0.1), "0.1", 0.1), (np.float64(7), "7", 7.0)],
    "decimals": [(D("7.00"), "7", 7.0), (D("12.50"), "12.5", 12.5), (D("-0.00"), "0", 0.0)],
    "numerals": [
        ("7.00", "7", 7.0),
        ("0.50", "0.5", 0.5),
        ("1e-05", "1e-05", 1e-5),
        ("1e+16", "1" + "0" * 16, 1e16),
        (".5", "0.5", 0.5),
    ],
    "codes": [("007", "007", 7.0), ("1e2", "1e2", 100.0), ("+7", "+7", 7.0), ("7.", "7.", 7.0)],
    "words for missing": [
        *(("NA", None, None), ("n/a", None, None), ("NaN", None, None), ("None", None, None)),
        *(("null", None, None), ("<NA>", None, None), ("inf", None, None), ("\\N", None, None)),
    ],
    "blanks": [(" ", None, None), ("\t", None, None), (None, None, None)],
    "text": [
        *(("web", "web", NO_NUMBER), (" web ", " web ", NO_NUMBER), ("NAM", "NAM", NO_NUMBER)),
        *(("größe", "größe", NO_NUMBER), ("e\u0301", "e\u0301", NO_NUMBER)),
        *(("日本", "日本", NO_NUMBER), ("😀", "😀", NO_NUMBER), ('a"b,c', 'a"b,c', NO_NUMBER)),
    ],
    "dates": [(dt.date(2024, 3, 4), "2024-03-04", NO_NUMBER)],
    "datetimes": [
        (ZONED.replace(tzinfo=None), "2024-03-04T10:00:00.5", NO_NUMBER),
        (dt.datetime(2024, 3, 4), "2024-03-04", NO_NUMBER),
    ],
    "datetimes with a zone": [(ZONED, "2024-03-04T10:00:00.5Z", NO_NUMBER)],
    "times of day": [(dt.time(10, 0), "10:00:00", NO_NUMBER)],
    "durations": [(dt.timedelta(seconds=90), "90", 90.0)],
    "bytes": [(b"web", "web", NO_NUMBER), (b"7.0", "7", NO_NUMBER)],
}


@pytest.mark.parametrize("fast", [True, False], ids=["kernel", "msgspec"])
@pytest.mark.parametrize("entrance", ENTRANCES, ids=lambda entrance: entrance.__name__)
@pytest.mark.parametrize("name", MATRIX)
def test_a_value_is_the_same_through_every_entrance(name, entrance, fast, tmp_path):
    rows = MATRIX[name]
    is_number = all(number is not NO_NUMBER for _, _, number in rows)
    found = arrivals(
        entrance, [value for value, _, _ in rows], tmp_path, is_number=is_number, fast=fast
    )
    assert found == [wanted(form, number if is_number else None) for _, form, number in rows]
