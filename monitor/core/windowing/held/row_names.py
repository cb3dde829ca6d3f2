"""Numbers of hosts and GPUs in rows that panes hold, and the names of slices made of them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from monitor.core.windowing.slots import SLICES, Interner

_MAX_KNOWN = 4_096
"""Sets of slices that are remembered."""


class Slices(NamedTuple):
    """The slices of one pane."""

    names: bytes
    """MessagePack of their names, sorted."""
    codes: tuple[int, ...]
    """In the order of the names: twice the number, for a GPU one more."""


class RowNames:
    """Hosts and GPUs of one layout's rows.

    Attributes
    ----------
    interners : tuple of Interner
        Of hosts and of GPUs.
    """

    def __init__(self) -> None:
        self.interners = (Interner(), Interner())
        self._known: dict[tuple[int, ...], Slices] = {}

    def __len__(self) -> int:
        return max(len(interner.names) for interner in self.interners)

    def slices(self, codes: tuple[int, ...]) -> Slices:
        """Return the slices of a pane by name.

        Parameters
        ----------
        codes : tuple of int
            As of :class:`Slices`, in any order.

        Examples
        --------
        >>> names = RowNames()
        >>> number, other = (names.interners[0].number(host) for host in ("b", "a"))
        >>> names.slices((2 * number, 2 * other)).codes == (2 * other, 2 * number)
        True
        """
        found = self._known.get(codes)
        if found is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            named = sorted((self._name(code), code) for code in codes)
            encoded = msgspec.msgpack.encode([name for name, _ in named])
            found = self._known[codes] = Slices(encoded, tuple(code for _, code in named))
        return found

    def _name(self, code: int) -> str:
        return f"{SLICES[code % 2]}={self.interners[code % 2].names[code // 2]}"
