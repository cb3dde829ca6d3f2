"""Base class of sequential detectors: updates, arrays, and serialisable state.

A detector's file holds one kernel: ``step(x, settings, state)`` takes one finite value
and returns the signals DRIFT and WARNING. The loop over an array is compiled from it.
All that a detector remembers is in ``state``, one array of float64, whole numbers
included (exact up to 2^53): copying it copies the detector.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.kernels.sequential.over_array import Step, over_array
from detectors.kernels.sequential.signals import DRIFT, WARNING, FloatArray
from schemas.errors import DomainError, ShapeError

Parameter: TypeAlias = float | int | str | bool | None
State: TypeAlias = dict[str, Any]
"""Plain: strings, numbers, one array of float64 and one dict of parameters."""


class Detections(NamedTuple):
    """Detections in an array."""

    drifts: NDArray[np.int64]
    """Zero-based places of the values at which drift was detected, ascending."""
    warnings: NDArray[np.int64]
    """Places with a warning; empty for detectors without one."""
    state: State
    """The detector after the last value: :meth:`SequentialDetector.from_state` goes on."""


class SequentialDetector:
    """Base of the detectors; use one of those.

    Attributes
    ----------
    parameters : mapping
        As passed to the constructor, read-only.
    n_missing : int
        Values skipped so far because they were NaN or infinite.

    Raises
    ------
    DomainError
        If a parameter is out of its domain.

    Notes
    -----
    A missing value changes nothing but ``n_missing``, and after it neither drift nor
    warning is signalled. Objects share nothing: one thread each needs no lock. The
    compiled part holds no GIL. Not mergeable: the order of the values matters.
    """

    __slots__ = ("_settings", "_signals", "_state", "n_missing", "parameters")

    _step: ClassVar[staticmethod[[float, FloatArray, FloatArray], int]]
    _run: ClassVar[staticmethod[[FloatArray, FloatArray, FloatArray, NDArray[np.uint8]], None]]
    _low: ClassVar[float] = -sys.float_info.max
    _high: ClassVar[float] = sys.float_info.max
    _only_whole: ClassVar[bool] = False
    _unit: ClassVar[str] = ""
    """Meaning of 1, if values must be in [0, 1]."""

    parameters: Mapping[str, Parameter]
    n_missing: int

    def __init_subclass__(cls, step: Step | None = None) -> None:
        """Compile the loop over an array of a class that has a step."""
        super().__init_subclass__()
        if step is not None:
            cls._step = staticmethod(step)
            cls._run = staticmethod(over_array(step))

    def __init__(
        self, parameters: dict[str, Parameter], settings: list[float], state: FloatArray
    ) -> None:
        self.parameters = MappingProxyType(parameters)
        self.n_missing = 0
        self._settings = np.array(settings, np.float64)
        self._state = state
        self._signals = 0

    @property
    def drift_detected(self) -> bool:
        """Whether the last value gave an alarm."""
        return bool(self._signals & DRIFT)

    def update(self, x: float) -> None:
        """Process one value.

        Parameters
        ----------
        x : float, int or bool
            NaN and infinities are missing: skipped and counted.

        Raises
        ------
        DomainError
            If the detector takes errors or hits and ``x`` is something else.
        """
        value = float(x)
        if self._low <= value <= self._high:
            if self._only_whole and 0.0 < value < 1.0:
                raise self._refusal(value)
            self._signals = self._step(value, self._settings, self._state)
        elif math.isfinite(value):
            raise self._refusal(value)
        else:
            self.n_missing += 1
            self._signals = 0

    @classmethod
    def detect(cls, values: ArrayLike, **parameters: Any) -> Detections:
        """Find the drifts of a whole stream with a new detector.

        Parameters
        ----------
        values : array_like of float, int or bool, shape (n,)
            As :meth:`run` takes it.
        **parameters
            Of the class, by name.

        Returns
        -------
        Detections

        Raises
        ------
        ShapeError
            If ``values`` has not one dimension, or holds no numbers.
        DomainError
            If a parameter is out of its domain, or a value is none the detector takes.

        Examples
        --------
        >>> from detectors.sequential.ewma import EWMA
        >>> EWMA.detect([0.0] * 20 + [1.5] * 20, mean=0, sd=1).drifts
        array([24, 29, 34, 39])
        """
        return cls(**parameters).run(values)

    def run(self, values: ArrayLike) -> Detections:
        """Process an array of values, equivalent to :meth:`update` for each.

        Parameters
        ----------
        values : array_like of float, int or bool, shape (n,)
            float64 in contiguous, writeable memory is not copied. It is not written to.

        Returns
        -------
        Detections
            Places count from the first value of this array.

        Raises
        ------
        ShapeError
            If it has not one dimension, or holds no numbers.
        DomainError
            If a value is none the detector takes; nothing was taken then.
        """
        array = numbers(values, type(self).__name__)
        places, present = None, array
        if len(array) and not self._low <= array.min() <= array.max() <= self._high:
            places = np.flatnonzero(np.isfinite(array))
            present = array[places]
            self._check(present)
        if self._only_whole:
            self._check(present)
        signals = np.zeros(len(present), np.uint8)
        self._run(present, self._settings, self._state, signals)
        self.n_missing += len(array) - len(present)
        if len(array):
            self._signals = int(signals[-1]) if math.isfinite(array[-1]) else 0
        found = [np.flatnonzero((signals & bit) != 0) for bit in (DRIFT, WARNING)]
        drifts, warnings = found if places is None else [places[at] for at in found]
        return Detections(drifts, warnings, self.state())

    def state(self) -> State:
        """Return the complete state: a dict of plain values and one array.

        Returns
        -------
        dict
            ``detector``, ``parameters``, ``n_missing``, ``signals`` and ``state``, a copy.
        """
        return {
            "detector": type(self).__name__,
            "parameters": dict(self.parameters),
            "n_missing": self.n_missing,
            "signals": self._signals,
            "state": self._state.copy(),
        }

    @classmethod
    def from_state(cls, saved: State) -> Self:
        """Return a detector that continues from a :meth:`state`.

        Parameters
        ----------
        saved : dict
            From :meth:`state`; a list in place of the array will do.

        Returns
        -------
        SequentialDetector

        Raises
        ------
        DomainError
            If it is the state of another detector.
        ShapeError
            If the array does not fit the parameters.
        """
        name = cls.__name__
        if saved.get("detector") != name:
            what = f"the state is of {saved.get('detector')!r}"
            raise DomainError(what, where=name, fix=f"pass what {name}.state() returned")
        new = cls(**saved["parameters"])
        array = np.array(saved["state"], np.float64)
        if array.shape != new._state.shape:
            what = f"the state has shape {array.shape}, not {new._state.shape}"
            raise ShapeError(what, where=name, fix="pass it as it was saved")
        new._state = array
        new.n_missing = int(saved["n_missing"])
        new._signals = int(saved["signals"])
        return new

    def _check(self, values: FloatArray) -> None:
        """Raise for values other than errors or hits, if only those are allowed."""
        is_refused = (values < self._low) | (values > self._high)
        if self._only_whole:
            is_refused |= (values > 0.0) & (values < 1.0)
        if is_refused.any():
            raise self._refusal(float(values[is_refused][0]))

    def _refusal(self, value: float) -> DomainError:
        allowed = "0 or 1" if self._only_whole else "numbers in [0, 1]"
        fix = f"pass {allowed}: 1 is {self._unit}"
        return DomainError(f"a value is {value!r}", where=type(self).__name__, fix=fix)


class ErrorDetector(SequentialDetector):
    """Base class of detectors of errors or hits in [0, 1]."""

    __slots__ = ()
    _low = 0.0
    _high = 1.0
    _unit = "an error"


class ErrorWarningDetector(ErrorDetector):
    """Base of those among them that warn before they alarm; use one of those."""

    __slots__ = ()

    @property
    def warning_detected(self) -> bool:
        """Whether the last value gave a warning."""
        return bool(self._signals & WARNING)


def require(holds: bool, where: str, name: str, value: Parameter, fix: str) -> None:
    """Raise DomainError with the parameter's value unless ``holds``."""
    if not holds:
        raise DomainError(f"{name} is {value!r}", where=where, fix=fix)


def numbers(values: ArrayLike, where: str) -> FloatArray:
    """Convert values to an array with the compiled signature."""
    array = np.asarray(values)
    if array.ndim != 1:
        fix = "pass one stream, shape (n,)"
        raise ShapeError(f"values have shape {array.shape}", where=where, fix=fix)
    if array.size and array.dtype.kind not in "biuf":
        raise ShapeError(f"dtype is {array.dtype}", where=where, fix="pass numbers")
    # Numba recompiles for read-only arrays, which takes seconds; a copy takes 1 ns per value
    return np.require(array, np.float64, ["C", "W"])
