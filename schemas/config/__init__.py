"""Configuration files: models, parsing, values and error messages.

The config models are exported here, and imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemas.config.model import ModelConfig, WindowConfig
    from schemas.config.monitor import GpuConfig, MonitorConfig

__all__ = ["GpuConfig", "ModelConfig", "MonitorConfig", "WindowConfig"]

_HOMES = {
    "GpuConfig": "monitor",
    "ModelConfig": "model",
    "MonitorConfig": "monitor",
    "WindowConfig": "model",
}


def __getattr__(name: str) -> Any:
    """Import a config model on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'schemas.config' has no attribute {name!r}")
    return getattr(import_module(f"schemas.config.{_HOMES[name]}"), name)
