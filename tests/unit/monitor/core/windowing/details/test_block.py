"""The block of details behind the statistics of a pane: limits, versions, damage."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from monitor.core.windowing.codec import decode, encode
from monitor.core.windowing.details import block
from monitor.core.windowing.details.block import (
    MAX_CELLS,
    MAX_VALUES_BYTES,
    NOT_COUNTED,
    CellValues,
    PaneDetails,
    cut_text,
    decode_details,
    encode_details,
)
from monitor.core.windowing.pane_body import check_body, encode_body, open_body, with_details
from monitor.core.windowing.pane_total import PaneTotal
from schemas.errors import DomainError, ShapeError
from schemas.panes import Pane, SeriesId, SeriesStats

CELL = CellValues("*", 1, 0, (("kiosk", 8),))
DETAILS = encode_details(PaneDetails(cells=(CELL,)), 2)


def pane(details: bytes) -> Pane:
    stats = SeriesStats.empty(("*",), 2)
    return Pane(SeriesId("t", "m", "1", "p"), 0, 10, "s", 0, "o", 7, stats, details=details)


def damaged(**changes) -> bytes:
    members = {"version": 1, "segments": ("*",), "v": 2, "rows": (0,)}
    members |= {"absent": bytes(8), "cells": ()}
    return msgspec.msgpack.encode(tuple((members | changes).values()))


@pytest.mark.parametrize("length", range(60, 70))
@pytest.mark.parametrize("letter", ["a", "ü", "日", "🙂"])
def test_a_long_value_is_cut_at_a_character_and_marked(letter, length):
    cut = cut_text(letter * length)
    assert len(cut.encode()) <= block.MAX_TEXT_BYTES
    assert cut == letter * length or cut == letter * (len(cut) - 1) + "…"


def test_nothing_to_tell_takes_no_bytes():
    assert encode_details(PaneDetails(), 2) == b""
    assert decode_details(b"", 2) == PaneDetails()


def test_a_body_without_details_has_the_bytes_it_had():
    stats, slices = SeriesStats.empty(("*",), 2), SeriesStats.empty((), 1)
    body = encode_body(stats, slices)
    assert with_details(body, b"") is body
    assert len(msgspec.msgpack.decode(body)) == 5


def test_a_reader_of_five_members_ignores_the_sixth():
    class Five(msgspec.Struct, array_like=True):
        segments: bytes
        n_variables: int
        slices: bytes
        tokens: bytes
        floats: bytes

    stats, slices = SeriesStats.empty(("*",), 2), SeriesStats.empty((), 1)
    plain = encode_body(stats, slices)
    read = msgspec.msgpack.decode(with_details(plain, DETAILS), type=Five)
    assert read == msgspec.msgpack.decode(plain, type=Five)


def test_details_are_added_once():
    body = with_details(encode_body(pane(b"").segments, pane(b"").slices), DETAILS)
    with pytest.raises(ShapeError):
        with_details(body, DETAILS)


@pytest.mark.parametrize(("schema", "found"), [(1, NOT_COUNTED), (2, DETAILS)])
def test_panes_of_encoding_1_are_read_as_counted_without_details(schema, found):
    read = decode(encode(pane(DETAILS), schema=schema))
    assert read.details == found
    assert decode_details(read.details, 2).is_counted == (schema == 2)


def test_a_total_with_one_pane_of_encoding_1_knows_no_details():
    total = PaneTotal(2)
    for details in (DETAILS, b""):
        total.add(open_body(encode_to_body(details)))
    assert total.has_details
    total.add(open_body(encode_to_body(NOT_COUNTED)))
    assert not total.has_details
    assert not total.copy().has_details
    assert total.details()["*", 1].new_values == (("kiosk", 8),)


def encode_to_body(details: bytes) -> bytes:
    return with_details(encode_body(pane(b"").segments, pane(b"").slices), details)


def test_a_later_version_is_ignored():
    assert not decode_details(damaged(version=2, cells="another form"), 2).is_counted


@pytest.mark.parametrize(
    "raw",
    [
        b"\xc1",
        b"\x90",
        DETAILS[:-1],
        DETAILS + b"\x00",
        damaged(v=3),
        damaged(absent=bytes(7)),
        damaged(rows=(1,)),
        damaged(rows=(-1,)),
        damaged(segments=("*", "*")),
        damaged(segments=("x" * 5_000,)),
        damaged(cells=((0, 2, 0, ()),)),
        damaged(cells=((1, 0, 0, ()),)),
        damaged(cells=((0, 0, -1, ()),)),
        damaged(cells=((0, 0, 0, (("x", 0),)),)),
        damaged(cells=((0, 0, 0, (("x" * 65, 1),)),)),
        damaged(cells=((0, 0, 0, tuple((str(i), 1) for i in range(9))),)),
        damaged(cells=((0, 0, 0, ()),) * (MAX_CELLS + 1)),
        damaged(cells=((0, 0, 0, ((b"\xff", 1),)),)),
    ],
)
def test_damaged_details_are_refused(raw):
    with pytest.raises(DomainError):
        decode_details(raw, 2)
    with pytest.raises(DomainError):
        check_body(open_body(encode_to_body(raw)), 10)


def test_cells_beyond_the_most_are_those_of_the_last_segments():
    values = tuple((f"{i}" * 64, 1 << 40) for i in range(8))
    cells = [CellValues(f"s={i:03d}", v, 1 << 40, values) for i in range(200) for v in range(2)]
    raw = encode_details(PaneDetails(cells=(*cells, CELL)), 2)
    found = decode_details(raw, 2).cells
    assert len(found) == MAX_CELLS
    assert (found[0], found[1].segment, found[-1].segment) == (CELL, "s=000", "s=127")
    assert len(raw) < MAX_VALUES_BYTES + 256 * 10


def test_absent_counts_beyond_32_bits_are_capped():
    absent = np.array([[1 << 40, 0]], np.int64)
    found = decode_details(encode_details(PaneDetails(True, ("*",), absent), 2), 2)
    assert found.absent.tolist() == [[(1 << 32) - 1, 0]]
