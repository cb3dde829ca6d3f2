"""A Keras model whose predictions are reported, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from driftline import Reporter


def predict_reported(
    model: keras.Model, rows: Mapping[str, np.ndarray], reporter: Reporter, **options: Any
) -> np.ndarray:
    """Predict a batch and report it.

    Parameters
    ----------
    model : keras.Model
        Takes a matrix, its columns in the order of ``rows``; gives one score a row.
    rows : mapping of str to ndarray, shape (n,)
        Features by name.
    options
        For ``model.predict``.

    Returns
    -------
    ndarray, shape (n,)
    """
    matrix = np.column_stack(list(rows.values())).astype("float32")
    scores = np.asarray(model.predict(matrix, verbose=0, **options)).reshape(-1)
    columns = [values.tolist() for values in rows.values()]
    for values, score in zip(zip(*columns, strict=True), scores.tolist(), strict=True):
        reporter.predict(dict(zip(rows, values, strict=True)), score=score)
    return scores
