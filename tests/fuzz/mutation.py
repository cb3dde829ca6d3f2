"""Plain data and bytes, changed somewhere: what a damaged or hostile writer could have sent."""

from __future__ import annotations

import random
from typing import Any

INTEGERS = (
    0, 1, -1, 2, 63, 64, 65, 1_000, 1 << 20, (1 << 31) - 1, 1 << 31, 1 << 40, 1 << 53, 1 << 62,
    (1 << 63) - 1, -(1 << 63), (1 << 64) - 1,
)  # fmt: skip
FLOATS = (float("nan"), float("inf"), -float("inf"), 1e308, -1.0, -0.0, 5e-324)
TEXTS = (
    "", "*", "x", "eu", "region=eu", "host=\n\x1b[31m", "a|b", "%7C", "\0", "m", "default", "xid_",
    "xid_²",
    "🙂" * 50, "../../etc/passwd", "x" * 5_000, "|O", "<f8", "<i8", "<U1000000", "V8", ">f2", "S0",
    "numeric", "categorical", "page", "opened", "\ud800",
)  # fmt: skip
ODD = (None, 0, -1, 1.5, "x", b"y", [], {}, True, [1, 2, 3], [[[[]]]], {"a": {}})


def twist(rng: random.Random, value: Any, depth: int = 0) -> Any:
    """Return the value with one thing changed: lost, doubled, of another size or type."""
    if isinstance(value, list | tuple) and value and rng.random() < (0.9 if depth < 8 else 0.0):
        items, i, r = list(value), rng.randrange(len(value)), rng.random()
        if r < 0.06:
            del items[i]
        elif r < 0.12:
            items.insert(i, items[i])
        else:
            items[i] = twist(rng, items[i], depth + 1)
        return items
    if isinstance(value, dict) and value and rng.random() < 0.95:
        fields, key, r = dict(value), rng.choice(list(value)), rng.random()
        if r < 0.06:
            del fields[key]
        elif r < 0.1:
            fields[f"{key}x"] = 1
        else:
            fields[key] = twist(rng, fields[key], depth + 1)
        return fields
    return _other(rng, value)


def _other(rng: random.Random, value: Any) -> Any:
    """Return another value, most often of the same type."""
    if rng.random() < 0.15:
        return rng.choice(ODD)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((value + 1, value - 1, -value, *INTEGERS))
    if isinstance(value, float):
        return rng.choice(FLOATS)
    if isinstance(value, str):
        return rng.choice(TEXTS[:-1])
    return flip(rng, value) if isinstance(value, bytes) else rng.choice(ODD)


def flip(rng: random.Random, data: bytes) -> bytes:
    """Return bytes that were cut, overwritten, lengthened or replaced."""
    changed, kind = bytearray(data), rng.randrange(6)
    if kind == 0 or not changed:
        return rng.randbytes(rng.randrange(60))
    if kind == 1:
        return bytes(changed[: rng.randrange(len(changed))])
    if kind == 2:
        return bytes(changed) * 2
    if kind == 3:
        at = rng.randrange(len(changed))
        changed[at:at] = b"\xff\xcf" + b"\xff" * 8
        return bytes(changed)
    for _ in range(rng.randrange(1, 5)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)
