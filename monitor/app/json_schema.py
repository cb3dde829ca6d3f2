"""JSON Schemas of events and config files: ``python -m monitor.app.json_schema`` writes them."""

from __future__ import annotations

from typing import Any

from monitor.notify.config_types import model_type, monitor_type
from schemas.json_schema import generate, write


def generate_all() -> dict[str, dict[str, Any]]:
    """Generate all schemas from their types.

    Returns
    -------
    dict of str to dict
        File name without ``.schema.json`` -> schema.

    Examples
    --------
    >>> sorted(generate_all())
    ['action', 'driftline', 'gpu_event', 'label_event', 'model', 'prediction_event']
    """
    return generate({"model": model_type(), "driftline": monitor_type()})


if __name__ == "__main__":
    for written in write(generate_all()):
        print(written)
