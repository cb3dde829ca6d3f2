"""How many JSON events a second are decoded where they are not all alike, on one core.

Each shape is the event of :mod:`benchmarks.decode` (about 386 bytes, ten features, two
segments) with one thing changed:

============ ====================================================================
flat         nothing
optional     each feature is absent from a tenth of the events
half         each feature is absent from half of them
sparse       a hundred features, of which each event has one in twenty
ragged       a list of 0 to 200 texts beside the features, which is ignored
nested       an object with lists of numbers and of objects, which is ignored
escaped      a text with escaped quotes, also at its end, which is ignored
quoted       a host with an escaped quote, which is monitored
enveloped    a CloudEvents envelope (structured mode) with the id and the time
spelled      the time as ISO 8601 text
shuffled     keys in another order in each event
renamed      one key that is another in each event, ignored
spoiled      every second event has a number that is none, and is rejected
hosts        twelve producers, each with its own order of keys
models       200 models in turn
============ ====================================================================

Per shape: ``NAME_events_per_s``, ``NAME_ratio_flat`` over flat events and ``NAME_ratio_strict``
over the strict path alone, which is the same decoder without its kernel.
``ragged_ratio_msgspec``: over msgspec alone, decoding into the same columns
(:mod:`benchmarks.decode`). ``worst_ratio_strict``: the least of all shapes, ``worst_shape`` its
name. ``first_ratio_strict``: the least for the first ``n_first`` events of a new decoder, which
learns; ``learning_share``: the most that learning took, in parts of what the strict path takes
for them.

All in one run, in turn, the best of several laps after compilation and learning, without
garbage collection, in seconds of this thread's CPU time.
"""

from __future__ import annotations

import gc
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from benchmarks.decode import MSGSPEC_CHUNKS, best_rate, chunks_of, decode_all, msgspec_columns
from benchmarks.events import FEATURES, make_event, model_config
from benchmarks.output import Figures, main
from monitor.decode import Decoder
from schemas.batch import Chunk, ModelSchema

SCHEMA = model_config().schema_
N_MODELS, N_SPARSE, N_HOSTS = 200, 100, 12
SPARSE = tuple(f"feature_{k}" for k in range(N_SPARSE))
SCHEMAS = {
    "models": [
        ModelSchema("default", f"m{k}", SCHEMA.numeric, (), SCHEMA.segments)
        for k in range(N_MODELS)
    ],
    "sparse": [ModelSchema("default", "fraud", SPARSE, (), SCHEMA.segments)],
}
Event = dict[str, Any]


def thinned(rng: random.Random, event: Event, share: float) -> Event:
    features = {k: v for k, v in event["features"].items() if rng.random() >= share}
    return {**event, "features": features}


def sparse(rng: random.Random, event: Event) -> Event:
    features = {name: round(rng.gauss(0, 1), 4) for name in SPARSE if rng.random() < 0.05}
    return {**event, "features": features}


def ragged(rng: random.Random, event: Event) -> Event:
    tags = [f"tag-{rng.randrange(1_000)}" for _ in range(rng.randrange(201))]
    return with_after(event, "host", "tags", tags)


def nested(rng: random.Random, event: Event) -> Event:
    vector = [round(rng.gauss(0, 1), 4) for _ in range(rng.randrange(30))]
    calls = [{"name": "x", "ms": rng.random(), "ok": True} for _ in range(rng.randrange(4))]
    return with_after(event, "host", "trace", {"vector": vector, "calls": calls})


def with_after(event: Event, key: str, new: str, value: Any) -> Event:
    """The event with one more member after the given one."""
    items = list(event.items())
    at = 1 + list(event).index(key)
    return dict([*items[:at], (new, value), *items[at:]])


def reordered(rng: random.Random, event: Event) -> Event:
    keys, names = list(event), list(FEATURES)
    rng.shuffle(keys)
    rng.shuffle(names)
    features = {name: event["features"][name] for name in names}
    return {key: event[key] if key != "features" else features for key in keys}


def enveloped(event: Event) -> Event:
    moment = datetime.fromtimestamp(event["time_us"] / 1e6, UTC).isoformat()
    head = {"specversion": "1.0", "id": event["id"], "source": "/scores", "type": "prediction"}
    data = {key: value for key, value in event.items() if key not in ("id", "time_us")}
    return {**head, "time": moment, "datacontenttype": "application/json", "data": data}


def spelled(event: Event) -> Event:
    moment = datetime.fromtimestamp(event["time_us"] / 1e6, UTC)
    return {**event, "time_us": moment.isoformat().replace("+00:00", "Z")}


def note(rng: random.Random, event: Event) -> Event:
    text = f'the customer said "{rng.choice(("yes", "no", "later"))}"'
    return with_after(event, "host", "note", text)


