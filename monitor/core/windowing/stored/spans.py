"""How long the slots are that the store gets on Kafka, and when their panes are final."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import gcd
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from schemas.time_units import DAY_US, MINUTE_US

if TYPE_CHECKING:
    from schemas.config.model import ModelConfig

MAX_EXCEPTIONS = 300
"""Models with a span of their own; they are part of every commit, which has 4 kB."""


class Span(NamedTuple):
    """Of one model."""

    slot_us: int = 5 * MINUTE_US
    lateness_us: int = MINUTE_US


def span_of(config: ModelConfig) -> Span:
    """Return the span of a model: its ticks, or the longest part of both tick and window.

    Examples
    --------
    >>> from schemas.config.model import ModelConfig
    >>> hour = ModelConfig(model="m", features={"x": {"kind": "numeric"}})
    >>> span_of(hour)
    Span(slot_us=300000000, lateness_us=60000000)
    >>> short = hour.window.model_copy(update={"length_us": 120_000_000})
    >>> span_of(hour.model_copy(update={"window": short})).slot_us
    120000000
    """
    window = config.window
    longest = gcd(config.tick_us, window.length_us)
    return Span(window.pane_us if longest % window.pane_us else longest, window.lateness_us)


@dataclass(frozen=True, slots=True)
class Spans:
    """The spans of all models, in a form that is small where most models agree.

    Parameters
    ----------
    base : Span
        Of models that are no exception, unknown ones included.
    exceptions : mapping of int to Span
        By :func:`model_number`.
    """

    base: Span = field(default_factory=Span)
    exceptions: Mapping[int, Span] = field(default_factory=dict)

    @staticmethod
    def of(configs: Iterable[ModelConfig]) -> Spans:
        """Take the commonest span as the base.

        Notes
        -----
        Of more exceptions than fit into a commit, all models get the greatest common divisor
        of the slots and the longest lateness, which are right for each of them.
        """
        found = {model_number(c.tenant, c.model): span_of(c) for c in configs}
        if not found:
            return Spans()
        ((base, _),) = Counter(sorted(found.values())).most_common(1)
        exceptions = {number: span for number, span in sorted(found.items()) if span != base}
        if len(exceptions) <= MAX_EXCEPTIONS:
            return Spans(base, exceptions)
        slots_us, latenesses_us = zip(*found.values(), strict=True)
        return Spans(Span(gcd(*slots_us), max(latenesses_us)))

    def __getitem__(self, name: tuple[str, str]) -> Span:
        """Return the span of (tenant, model)."""
        return self.exceptions.get(model_number(*name), self.base) if self.exceptions else self.base


def model_number(tenant: str, model: str) -> int:
    """Return a number of 32 bits that stands for a model in commits."""
    return crc32(f"{tenant}\0{model}".encode())


def longest_skew_us(configs: Iterable[ModelConfig]) -> int:
    """Return how far the end of a pane may be ahead of the watermark that follows it."""
    windows = [config.window for config in configs]
    return max((w.max_skew_us + w.bound_us + w.pane_us for w in windows), default=DAY_US)
