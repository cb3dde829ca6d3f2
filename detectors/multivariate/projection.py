"""Digests of seeded projections, so that windows of different ones are not mixed."""

from __future__ import annotations

import hashlib

from detectors.multivariate.rows import FloatArray
from schemas.errors import DomainError


def digest_of(kind: str, *arrays: FloatArray) -> str:
    """Return a digest of 16 hexadecimal digits of all parameters of a projection.

    Examples
    --------
    >>> import numpy as np
    >>> digest_of("fourier", np.zeros(2)) == digest_of("fourier", np.zeros(2))
    True
    """
    digest = hashlib.sha256(kind.encode())
    for array in arrays:
        digest.update(array.astype("<f8").tobytes())
    return digest.hexdigest()[:16]


def check_projection(one: str, other: str) -> None:
    """Check that two windows were projected alike.

    Raises
    ------
    DomainError
        If they were not: their numbers do not belong together.

    Examples
    --------
    >>> check_projection("0c5b", "77a1")
    Traceback (most recent call last):
    driftline.errors.DomainError: projection: the projections are 0c5b and 77a1 (use one fitted \
projection for both)
    """
    if one != other:
        what = f"the projections are {one} and {other}"
        raise DomainError(what, where="projection", fix="use one fitted projection for both")
