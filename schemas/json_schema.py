"""JSON Schemas generated from the types.

Producers can validate events with ``*_event.schema.json``, and those who act on incidents
``action.schema.json``; editors complete and validate YAML with
``model.schema.json`` and ``driftline.schema.json``. ``python -m schemas.json_schema`` writes those
of events, ``python -m monitor.app.json_schema`` all of them, because the kinds of receivers and
retraining targets are defined in a higher layer.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel

from schemas.actions import Action
from schemas.config.values import format_duration
from schemas.events import GpuEvent, LabelEvent, PredictionEvent

FOLDER = Path(__file__).parent / "json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_EVENTS: dict[str, type[msgspec.Struct]] = {
    "prediction_event": PredictionEvent,
    "label_event": LabelEvent,
    "gpu_event": GpuEvent,
    "action": Action,
}


def generate(configs: Mapping[str, type[BaseModel]] | None = None) -> dict[str, dict[str, Any]]:
    """Generate all schemas from their types.

    Parameters
    ----------
    configs : mapping of str to type, optional
        Config models by the name of their schema, in addition to the events.

    Returns
    -------
    dict of str to dict
        File name without ``.schema.json`` -> schema.

    Examples
    --------
    >>> sorted(generate())
    ['action', 'gpu_event', 'label_event', 'prediction_event']
    """
    events = {name: _event_schema(name, event) for name, event in _EVENTS.items()}
    named = (configs or {}).items()
    return events | {name: _config_schema(name, config) for name, config in named}


def render(schema: dict[str, Any]) -> str:
    """Return one schema as formatted text."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write(schemas: Mapping[str, dict[str, Any]], folder: Path = FOLDER) -> list[Path]:
    """Write schemas by name; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, schema in schemas.items():
        file = folder / f"{name}.schema.json"
        file.write_text(render(schema), encoding="utf-8")
        files.append(file)
    return files


def _event_schema(name: str, event: type[msgspec.Struct]) -> dict[str, Any]:
    """Inline the only reference, so that the fields are at the top level."""
    schema = msgspec.json.schema(event)
    body = schema["$defs"].pop(event.__name__)
    body["description"] = inspect.cleandoc(event.__doc__ or "")
    rest = {"$defs": schema["$defs"]} if schema["$defs"] else {}
    return {"$schema": DIALECT, "$id": f"{name}.schema.json", **body, **rest}


def _config_schema(name: str, config: type[BaseModel]) -> dict[str, Any]:
    """Return a config schema with durations in YAML syntax, and scalar defaults only."""
    schema = config.model_json_schema()
    _write_defaults(schema)
    return {"$schema": DIALECT, "$id": f"{name}.schema.json", **schema}


def _write_defaults(node: Any) -> None:
    """Convert default durations to text such as ``10s``, and drop defaults of groups."""
    if isinstance(node, list):
        for item in node:
            _write_defaults(item)
    if not isinstance(node, dict):
        return
    if node.get("format") == "duration-text" and isinstance(node.get("default"), int):
        node["default"] = format_duration(node["default"])
    if isinstance(node.get("default"), dict | list):
        del node["default"]
    for child in node.values():
        _write_defaults(child)


if __name__ == "__main__":
    for written in write(generate()):
        print(written)