SHAPES: dict[str, Callable[[random.Random, int, Event], Event]] = {
    "flat": lambda rng, i, e: e,
    "optional": lambda rng, i, e: thinned(rng, e, 0.1),
    "half": lambda rng, i, e: thinned(rng, e, 0.5),
    "sparse": lambda rng, i, e: sparse(rng, e),
    "ragged": lambda rng, i, e: ragged(rng, e),
    "nested": lambda rng, i, e: nested(rng, e),
    "escaped": lambda rng, i, e: note(rng, e),
    "quoted": lambda rng, i, e: {**e, "host": f'rack "{i % 8}"'},
    "enveloped": lambda rng, i, e: enveloped(e),
    "spelled": lambda rng, i, e: spelled(e),
    "shuffled": lambda rng, i, e: reordered(rng, e),
    "renamed": lambda rng, i, e: with_after(e, "host", f"trace-{rng.getrandbits(40)}", 1),
    "spoiled": lambda rng, i, e: {**e, "score": "high"} if i % 2 else e,
    "hosts": lambda rng, i, e: reordered(random.Random(rng.randrange(N_HOSTS)), e),
    "models": lambda rng, i, e: {**e, "model": f"m{i % N_MODELS}"},
}


@dataclass
class Shape:
    """The events of one shape, and what decodes them."""

    name: str
    messages: list[bytes]

    def __post_init__(self) -> None:
        schemas = SCHEMAS.get(self.name, [SCHEMA])
        self.chunks: list[Chunk] = list(chunks_of(self.messages))
        self.fast, self.strict = Decoder(schemas), Decoder(schemas, fast=False)
        self.best_s = {True: float("inf"), False: float("inf")}

    def lap(self, is_fast: bool) -> None:
        """Decode all of them once."""
        begin = time.thread_time()
        decode_all(self.fast if is_fast else self.strict, self.chunks)
        self.best_s[is_fast] = min(self.best_s[is_fast], time.thread_time() - begin)

    @property
    def rate(self) -> float:
        """Events a second."""
        return len(self.messages) / self.best_s[True]

    @property
    def ratio_strict(self) -> float:
        """How many times as fast as the strict path alone."""
        return self.best_s[False] / self.best_s[True]

    def first_s(self, n_events: int) -> tuple[float, float]:
        """Seconds of a new decoder for its first events, and of learning among them."""
        decoder = Decoder(SCHEMAS.get(self.name, [SCHEMA]))
        program, consider, lessons_s = decoder._program, decoder._program.consider, 0.0

        def timed(*arguments: Any) -> bool:
            nonlocal lessons_s
            start = time.thread_time()
            is_learned = consider(*arguments)
            lessons_s += time.thread_time() - start
            return is_learned

        program.consider = timed  # type: ignore[method-assign]
        begin = time.thread_time()
        for _ in range(0, n_events, len(self.messages)):
            decode_all(decoder, self.chunks)
        return time.thread_time() - begin, lessons_s


def make_shape(name: str, n: int) -> Shape:
    rng = random.Random(1)
    events = (SHAPES[name](rng, i, make_event(rng, i)) for i in range(n))
    return Shape(name, [json.dumps(event).encode() for event in events])


def measure(quick: bool) -> Figures:
    gc.disable()
    n, n_laps, n_first = (10_000, 5, 50_000) if quick else (20_000, 15, 200_000)
    shapes = {name: make_shape(name, n) for name in SHAPES}
    for shape in shapes.values():
        for _ in range(4):  # compile, then learn the layouts and the dictionaries
            decode_all(shape.fast, shape.chunks)
        decode_all(shape.strict, shape.chunks)
    for k in range(n_laps):
        for shape in shapes.values():
            shape.lap(is_fast=True)
            if k % 3 == 0:
                shape.lap(is_fast=False)
    by_msgspec = max(
        best_rate(
            lambda size=size: msgspec_columns(shapes["ragged"].messages, size), n, n_laps // 3 + 1
        )
        for size in MSGSPEC_CHUNKS
    )
    worst = min(shapes.values(), key=lambda shape: shape.ratio_strict)
    firsts = []
    for shape in shapes.values():
        strict_s = shape.best_s[False] * n_first / n
        firsts.append([seconds / strict_s for seconds in shape.first_s(n_first)])
    flat = shapes["flat"].rate
    figures: dict[str, float | int | str] = {
        "ragged_ratio_msgspec": shapes["ragged"].rate / by_msgspec,
        "worst_ratio_strict": worst.ratio_strict,
        "worst_shape": worst.name,
        "first_ratio_strict": 1 / max(first for first, _ in firsts),
        "learning_share": max(share for _, share in firsts),
        "n_events": n,
        "n_first": n_first,
    }
    for name, shape in shapes.items():
        figures[f"{name}_events_per_s"] = shape.rate
        figures[f"{name}_ratio_flat"] = shape.rate / flat
        figures[f"{name}_ratio_strict"] = shape.ratio_strict
    return figures


if __name__ == "__main__":
    main("JSON events of varying shape, against flat ones, the strict path and msgspec", measure)
